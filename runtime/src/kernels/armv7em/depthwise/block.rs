//! The constants of four channels as [`taps`](super::taps) reads them, one word behind the other.
//!
//! Four biases; per column of taps the upper two weights of each channel as a pair of lanes, then the
//! third ones of channels 0 and 2 and of 1 and 3; per channel multiplier, addend and shift.

use super::super::channels::smmla;
use super::super::scratch::GROUP;
use super::COLUMN;
use crate::kernels::args::{Epilogue, Filter};
use crate::layout::WeightBits;
use crate::requant::Rescale;

/// Words of a block.
pub(in super::super) const BLOCK: usize = 34;
/// Constants of four channels.
pub(super) type Block = [u32; BLOCK];

/// Where the weights begin, and where what finishes a sum.
const WEIGHTS: usize = 4;
const FINISH: usize = WEIGHTS + 3 * COLUMN;

/// The least shift that SMMLA takes.
const SHIFT: u8 = 33;
/// Most bits by which weights are shifted up: the largest of 8 bits still fits a lane.
const MOST: u8 = 8;

/// Fills the block of a group; `None` where SMMLA cannot make a channel's rescale exactly.
///
/// A channel whose rescale shifts by less than SMMLA needs has its bias and weights shifted up by as much
/// more as its rescale.
pub(super) fn prepare(
    block: &mut Block,
    filter: &Filter<'_>,
    epilogue: &Epilogue<'_>,
    group: usize,
    zero_point: i32,
) -> Option<()> {
    let (head, finish) = block.split_at_mut(FINISH);
    let (bias, weights) = head.split_at_mut(WEIGHTS);
    let mut ups = [0; GROUP];
    let channels = (GROUP * group..).zip(&mut ups).zip(bias).zip(finish.chunks_exact_mut(3));
    for (((channel, up), bias), finish) in channels {
        let rescale = epilogue.rescale(channel);
        *up = SHIFT.saturating_sub(rescale.shift);
        let exact = epilogue.bias(channel);
        let largest = 9 * 255 * filter.bits.max_abs() + u64::from(exact.unsigned_abs());
        if *up > MOST || *up > 0 && largest << *up > i32::MAX as u64 {
            return None;
        }
        let rescale = Rescale { shift: rescale.shift + *up, ..rescale };
        let (addend, shift) = smmla(rescale, zero_point)?;
        *bias = (exact << *up) as u32;
        finish.copy_from_slice(&[rescale.multiplier as u32, addend as u32, shift]);
    }
    for (column, to) in weights.as_chunks_mut::<COLUMN>().0.iter_mut().enumerate() {
        let [a, b, c] = [column, 3 + column, 6 + column].map(|tap| four(filter, tap, group, &ups));
        let pair = |low: i32, high: i32| (low as u32 & 0xFFFF) | (high as u32) << 16;
        *to = [
            pair(a[0], b[0]),
            pair(a[1], b[1]),
            pair(a[2], b[2]),
            pair(a[3], b[3]),
            pair(c[0], c[2]),
            pair(c[1], c[3]),
        ];
    }
    Some(())
}

/// The same block for outputs of which some rows of taps lie outside the image: their weights are zeros.
pub(super) fn without(block: &Block, there: [bool; 3]) -> Block {
    let mut block = *block;
    let keep = |there, lanes: u32| if there { lanes } else { 0 };
    let pairs = keep(there[0], 0x0000_FFFF) | keep(there[1], 0xFFFF_0000);
    let singles = keep(there[2], 0xFFFF_FFFF);
    if let Some(weights) = block.get_mut(WEIGHTS..FINISH) {
        for column in weights.as_chunks_mut::<COLUMN>().0 {
            let [a, b, c, d, e, f] = *column;
            *column = [a & pairs, b & pairs, c & pairs, d & pairs, e & singles, f & singles];
        }
    }
    block
}

/// The weights of a group's channels at a tap, shifted up.
fn four(filter: &Filter<'_>, tap: usize, group: usize, ups: &[u8; GROUP]) -> [i32; GROUP] {
    let bytes = filter.bits.row_bytes(GROUP);
    let start = tap * filter.bits.row_bytes(filter.shape.outputs) + group * bytes;
    let stored = filter.data.get(start..start + bytes).unwrap_or_default();
    let mut weights = match (filter.bits, stored) {
        (WeightBits::Eight, &[a, b, c, d]) => [a, b, c, d].map(|byte| i32::from(byte as i8)),
        (WeightBits::Four, &[a, b]) => [a << 4, a, b << 4, b].map(|byte| i32::from(byte as i8) >> 4),
        _ => [0; 4],
    };
    for (weight, up) in weights.iter_mut().zip(ups) {
        *weight <<= *up;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{FilterShape, Layout};

    #[test]
    fn a_block_by_hand() {
        let shape = FilterShape { outputs: 8, taps: 9, inputs: 1 };
        let mut data = [0; 36];
        for tap in 0..9 {
            // Of channels 4 to 7: the tap's number less 4, and -1, 2, -7.
            data[4 * tap + 2] = (tap as u8).wrapping_sub(4) & 0x0F | 0xF0;
            data[4 * tap + 3] = 0x92;
        }
        let filter =
            Filter { data: &data, shape, bits: WeightBits::Four, layout: Layout::TapMajor, offset: 0 };
        let mut constants = [0; 32];
        constants[16..20].copy_from_slice(&(-6i32).to_le_bytes());
        let multiplier = (1i32 << 30).to_le_bytes().repeat(8);
        let epilogue =
            Epilogue { bias: &constants, multiplier: &multiplier, shift: &[33; 8], min: -128, max: 127 };
        let mut block = [0; BLOCK];
        assert_eq!(prepare(&mut block, &filter, &epilogue, 1, -128), Some(()));
        assert_eq!(block[..4], [-6i32 as u32, 0, 0, 0]);
        // Taps 0 and 3, then 6, of the first column.
        assert_eq!(
            block[4..10],
            [0xFFFF_FFFC, 0xFFFF_FFFF, 0x0002_0002, 0xFFF9_FFF9, 0x0002_0002, 0xFFF9_FFFF]
        );
        assert_eq!(block[31..], [1 << 30, (1 - (128i32 << 1)) as u32, 1]);
        let masked = without(&block, [false, true, false]);
        assert_eq!(masked[4..10], [0xFFFF_0000, 0xFFFF_0000, 0x0002_0000, 0xFFF9_0000, 0, 0]);
        assert_eq!((&masked[..4], &masked[22..]), (&block[..4], &block[22..]));
        // Two bits less of a shift: four times the bias and the weights.
        let early = Epilogue { shift: &[31; 8], ..epilogue };
        assert_eq!(prepare(&mut block, &filter, &early, 1, -128), Some(()));
        assert_eq!((block[0], block[4], block[33]), (-24i32 as u32, 0xFFFC_FFF0, 1));
        let earlier = Epilogue { shift: &[24; 8], ..epilogue };
        assert_eq!(prepare(&mut block, &filter, &earlier, 1, -128), None);
    }
}
