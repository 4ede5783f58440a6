//! Kernel, stride and padding of an operation, and the extents of what it gives.

use super::proto::NodeProto;
use crate::graph::Window;
use crate::import::Reason;

/// Largest kernel, stride and padding.
pub(super) const MAX: usize = 255;

/// The kernel `[height, width]`; `None` where the filter's shape says it.
pub(super) fn kernel(node: &NodeProto) -> Result<Option<[usize; 2]>, Reason> {
    pair(node, "kernel_shape")
}

/// Refuses taps with gaps.
pub(super) fn undilated(node: &NodeProto) -> Result<(), Reason> {
    match pair(node, "dilations")? {
        None | Some([1, 1]) => Ok(()),
        Some(_) => Err(Reason::Dilation),
    }
}

/// The window over a map of these rows and columns, and the rows and columns of the output.
///
/// Where the output is rounded up, the padding grows until the last window fits: a pool looks at
/// valid positions only.
pub(super) fn slide(
    node: &NodeProto,
    kernel: [usize; 2],
    extents: [usize; 2],
) -> Result<(Window, [usize; 2]), Reason> {
    let stride = pair(node, "strides")?.unwrap_or([1, 1]);
    if !kernel.iter().chain(&stride).all(|n| (1..=MAX).contains(n)) {
        return Err(Reason::Window);
    }
    let up = node.int("ceil_mode", 0) != 0;
    let pads = node.ints("pads").unwrap_or(&[0; 4]);
    let pads: Vec<usize> = pads.iter().filter_map(|&pad| usize::try_from(pad).ok()).collect();
    let &[top, left, bottom, right] = &pads[..] else { return Err(Reason::Window) };
    let mut window = Window { kernel, stride, padding: [top, bottom, left, right] };
    let automatic = node.attribute("auto_pad").map_or(&b"NOTSET"[..], |attribute| &attribute.s);
    let mut output = [0; 2];
    for axis in 0..2 {
        let (kernel, stride, extent) = (kernel[axis], stride[axis], extents[axis]);
        let [before, after] = match automatic {
            b"" | b"NOTSET" => [window.padding[2 * axis], window.padding[2 * axis + 1]],
            b"VALID" => [0, 0],
            b"SAME_UPPER" | b"SAME_LOWER" => {
                let outside = ((extent.div_ceil(stride) - 1) * stride + kernel).saturating_sub(extent);
                let (less, more) = (outside / 2, outside - outside / 2);
                if automatic == b"SAME_UPPER" { [less, more] } else { [more, less] }
            }
            _ => return Err(Reason::Window),
        };
        if before.max(after) > MAX {
            return Err(Reason::Window);
        }
        let room = (extent + before + after).checked_sub(kernel).ok_or(Reason::Window)?;
        output[axis] = room / stride + 1;
        let mut missing = 0;
        // A window more, if it starts in the map or before it.
        if up && !room.is_multiple_of(stride) && output[axis] * stride < extent + before {
            missing = stride - room % stride;
            output[axis] += 1;
        }
        (window.padding[2 * axis], window.padding[2 * axis + 1]) = (before, after + missing);
    }
    Ok((window, output))
}

/// Two attributes, height first; `None` where the file leaves them out.
fn pair(node: &NodeProto, name: &str) -> Result<Option<[usize; 2]>, Reason> {
    let Some(values) = node.ints(name) else { return Ok(None) };
    let values: Vec<usize> = values.iter().filter_map(|&value| usize::try_from(value).ok()).collect();
    values.try_into().map(Some).map_err(|_| Reason::Window)
}

#[cfg(test)]
mod tests {
    use super::super::proto::AttributeProto;
    use super::*;

    fn node(pads: [i64; 4], strides: [i64; 2], automatic: &str, up: i64) -> NodeProto {
        let attribute = |name: &str| AttributeProto { name: name.into(), ..AttributeProto::default() };
        let attributes = vec![
            AttributeProto { ints: pads.to_vec(), ..attribute("pads") },
            AttributeProto { ints: strides.to_vec(), ..attribute("strides") },
            AttributeProto { s: automatic.into(), ..attribute("auto_pad") },
            AttributeProto { i: up, ..attribute("ceil_mode") },
        ];
        NodeProto { attribute: attributes, ..NodeProto::default() }
    }

    #[test]
    fn padding_is_top_left_bottom_right_in_the_file() {
        let (window, output) = slide(&node([0, 1, 2, 3], [1, 2], "NOTSET", 0), [3, 3], [8, 8]).expect("fits");
        assert_eq!(window, Window { kernel: [3, 3], stride: [1, 2], padding: [0, 2, 1, 3] });
        assert_eq!(output, [8 + 2 - 3 + 1, (8 + 1 + 3 - 3) / 2 + 1]);
    }

    #[test]
    fn padding_by_name() {
        let of = |name| slide(&node([0; 4], [2, 2], name, 0), [3, 3], [8, 7]).expect("fits");
        assert_eq!((of("SAME_UPPER").0.padding, of("SAME_UPPER").1), ([0, 1, 1, 1], [4, 4]));
        assert_eq!((of("SAME_LOWER").0.padding, of("SAME_LOWER").1), ([1, 0, 1, 1], [4, 4]));
        assert_eq!((of("VALID").0.padding, of("VALID").1), ([0; 4], [3, 3]));
        assert_eq!(slide(&node([0; 4], [2, 2], "SAME", 0), [3, 3], [8, 7]), Err(Reason::Window));
    }

    #[test]
    fn outputs_rounded_up() {
        // Eight rows by steps of 2 with a kernel of 3: three windows fit, a fourth lacks a row.
        let (window, output) = slide(&node([0; 4], [2, 2], "", 1), [3, 3], [8, 7]).expect("fits");
        assert_eq!((window.padding, output), ([0, 1, 0, 0], [4, 3]));
        // The window more would start behind the map: ceil((5 - 1) / 3) + 1 = 3 starts at row 6.
        let (window, output) = slide(&node([0; 4], [3, 3], "", 1), [1, 1], [5, 5]).expect("fits");
        assert_eq!((window.padding, output), ([0; 4], [2, 2]));
    }

    #[test]
    fn windows_that_do_not_run() {
        let refused = |pads, strides, kernel| slide(&node(pads, strides, "", 0), kernel, [8, 8]);
        assert_eq!(refused([-1, 0, 0, 0], [1, 1], [3, 3]), Err(Reason::Window));
        assert_eq!(refused([256, 0, 0, 0], [1, 1], [3, 3]), Err(Reason::Window));
        assert_eq!(refused([0; 4], [0, 1], [3, 3]), Err(Reason::Window));
        assert_eq!(refused([0; 4], [1, 1], [9, 3]), Err(Reason::Window));
    }
}
