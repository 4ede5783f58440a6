//! Residual additions: two inputs, and in place over each of them that has the output's width.

use fourbit::Aligned;
use fourbit::kernels::{Add, Addend, Kernels, Ring};
use fourbit::requant::Rescale;
use fourbit::shape::{DType, Shape};

use super::{
    Style, TENSOR_BYTES, bit_length, clamp, dtype, equal, fill, multiplier, reach, scale_to, span, zero_point,
};
use crate::case::{Args, Case};
use crate::mismatch::Mismatch;
use crate::rng::Rng;

/// Compares [`Kernels::add`] with the reference.
pub fn add<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    let rng = &mut Rng::new(seed);
    let style = rng.pick([Style::Typical, Style::Ties, Style::Extreme, Style::Shifts]);
    let shape = Shape::new(rng.size(1, 4), rng.size(1, 4), rng.size(1, 40));
    let [a_type, b_type, to] = [dtype(rng), dtype(rng), dtype(rng)];
    let [a_zero, b_zero, out_zero] = [a_type, b_type, to].map(|dtype| zero_point(rng, dtype));
    let [a_reach, b_reach] = [reach(a_type, a_zero), reach(b_type, b_zero)];
    let [a_scale, b_scale] = [a_reach, b_reach].map(|reach| side(rng, style, reach));
    let out = sum(rng, style, common(a_reach, a_scale) + common(b_reach, b_scale), to);
    let (mut a_memory, mut b_memory) = (Aligned([0; TENSOR_BYTES]), Aligned([0; TENSOR_BYTES]));
    let a = Addend {
        data: Some(fill(rng, &mut a_memory.0, shape, a_type, a_zero, style, a_type.limits())),
        ring: Ring::whole(shape.height),
        dtype: a_type,
        zero_point: a_zero,
        rescale: a_scale,
    };
    let b = Addend {
        data: Some(fill(rng, &mut b_memory.0, shape, b_type, b_zero, style, b_type.limits())),
        ring: Ring::whole(shape.height),
        dtype: b_type,
        zero_point: b_zero,
        rescale: b_scale,
    };
    let (min, max) = clamp(rng, to, out_zero);
    let args = Args::Add(Add { a, b, out, min, max });
    equal(kernels, rng, seed, &Case { args, shape, dtype: to, zero_point: out_zero })
}

/// A side's rescale to the common scale; two of them sum to less than 2^31.
pub(super) fn side(rng: &mut Rng, style: Style, reach: i64) -> Rescale {
    let least = bit_length(reach) + 2;
    let shift = match style {
        Style::Ties => rng.range(30, 31),
        Style::Shifts => rng.range(least, 40),
        // A left shift of 18 to 21.
        _ => rng.range(9, 12).max(least),
    };
    Rescale { multiplier: if style == Style::Ties { 1 << 30 } else { multiplier(rng) }, shift: shift as u8 }
}

/// The rescale of sums up to `bound` to an output's values.
pub(super) fn sum(rng: &mut Rng, style: Style, bound: i64, to: DType) -> Rescale {
    match style {
        // Halves and quarters; from an eighth on kernels make it in one instruction.
        Style::Ties => Rescale { multiplier: 1 << 30, shift: rng.pick([30, 31, 32, 33, 33, 34]) },
        _ => scale_to(rng, bound, span(to)),
    }
}

/// Largest magnitude of a rescaled side.
pub(super) fn common(reach: i64, rescale: Rescale) -> i64 {
    ((reach * i64::from(rescale.multiplier)) >> rescale.shift) + 1
}
