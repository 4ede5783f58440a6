//! Cortex-M4 and M7: two products an SMLAD.

use fourbit::kernels::{Kernel, LinearSpec};
use fourbit::layout::WeightBits;

use super::{macs, outputs};

/// Per value of a residual add by itself.
pub(super) const ADD: u64 = 16;
/// Per value of a residual add in a convolution's epilogue.
pub(super) const FUSED_ADD: u64 = 11;
/// Per value that a pool reads.
pub(super) const POOL: u64 = 4;
/// Bias, rescale, clamp and store of a value.
const EPILOGUE: u64 = 11;

/// `rows` rows at a time: a Winograd kernel transforms the weights anew for each call.
pub(super) fn linear(kernel: Kernel, spec: &LinearSpec, rows: usize) -> u64 {
    match kernel {
        Kernel::Direct => direct(spec),
        Kernel::Winograd => winograd(spec, rows),
    }
}

/// Ten instructions for 16 products, 14 where nibbles are widened; a patch is gathered per position.
fn direct(spec: &LinearSpec) -> u64 {
    let per_16 = if spec.bits == WeightBits::Four { 14 } else { 10 };
    let patches = macs(spec) / spec.filter.outputs.max(1) as u64;
    macs(spec) * per_16 / 16 + patches + EPILOGUE * outputs(spec)
}

/// Per 2x2 tile 16 products for 36, the input's transform, and the output's; per call the weights'.
fn winograd(spec: &LinearSpec, rows: usize) -> u64 {
    let shape = spec.output.0;
    let tiles = (shape.height.div_ceil(2) * shape.width.div_ceil(2)) as u64;
    let (inputs, outputs) = (spec.filter.inputs as u64, spec.filter.outputs as u64);
    let products = tiles * inputs * outputs * 16 * 10 / 16;
    let transforms = tiles * (inputs * 48 + outputs * (24 + 4 * EPILOGUE));
    let calls = shape.height.div_ceil(rows.max(1)) as u64;
    products + transforms + calls * inputs * outputs * 30
}
