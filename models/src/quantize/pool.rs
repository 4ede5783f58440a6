//! Pools: no constants, but ranges that must fit each other.

use fourbit::kernels::Window;

use super::{QuantizeError, dtype, range};
use crate::graph::{self, Graph, Node};

/// Relative difference of two scales that are meant to be one.
const SAME: f32 = 1e-5;

/// The pool's window, where the output's steps are the input's, or a 17th of them (4 bits
/// unsigned to 8) or an 18th (signed).
pub(super) fn window(graph: &Graph, node: &Node, window: &graph::Window) -> Result<Window, QuantizeError> {
    let (input, output) = (range(graph, node.inputs[0])?, range(graph, node.output)?);
    let widening = match (input.bits, output.bits, input.signed) {
        (4, 8, false) => 17.0,
        (4, 8, true) => 18.0,
        _ => 1.0,
    };
    let (from, to) = (input.scale(), output.scale());
    let narrows = dtype(input).bits() > dtype(output).bits();
    if narrows || input.signed != output.signed || (to * widening / from - 1.0).abs() > SAME {
        return Err(QuantizeError::PoolRange { node: node.name.clone(), input: from, output: to });
    }
    Ok(super::window(window))
}
