//! A third set of kernels, written for this test: right as it stands, wrong with a planted bug.

use std::ops::Range;

use fourbit::kernels::{
    Add, Addend, Conv2d, ConvAdd, Epilogue, Family, Filter, Kernels, MatMul, Pool, Reference, Ring,
    TensorMut, TensorRef, Window,
};
use fourbit::layout::WeightBits;
use fourbit::requant::{self, Rescale};
use fourbit::shape::{DType, Shape};

/// What is wrong with the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// A tie is rounded down. (A mean has no exact ties: TOSA's reciprocals are a little large.)
    TiesDown,
    /// A mean is rounded down.
    MeanRoundsDown,
    /// Padding counts as the stored value 0 instead of the zero point.
    PaddingIsZero,
    /// The unused nibble of an odd row is not cleared.
    DirtyNibble,
    /// The clamp's upper end is not applied.
    NoUpperClamp,
    /// A depthwise convolution of four channels at a time takes the second one's values for the third.
    LaneOfNeighbour,
    /// Of two channels whose sums share a word the second pays for a negative sum of the first.
    BorrowIsKept,
    /// The larger of two stored bytes is taken, whatever their sign.
    MaximumOfBytes,
}

/// Plain loops with a bug.
pub(crate) struct Plain(pub(crate) Bug);

impl Plain {
    fn apply(&self, rescale: Rescale, acc: i32) -> i32 {
        let product = i64::from(acc) * i64::from(rescale.multiplier);
        let half = 1i64 << (rescale.shift - 1);
        let half = if self.0 == Bug::TiesDown { half - 1 } else { half };
        i32::try_from((product + half) >> rescale.shift).expect("the precondition holds")
    }

    fn clamp(&self, value: i32, min: i8, max: i8) -> i32 {
        let max = if self.0 == Bug::NoUpperClamp { 127 } else { i32::from(max) };
        value.max(i32::from(min)).min(max)
    }

    /// Writes every element of the rows.
    fn each(
        &self,
        rows: Range<usize>,
        out: &mut TensorMut<'_>,
        value: impl Fn(&[u8], usize, usize, usize) -> i32,
    ) {
        let Shape { width, channels, .. } = out.shape;
        for y in rows {
            for x in 0..width {
                let before = out.pixel(y, x).to_vec();
                let dtype = out.dtype;
                let row = out.pixel(y, x);
                if self.0 != Bug::DirtyNibble {
                    row.fill(0);
                }
                for channel in 0..channels {
                    dtype.set(row, channel, value(&before, y, x, channel));
                }
            }
        }
    }

    fn linear(
        &self,
        input: &TensorRef<'_>,
        window: &Window,
        (filter, epilogue, depthwise): (&Filter<'_>, &Epilogue<'_>, bool),
        (rows, zero_point): (Range<usize>, i32),
        out: &mut TensorMut<'_>,
        then: impl Fn(i32, &[u8], [usize; 3]) -> i32,
    ) {
        let sum = |start: i32, y: usize, x: usize, output: usize| {
            let mut acc = start;
            for tap in 0..filter.shape.taps {
                let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
                let row = window.source(0, y, ky, input.shape.height);
                let column = window.source(1, x, kx, input.shape.width);
                for i in 0..filter.shape.inputs {
                    let neighbour = self.0 == Bug::LaneOfNeighbour && output % 4 == 2;
                    let channel = match depthwise {
                        true => output - usize::from(neighbour),
                        false => i,
                    };
                    let value = match (row, column) {
                        (Some(row), Some(column)) => input.dtype.get(input.pixel(row, column), channel),
                        _ if self.0 == Bug::PaddingIsZero => 0,
                        _ => input.zero_point,
                    };
                    // Wraps only where the planted bug leaves the proven range.
                    acc = acc.wrapping_add((value - input.zero_point) * filter.get(output, tap, i));
                }
            }
            acc
        };
        let packed = self.0 == Bug::BorrowIsKept && !depthwise && filter.bits == WeightBits::Four;
        self.each(rows, out, |before, y, x, output| {
            let mut acc = sum(epilogue.bias(output), y, x, output);
            if packed && output % 2 == 1 && sum(0, y, x, output - 1) < 0 {
                acc = acc.wrapping_sub(1);
            }
            let rescale = epilogue.rescale(output);
            let limit = 1i64 << (rescale.shift - 1);
            let acc = i64::from(acc).clamp(-limit, limit - 1) as i32;
            let value = self.clamp(self.apply(rescale, acc) + zero_point, epilogue.min, epilogue.max);
            then(value, before, [y, x, output])
        });
    }

    /// An addend's element at the common scale.
    fn side(&self, addend: &Addend<'_>, shape: Shape, before: &[u8], [y, x, channel]: [usize; 3]) -> i32 {
        let bytes = addend.dtype.row_bytes(shape.channels);
        let line = (y - addend.ring.first) % addend.ring.lines;
        let row = addend.data.map_or(before, |data| &data[(line * shape.width + x) * bytes..][..bytes]);
        self.apply(addend.rescale, addend.dtype.get(row, channel) - addend.zero_point)
    }
}

impl Kernels for Plain {
    const FAMILY: Family = Family::Portable;
    const NEEDS: u32 = fourbit::kernels::needs::ALL;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, _scratch: &mut [u8], out: &mut TensorMut<'_>) {
        let to = (rows, out.zero_point);
        let constants = (&op.filter, &op.epilogue, false);
        self.linear(&op.input, &op.window, constants, to, out, |value, _, _| value);
    }

    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        _scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        let (shape, zero_point) = (out.shape, out.zero_point);
        let constants = (&op.filter, &op.epilogue, false);
        let to = (rows, add.zero_point);
        self.linear(&op.input, &op.window, constants, to, out, |value, before, at| {
            let own = self.apply(add.rescale, value - add.zero_point);
            let sum = own.wrapping_add(self.side(&add.other, shape, before, at));
            self.clamp(self.apply(add.out, sum) + zero_point, add.min, add.max)
        });
    }

    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        _scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        let to = (rows, out.zero_point);
        let constants = (&op.filter, &op.epilogue, true);
        self.linear(&op.input, &op.window, constants, to, out, |value, _, _| value);
    }

    fn matmul(&mut self, op: &MatMul<'_>, _scratch: &mut [u8], out: &mut TensorMut<'_>) {
        let shape = Shape::new(1, op.rows, op.filter.shape.inputs);
        let (ring, zero_point) = (Ring::whole(1), op.zero_point);
        let input = TensorRef { data: op.input, ring, shape, dtype: op.dtype, zero_point };
        let window = Window { kernel: [1, 1], stride: [1, 1], padding: [0; 4] };
        let to = (0..out.shape.height, out.zero_point);
        let constants = (&op.filter, &op.epilogue, false);
        self.linear(&input, &window, constants, to, out, |value, _, _| value);
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        let (zero_point, shape) = (out.zero_point, out.shape);
        self.each(rows, out, |before, y, x, channel| {
            let side = |addend| self.side(addend, shape, before, [y, x, channel]);
            self.clamp(self.apply(op.out, side(&op.a) + side(&op.b)) + zero_point, op.min, op.max)
        });
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        let (zero_point, (low, high)) = (out.zero_point, out.dtype.limits());
        let factor = match (op.input.dtype.bits(), out.dtype.bits(), op.input.dtype.limits().0) {
            (4, 8, 0) => 17,
            (4, 8, _) => 18,
            _ => 1,
        };
        let (input, window) = (op.input, op.window);
        self.each(rows, out, |_, y, x, channel| {
            let (mut sum, mut count) = (0, 0);
            for tap in 0..window.kernel[0] * window.kernel[1] {
                let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
                let row = window.source(0, y, ky, input.shape.height);
                if let (Some(row), Some(column)) = (row, window.source(1, x, kx, input.shape.width)) {
                    sum += factor * (input.dtype.get(input.pixel(row, column), channel) - input.zero_point);
                    count += 1;
                }
            }
            let mean = match self.0 {
                Bug::MeanRoundsDown => sum.div_euclid(count as i32),
                _ => self.apply(requant::reciprocal(count), sum),
            };
            (mean + zero_point).clamp(low, high)
        });
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        if self.0 == Bug::MaximumOfBytes && op.input.dtype == DType::I8 {
            let (input, window) = (op.input, op.window);
            return self.each(rows, out, |_, y, x, channel| {
                let taps = (0..window.kernel[0] * window.kernel[1]).filter_map(|tap| {
                    let row = window.source(0, y, tap / window.kernel[1], input.shape.height)?;
                    let column = window.source(1, x, tap % window.kernel[1], input.shape.width)?;
                    input.pixel(row, column).get(channel).copied()
                });
                i32::from(taps.max().unwrap_or(0) as i8)
            });
        }
        Reference.max_pool2d(op, rows, out);
    }
}
