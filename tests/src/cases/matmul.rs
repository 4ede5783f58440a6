//! Dense layers and products with a constant matrix.

use fourbit::Aligned;
use fourbit::kernels::{Kernel, Kernels, MatMul};
use fourbit::layout::{FilterShape, Layout};
use fourbit::shape::Shape;

use super::linear::{Constants, Spec, choose, outputs};
use super::{TENSOR_BYTES, dtype, equal, fill, zero_point};
use crate::case::{Args, Case};
use crate::mismatch::Mismatch;
use crate::rng::Rng;

/// Compares [`Kernels::matmul`] with the reference.
pub fn matmul<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    let rng = &mut Rng::new(seed);
    let (bits, style) = choose(rng);
    let rows = rng.size(1, 7);
    let most = rng.pick([9, 40, 290]);
    let columns = rng.size(1, most).min(TENSOR_BYTES / rows);
    let outputs = outputs(rng, columns);
    let shape = Shape::new(1, rows, columns);
    let [from, to] = [dtype(rng), dtype(rng)];
    let [zero, out_zero] = [zero_point(rng, from), zero_point(rng, to)];
    let layout = rng.pick([Layout::OutputMajor, Layout::OutputMajor, Layout::OutputMajor, Layout::TapMajor]);
    let (mut memory, mut constants) = (Aligned([0; TENSOR_BYTES]), Constants::new());
    let input = fill(rng, &mut memory.0, shape, from, zero, style, from.limits());
    let filter = FilterShape { outputs, taps: 1, inputs: columns };
    let spec = Spec { style, shape: filter, bits, layout, input: (from, zero), output: (to, out_zero) };
    let (filter, epilogue) = constants.fill(rng, &spec);
    let kernel = rng.pick(Kernel::ALL);
    let args = Args::MatMul(MatMul { input, dtype: from, zero_point: zero, rows, filter, epilogue, kernel });
    let shape = Shape::new(1, rows, outputs);
    equal(kernels, rng, seed, &Case { args, shape, dtype: to, zero_point: out_zero })
}
