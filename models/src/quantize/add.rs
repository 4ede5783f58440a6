//! Residual add: both inputs to a common scale of twice the larger one, 20 bits up, then down.

use super::{QAdd, QuantizeError, clamp, magnitude, range, rescale};
use crate::graph::{Graph, Node};

/// Bits that the common scale has below the larger input's.
const LEFT_SHIFT: u32 = 20;

/// The integer constants of an add.
pub(super) fn add(graph: &Graph, node: &Node, relu: bool) -> Result<QAdd, QuantizeError> {
    let name = || node.name.clone();
    let (a, b) = (range(graph, node.inputs[0])?, range(graph, node.inputs[1])?);
    let output = range(graph, node.output)?;
    let common = 2.0 * f64::from(a.scale().max(b.scale()));
    let up = f64::from(1u32 << LEFT_SHIFT);
    let fixed = |factor: f64| rescale(factor).ok_or_else(|| QuantizeError::Factor { node: name(), factor });
    let to_common = |scale: f32| fixed(f64::from(scale) / common * up);
    let (min, max) = clamp(output, relu);
    let add = QAdd {
        a: to_common(a.scale())?,
        b: to_common(b.scale())?,
        out: fixed(common / (up * f64::from(output.scale())))?,
        min,
        max,
    };
    let mut total = 0;
    for (channel, rescale, range) in [(0, add.a, a), (1, add.b, b)] {
        let bound = magnitude(range);
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
