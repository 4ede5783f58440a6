//! What an output channel's sum is finished with, ready for SMMLA.
//!
//! A rescale by `m / 2^s` with `s >= 33`, the zero point included, is the upper half of
//! `acc * m + (addend << 32)`, shifted right by `s - 32`, with `addend = 2^(s-33) + (zp << (s-32))`.
#![allow(unsafe_code)]

use super::dot::Sums;
use super::scratch::{INPUTS, Tiles};
use crate::kernels::args::{Conv2d, Epilogue};
use crate::requant::Rescale;

/// Words of two neighbouring channels: bias, multiplier, addend and shift of each.
pub(super) type Pair = [u32; 8];

/// The addend and the shift of a rescale; `None` where SMMLA cannot make it exactly.
pub(super) fn smmla(rescale: Rescale, zero_point: i32) -> Option<(i32, u32)> {
    let shift = u32::from(rescale.shift);
    // The product's upper half is below 2^30: an addend below that keeps the sum in the word.
    if !(33..=62).contains(&shift) || zero_point.unsigned_abs() > 1 << 29 >> (shift - 32) {
        return None;
    }
    Some(((1 << (shift - 33)) + (zero_point << (shift - 32)), shift - 32))
}

/// Largest magnitude of the sum of a 3x3 window's products in tiles whose sums are `1 << doublings` times too
/// large. Tiles of 4x4 have filters of 4 bits.
const fn products(doublings: u8) -> u32 {
    let weight = if doublings == Tiles::Four.doublings() { 8 } else { 128 };
    9 * INPUTS as u32 * 255 * weight
}

/// Fills the table for sums that are `1 << doublings` times too large; false where a channel's
/// rescale or bias cannot be made so. A channel behind the last gives 0.
pub(super) fn prepare(table: &mut [Pair], epilogue: &Epilogue<'_>, zero_point: i32, doublings: u8) -> bool {
    table.iter_mut().enumerate().all(|(index, to)| pair(epilogue, zero_point, doublings, index, to))
}

/// Writes pair `index` of the table; false where one of its channels cannot be made so.
pub(super) fn pair(
    epilogue: &Epilogue<'_>,
    zero_point: i32,
    doublings: u8,
    index: usize,
    to: &mut Pair,
) -> bool {
    *to = [0; 8];
    for (output, words) in (2 * index..epilogue.shift.len()).zip(to.as_chunks_mut::<4>().0) {
        let rescale = epilogue.rescale(output);
        let rescale = Rescale { shift: rescale.shift.saturating_add(doublings), ..rescale };
        let Some((addend, shift)) = smmla(rescale, zero_point) else { return false };
        let bias = epilogue.bias(output);
        // So many times the sum must fit a word.
        if doublings > 0 && bias.unsigned_abs() >= (1 << (31 - u32::from(doublings))) - products(doublings) {
            return false;
        }
        *words = [(bias << doublings) as u32, rescale.multiplier as u32, addend as u32, shift];
    }
    true
}

/// Whether every channel can be made so.
pub(super) fn suit(op: &Conv2d<'_>, zero_point: i32, doublings: u8) -> bool {
    let pairs = op.filter.shape.outputs.div_ceil(2);
    (0..pairs).all(|index| pair(&op.epilogue, zero_point, doublings, index, &mut [0; 8]))
}

/// Sums of pairs of channels, without their biases, to values that are not clamped yet, in place;
/// as many as both slices have.
pub(super) fn rescale(sums: &mut [Sums], table: &[Pair]) {
    let count = sums.len().min(table.len());
    let sums = sums.get_mut(..count).unwrap_or_default();
    #[cfg(target_arch = "arm")]
    if !sums.is_empty() {
        let ends = sums.as_mut_ptr_range();
        // SAFETY: `sums` has an element, and `table` one for each.
        unsafe { arm::rescale(ends.start, table.as_ptr(), ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (sums, pair) in sums.iter_mut().zip(table) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = rescaled(*sum, pair, i % 2);
        }
    }
}

/// A sum without its bias to a value that is not clamped yet; the first or the second channel's.
#[cfg(not(target_arch = "arm"))]
pub(super) fn rescaled(sum: u32, pair: &Pair, second: usize) -> u32 {
    let [bias, multiplier, addend, shift] = [0, 1, 2, 3].map(|i| pair[4 * second + i]);
    let high = super::dsp::multiply_high_add(sum.wrapping_add(bias) as i32, multiplier as i32, addend as i32);
    (high >> shift) as u32
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::{Pair, Sums};

    /// # Safety
    ///
    /// `sums..end` are one or more elements, `table` as many.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn rescale(sums: *mut Sums, table: *const Pair, end: *mut Sums) {
        naked_asm!(
            "push {{r4-r10, lr}}
            1:
            ldm r0, {{r3-r6}}
            ldm r1!, {{r7-r10}}
            add r3, r3, r7
            add r5, r5, r7
            smmla r3, r3, r8, r9
            smmla r5, r5, r8, r9
            asr r3, r3, r10
            asr r5, r5, r10
            ldm r1!, {{r7-r10}}
            add r4, r4, r7
            add r6, r6, r7
            smmla r4, r4, r8, r9
            smmla r6, r6, r8, r9
            asr r4, r4, r10
            asr r6, r6, r10
            stm r0!, {{r3-r6}}
            cmp r0, r2
            bne 1b
            pop {{r4-r10, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_a_rescale() {
        // 3 * 2^30 / 2^33 = 0.375, 4 * 2^30 / 2^33 = 0.5, a tie; zero point -5.
        let epilogue = Epilogue {
            bias: &[1, 0, 0, 0],
            multiplier: &(1i32 << 30).to_le_bytes(),
            shift: &[33],
            min: -128,
            max: 127,
        };
        let values = |doublings, sums: [i32; 4]| {
            let (mut table, mut sums) = ([[0; 8]; 1], [sums.map(|sum| sum as u32)]);
            assert!(prepare(&mut table, &epilogue, -5, doublings));
            rescale(&mut sums, &table);
            sums[0].map(|value| value as i32)
        };
        assert_eq!(values(0, [2, 9, 3, 9]), [-5, 0, -4, 0]);
        assert_eq!(values(0, [-5, 9, -6, 9]), [-5, 0, -6, 0]);
        assert_eq!(values(2, [12, 9, 11, 9]), [-4, 0, -5, 0]);
    }

    #[test]
    fn the_largest_sums_fit() {
        for (doublings, weight) in [(2u8, 128), (6, 8)] {
            let sum = 9 * 80 * 255 * weight;
            let most = (1i32 << (31 - doublings)) - sum;
            let bias = [most - 1, 1 - most, most, -most].map(i32::to_le_bytes);
            let epilogue = Epilogue {
                bias: bias.as_flattened(),
                multiplier: &(1i32 << 30).to_le_bytes().repeat(4),
                shift: &[40; 4],
                min: -128,
                max: 127,
            };
            let made = [0, 1].map(|index| pair(&epilogue, 0, doublings, index, &mut [0; 8]));
            assert_eq!(made, [true, false], "{doublings}");
            assert!((most - 1 + sum).checked_mul(1i32 << doublings).is_some());
        }
    }

    #[test]
    fn what_smmla_cannot_make() {
        let rescale = |shift| Rescale { multiplier: 1 << 30, shift };
        assert_eq!([32, 63].map(|shift| smmla(rescale(shift), 0)), [None, None]);
        assert_eq!(smmla(rescale(55), -128), None);
        assert_eq!(smmla(rescale(62), 0), Some((1 << 29, 30)));
        assert_eq!(smmla(rescale(54), -128), Some(((1 << 21) - (128 << 22), 22)));
    }
}
