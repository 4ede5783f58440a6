//! Cortex-M55 and M85: fourteen instructions for 128 products, and what prepares and finishes them.
//!
//! Counted in the kernels' loops, layer by layer; compared with an emulated Cortex-M55.

use fourbit::kernels::LinearSpec;
use fourbit::kernels::mve::scratch::{GROUP, VECTOR, blocks, vectors};
use fourbit::layout::WeightBits;
use fourbit::shape::DType;

use super::armv7em;

/// Per value of a residual add by itself.
pub(super) const ADD: u64 = 4;
/// Per value of a residual add in a convolution's epilogue.
pub(super) const FUSED_ADD: u64 = 4;
/// Per value that a pool reads.
pub(super) const POOL: u64 = 1;

/// With `scratch` bytes: what is prepared is prepared anew for each call, and a panel for each block of
/// channels.
pub(super) fn linear(scratch: usize, spec: &LinearSpec, calls: u64) -> u64 {
    let direct = if spec.depthwise { None } else { direct(scratch, spec, calls) };
    direct.unwrap_or_else(|| armv7em::reference(spec))
}

/// `None` where the scratch does not suffice.
fn direct(scratch: usize, spec: &LinearSpec, calls: u64) -> Option<u64> {
    let (filter, shape) = (spec.filter, spec.output.0);
    let (height, width) = if filter.taps == 1 { (1, shape.pixels()) } else { (shape.height, shape.width) };
    let blocks = blocks(filter, &spec.window, width, scratch)?;
    let groups = filter.outputs.div_ceil(GROUP);
    let parts = (height * groups.div_ceil(blocks.groups)) as u64;
    let (vectors, pairs) = (vectors(filter) as u64, width.div_ceil(2) as u64);
    let rest = vectors.saturating_sub(1);
    let group = 14 * vectors + 2 * rest.div_ceil(4).max(1) + 30;
    let products = pairs * ((height * groups) as u64 * group + parts * 18);
    let across = (width * spec.window.stride[1]) as u64;
    let rows_read = spec.window.kernel[0] as u64;
    let panels = parts
        * (width.div_ceil(blocks.columns) as u64 * (350 + 70 * rows_read) + rows_read * across * pixel(spec));
    let weights = calls * filter.outputs as u64 * weights(spec);
    let direct = spec.output.1 == DType::I8 && filter.outputs.is_multiple_of(GROUP);
    let store = if direct { 0 } else { 4 * shape.elements() as u64 };
    Some(products + panels + weights + store)
}

/// A pixel's way into a panel.
fn pixel(spec: &LinearSpec) -> u64 {
    let inputs = spec.filter.inputs;
    let vectors = (inputs / VECTOR) as u64;
    match spec.input.1 {
        DType::I8 if inputs == VECTOR => 4,
        DType::I8 if inputs.is_multiple_of(VECTOR) => 4 + 3 * vectors,
        DType::I8 if inputs < VECTOR => 5 / (VECTOR / inputs.max(1)) as u64 + 1,
        DType::U4 | DType::S4 if inputs.is_multiple_of(VECTOR) => 4 + 6 * vectors,
        _ => 20 * inputs as u64,
    }
}

/// Widening an output channel's weights.
fn weights(spec: &LinearSpec) -> u64 {
    let (taps, inputs) = (spec.filter.taps as u64, spec.filter.inputs);
    let vectors = (inputs / VECTOR) as u64;
    let whole = inputs.is_multiple_of(VECTOR) || taps == 1;
    let left = if whole { inputs % VECTOR } else { inputs } as u64;
    let vector = if spec.bits == WeightBits::Eight { 4 } else { 7 };
    let rest = if left > 0 { taps * (38 + 22 * left) } else { 0 };
    120 + if whole { taps * (6 + vector * vectors) } else { 0 } + rest
}
