//! Property cases: kernels against the reference on shapes and values that grow from a seed.
//!
//! Odd tails, every padding and stride, saturation, rounding ties, sums next to the ends of i32:
//! a seed chooses what a case is after, and everything else. Arguments keep every precondition
//! that the artefact's checks prove; tensors and filters start at multiples of 4 bytes, as in an
//! arena. Each case runs whole and, but for products, a few rows at a time through rings. A case
//! takes some 40 KiB of stack.

mod add;
mod conv2d;
mod conv2d_add;
mod depthwise;
mod linear;
mod matmul;
mod pool;
mod stream;

pub use add::add;
pub use conv2d::conv2d;
pub use conv2d_add::conv2d_add;
pub use depthwise::depthwise_conv2d;
pub use matmul::matmul;
pub use pool::{avg_pool2d, max_pool2d};

use fourbit::Aligned;
use fourbit::kernels::{Kernels, Reference, Window};
use fourbit::requant::Rescale;
use fourbit::shape::{DType, Shape};

use crate::case::{Case, Kind};
use crate::mismatch::{Mismatch, compare};
use crate::rng::Rng;

/// Most bytes of an input or output.
const TENSOR_BYTES: usize = 2048;
/// Most bytes of a filter.
const FILTER_BYTES: usize = 4096;
/// Most output channels of a linear operation.
const OUTPUTS: usize = 40;
/// Bytes of the scratch memory that kernels get.
const SCRATCH_BYTES: usize = 25_600;

/// A property of one operation: equal to the reference for this seed.
pub type Property<K> = fn(&mut K, u64) -> Result<(), Mismatch>;

/// Every property, by operation.
pub fn all<K: Kernels>() -> [(Kind, Property<K>); 7] {
    [
        (Kind::Conv2d, conv2d),
        (Kind::DepthwiseConv2d, depthwise_conv2d),
        (Kind::MatMul, matmul),
        (Kind::Add, add),
        (Kind::AvgPool2d, avg_pool2d),
        (Kind::MaxPool2d, max_pool2d),
        (Kind::Conv2dAdd, conv2d_add),
    ]
}

/// What a case is after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Values and weights over their whole range.
    Typical,
    /// Small sums and scales of halves and quarters.
    Ties,
    /// Values and weights at the ends of their ranges.
    Extreme,
    /// Every shift from 2 to 62.
    Shifts,
    /// Biases that bring sums to the ends of i32.
    Limit,
}

/// Compares the kernels with the reference, whole and some rows at a time; an addition also in
/// place.
fn equal<K: Kernels>(kernels: &mut K, rng: &mut Rng, seed: u64, case: &Case<'_>) -> Result<(), Mismatch> {
    let mut expected = Aligned([0; TENSOR_BYTES]);
    let expected = expected.0.get_mut(..case.bytes()).unwrap_or(&mut []);
    case.run(&mut Reference, &mut [], expected);
    matches(kernels, rng, seed, case, expected)
}

/// Compares the kernels with what they should give.
fn matches<K: Kernels>(
    kernels: &mut K,
    rng: &mut Rng,
    seed: u64,
    case: &Case<'_>,
    expected: &[u8],
) -> Result<(), Mismatch> {
    let mut buffer = Aligned([0; TENSOR_BYTES + 32]);
    let mut scratch = Aligned([0xC3; SCRATCH_BYTES]);
    // Less than a kernel would like: it has a way without.
    let few = rng.size(0, 2048);
    let bytes = rng.pick([SCRATCH_BYTES, SCRATCH_BYTES, SCRATCH_BYTES, SCRATCH_BYTES, few, 64, 0]);
    let scratch = scratch.0.get_mut(..bytes).unwrap_or(&mut []);
    let fail = |fault| Mismatch { kind: case.kind(), number: seed, fault };
    compare(&mut buffer.0, expected, None, |out| case.run(kernels, scratch, out)).map_err(fail)?;
    stream::rows(kernels, rng, case, (expected, None), scratch).map_err(fail)?;
    for (case, initial) in case.in_place() {
        compare(&mut buffer.0, expected, Some(initial), |out| case.run(kernels, scratch, out))
            .map_err(fail)?;
        stream::rows(kernels, rng, &case, (expected, Some(initial)), scratch).map_err(fail)?;
    }
    Ok(())
}

/// A window over an input of a few rows and columns: kernels 1 to 5, strides 1 to 3, any padding
/// below the kernel (and sometimes above it), rows that no window reads.
fn window(rng: &mut Rng, wide_padding: bool) -> (Window, Shape) {
    let mut window = Window { kernel: [1; 2], stride: [1; 2], padding: [0; 4] };
    let mut extents = [1; 2];
    for (axis, extent) in extents.iter_mut().enumerate() {
        let (kernel, stride) = (rng.size(1, 5), rng.size(1, 3));
        let most = if wide_padding && rng.one_in(16) { kernel + 1 } else { kernel - 1 };
        let (before, after) = (rng.size(0, most), rng.size(0, most));
        let padded = (rng.size(1, 5) - 1) * stride + kernel + rng.size(0, stride - 1);
        *extent = padded.saturating_sub(before + after).max(1);
        window.kernel[axis] = kernel;
        window.stride[axis] = stride;
        window.padding[2 * axis] = before;
        window.padding[2 * axis + 1] = after;
    }
    (window, Shape::new(extents[0], extents[1], 1))
}

/// A 3x3 window of stride 1 over blocks of channels: what kernels that work in tiles take.
fn tiled(rng: &mut Rng) -> (Window, Shape) {
    let mut padding = [0; 4];
    for side in &mut padding {
        *side = rng.size(0, 2);
    }
    let [height, width] = [padding[0] + padding[1], padding[2] + padding[3]].map(|sides| {
        let least = 3usize.saturating_sub(sides).max(1);
        rng.size(least, 5)
    });
    let shape = Shape::new(height, width, rng.pick([8, 16, 16, 24, 32, 40, 64, 80]));
    (Window { kernel: [3; 2], stride: [1; 2], padding }, shape)
}

/// A 3x3 window over an image of three channels, most of whose windows lie inside it.
fn colours(rng: &mut Rng) -> (Window, Shape) {
    let stride = rng.size(1, 2);
    let padding = [(); 4].map(|()| rng.size(0, 1));
    let shape = Shape::new(rng.size(3, 7), rng.size(3, 7), 3);
    (Window { kernel: [3; 2], stride: [stride; 2], padding }, shape)
}

fn dtype(rng: &mut Rng) -> DType {
    rng.pick([DType::I8, DType::U4, DType::S4])
}

/// 4-bit types have none; 8-bit ones often an end.
fn zero_point(rng: &mut Rng, dtype: DType) -> i32 {
    let random = rng.range(-128, 127);
    if dtype == DType::I8 { rng.pick([-128, 0, 127, random]) } else { 0 }
}

/// The whole range, the symmetric one that quantization uses, a ReLU, or a random range.
fn clamp(rng: &mut Rng, dtype: DType, zero_point: i32) -> (i8, i8) {
    let (low, high) = dtype.limits();
    let (a, b) = (rng.range(low, high), rng.range(low, high));
    let (min, max) =
        rng.pick([(low, high), (low.max(-high), high), (zero_point.max(low), high), (a.min(b), a.max(b))]);
    (min as i8, max as i8)
}

/// Fills a tensor at the start of `bytes` and gives its bytes.
fn fill<'b>(
    rng: &mut Rng,
    bytes: &'b mut [u8],
    shape: Shape,
    dtype: DType,
    zero_point: i32,
    style: Style,
    limits: (i32, i32),
) -> &'b [u8] {
    let (low, high) = limits;
    let one_value = style == Style::Extreme && rng.one_in(3);
    let end = rng.pick([low, high]);
    let bytes = bytes.get_mut(..shape.bytes(dtype)).unwrap_or(&mut []);
    for row in bytes.chunks_mut(dtype.row_bytes(shape.channels).max(1)) {
        row.fill(0);
        for i in 0..shape.channels {
            let value = match style {
                Style::Extreme if one_value => end,
                Style::Extreme => rng.pick([low, high]),
                Style::Ties => (zero_point + rng.range(-3, 3)).max(low).min(high),
                _ => rng.range(low, high),
            };
            dtype.set(row, i, value);
        }
    }
    bytes
}

/// Largest distance of a stored value from the zero point.
fn reach(dtype: DType, zero_point: i32) -> i64 {
    let (low, high) = dtype.limits();
    i64::from((low - zero_point).abs().max((high - zero_point).abs()))
}

fn multiplier(rng: &mut Rng) -> i32 {
    let random = rng.range(1 << 30, i32::MAX);
    rng.pick([1 << 30, i32::MAX, 3 << 29, random])
}

/// A rescale that brings sums up to `bound` to about `span`, and admits them.
fn scale_to(rng: &mut Rng, bound: i64, span: i64) -> Rescale {
    // multiplier / 2^shift is between 1/4 and 32 times span / bound: few sums come near their bound.
    let bits = bound.max(1).ilog2() as i32 - span.max(1).ilog2() as i32;
    let shift = (bits + rng.range(27, 32)).max(bit_length(bound) + 1).clamp(2, 62);
    Rescale { multiplier: multiplier(rng), shift: shift as u8 }
}

fn bit_length(value: i64) -> i32 {
    64 - value.leading_zeros() as i32
}

/// Values between the ends of an output type.
fn span(dtype: DType) -> i64 {
    let (low, high) = dtype.limits();
    i64::from(high - low)
}
