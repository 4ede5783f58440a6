//! Residual add: both inputs to a common scale of twice the larger one, 20 bits up, then down.

use super::{QAdd, QuantizeError, clamp, magnitude, range, rescale};
use crate::graph::{Graph, Node};

/// Bits that the common scale has below the larger input's.
pub(crate) const LEFT_SHIFT: u32 = 20;

/// An input of an add.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// Value of one step.
    pub(crate) scale: f32,
    /// Largest distance of a stored value from the zero point.
    pub(crate) magnitude: u64,
}

/// The integer constants of an add.
pub(super) fn add(graph: &Graph, node: &Node, relu: bool) -> Result<QAdd, QuantizeError> {
    let side = |id: usize| {
        let range = range(graph, id)?;
        Ok(Side { scale: range.scale(), magnitude: magnitude(range) })
    };
    let sides = [side(node.inputs[0])?, side(node.inputs[1])?];
    let output = range(graph, node.output)?;
    constants(&node.name, sides, output.scale(), clamp(output, relu))
}

/// The integer constants of a sum of two scales at a third one.
pub(crate) fn constants(
    node: &str,
    sides: [Side; 2],
    output_scale: f32,
    (min, max): (i8, i8),
) -> Result<QAdd, QuantizeError> {
    let name = || node.to_owned();
    let [a, b] = sides.map(|side| side.scale);
    let common = 2.0 * f64::from(a.max(b));
    let up = f64::from(1u32 << LEFT_SHIFT);
    let fixed = |factor: f64| rescale(factor).ok_or_else(|| QuantizeError::Factor { node: name(), factor });
    let to_common = |scale: f32| fixed(f64::from(scale) / common * up);
    let add = QAdd {
        a: to_common(a)?,
        b: to_common(b)?,
        out: fixed(common / (up * f64::from(output_scale)))?,
        min,
        max,
    };
    let mut total = 0;
    for (channel, (rescale, side)) in [add.a, add.b].into_iter().zip(sides).enumerate() {
        let bound = side.magnitude;
        if !rescale.admits(bound) {
            return Err(QuantizeError::Rescale { node: name(), channel, bound, shift: rescale.shift });
        }
        // A magnitude times a multiplier below 2^31 fits 64 bits.
        total += ((bound * rescale.multiplier as u64) >> rescale.shift) + 1;
    }
    if total > i32::MAX as u64 {
        return Err(QuantizeError::Accumulator { node: name(), channel: 2, bound: total });
    }
    if !add.out.admits(total) {
        return Err(QuantizeError::Rescale { node: name(), channel: 2, bound: total, shift: add.out.shift });
    }
    Ok(add)
}
