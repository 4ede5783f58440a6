//! Stored values to 16-bit lanes, in the order that [`dot`](super::dot) multiplies them in.
//!
//! Vector `vector` (0 or 1) of an interleaved pair is written, the other stays as it is.
#![allow(unsafe_code)]

use super::dot::GROUP;
use super::dsp::{high_lanes, low_lanes, sub16};

/// How packed nibbles are read: xor, then what each value is less.
#[derive(Clone, Copy)]
pub(super) struct Nibbles {
    flip: u32,
    less: u32,
}

/// 0..=15.
pub(super) const UNSIGNED: Nibbles = Nibbles { flip: 0, less: 0 };
/// Two's complement.
pub(super) const SIGNED: Nibbles = Nibbles { flip: 0x8888_8888, less: 0x0008_0008 };

impl Nibbles {
    /// Eight packed values as four words of lanes: 0 and 2, 1 and 3, 4 and 6, 5 and 7.
    #[inline(always)]
    pub(super) fn lanes(self, packed: [u8; 4]) -> [u32; 4] {
        const EACH: u32 = 0x000F_000F;
        let word = u32::from_le_bytes(packed) ^ self.flip;
        let [a, b, c, d] = [word & EACH, word >> 4 & EACH, word >> 8 & EACH, word >> 12 & EACH];
        let less = self.less;
        [
            sub16(low_lanes(a, c), less),
            sub16(low_lanes(b, d), less),
            sub16(high_lanes(a, c), less),
            sub16(high_lanes(b, d), less),
        ]
    }
}

/// Bytes, four a group; each lane is the byte plus the lane of `plus`. What is no whole group is
/// left out.
#[inline(never)]
pub(super) fn bytes(from: &[u8], plus: u32, to: &mut [u32], vector: usize) {
    #[cfg(target_arch = "arm")]
    {
        let count = (from.len() / 4).min(to.len() / GROUP);
        if count > 0 {
            let end = from.get(..4 * count).unwrap_or_default().as_ptr_range();
            // SAFETY: there is a word, and a group for each; the vector's first word is 0 or 2.
            unsafe { arm::bytes(end.start, to.as_mut_ptr().add(2 * (vector & 1)), plus, end.end) }
        }
    }
    #[cfg(not(target_arch = "arm"))]
    for (bytes, group) in from.as_chunks().0.iter().zip(to.as_chunks_mut::<GROUP>().0) {
        let word = u32::from_le_bytes(*bytes);
        group[2 * (vector & 1)] = super::dsp::add_even_bytes(plus, word);
        group[2 * (vector & 1) + 1] = super::dsp::add_odd_bytes(plus, word);
    }
}

/// The 27 bytes of a 3x3 window over three channels, and a zero, as [`bytes`] gives them. Does nothing
/// where there is no room.
#[inline(always)]
pub(super) fn colours(rows: [&[u8; 9]; 3], plus: u32, to: &mut [u32], vector: usize) {
    if to.len() < 7 * GROUP {
        return;
    }
    #[cfg(target_arch = "arm")]
    // SAFETY: `to` has seven groups; the vector's first word is 0 or 2.
    unsafe {
        arm::colours(&rows, to.as_mut_ptr().add(2 * (vector & 1)), plus)
    }
    #[cfg(not(target_arch = "arm"))]
    {
        let mut all = [0; 28];
        for (to, row) in all.chunks_mut(9).zip(rows) {
            to.copy_from_slice(row);
        }
        bytes(&all, plus, to, vector);
    }
}

/// [`bytes`] for both vectors at once.
#[inline(never)]
pub(super) fn two(one: &[u8], two: &[u8], plus: u32, to: &mut [u32]) {
    #[cfg(target_arch = "arm")]
    {
        let count = (one.len() / 4).min(two.len() / 4).min(to.len() / GROUP);
        if count > 0 {
            let end = one.get(..4 * count).unwrap_or_default().as_ptr_range();
            // SAFETY: there is a word of both, and a group for each.
            unsafe { arm::two(end.start, two.as_ptr(), to.as_mut_ptr(), plus, end.end) }
        }
    }
    #[cfg(not(target_arch = "arm"))]
    {
        bytes(one, plus, to, 0);
        bytes(two, plus, to, 1);
    }
}

/// [`nibbles`] in two's complement for both vectors at once.
#[inline(never)]
pub(super) fn two_nibbles(one: &[u8], two: &[u8], to: &mut [u32]) {
    #[cfg(target_arch = "arm")]
    {
        let count = (one.len() / 4).min(two.len() / 4).min(to.len() / (2 * GROUP));
        if count > 0 {
            let end = one.get(..4 * count).unwrap_or_default().as_ptr_range();
            // SAFETY: there is a word of both, and two groups for each.
            unsafe { arm::two_nibbles(end.start, two.as_ptr(), to.as_mut_ptr(), end.end) }
        }
    }
    #[cfg(not(target_arch = "arm"))]
    {
        nibbles(one, SIGNED, to, 0);
        nibbles(two, SIGNED, to, 1);
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    /// # Safety
    ///
    /// `to` names the first two words, or the others, of seven groups.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn colours(rows: &[&[u8; 9]; 3], to: *mut u32, plus: u32) {
        naked_asm!(
            "
            .macro group from
            sxtab16 r3, r2, \\from, ror #8
            sxtab16 r12, r2, \\from
            strd r12, r3, [r1], #16
            .endm
            push {{r4-r6, lr}}
            ldm r0, {{r4-r6}}
            ldr r0, [r4]
            group r0
            ldr r0, [r4, #4]
            group r0
            ldrb r0, [r4, #8]
            ldr r4, [r5]
            orr r0, r0, r4, lsl #8
            group r0
            ldr r0, [r5, #3]
            group r0
            ldrh r0, [r5, #7]
            ldrh r4, [r6]
            orr r0, r0, r4, lsl #16
            group r0
            ldr r0, [r6, #2]
            group r0
            ldr r0, [r6, #5]
            lsrs r0, r0, #8
            group r0
            pop {{r4-r6, pc}}
            .purgem group
            ",
        )
    }

    /// # Safety
    ///
    /// `one..end` are one or more words, `two` as many, `to` names two groups for each.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn two_nibbles(
        one: *const u8,
        two: *const u8,
        to: *mut u32,
        end: *const u8,
    ) {
        naked_asm!(
            "push {{r4-r11, lr}}
            mov r12, #0x000F000F
            mov lr, #0x88888888
            mov r11, #0x00080008
            1:
            ldr r4, [r0], #4
            ldr r5, [r1], #4
            eor r4, r4, lr
            eor r5, r5, lr
            .irp from, r4, r5
            and r6, r12, \\from
            and r7, r12, \\from, lsr #4
            and r8, r12, \\from, lsr #8
            and r9, r12, \\from, lsr #12
            ssub16 r6, r6, r11
            ssub16 r7, r7, r11
            ssub16 r8, r8, r11
            ssub16 r9, r9, r11
            pkhbt r10, r6, r8, lsl #16
            pkhtb r6, r8, r6, asr #16
            pkhbt r8, r7, r9, lsl #16
            pkhtb r7, r9, r7, asr #16
            strd r6, r7, [r2, #16]
            strd r10, r8, [r2], #8
            .endr
            adds r2, r2, #16
            cmp r0, r3
            bne 1b
            pop {{r4-r11, pc}}",
        )
    }

    /// # Safety
    ///
    /// `one..end` are one or more words, `two` as many, `to` names a group for each.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn two(
        one: *const u8,
        two: *const u8,
        to: *mut u32,
        plus: u32,
        end: *const u8,
    ) {
        naked_asm!(
            "push {{r4-r9, lr}}
            ldr r12, [sp, #28]
            1:
            ldr r4, [r0], #4
            ldr r5, [r1], #4
            sxtab16 r6, r3, r4
            sxtab16 r7, r3, r4, ror #8
            sxtab16 r8, r3, r5
            sxtab16 r9, r3, r5, ror #8
            stm r2!, {{r6-r9}}
            cmp r0, r12
            bne 1b
            pop {{r4-r9, pc}}",
        )
    }

    /// # Safety
    ///
    /// `from..end` are one or more words, `to` names the first two words, or the others, of a group for
    /// each.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn bytes(from: *const u8, to: *mut u32, plus: u32, end: *const u8) {
        naked_asm!(
            "
            .macro group
            ldr r4, [r0], #4
            sxtab16 r12, r2, r4, ror #8
            sxtab16 r4, r2, r4
            strd r4, r12, [r1], #16
            .endm
            push {{r4, lr}}
            sub r12, r3, r0
            tst r12, #15
            bne 2f
            1:
            .rept 4
            group
            .endr
            cmp r0, r3
            bne 1b
            pop {{r4, pc}}
            2:
            group
            cmp r0, r3
            bne 2b
            pop {{r4, pc}}
            .purgem group
            ",
        )
    }
}

/// Packed nibbles, eight to two groups. What is no two whole groups is left out.
#[inline(never)]
pub(super) fn nibbles(from: &[u8], kind: Nibbles, to: &mut [u32], vector: usize) {
    for (packed, groups) in from.as_chunks().0.iter().zip(to.as_chunks_mut::<{ 2 * GROUP }>().0) {
        let [a, b, c, d] = kind.lanes(*packed);
        groups[2 * (vector & 1)] = a;
        groups[2 * (vector & 1) + 1] = b;
        groups[2 * (vector & 1) + 4] = c;
        groups[2 * (vector & 1) + 5] = d;
    }
}

/// [`nibbles`], four a group: a last group of four too.
#[inline(never)]
pub(super) fn fours(from: &[u8], kind: Nibbles, to: &mut [u32], vector: usize) {
    nibbles(from, kind, to, vector);
    let (words, rest) = from.as_chunks::<4>();
    let group = to.get_mut(2 * GROUP * words.len()..).and_then(|to| to.first_chunk_mut::<GROUP>());
    if let ([low, high, ..], Some(group)) = (rest, group) {
        let [a, b, ..] = kind.lanes([*low, *high, 0, 0]);
        group[2 * (vector & 1)] = a;
        group[2 * (vector & 1) + 1] = b;
    }
}

/// Zeros.
#[inline(never)]
pub(super) fn clear(to: &mut [u32], vector: usize) {
    for group in to.as_chunks_mut::<GROUP>().0 {
        group[2 * (vector & 1)] = 0;
        group[2 * (vector & 1) + 1] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_gives_one_order() {
        let values = [-7, 1, 2, -3, 4, 5, -6, 7];
        let (mut two, mut three) = ([0; 8], [0; 8]);
        bytes(&values.map(|v| (v + 3) as u8), crate::kernels::armv7em::dsp::both(-3), &mut two, 1);
        let mut packed = [0; 4];
        for (i, value) in values.into_iter().enumerate() {
            crate::int4::set(&mut packed, i, value);
        }
        nibbles(&packed, SIGNED, &mut three, 1);
        let one = [0, 0, 0x0002_FFF9, 0xFFFD_0001, 0, 0, 0xFFFA_0004, 0x0007_0005];
        assert_eq!((one, one), (two, three));
        clear(&mut two, 1);
        assert_eq!(two, [0; 8]);
        // A group and a byte that is none, with room for one group and for more.
        for room in [4, 8] {
            let mut short = [0; 8];
            fours(&packed[..3], SIGNED, &mut short[..room], 1);
            assert_eq!((&short[..4], &short[4..]), (&one[..4], &[0; 4][..]));
        }
    }

    #[test]
    fn colours_lie_in_groups_of_four() {
        let values: [u8; 28] = core::array::from_fn(|i| if i < 27 { i as u8 } else { 0 });
        let (mut fast, mut plain) = ([0; 28], [0; 28]);
        let rows = values.as_chunks().0;
        colours([&rows[0], &rows[1], &rows[2]], 5, &mut fast, 1);
        bytes(&values, 5, &mut plain, 1);
        assert_eq!(fast, plain);
    }

    #[test]
    fn unsigned_nibbles_have_no_sign() {
        let [a, ..] = UNSIGNED.lanes([0xFF, 0x0F, 0, 0]);
        assert_eq!(a, 0x000F_000F);
    }
}
