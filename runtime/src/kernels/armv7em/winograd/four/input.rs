//! The input's transform, `B^T d B`, two channels at a time. Rows and columns 1 and 2 have the other sign.
//!
//! A byte counts from the smallest one, -128, on. Every row of `B^T` but row 1 adds up to 0, so the zero point
//! matters at position (1, 1) alone.
#![allow(unsafe_code)]

use super::super::super::dsp::{both, sub16};

/// A tile's patch: a word of 6x6 pixels, column by column. Of bytes, two neighbouring words share out eight
/// channels: 0, 1, 4 and 5, and the others.
pub(in super::super) type Patch = [u32; 36];

/// Puts `count` pixels of six rows, `start` bytes behind their first, into a patch of bytes or of nibbles, from
/// column `first` on. Does nothing where a row is too short.
pub(in super::super) fn gather(
    rows: &[&[u8]; 6],
    start: usize,
    count: usize,
    patch: &mut [Patch],
    first: usize,
    bytes: bool,
) {
    let (words, run) = (patch.len(), 4 * patch.len() * count);
    let short = |row: &&[u8]| start.saturating_add(run) > row.len();
    let whole = words > 0 && (!bytes || words.is_multiple_of(2));
    if count == 0 || first + count > 6 || !whole || rows.iter().any(short) {
        return;
    }
    #[cfg(target_arch = "arm")]
    // SAFETY: each row holds `count` pixels of `words` words, each element so many columns.
    unsafe {
        let to = patch.as_mut_ptr().cast::<u32>().add(6 * first);
        let rows = rows.map(|row| row.as_ptr().add(start));
        if bytes {
            arm::gather::<0>(&rows, to, words / 2, count)
        } else {
            arm::gather::<1>(&rows, to, words, count)
        }
    }
    #[cfg(not(target_arch = "arm"))]
    super::super::gather::portable(rows, start..start + run, patch, first, bytes);
}

/// Transforms a patch of bytes into vector `vector` of the pair `to`: 36 positions of two words per word of a
/// pixel. Of eight channels two groups hold 0 and 4, 2 and 6; 1 and 5, 3 and 7.
#[inline(never)]
pub(in super::super) fn bytes(patch: &[Patch], zero_point: i32, to: &mut [u32], vector: usize) {
    let words = 4 * patch.len();
    if patch.is_empty() || !patch.len().is_multiple_of(2) || vector > 1 || to.len() < 36 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = patch.as_ptr_range();
        // SAFETY: `patch` has whole pairs of elements; their words of each position are in `to`.
        unsafe { arm::transform::<0>(ends.start, to.as_mut_ptr().add(2 * vector), 4 * words, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (at, patch) in patch.iter().enumerate() {
        use super::super::super::dsp::{add_even_bytes, add_odd_bytes};
        let word = 8 * (at / 2) + at % 2 + 2 * vector;
        portable::transform(patch.map(|word| add_even_bytes(0x0080_0080, word)), words, to, word);
        portable::transform(patch.map(|word| add_odd_bytes(0x0080_0080, word)), words, to, word + 4);
    }
    let zero = both(36 * (zero_point + 128));
    if zero != 0 {
        let position = to.get_mut(7 * words + 2 * vector..8 * words).unwrap_or_default();
        for word in position.chunks_mut(4).flat_map(|group| group.iter_mut().take(2)) {
            *word = sub16(*word, zero);
        }
    }
}

/// The same for unsigned nibbles, four words per word of a pixel.
#[inline(never)]
pub(in super::super) fn nibbles(patch: &[Patch], to: &mut [u32], vector: usize) {
    let words = 8 * patch.len();
    if patch.is_empty() || vector > 1 || to.len() < 36 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = patch.as_ptr_range();
        // SAFETY: `patch` has an element; each writes four words of each position, which are in `to`.
        unsafe { arm::transform::<1>(ends.start, to.as_mut_ptr().add(2 * vector), 4 * words, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (at, patch) in patch.iter().enumerate() {
        for k in 0..4 {
            let lanes = patch.map(|word| word >> (4 * k) & 0x000F_000F);
            portable::transform(lanes, words, to, 8 * at + 4 * (k % 2) + k / 2 + 2 * vector);
        }
    }
}

#[cfg(not(target_arch = "arm"))]
mod portable {
    use super::super::super::super::dsp::low;

    /// A word of every pixel to a word of every position.
    pub(super) fn transform(d: [u32; 36], words: usize, to: &mut [u32], word: usize) {
        let one = |d: [i32; 6]| {
            [
                4 * d[0] - 5 * d[2] + d[4],
                4 * (d[1] + d[2]) - d[3] - d[4],
                4 * (d[2] - d[1]) + d[3] - d[4],
                2 * (d[3] - d[1]) + d[4] - d[2],
                2 * (d[1] - d[3]) + d[4] - d[2],
                4 * d[1] - 5 * d[3] + d[5],
            ]
        };
        let lane = |k: u32| {
            let columns: [[i32; 6]; 6] =
                core::array::from_fn(|j| one(core::array::from_fn(|i| low(d[6 * j + i], k))));
            core::array::from_fn::<_, 6, _>(|i| one(columns.map(|column| column[i])))
        };
        let [even, odd] = [lane(0), lane(1)];
        for (i, (even, odd)) in even.into_iter().zip(odd).enumerate() {
            for (j, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                to[(6 * j + i) * words + word] = (even as u32 & 0xFFFF) | (odd as u32) << 16;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::Patch;

    /// # Safety
    ///
    /// `patch..end` are one or more elements of nibbles, or pairs of them of bytes; `to` names, for each of
    /// these, the first two words, or the others, of two groups of 36 positions that are `stride` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn transform<const NIBBLES: usize>(
        patch: *const Patch,
        to: *mut u32,
        stride: usize,
        end: *const Patch,
    ) {
        // Two values are one number, `low + (high << 16)`: sums need no lanes, and operands are shifted on
        // their way. In the end 0x8000 more makes the low value positive, and goes as its sign.
        // `line` transforms r4 to r9; on the stack: six rows of the columns' transforms, `end`.
        naked_asm!(
            "
            .macro line bias
            sub r10, r8, r6
            sub r11, r7, r5
            sub r4, r4, r6
            sub r9, r9, r7
            rsb r6, r8, r6, lsl #2
            rsb r5, r7, r5, lsl #2
            .if \\bias
            .irp d, r10, r6, r9
            add \\d, \\d, #0x8000
            .endr
            .endif
            add r4, r10, r4, lsl #2
            sub r9, r9, r11, lsl #2
            add r7, r10, r11, lsl #1
            sub r8, r10, r11, lsl #1
            sub r10, r6, r5
            add r5, r6, r5
            .if \\bias
            .irp d, r4, r5, r10, r7, r8, r9
            eor \\d, \\d, #0x8000
            .endr
            .endif
            .endm
            .macro lane turn
            mov r12, sp
            1:
            ldm r0!, {{r4-r9}}
            .irp d, r4, r5, r6, r7, r8, r9
            .if {nibbles}
            and \\d, r3, \\d, lsr #\\turn
            .else
            sxtab16 \\d, r3, \\d, ror #\\turn
            .endif
            .endr
            line 0
            str r4, [r12]
            str r5, [r12, #24]
            str r10, [r12, #48]
            str r7, [r12, #72]
            str r8, [r12, #96]
            str r9, [r12, #120]
            add r12, r12, #4
            add lr, sp, #24
            cmp r12, lr
            bne 1b
            bl 5f
            .endm
            push {{r3-r11, lr}}
            sub sp, sp, #144
            mov r3, #{keep}
            2:
            lane 0
            .if {nibbles}
            adds r1, #4
            subs r0, #144
            lane 8
            adds r1, #12
            subs r0, #144
            lane 4
            adds r1, #4
            subs r0, #144
            lane 12
            adds r1, #12
            ldr lr, [sp, #144]
            cmp lr, r0
            bne.w 2b
            .else
            adds r1, #16
            subs r0, #144
            lane 8
            ldr lr, [sp, #144]
            subs lr, lr, r0
            beq 3f
            lsls lr, lr, #27
            ite mi
            submi r1, r1, #12
            addpl r1, r1, #12
            b 2b
            .endif
            3:
            add sp, sp, #148
            pop {{r4-r11, pc}}
            5:
            push {{r0, r3, lr}}
            add r12, sp, #12
            add r3, r2, r2, lsl #1
            lsls r3, r3, #1
            add r0, r1, r2, lsl #2
            add r0, r0, r2, lsl #1
            6:
            ldm r12!, {{r4-r9}}
            line 1
            str r4, [r1]
            str r5, [r1, r3]
            str r10, [r1, r3, lsl #1]
            str r8, [r1, r3, lsl #2]
            add lr, r1, r3
            str r7, [lr, r3, lsl #1]
            str r9, [lr, r3, lsl #2]
            add r1, r1, r2
            cmp r1, r0
            bne 6b
            subs r1, r1, r3
            pop {{r0, r3, pc}}
            .purgem line
            .purgem lane
            ",
            nibbles = const NIBBLES,
            keep = const if NIBBLES == 1 { 0x000F_000F } else { 0x0080_0080 },
        )
    }

    /// # Safety
    ///
    /// Each row names `count` pixels of `turns` words of nibbles, or of bytes twice as many, `to` as many
    /// columns of so many elements.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn gather<const NIBBLES: usize>(
        rows: &[*const u8; 6],
        to: *mut u32,
        turns: usize,
        count: usize,
    ) {
        naked_asm!(
            "
            .macro row from, at
            .if {nibbles}
            ldr r10, [\\from], #4
            str r10, [r0, #\\at]
            .else
            ldrd r10, r11, [\\from], #8
            pkhbt r12, r10, r11, lsl #16
            pkhtb r11, r11, r10, asr #16
            str r12, [r0, #\\at]
            str r11, [r0, #144+\\at]
            .endif
            .endm
            push {{r4-r11, lr}}
            ldm r0, {{r4-r9}}
            1:
            mov r0, r1
            mov lr, r2
            2:
            row r4, 0
            row r5, 4
            row r6, 8
            row r7, 12
            row r8, 16
            row r9, 20
            add r0, r0, #{step}
            subs lr, #1
            bne 2b
            adds r1, #24
            subs r3, #1
            bne 1b
            pop {{r4-r11, pc}}
            .purgem row
            ",
            nibbles = const NIBBLES,
            step = const if NIBBLES == 1 { 144 } else { 288 },
        )
    }
}
