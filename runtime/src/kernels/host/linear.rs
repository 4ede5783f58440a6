//! Convolutions and matrix products over gathered patches.

use core::ops::Range;

use crate::kernels::args::{Epilogue, TensorMut};
use crate::kernels::host::finish::{CHANNELS, Finish};
use crate::kernels::host::patch::Source;
use crate::kernels::host::tile::{PATCHES, ROWS, Tile};
use crate::requant::Rescale;
use crate::shape::DType;

/// Output positions computed together.
pub(super) const PIXELS: usize = PATCHES;
/// Channels accumulated together by a depthwise kernel.
const LANES: usize = 16;

/// Gives the sums of gathered patches to `emit`: patch, first output channel, a sum per channel.
pub(super) trait Kernel {
    /// Every output channel of every patch, once; more sums than channels are left are ignored.
    fn accumulate(&self, patches: [&[i16]; PIXELS], outputs: usize, emit: impl FnMut(usize, usize, &[i32]));
    /// Bias, rescale, clamp.
    fn epilogue(&self) -> &Epilogue<'_>;
}

/// Every output channel over the whole patch.
pub(super) struct Dense<'a> {
    /// A row per output channel.
    pub(super) weights: &'a [i16],
    /// Values from one row to the next.
    pub(super) stride: usize,
    /// Values of a patch.
    pub(super) columns: usize,
    /// Bias, rescale, clamp.
    pub(super) epilogue: Epilogue<'a>,
    /// Dot products.
    pub(super) tile: Tile,
}

/// Every channel over its own values of the patch.
pub(super) struct Depthwise<'a> {
    /// A row per tap.
    pub(super) weights: &'a [i16],
    /// Values from one row to the next.
    pub(super) stride: usize,
    /// Rows.
    pub(super) taps: usize,
    /// Bias, rescale, clamp.
    pub(super) epilogue: Epilogue<'a>,
}

/// Fills the rows of `out`, two positions of a row at a time; `buffer` holds their patches.
#[inline(always)]
pub(super) fn run(
    kernel: &impl Kernel,
    four: Finish,
    source: &Source<'_>,
    buffer: &mut [i16],
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    let len = source.len();
    let Some((first, second)) = buffer.get_mut(..PIXELS * len).and_then(|b| b.split_at_mut_checked(len))
    else {
        return;
    };
    let row_bytes = dtype.row_bytes(shape.channels).max(1);
    for y in rows {
        for (pair, bytes) in out.row(y).chunks_mut(PIXELS * row_bytes).enumerate() {
            bytes.fill(0);
            let x = PIXELS * pair;
            source.gather(y, x, shape.width, first);
            // At an odd end the second patch is a copy whose results have no place to go.
            source.gather(y, (x + 1).min(shape.width.saturating_sub(1)), shape.width, second);
            let mut pixels = bytes.chunks_mut(row_bytes);
            let mut pixels = [pixels.next(), pixels.next()];
            kernel.accumulate([first, second], shape.channels, |patch, channel, sums| {
                if let Some(Some(pixel)) = pixels.get_mut(patch) {
                    finish(four, kernel.epilogue(), dtype, zero_point, pixel, channel, sums);
                }
            });
        }
    }
}

/// Bias, rescale, zero point and clamp of the sums from channel `first` on, into a row of outputs.
#[inline(always)]
fn finish(
    four: Finish,
    epilogue: &Epilogue<'_>,
    dtype: DType,
    zero_point: i32,
    row: &mut [u8],
    mut first: usize,
    mut sums: &[i32],
) {
    if dtype.bits() == 8 {
        while let Some((&now, rest)) = sums.split_first_chunk::<CHANNELS>()
            && let Some(to) = row.get_mut(first..).and_then(|row| row.first_chunk_mut())
            && let Some(values) = four(epilogue, zero_point, first, now)
        {
            *to = values;
            (first, sums) = (first + CHANNELS, rest);
        }
    }
    let (bias, multiplier) = (words(epilogue.bias, first), words(epilogue.multiplier, first));
    let shift = epilogue.shift.get(first..).unwrap_or(&[]);
    let (min, max) = (i32::from(epilogue.min), i32::from(epilogue.max));
    let constants = bias.iter().zip(multiplier).zip(shift);
    let values = sums.iter().zip(constants).map(|(&sum, ((&bias, &multiplier), &shift))| {
        let rescale = Rescale { multiplier: i32::from_le_bytes(multiplier), shift };
        let acc = sum.wrapping_add(i32::from_le_bytes(bias));
        rescale.apply(acc).saturating_add(zero_point).max(min).min(max)
    });
    if dtype.bits() == 8 {
        for (to, value) in row.get_mut(first..).unwrap_or(&mut []).iter_mut().zip(values) {
            *to = value as u8;
        }
    } else {
        for (channel, value) in (first..).zip(values) {
            dtype.set(row, channel, value);
        }
    }
}

/// Little-endian words from word `first` on.
#[inline(always)]
fn words(bytes: &[u8], first: usize) -> &[[u8; 4]] {
    bytes.as_chunks().0.get(first..).unwrap_or(&[])
}

impl Kernel for Dense<'_> {
    #[inline(always)]
    fn accumulate(
        &self,
        patches: [&[i16]; PIXELS],
        outputs: usize,
        mut emit: impl FnMut(usize, usize, &[i32]),
    ) {
        let row = |o: usize| {
            let start = o.min(outputs.saturating_sub(1)) * self.stride;
            self.weights.get(start..start + self.columns).unwrap_or(&[])
        };
        for block in (0..outputs).step_by(ROWS) {
            let rows = [row(block), row(block + 1), row(block + 2), row(block + 3)];
            for (patch, sums) in (self.tile)(patches, rows).iter().enumerate() {
                emit(patch, block, sums);
            }
        }
    }

    fn epilogue(&self) -> &Epilogue<'_> {
        &self.epilogue
    }
}

impl Kernel for Depthwise<'_> {
    #[inline(always)]
    fn accumulate(
        &self,
        patches: [&[i16]; PIXELS],
        outputs: usize,
        mut emit: impl FnMut(usize, usize, &[i32]),
    ) {
        for (index, patch) in patches.iter().enumerate() {
            for block in (0..outputs).step_by(LANES) {
                let mut sums = [0i32; LANES];
                for tap in 0..self.taps {
                    let x = patch.get(tap * outputs + block..(tap + 1) * outputs).unwrap_or(&[]);
                    let w =
                        self.weights.get(tap * self.stride + block..(tap + 1) * self.stride).unwrap_or(&[]);
                    for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
                        *sum = sum.wrapping_add(i32::from(x) * i32::from(w));
                    }
                }
                emit(index, block, &sums);
            }
        }
    }

    fn epilogue(&self) -> &Epilogue<'_> {
        &self.epilogue
    }
}
