//! Convolutions and matrix products: a channel's words, or two channels' at once, meet two neighbouring
//! positions at a time, whose values are read where they lie.
//!
//! Values count as they are stored; the zero point is taken from the sum, times the weights' sum.

use core::ops::Range;

use super::constants::{self, Channel};
use super::dot::{self, Sums};
use super::scratch::depth;
use super::unpack;
use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};
use crate::kernels::words;
use crate::layout::WeightBits;
use crate::shape::DType;

/// Most rows of a window.
const ROWS: usize = 8;

/// Fills the rows of `out`; false, and nothing done, where the window has too many rows or the scratch is
/// too small.
pub(super) fn conv2d(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    let filter = op.filter.shape;
    let depth = depth(filter, op.input.dtype);
    let weights = words::signed(scratch).get_mut(..filter.taps * depth).filter(|weights| !weights.is_empty());
    let (Some(weights), true) = (weights, op.window.kernel[0] <= ROWS) else { return false };
    match op.filter.bits {
        WeightBits::Four => run::<true>(op, add, rows, weights, out),
        WeightBits::Eight => run::<false>(op, add, rows, weights, out),
    }
    true
}

/// A window at an output row, and the words of the channels that it meets.
struct Line<'a> {
    op: &'a Conv2d<'a>,
    weights: &'a [i32],
    /// Sums of all words.
    total: [i32; 2],
    /// Of each row of taps; none where it lies outside the input.
    rows: [Option<&'a [u8]>; ROWS],
    /// All rows of taps lie inside the input.
    whole: bool,
    /// Bytes of an input pixel, words of a tap.
    pixel: usize,
    depth: usize,
}

fn run<const PACKED: bool>(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    weights: &mut [i32],
    out: &mut TensorMut<'_>,
) {
    let at_once = if PACKED { 2 } else { 1 };
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    let outputs = op.filter.shape.outputs;
    for output in (0..outputs).step_by(at_once) {
        unpack::channels(&op.filter, output, op.input.dtype, weights);
        let total = if op.input.zero_point == 0 { [0; 2] } else { dot::total::<PACKED>(weights) };
        let count = at_once.min(outputs - output);
        let channels = [output, output + 1].map(|output| Channel::new(&op.epilogue, output, zero_point));
        let put = Put { channels: channels.get(..count).unwrap_or_default(), output, add };
        for y in rows.clone() {
            let line = Line::new(op, weights, total, y);
            for x in (0..out.shape.width).step_by(2) {
                let sums = line.sums::<PACKED>([x, (x + 1).min(out.shape.width - 1)]);
                put.store(sums[0], out, [y, x]);
                if x + 1 < out.shape.width {
                    put.store(sums[1], out, [y, x + 1]);
                }
            }
        }
    }
}

impl<'a> Line<'a> {
    fn new(op: &'a Conv2d<'_>, weights: &'a [i32], total: [i32; 2], y: usize) -> Self {
        let height = op.input.shape.height;
        let mut rows = [None; ROWS];
        for (tap, row) in rows.iter_mut().enumerate().take(op.window.kernel[0]) {
            *row = op.window.source(0, y, tap, height).map(|y| op.input.row(y));
        }
        let whole = rows.iter().take(op.window.kernel[0]).all(Option::is_some);
        let (filter, dtype) = (op.filter.shape, op.input.dtype);
        let (pixel, depth) = (dtype.row_bytes(filter.inputs), depth(filter, dtype));
        Self { op, weights, total, rows, whole, pixel, depth }
    }

    /// Sums of two output columns, relative to the zero point.
    fn sums<const PACKED: bool>(&self, columns: [usize; 2]) -> Sums {
        let taps = self.op.window.kernel[1];
        let mut sums = [[0; 2]; 2];
        if columns.map(|x| self.inside(x).len()) == [taps; 2] {
            self.add::<PACKED>(columns, &(0..taps), &mut sums);
            return sums;
        }
        // At the border each column by itself.
        for (x, sums) in columns.into_iter().zip(&mut sums) {
            let mut twice = [[0; 2]; 2];
            self.add::<PACKED>([x; 2], &self.inside(x), &mut twice);
            *sums = twice[0];
        }
        sums
    }

    /// Adds the products of the taps of two output columns that lie inside the input, the same ones for both.
    fn add<const PACKED: bool>(&self, columns: [usize; 2], across: &Range<usize>, sums: &mut Sums) {
        let (op, taps) = (self.op, self.op.window.kernel[1]);
        let bytes = across.len() * self.pixel;
        let [one, two] = columns.map(|x| {
            (x * op.window.stride[1] + across.start).saturating_sub(op.window.padding[2]) * self.pixel
        });
        let whole = self.whole && across.len() == taps;
        let mut weighed = if whole { self.total } else { [0; 2] };
        for (tap, row) in self.rows.iter().enumerate().take(op.window.kernel[0]) {
            let Some(row) = row else { continue };
            let first = (tap * taps + across.start) * self.depth;
            let weights = self.weights.get(first..first + across.len() * self.depth).unwrap_or_default();
            let patches = [one, two].map(|start| row.get(start..start + bytes).unwrap_or_default());
            dot::add::<PACKED>(op.input.dtype, weights, patches, sums);
            if !whole && op.input.zero_point != 0 {
                let more = dot::total::<PACKED>(weights);
                weighed = [weighed[0].wrapping_add(more[0]), weighed[1].wrapping_add(more[1])];
            }
        }
        for sum in sums.as_flattened_mut().iter_mut().zip(weighed.iter().cycle()) {
            *sum.0 = sum.0.wrapping_sub(sum.1.wrapping_mul(op.input.zero_point));
        }
    }

    /// The taps of an output column that lie inside the input.
    fn inside(&self, x: usize) -> Range<usize> {
        let window = &self.op.window;
        let (start, before, taps) = (x * window.stride[1], window.padding[2], window.kernel[1]);
        let first = before.saturating_sub(start).min(taps);
        first..(before + self.op.input.shape.width).saturating_sub(start).min(taps).max(first)
    }
}

/// What stores the values of one or two channels, the first of which is `output`.
struct Put<'a> {
    channels: &'a [Channel],
    output: usize,
    add: Option<&'a ConvAdd<'a>>,
}

impl Put<'_> {
    fn store(&self, sums: [i32; 2], out: &mut TensorMut<'_>, [y, x]: [usize; 2]) {
        let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
        let pixel = out.pixel(y, x);
        for ((output, channel), sum) in (self.output..).zip(self.channels).zip(sums) {
            let mut value = channel.finish(sum);
            if let Some(add) = self.add {
                let other = if add.other.data.is_some() { add.other.pixel(shape, y, x) } else { &*pixel };
                value = constants::add(add, value, add.other.dtype.get(other, output), zero_point);
            }
            if dtype == DType::I8 {
                if let Some(to) = pixel.get_mut(output) {
                    *to = value as u8;
                }
            } else {
                dtype.set(pixel, output, value);
            }
        }
        if self.output + self.channels.len() == shape.channels {
            dtype.clear_tail(pixel, shape.channels);
        }
    }
}
