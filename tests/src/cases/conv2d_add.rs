//! Convolutions with the residual add of their output, apart and in place over the other addend.

use fourbit::Aligned;
use fourbit::kernels::{Add, Addend, Conv2d, ConvAdd, Kernels, Reference, Ring, TensorRef};
use fourbit::shape::DType;

use super::add::{common, side, sum};
use super::conv2d::Extents;
use super::linear::{Constants, Spec, choose};
use super::{Style, TENSOR_BYTES, clamp, dtype, fill, matches, reach, zero_point};
use crate::case::{Args, Case};
use crate::mismatch::Mismatch;
use crate::rng::Rng;

/// Compares [`Kernels::conv2d_add`] with the reference's convolution and then its addition.
pub fn conv2d_add<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    let rng = &mut Rng::new(seed);
    let (bits, style) = choose(rng);
    let Extents { window, shape, filter, layout, output, kernel } = Extents::draw(rng);
    let [from, between, any, to] = [dtype(rng), dtype(rng), dtype(rng), dtype(rng)];
    // Mostly of the output's bits, as kernels like it.
    let other_type = match to {
        _ if rng.one_in(4) => any,
        DType::I8 => DType::I8,
        DType::U4 | DType::S4 => rng.pick([DType::U4, DType::S4]),
    };
    let [zero, mid_zero, other_zero, out_zero] =
        [from, between, other_type, to].map(|dtype| zero_point(rng, dtype));
    let (mut memory, mut constants) = (Aligned([0; TENSOR_BYTES]), Constants::new());
    let data = fill(rng, &mut memory.0, shape, from, zero, style, from.limits());
    let input = TensorRef { data, ring: Ring::whole(shape.height), shape, dtype: from, zero_point: zero };
    let spec = Spec { style, shape: filter, bits, layout, input: (from, zero), output: (between, mid_zero) };
    let (filter, epilogue) = constants.fill(rng, &spec);
    let conv = Conv2d { input, filter, epilogue, window, kernel };

    let shape = output;
    let reaches = [reach(between, mid_zero), reach(other_type, other_zero)];
    let style = if style == Style::Limit { Style::Typical } else { style };
    let [mid_scale, other_scale] = reaches.map(|reach| side(rng, style, reach));
    let out = sum(rng, style, common(reaches[0], mid_scale) + common(reaches[1], other_scale), to);
    let mut other_memory = Aligned([0; TENSOR_BYTES]);
    let data = fill(rng, &mut other_memory.0, shape, other_type, other_zero, style, other_type.limits());
    let ring = Ring::whole(shape.height);
    let other =
        Addend { data: Some(data), ring, dtype: other_type, zero_point: other_zero, rescale: other_scale };
    let (min, max) = clamp(rng, to, out_zero);
    let add = ConvAdd { zero_point: mid_zero, rescale: mid_scale, other, out, min, max };

    // One after the other, by the operations that the oracle knows.
    let (mut middle, mut expected) = (Aligned([0; TENSOR_BYTES]), Aligned([0; TENSOR_BYTES]));
    let first = Case { args: Args::Conv2d(conv), shape, dtype: between, zero_point: mid_zero };
    let middle = middle.0.get_mut(..first.bytes()).unwrap_or(&mut []);
    first.run(&mut Reference, &mut [], middle);
    let a = Addend { data: Some(middle), ring, dtype: between, zero_point: mid_zero, rescale: mid_scale };
    let sum = Args::Add(Add { a, b: other, out, min, max });
    let second = Case { args: sum, shape, dtype: to, zero_point: out_zero };
    let expected = expected.0.get_mut(..second.bytes()).unwrap_or(&mut []);
    second.run(&mut Reference, &mut [], expected);
    let case = Case { args: Args::Conv2dAdd(conv, add, between), ..second };
    matches(kernels, rng, seed, &case, expected)
}
