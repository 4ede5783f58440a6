//! What an output position reads, as a vector of lanes relative to the zero point: taps in reading
//! order, input channels innermost, zeros where a tap is outside the input.

use core::ops::Range;

use super::dsp::both;
use super::lanes::{self, Nibbles, SIGNED, UNSIGNED};
use crate::kernels::args::Conv2d;
use crate::kernels::needs::{NIBBLES, has};
use crate::shape::DType;

/// Most rows of a window.
pub(super) const ROWS: usize = 8;

/// The input rows that one row of outputs reads.
pub(super) struct Rows<'a, const NEEDS: u32> {
    op: &'a Conv2d<'a>,
    /// Of each row of taps; empty where it lies outside the input.
    rows: [&'a [u8]; ROWS],
    /// All rows of taps lie inside the input.
    whole: bool,
    zero: u32,
    pixel: usize,
    /// Bytes from one output's window to the next one's, and from the first one's to the image.
    step: usize,
    before: usize,
    form: Form,
    /// Rows of a window; bytes and values of one.
    count: usize,
    run: usize,
    values: usize,
}

/// What a window's rows are.
#[derive(Clone, Copy)]
enum Form {
    /// Three bytes a pixel, three by three taps.
    Colours,
    /// Whole groups.
    Bytes,
    /// Two whole groups and two more.
    Nibbles(Nibbles),
    Other,
}

impl<'a, const NEEDS: u32> Rows<'a, NEEDS> {
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
        let inputs = op.filter.shape.inputs;
        let form = match storage::<NEEDS>(input.dtype) {
            DType::I8 if inputs == 3 && window.kernel == [3; 2] => Form::Colours,
            DType::I8 if inputs.is_multiple_of(4) => Form::Bytes,
            DType::U4 if inputs.is_multiple_of(4) => Form::Nibbles(UNSIGNED),
            DType::S4 if inputs.is_multiple_of(4) => Form::Nibbles(SIGNED),
            _ => Form::Other,
        };
        let [count, taps] = window.kernel;
        Some(Self {
            op,
            rows,
            whole,
            zero: both(-input.zero_point),
            pixel,
            step: window.stride[1] * pixel,
            before: window.padding[2] * pixel,
            form,
            count,
            run: taps * pixel,
            values: taps * inputs,
        })
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
    #[inline(always)]
    pub(super) fn gather(&self, x: usize, bytes: &mut [u8], to: &mut [u32], vector: usize) {
        if !(self.whole && self.gather_whole(x, to, vector)) {
            self.gather_any(x, bytes, to, vector);
        }
    }

    /// False where the window is not whole, or of no usual form.
    #[inline(never)]
    fn gather_whole(&self, x: usize, to: &mut [u32], vector: usize) -> bool {
        // What is before the first pixel is far behind the last one.
        let start = (x * self.step).wrapping_sub(self.before);
        if let Form::Colours = self.form {
            let at = |row: &'a [u8]| row.get(start..)?.first_chunk();
            let [a, b, c, ..] = self.rows;
            let (Some(a), Some(b), Some(c)) = (at(a), at(b), at(c)) else { return false };
            lanes::colours([a, b, c], self.zero, to, vector);
            return true;
        }
        let mut to = to;
        for row in self.rows.iter().take(self.count) {
            let Some(run) = row.get(start..start.wrapping_add(self.run)) else { return false };
            match self.form {
                Form::Bytes => lanes::bytes(run, self.zero, to, vector),
                Form::Nibbles(kind) if has(NEEDS, NIBBLES) => lanes::fours(run, kind, to, vector),
                _ => return false,
            }
            to = to.get_mut(self.values..).unwrap_or_default();
        }
        true
    }

    #[inline(never)]
    fn gather_any(&self, x: usize, bytes: &mut [u8], to: &mut [u32], vector: usize) {
        let (input, window, inputs) = (&self.op.input, &self.op.window, self.op.filter.shape.inputs);
        let taps = window.kernel[1];
        let left = x * window.stride[1];
        let across = inside(left, window.padding[2], input.shape.width, taps);
        let column = (left + across.start).saturating_sub(window.padding[2]) * self.pixel;
        let run = column..column + across.len() * self.pixel;
        let clipped = !self.whole || across.len() < taps;
        let rows = self.rows.get(..window.kernel[0]).unwrap_or_default();
        let mut before = across.start * inputs;
        match storage::<NEEDS>(input.dtype) {
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
            DType::U4 | DType::S4 if inputs.is_multiple_of(4) => {
                if clipped {
                    lanes::clear(to, vector);
                }
                let kind = if input.dtype == DType::U4 { UNSIGNED } else { SIGNED };
                for row in rows {
                    let (row, to) = (row.get(run.clone()), to.get_mut(before..));
                    lanes::fours(row.unwrap_or_default(), kind, to.unwrap_or_default(), vector);
                    before += taps * inputs;
                }
            }
            dtype => {
                bytes.fill(input.zero_point as u8);
                for row in rows {
                    let row = row.get(run.clone()).unwrap_or_default();
                    let to = bytes.get_mut(before..).unwrap_or_default();
                    if dtype == DType::I8 {
                        for (to, from) in to.iter_mut().zip(row) {
                            *to = *from;
                        }
                    } else {
                        let mut places = to.iter_mut();
                        for column in 0..across.len() {
                            let pixel = row.get(column * self.pixel..).unwrap_or_default();
                            for (channel, to) in places.by_ref().take(inputs).enumerate() {
                                *to = dtype.get(pixel, channel) as u8;
                            }
                        }
                    }
                    before += taps * inputs;
                }
                lanes::bytes(bytes, self.zero, to, vector);
            }
        }
    }
}

/// The type of values, known where there is one only.
#[inline(always)]
fn storage<const NEEDS: u32>(dtype: DType) -> DType {
    if has(NEEDS, NIBBLES) { dtype } else { DType::I8 }
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
}
