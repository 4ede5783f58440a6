//! Pools, with one type or widening from 4 bits to 8.

use fourbit::Aligned;
use fourbit::kernels::{Kernels, Pool, Ring, TensorRef, Window};
use fourbit::shape::{DType, Shape};

use super::{Style, TENSOR_BYTES, equal, fill, window, zero_point};
use crate::case::{Args, Case, Kind};
use crate::mismatch::Mismatch;
use crate::rng::Rng;

/// Compares [`Kernels::avg_pool2d`] with the reference.
pub fn avg_pool2d<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    pool(kernels, seed, Kind::AvgPool2d)
}

/// Compares [`Kernels::max_pool2d`] with the reference.
pub fn max_pool2d<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    pool(kernels, seed, Kind::MaxPool2d)
}

fn pool<K: Kernels>(kernels: &mut K, seed: u64, kind: Kind) -> Result<(), Mismatch> {
    let rng = &mut Rng::new(seed);
    use DType::{I8, S4, U4};
    let (from, to) = rng.pick([(I8, I8), (U4, U4), (S4, S4), (U4, I8), (S4, I8)]);
    let style = rng.pick([Style::Typical, Style::Ties, Style::Extreme]);
    let (mut window, mut extents) = window(rng, false);
    if rng.one_in(4) {
        // Over the whole image.
        extents = Shape::new(rng.size(1, 9), rng.size(1, 9), 1);
        window = Window { kernel: [extents.height, extents.width], stride: [1, 1], padding: [0; 4] };
    }
    let rows = window.output(0, extents.height).unwrap_or(0);
    let columns = window.output(1, extents.width).unwrap_or(0);
    let largest = extents.pixels().max(rows * columns).max(1);
    let channels = rng.size(1, 40).min(TENSOR_BYTES / largest);
    let (zero, out_zero) = match (from, to) {
        (U4, I8) => (0, -128),
        _ if from == to => {
            let zero = zero_point(rng, from);
            (zero, zero)
        }
        _ => (0, 0),
    };
    // Widening is exact from -7 on.
    let limits = if (from, to) == (S4, I8) { (-7, 7) } else { from.limits() };
    let shape = Shape { channels, ..extents };
    let mut memory = Aligned([0; TENSOR_BYTES]);
    let data = fill(rng, &mut memory.0, shape, from, zero, style, limits);
    let input = TensorRef { data, ring: Ring::whole(shape.height), shape, dtype: from, zero_point: zero };
    let op = Pool { input, window };
    let args = if kind == Kind::AvgPool2d { Args::AvgPool2d(op) } else { Args::MaxPool2d(op) };
    equal(
        kernels,
        rng,
        seed,
        &Case { args, shape: Shape::new(rows, columns, channels), dtype: to, zero_point: out_zero },
    )
}
