//! Products at 36 positions and what becomes of them: `A^T m A`, the division by 9, the rescale.
//!
//! Positions lie column by column. Of six numbers in a line the outputs are `6 m0 + 4 p + r`, `2 q + s`, `p + r`
//! and `q + 2 s + 6 m5`, with `p` and `q` the sum and the difference of `m1` and `m2`, `r` and `s` those of `m3`
//! and `m4`. The second has half of its weight, the third and the last a quarter. Sums run on from position 1
//! to 2 and from 3 to 4.
#![allow(unsafe_code)]

use super::super::super::channels::Pair;
use super::super::super::dot::{GROUP, MOST, Sums};

/// 9 times this is 1 modulo 2^32.
const NINTH: u32 = 0x38E3_8E39;
/// Words of columns that are transformed: of four rows of four sums, six columns.
const MIDDLE: usize = 96;

/// Products of positions of so many values.
#[derive(Clone, Copy)]
pub(super) struct Products {
    /// Words of a pair's 36 positions.
    words: usize,
    /// Where the products of a position begin; 0 where they are written out.
    #[cfg(target_arch = "arm")]
    entry: usize,
}

impl Products {
    /// `None` for numbers of values that are not whole groups or too many of them.
    pub(super) fn new(values: usize) -> Option<Self> {
        (values.is_multiple_of(GROUP) && values <= GROUP * MOST).then_some(Self {
            words: 36 * values,
            #[cfg(target_arch = "arm")]
            entry: if values == 16 { 0 } else { super::super::super::dot::arm::entry(values / GROUP) },
        })
    }

    /// Makes the outputs of two tiles `x` and two channels `w`, not clamped yet: for each row of the
    /// tiles four pixels of each, two channels of a pixel. Nothing where a slice is too short.
    #[inline(always)]
    pub(super) fn outputs<'v>(
        &self,
        x: &[u32],
        w: &[u32],
        channels: &Pair,
        work: &'v mut [u32],
    ) -> &'v [[Sums; 4]] {
        let Some((middle, values)) = work.split_first_chunk_mut::<MIDDLE>() else { return &[] };
        let values: &mut [[Sums; 4]] = values.as_chunks_mut().0.as_chunks_mut().0;
        let Some(values) = values.first_chunk_mut::<4>() else { return &[] };
        if x.len() < self.words || w.len() < self.words {
            return &[];
        }
        #[cfg(target_arch = "arm")]
        // SAFETY: both slices hold 36 positions of so many groups.
        unsafe {
            arm::columns(x.as_ptr(), w.as_ptr(), middle, self.entry);
            arm::rows(middle, channels, values);
        }
        #[cfg(not(target_arch = "arm"))]
        portable(x, w, self.words / 36, channels, (middle, values));
        values
    }
}

#[cfg(not(target_arch = "arm"))]
fn portable(
    x: &[u32],
    w: &[u32],
    words: usize,
    channels: &Pair,
    (middle, values): (&mut [u32; MIDDLE], &mut [[Sums; 4]; 4]),
) {
    use super::super::super::{channels, dot};
    let line = |[m0, m1, m2, m3, m4, m5]: [u32; 6]| {
        let sum = |terms: [(u32, u32); 3]| {
            terms.into_iter().fold(0u32, |sum, (m, by)| sum.wrapping_add(m.wrapping_mul(by)))
        };
        let (p, q) = (m1.wrapping_add(m2), m1.wrapping_sub(m2));
        let (r, s) = (m3.wrapping_add(m4), m3.wrapping_sub(m4));
        [
            sum([(m0, 6), (p, 4), (r, 1)]),
            sum([(q, 2), (s, 1), (0, 0)]),
            sum([(p, 1), (r, 1), (0, 0)]),
            sum([(q, 1), (s, 2), (m5, 6)]),
        ]
    };
    for j in 0..6 {
        let m: [Sums; 6] = core::array::from_fn(|i| {
            let at = (6 * j + i) * words..(6 * j + i + 1) * words;
            dot::portable(&x[at.clone()], &w[at])
        });
        for k in 0..4 {
            for (row, value) in line(m.map(|sums| sums[k])).into_iter().enumerate() {
                middle[6 * (4 * row + k) + j] = value;
            }
        }
    }
    let doublings = [0, 1, 2, 2];
    for (at, columns) in middle.as_chunks::<6>().0.iter().enumerate() {
        let (row, tile, output) = (at / 4, at / 2 % 2, at % 2);
        for (column, value) in line(*columns).into_iter().enumerate() {
            let value = value.wrapping_mul(NINTH << (doublings[row] + doublings[column]));
            let value = channels::rescaled(value, channels, output);
            values[row][2 * tile + column / 2][2 * (column % 2) + output] = value;
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::super::super::super::dot::arm::groups;
    use super::super::super::super::dot::{first_group, group};
    use super::{MIDDLE, NINTH, Pair, Sums};

    /// Products, transformed down the columns: of each row and each of four sums a word per column. Positions
    /// have the groups that [`groups`] adds from `entry` on; where it is 0, four, written out.
    ///
    /// # Safety
    ///
    /// `x` and `w` name 36 positions of so many groups.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn columns(
        x: *const u32,
        w: *const u32,
        middle: &mut [u32; MIDDLE],
        entry: usize,
    ) {
        // On the stack: five words of each sum, those of positions 0 and 1, of 1 and 2, of 3, of 3 and 4;
        // the rest of `middle`, `entry`, columns left.
        naked_asm!(
            "
            .macro small first
            .if \\first",
            first_group!(),
            ".else",
            group!(),
            ".endif
            .rept 3",
            group!(),
            ".endr
            .endm
            .macro large first
            .if \\first
            movs r2, #0
            movs r3, #0
            movs r4, #0
            movs r5, #0
            .endif
            ldr r7, [sp, #84]
            bl {groups}
            .endm
            .macro keep at
            str r2, [sp, #\\at]
            str r3, [sp, #20+\\at]
            str r4, [sp, #40+\\at]
            str r5, [sp, #60+\\at]
            .endm
            .macro positions position
            \\position 1
            keep 0
            \\position 1
            keep 4
            \\position 0
            keep 8
            \\position 1
            keep 12
            \\position 0
            keep 16
            \\position 1
            .endm
            .macro column m, at
            pop {{r6-r10}}
            rsb r7, r8, r7, lsl #1
            rsb r9, r10, r9, lsl #1
            add r11, r8, r10
            add r8, r10, r8, lsl #2
            add r6, r6, r6, lsl #1
            add r6, r8, r6, lsl #1
            add r12, r9, r7, lsl #1
            add r7, r7, r9, lsl #1
            add \\m, \\m, \\m, lsl #1
            add r7, r7, \\m, lsl #1
            str r6, [lr, #\\at]
            str r12, [lr, #96+\\at]
            str r11, [lr, #192+\\at]
            str r7, [lr, #288+\\at]
            .endm
            push {{r4-r11, lr}}
            movs r4, #6
            push {{r2-r4}}
            1:
            ldr r6, [sp, #4]
            sub sp, sp, #80
            cmp r6, #0
            bne.w 3f
            positions small
            2:
            ldr lr, [sp, #80]
            column r2, 0
            column r3, 24
            column r4, 48
            column r5, 72
            add lr, lr, #4
            str lr, [sp]
            ldr r7, [sp, #8]
            subs r7, #1
            str r7, [sp, #8]
            bne.w 1b
            add sp, sp, #12
            pop {{r4-r11, pc}}
            3:
            positions large
            b 2b
            .purgem small
            .purgem large
            .purgem keep
            .purgem positions
            .purgem column
            ",
            groups = sym groups,
        )
    }

    /// The columns' words, transformed across, to values that are not clamped yet.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn rows(
        middle: &[u32; MIDDLE],
        channels: &Pair,
        values: &mut [[Sums; 4]; 4],
    ) {
        // A row of both tiles at a time, of the first channel, then of the second. Above the shift in r11: rows
        // left. On the stack: `channels`, 0 once it is the second's turn.
        naked_asm!(
            "
            .macro row at
            ldm r0, {{r2-r7}}
            adds r0, #48
            add lr, r3, r4
            sub r3, r3, r4
            add r4, r5, r6
            sub r5, r5, r6
            add r6, lr, r4
            add r4, r4, lr, lsl #2
            add r2, r2, r2, lsl #1
            add r2, r4, r2, lsl #1
            add r4, r5, r3, lsl #1
            add r3, r3, r5, lsl #1
            add r7, r7, r7, lsl #1
            add r3, r3, r7, lsl #1
            mla r2, r2, r12, r8
            lsl lr, r12, #1
            mla r4, r4, lr, r8
            lsl lr, r12, #2
            mla r6, r6, lr, r8
            mla r3, r3, lr, r8
            .irp d, r2, r4, r6, r3
            smmla \\d, \\d, r9, r10
            .endr
            .irp d, r2, r4, r6, r3
            asr \\d, \\d, r11
            .endr
            str r2, [r1, #\\at]
            str r4, [r1, #8+\\at]
            str r6, [r1, #16+\\at]
            str r3, [r1, #24+\\at]
            .endm
            push {{r1, r4-r11, lr}}
            ldm r1, {{r8-r11}}
            mov r1, r2
            1:
            movw r12, #{low}
            movt r12, #{high}
            orr r11, r11, #0x300
            2:
            row 0
            row 32
            adds r1, #64
            cmp r11, #0x200
            it hs
            lslhs r12, r12, #1
            subs r11, r11, #0x100
            bhs 2b
            ldr r2, [sp]
            cbz r2, 3f
            adds r2, #16
            ldm r2, {{r8-r11}}
            sub r0, r0, #360
            subs r1, #252
            movs r2, #0
            str r2, [sp]
            b 1b
            3:
            pop {{r1, r4-r11, pc}}
            .purgem row
            ",
            low = const NINTH & 0xFFFF,
            high = const NINTH >> 16,
        )
    }
}
