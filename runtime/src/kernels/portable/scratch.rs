//! Scratch of the portable kernels: what the compiler reserves and the kernels use.

use crate::kernels::choice::LinearSpec;
use crate::layout::FilterShape;
use crate::shape::DType;

/// Bytes of scratch of a direct convolution or matrix product: a word for each weight of a channel, or of
/// two channels at once. Depthwise convolutions need none.
pub const fn bytes(spec: &LinearSpec) -> usize {
    if spec.depthwise { 0 } else { 4 * spec.filter.taps * depth(spec.filter, spec.input.1) }
}

/// Weights of a tap: one for each value that a pixel's bytes hold, the unused nibble of an odd one counted.
pub(super) const fn depth(filter: FilterShape, dtype: DType) -> usize {
    match dtype {
        DType::I8 => filter.inputs,
        DType::U4 | DType::S4 => 2 * dtype.row_bytes(filter.inputs),
    }
}
