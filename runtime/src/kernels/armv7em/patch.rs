//! What an output position reads, as a vector of lanes relative to the zero point: taps in reading
//! order, input channels innermost, zeros where a tap is outside the input.

use core::ops::Range;

use super::dsp::{add_even_bytes, add_odd_bytes, both};
use super::lanes::{self, SIGNED, UNSIGNED};
use crate::kernels::args::Conv2d;
use crate::shape::DType;

/// Most rows of a window.
pub(super) const ROWS: usize = 8;

/// The input rows that one row of outputs reads.
pub(super) struct Rows<'a> {
    op: &'a Conv2d<'a>,
    /// Of each row of taps; empty where it lies outside the input.
    rows: [&'a [u8]; ROWS],
    /// All rows of taps lie inside the input.
    whole: bool,
    zero: u32,
    pixel: usize,
}

impl<'a> Rows<'a> {
    /// The rows for output row `y`; `None` where the window has more than there is room for.
    pub(super) fn new(op: &'a Conv2d<'_>, y: usize) -> Option<Self> {
        let (input, window) = (&op.input, &op.window);
        let top = y * window.stride[0];
        let mut rows: [&[u8]; ROWS] = [&[]; ROWS];
        let mut whole = true;
        for (tap, row) in rows.get_mut(..window.kernel[0])?.iter_mut().enumerate() {
            match (top + tap).checked_sub(window.padding[0]).filter(|&y| y < input.shape.height) {
                Some(y) => *row = input.row(y),
                None => whole = false,
            }
        }
        let pixel = input.dtype.row_bytes(op.filter.shape.inputs);
        Some(Self { op, rows, whole, zero: both(-input.zero_point), pixel })
    }

    /// Writes the pair `to` for output columns `x` and `x + 1` of a 1x1 window: the values of two whole
    /// pixels; false, and nothing done, where it has no such form.
    pub(super) fn gather_two(&self, x: usize, to: &mut [u32]) -> bool {
        let (input, window, row) = (&self.op.input, &self.op.window, self.rows[0]);
        let pixel = |x: usize| {
            let column = (x * window.stride[1]).checked_sub(window.padding[2])?;
            row.get(column * self.pixel..(column + 1) * self.pixel)
        };
        let suits = window.kernel == [1; 2] && input.dtype == DType::I8 && self.pixel.is_multiple_of(4);
        match (pixel(x), pixel(x + 1)) {
            (Some(one), Some(two)) if suits => lanes::two(one, two, self.zero, to),
            _ => return false,
        }
        true
    }

    /// Writes vector `vector` of the pair `to` for output column `x`: whole groups, the last one
    /// filled up with zeros. `bytes` has a byte per value of `to`'s vectors.
    pub(super) fn gather(&self, x: usize, bytes: &mut [u8], to: &mut [u32], vector: usize) {
        let (input, window, inputs) = (&self.op.input, &self.op.window, self.op.filter.shape.inputs);
        let taps = window.kernel[1];
        let left = x * window.stride[1];
        let across = inside(left, window.padding[2], input.shape.width, taps);
        let column = (left + across.start).saturating_sub(window.padding[2]) * self.pixel;
        let run = column..column + across.len() * self.pixel;
        let clipped = !self.whole || across.len() < taps;
        let rows = self.rows.get(..window.kernel[0]).unwrap_or_default();
        let mut before = across.start * inputs;
        let in_colour = input.dtype == DType::I8 && inputs == 3 && taps == 3 && !clipped;
        if in_colour
            && let [a, b, c] = rows
            && let (Some(a), Some(b), Some(c)) = (pixels(a, column), pixels(b, column), pixels(c, column))
        {
            return colours(a, b, c, self.zero, to, vector);
        }
        match input.dtype {
            DType::I8 if inputs.is_multiple_of(4) => {
                if clipped {
                    lanes::clear(to, vector);
                }
                for row in rows {
                    let (row, to) = (row.get(run.clone()), to.get_mut(before..));
                    lanes::bytes(row.unwrap_or_default(), self.zero, to.unwrap_or_default(), vector);
                    before += taps * inputs;
                }
            }
            DType::U4 | DType::S4 if inputs.is_multiple_of(8) => {
                if clipped {
                    lanes::clear(to, vector);
                }
                let kind = if input.dtype == DType::U4 { UNSIGNED } else { SIGNED };
                for row in rows {
                    let (row, to) = (row.get(run.clone()), to.get_mut(before..));
                    lanes::nibbles(row.unwrap_or_default(), kind, to.unwrap_or_default(), vector);
                    before += taps * inputs;
                }
            }
            dtype => {
                bytes.fill(input.zero_point as u8);
                for row in rows {
                    let row = row.get(run.clone()).unwrap_or_default();
                    let to = bytes.get_mut(before..).unwrap_or_default();
                    for (to, pixel) in to.chunks_mut(inputs.max(1)).zip(row.chunks(self.pixel.max(1))) {
                        for (channel, to) in to.iter_mut().enumerate() {
                            *to = dtype.get(pixel, channel) as u8;
                        }
                    }
                    before += taps * inputs;
                }
                lanes::bytes(bytes, self.zero, to, vector);
            }
        }
    }
}

/// Three pixels of three channels.
fn pixels(row: &[u8], start: usize) -> Option<&[u8; 9]> {
    row.get(start..)?.first_chunk()
}

/// The 27 values of a 3x3 window over three channels, and a zero.
fn colours(a: &[u8; 9], b: &[u8; 9], c: &[u8; 9], zero: u32, to: &mut [u32], vector: usize) {
    let Some(to) = to.get_mut(vector & 1..).and_then(|to| to.first_chunk_mut::<27>()) else { return };
    let mut group = |at: usize, word: u32| {
        to[at] = add_even_bytes(zero, word);
        to[at + 2] = add_odd_bytes(zero, word);
    };
    group(0, word(a, 0));
    group(4, word(a, 4));
    group(8, word(b, 0) << 8 | u32::from(a[8]));
    group(12, word(b, 3));
    group(16, word(b, 5) >> 16 | word(c, 0) << 16);
    group(20, word(c, 2));
    // What follows the last value meets a weight of zero.
    group(24, word(c, 5) >> 8);
}

/// Four bytes from `i`, at most the sixth, on.
#[inline(always)]
fn word(bytes: &[u8; 9], i: usize) -> u32 {
    bytes.get(i..).and_then(|bytes| bytes.first_chunk()).map_or(0, |&word| u32::from_le_bytes(word))
}

/// The taps, of so many from `start` on in the padded input, that lie inside it.
pub(super) fn inside(start: usize, before: usize, input: usize, taps: usize) -> Range<usize> {
    let first = before.saturating_sub(start).min(taps);
    first..(before + input).saturating_sub(start).min(taps).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_inside_an_axis() {
        assert_eq!(inside(0, 1, 5, 3), 1..3);
        assert_eq!(inside(2, 1, 5, 3), 0..3);
        assert_eq!(inside(4, 1, 5, 3), 0..2);
        assert_eq!(inside(0, 3, 5, 3), 3..3);
        assert_eq!(inside(9, 1, 5, 3), 0..0);
    }

    #[test]
    fn colours_lie_in_groups_of_four() {
        let values: [u8; 27] = core::array::from_fn(|i| i as u8);
        let (mut fast, mut plain) = ([0; 28], [0; 28]);
        let rows = values.as_chunks().0;
        colours(&rows[0], &rows[1], &rows[2], 0, &mut fast, 1);
        lanes::bytes(&values, 0, &mut plain, 1);
        for (i, value) in [24, 25, 26, 0].into_iter().enumerate() {
            lanes::set(&mut plain, 1, 24 + i, value);
        }
        assert_eq!(fast, plain);
    }
}
