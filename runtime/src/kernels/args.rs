//! What each kernel takes: views of tensors, filters and constants, with preconditions.
//!
//! All views are shorter-lived than the artefact and the arena. Sizes were checked when the
//! artefact was parsed; an access outside a view reads 0 or writes nothing, never panics. A view
//! may hold some rows of its tensor only: [`Ring`] says where they lie.

use core::ops::Range;

use crate::kernels::choice::Kernel;
use crate::kernels::ring::Ring;
use crate::layout::{FilterShape, Layout, WeightBits};
use crate::requant::Rescale;
use crate::shape::{DType, Shape};

/// An activation to read.
#[derive(Clone, Copy, Debug)]
pub struct TensorRef<'a> {
    /// Rows of [`row_bytes`](Self::row_bytes) each, NHWC, as `ring` places them.
    pub data: &'a [u8],
    /// Which rows `data` holds.
    pub ring: Ring,
    /// Height, width, channels of the whole tensor.
    pub shape: Shape,
    /// Storage of an element.
    pub dtype: DType,
    /// The integer that stands for the real zero; 0 for 4-bit types.
    pub zero_point: i32,
}

/// An activation to write.
#[derive(Debug)]
pub struct TensorMut<'a> {
    /// Rows of [`row_bytes`](Self::row_bytes) each, NHWC, as `ring` places them.
    pub data: &'a mut [u8],
    /// Which rows `data` holds.
    pub ring: Ring,
    /// Height, width, channels of the whole tensor.
    pub shape: Shape,
    /// Storage of an element.
    pub dtype: DType,
    /// The integer that stands for the real zero; 0 for 4-bit types.
    pub zero_point: i32,
}

/// Weights, in place in the artefact.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// `layout.bytes(shape, bits)` bytes.
    pub data: &'a [u8],
    /// Output channels, taps, input channels.
    pub shape: FilterShape,
    /// Bits of a weight.
    pub bits: WeightBits,
    /// Order of the elements.
    pub layout: Layout,
    /// Where `data` starts in the artefact's weights section: names this filter.
    pub offset: usize,
}

/// Bias, rescale and clamp of a linear operation's accumulators.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a> {
    /// Little-endian i32 per output channel, in units of the accumulator.
    pub bias: &'a [u8],
    /// Little-endian i32 per output channel.
    pub multiplier: &'a [u8],
    /// One byte per output channel.
    pub shift: &'a [u8],
    /// Smallest result, after the zero point was added.
    pub min: i8,
    /// Largest result.
    pub max: i8,
}

/// Kernel, stride and padding of a sliding window. Taps that fall outside the input add nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal, at least 1.
    pub stride: [usize; 2],
    /// Top, bottom, left, right.
    pub padding: [usize; 4],
}

/// `y[p][o] = epilogue(sum over taps t and inputs i of (x[p + t][i] - zero_point) * w[o][t][i])`.
///
/// For a depthwise convolution `i` is `o` and the filter has one input per output.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// The input image.
    pub input: TensorRef<'a>,
    /// Its weights.
    pub filter: Filter<'a>,
    /// Bias, rescale, clamp.
    pub epilogue: Epilogue<'a>,
    /// Kernel, stride, padding.
    pub window: Window,
    /// Which of the family's kernels the plan chose. One that finds less scratch than it needs
    /// runs the direct one instead: the same bits.
    pub kernel: Kernel,
}

/// `y[r][o] = epilogue(sum over i of (x[r][i] - zero_point) * w[o][i])`: a dense layer, or a
/// matrix product with constant weights.
#[derive(Clone, Copy, Debug)]
pub struct MatMul<'a> {
    /// `rows` rows of `filter.shape.inputs` elements; each row starts at a byte.
    pub input: &'a [u8],
    /// Storage of an input element.
    pub dtype: DType,
    /// The input's zero point.
    pub zero_point: i32,
    /// Rows of input and output.
    pub rows: usize,
    /// Weights; one tap.
    pub filter: Filter<'a>,
    /// Bias, rescale, clamp.
    pub epilogue: Epilogue<'a>,
    /// Which of the family's kernels the plan chose, as for a convolution.
    pub kernel: Kernel,
}

/// One side of a residual add.
#[derive(Clone, Copy, Debug)]
pub struct Addend<'a> {
    /// The values, shaped as the output; `None`: they lie in the output's own bytes, which the
    /// sum replaces element by element (same type and size as the output).
    pub data: Option<&'a [u8]>,
    /// Which rows `data` holds.
    pub ring: Ring,
    /// Storage of an element.
    pub dtype: DType,
    /// Subtracted before the rescale.
    pub zero_point: i32,
    /// To the common scale.
    pub rescale: Rescale,
}

/// `y = clamp(out(a.rescale(a - zp_a) + b.rescale(b - zp_b)) + zp_y)`, elementwise.
#[derive(Clone, Copy, Debug)]
pub struct Add<'a> {
    /// First addend.
    pub a: Addend<'a>,
    /// Second addend; at most one of the two lies in the output.
    pub b: Addend<'a>,
    /// From the common scale to the output's.
    pub out: Rescale,
    /// Smallest result, after the zero point was added.
    pub min: i8,
    /// Largest result.
    pub max: i8,
}

/// The residual add that follows a convolution and takes its output, which is never stored:
/// `y = clamp(out(rescale(c - zero_point) + other.rescale(o - zp_o)) + zp_y)` with `c` what the
/// convolution's epilogue gives.
#[derive(Clone, Copy, Debug)]
pub struct ConvAdd<'a> {
    /// Zero point of the convolution's output.
    pub zero_point: i32,
    /// The convolution's output to the common scale.
    pub rescale: Rescale,
    /// The other addend.
    pub other: Addend<'a>,
    /// From the common scale to the output's.
    pub out: Rescale,
    /// Smallest result, after the zero point was added.
    pub min: i8,
    /// Largest result.
    pub max: i8,
}

/// A pool over the valid positions of each window.
///
/// Input and output have one type and scale, or the input has 4 bits and the output is `I8`:
/// then each value is widened first, exactly, `U4` by 17 and `S4` by 18 (15 * 17 = 255,
/// 7 * 18 = 126), so that the output's scale is the input's divided by that factor.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// The input image.
    pub input: TensorRef<'a>,
    /// Kernel, stride, padding; each padding is less than the kernel.
    pub window: Window,
}

impl<'a> TensorRef<'a> {
    /// Bytes of a row of pixels.
    #[inline]
    pub const fn row_bytes(&self) -> usize {
        self.shape.row_bytes(self.dtype)
    }

    /// The bytes of a row of pixels.
    #[inline]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let bytes = self.row_bytes();
        let start = self.ring.line(y) * bytes;
        self.data.get(start..start + bytes).unwrap_or(&[])
    }

    /// The bytes of the channels at a position.
    #[inline]
    pub fn pixel(&self, y: usize, x: usize) -> &'a [u8] {
        let bytes = self.dtype.row_bytes(self.shape.channels);
        let start = (self.ring.line(y) * self.shape.width + x) * bytes;
        self.data.get(start..start + bytes).unwrap_or(&[])
    }
}

impl TensorMut<'_> {
    /// Bytes of a row of pixels.
    #[inline]
    pub const fn row_bytes(&self) -> usize {
        self.shape.row_bytes(self.dtype)
    }

    /// The bytes of a row of pixels.
    #[inline]
    pub fn row(&mut self, y: usize) -> &mut [u8] {
        let bytes = self.row_bytes();
        let start = self.ring.line(y) * bytes;
        self.data.get_mut(start..start + bytes).unwrap_or(&mut [])
    }

    /// The bytes of the channels at a position.
    #[inline]
    pub fn pixel(&mut self, y: usize, x: usize) -> &mut [u8] {
        let bytes = self.dtype.row_bytes(self.shape.channels);
        let start = (self.ring.line(y) * self.shape.width + x) * bytes;
        self.data.get_mut(start..start + bytes).unwrap_or(&mut [])
    }
}

impl<'a> Addend<'a> {
    /// The value at a position at the common scale; `here` is the output's pixel, where the values
    /// of an addend without data lie.
    pub fn scaled(&self, here: &[u8], shape: Shape, [y, x, channel]: [usize; 3]) -> i32 {
        let value = match self.data {
            Some(_) => self.dtype.get(self.pixel(shape, y, x), channel),
            None => self.dtype.get(here, channel),
        };
        self.rescale.apply(value - self.zero_point)
    }

    /// The bytes of the channels at a position; none for an addend in the output's own bytes.
    #[inline]
    pub fn pixel(&self, shape: Shape, y: usize, x: usize) -> &'a [u8] {
        let bytes = self.dtype.row_bytes(shape.channels);
        let start = (self.ring.line(y) * shape.width + x) * bytes;
        self.data.and_then(|data| data.get(start..start + bytes)).unwrap_or(&[])
    }

    /// The bytes of a row of pixels; none for an addend in the output's own bytes.
    #[inline]
    pub fn row(&self, shape: Shape, y: usize) -> &'a [u8] {
        let bytes = shape.row_bytes(self.dtype);
        let start = self.ring.line(y) * bytes;
        self.data.and_then(|data| data.get(start..start + bytes)).unwrap_or(&[])
    }
}

impl ConvAdd<'_> {
    /// The sum's value for a value of the convolution and the other addend at the common scale.
    pub fn finish(&self, value: i32, other: i32, zero_point: i32) -> i32 {
        let sum = self.rescale.apply(value - self.zero_point).wrapping_add(other);
        let sum = self.out.apply(sum).saturating_add(zero_point);
        sum.max(i32::from(self.min)).min(i32::from(self.max))
    }
}

impl Filter<'_> {
    /// The weight that connects an input channel at a tap to an output channel.
    #[inline]
    pub fn get(&self, output: usize, tap: usize, input: usize) -> i32 {
        let (_, n) = self.layout.rows(self.shape);
        let (row, at) = self.layout.position(self.shape, output, tap, input);
        let bytes = self.bits.row_bytes(n);
        self.bits.get(self.data.get(row * bytes..).unwrap_or(&[]), at)
    }
}

impl Epilogue<'_> {
    /// The bias of an output channel, in units of the accumulator.
    #[inline]
    pub fn bias(&self, output: usize) -> i32 {
        read_i32(self.bias, output)
    }

    /// The rescale of an output channel.
    #[inline]
    pub fn rescale(&self, output: usize) -> Rescale {
        Rescale {
            multiplier: read_i32(self.multiplier, output),
            shift: self.shift.get(output).copied().unwrap_or(0),
        }
    }

    /// Accumulator (bias included) to output value: rescale, zero point, clamp.
    #[inline]
    pub fn finish(&self, output: usize, acc: i32, zero_point: i32) -> i32 {
        let value = self.rescale(output).apply(acc).saturating_add(zero_point);
        value.max(i32::from(self.min)).min(i32::from(self.max))
    }
}

impl Window {
    /// One tap at every position.
    pub const ONE: Self = Self { kernel: [1; 2], stride: [1; 2], padding: [0; 4] };

    /// Positions of the kernel; `None` for more than there can be.
    pub fn taps(&self) -> Option<usize> {
        self.kernel[0].checked_mul(self.kernel[1])
    }

    /// Output extent along an axis (0 vertical, 1 horizontal) for an input extent; `None` where
    /// the kernel is larger than the padded input or the stride is 0.
    pub fn output(&self, axis: usize, input: usize) -> Option<usize> {
        let (before, after) = if axis == 0 { (0, 1) } else { (2, 3) };
        let padded = input + self.padding.get(before)? + self.padding.get(after)?;
        let room = padded.checked_sub(*self.kernel.get(axis)?)?;
        Some(room.checked_div(*self.stride.get(axis)?)? + 1)
    }

    /// The input position that tap `tap` of output position `out` reads along an axis, if it is
    /// inside the input.
    #[inline]
    pub fn source(&self, axis: usize, out: usize, tap: usize, input: usize) -> Option<usize> {
        let (stride, before) =
            if axis == 0 { (self.stride[0], self.padding[0]) } else { (self.stride[1], self.padding[2]) };
        (out * stride + tap).checked_sub(before).filter(|&at| at < input)
    }

    /// The rows of an input of `height` rows that output rows `rows` read; empty where they read
    /// padding only.
    pub fn source_rows(&self, rows: Range<usize>, height: usize) -> Range<usize> {
        let [stride, top] = [self.stride[0], self.padding[0]];
        let start = (rows.start * stride).saturating_sub(top).min(height);
        let end = (rows.end.saturating_sub(1) * stride + self.kernel[0]).saturating_sub(top).min(height);
        if rows.is_empty() { 0..0 } else { start..end.max(start) }
    }
}

#[inline]
fn read_i32(bytes: &[u8], i: usize) -> i32 {
    bytes.get(4 * i..).and_then(|b| b.first_chunk()).map_or(0, |&b| i32::from_le_bytes(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_extents_and_sources() {
        let same = Window { kernel: [3, 3], stride: [2, 1], padding: [0, 1, 1, 1] };
        assert_eq!(same.output(0, 32), Some(16));
        assert_eq!(same.output(1, 32), Some(32));
        assert_eq!(same.output(0, 1), None);
        assert_eq!(same.source(0, 15, 2, 32), None);
        assert_eq!(same.source(1, 0, 0, 32), None);
        assert_eq!(same.source(1, 0, 1, 32), Some(0));
    }

    #[test]
    fn rows_that_a_window_reads() {
        let window = Window { kernel: [3, 3], stride: [2, 1], padding: [1, 1, 1, 1] };
        assert_eq!(window.source_rows(0..1, 8), 0..2);
        assert_eq!(window.source_rows(1..3, 8), 1..6);
        assert_eq!(window.source_rows(3..4, 7), 5..7);
        assert_eq!(window.source_rows(2..2, 8), 0..0);
        let padding = Window { padding: [5, 5, 1, 1], ..window };
        assert_eq!(padding.source_rows(0..1, 8), 0..0);
    }

    #[test]
    fn epilogue_saturates_and_clamps() {
        let epilogue = Epilogue {
            bias: &5i32.to_le_bytes(),
            multiplier: &(1i32 << 30).to_le_bytes(),
            shift: &[31],
            min: -7,
            max: 7,
        };
        assert_eq!(epilogue.bias(0), 5);
        assert_eq!(epilogue.finish(0, 3, -2), 0);
        assert_eq!(epilogue.finish(0, i32::MAX, 127), 7);
        assert_eq!(epilogue.finish(0, i32::MIN, -128), -7);
    }
}
