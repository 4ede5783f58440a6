//! What a linear kernel reads for one output position, gathered as 16-bit values.

use crate::kernels::args::{Conv2d, MatMul};
use crate::shape::DType;

/// Where patches come from.
pub(super) enum Source<'a> {
    /// The taps of a sliding window, input channels innermost.
    Window(Conv2d<'a>),
    /// The rows of a matrix.
    Rows(MatMul<'a>),
}

impl Source<'_> {
    /// Values in a patch.
    pub(super) fn len(&self) -> usize {
        match self {
            Source::Window(op) => op.filter.shape.taps * op.input.shape.channels,
            Source::Rows(op) => op.filter.shape.inputs,
        }
    }

    /// Fills `patch` with the values relative to the zero point that output position (`y`, `x`)
    /// of an image `width` wide reads; taps outside the input are 0.
    #[inline(always)]
    pub(super) fn gather(&self, y: usize, x: usize, width: usize, patch: &mut [i16]) {
        match self {
            Source::Window(op) => window(op, y, x, patch),
            Source::Rows(op) => {
                let start = (y * width + x) * op.dtype.row_bytes(op.filter.shape.inputs);
                widen(op.dtype, op.zero_point, op.input.get(start..).unwrap_or(&[]), patch);
            }
        }
    }
}

/// The taps of a sliding window. The taps of one kernel row that lie inside the input are one run
/// of bytes; they are widened together where no pixel has an unused nibble.
#[inline(always)]
fn window(op: &Conv2d<'_>, y: usize, x: usize, patch: &mut [i16]) {
    let (input, kernel_width) = (&op.input, op.window.kernel[1].max(1));
    let channels = input.shape.channels.max(1);
    let row_bytes = input.dtype.row_bytes(channels);
    let whole = input.dtype.bits() == 8 || channels.is_multiple_of(2);
    let left = op.window.padding[2].saturating_sub(x * op.window.stride[1]).min(kernel_width);
    let column = (x * op.window.stride[1] + left).saturating_sub(op.window.padding[2]);
    let inside = input.shape.width.saturating_sub(column).min(kernel_width - left);
    for (tap, row) in patch.chunks_exact_mut(kernel_width * channels).enumerate() {
        let Some(source) = op.window.source(0, y, tap, input.shape.height) else {
            row.fill(0);
            continue;
        };
        let (before, row) = row.split_at_mut(left * channels);
        let (row, after) = row.split_at_mut(inside * channels);
        before.fill(0);
        after.fill(0);
        let start = (input.ring.line(source) * input.shape.width + column) * row_bytes;
        let bytes = input.data.get(start..start + inside * row_bytes).unwrap_or(&[]);
        if whole {
            widen(input.dtype, input.zero_point, bytes, row);
        } else {
            for (pixel, to) in bytes.chunks_exact(row_bytes).zip(row.chunks_exact_mut(channels)) {
                widen(input.dtype, input.zero_point, pixel, to);
            }
        }
    }
}

/// A row of activations as 16-bit values relative to their zero point.
#[inline(always)]
fn widen(dtype: DType, zero_point: i32, row: &[u8], to: &mut [i16]) {
    match dtype {
        DType::I8 => {
            for (to, &byte) in to.iter_mut().zip(row) {
                *to = i16::from(byte as i8).wrapping_sub(zero_point as i16);
            }
        }
        DType::U4 => pairs(row, to, i16::from),
        DType::S4 => pairs(row, to, |nibble| i16::from(nibble ^ 8) - 8),
    }
}

/// Both nibbles of every byte, and at an odd end the low one.
#[inline(always)]
fn pairs(row: &[u8], to: &mut [i16], value: impl Fn(u8) -> i16) {
    let (pairs, rest) = to.as_chunks_mut::<2>();
    for (pair, &byte) in pairs.iter_mut().zip(row) {
        *pair = [value(byte & 0x0F), value(byte >> 4)];
    }
    if let (Some(last), Some(&byte)) = (rest.first_mut(), row.get(pairs.len())) {
        *last = value(byte & 0x0F);
    }
}
