//! The two transforms into the domain of the products, lane by lane: the input's `B^T d B` and the
//! filter's `(2G) g (2G)^T`. Both read words that lie together and write 16 positions, one column
//! after the other, rows in the order 1, 2, 0, 3; row 3 and column 3 of an input have the other sign.
#![allow(unsafe_code)]

/// A tile's patch: a word of 4x4 pixels, column by column. Of bytes, two neighbouring words share out
/// eight channels: 0, 1, 4 and 5, and the others.
pub(super) type Patch = [u32; 16];

/// Transforms a patch of bytes into vector `vector` of the pair `to`: 16 positions of two words per
/// word of a pixel. Of eight channels two groups hold 0 and 4, 2 and 6; 1 and 5, 3 and 7. `zero` is added
/// to both lanes of every value.
pub(super) fn bytes(patch: &[Patch], zero: u32, to: &mut [u32], vector: usize) {
    let words = 4 * patch.len();
    if patch.is_empty() || vector > 1 || to.len() < 16 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = patch.as_ptr_range();
        // SAFETY: `patch` has an element; each writes two words of each position, which are in `to`.
        unsafe { arm::input::<0>(ends.start, to.as_mut_ptr().add(2 * vector), 4 * words, zero, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (at, patch) in patch.iter().enumerate() {
        use super::super::dsp::{add_even_bytes, add_odd_bytes};
        let even = patch.map(|word| add_even_bytes(zero, word));
        let odd = patch.map(|word| add_odd_bytes(zero, word));
        let at = 8 * (at / 2) + at % 2 + 2 * vector;
        portable::input(even, words, to, at);
        portable::input(odd, words, to, at + 4);
    }
}

/// The same for unsigned nibbles, four words per word of a pixel.
pub(super) fn nibbles(patch: &[Patch], to: &mut [u32], vector: usize) {
    let words = 8 * patch.len();
    if patch.is_empty() || vector > 1 || to.len() < 16 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = patch.as_ptr_range();
        // SAFETY: as in `bytes`, with four words.
        unsafe {
            arm::input::<1>(ends.start, to.as_mut_ptr().add(2 * vector), 4 * words, 0x000F_000F, ends.end)
        }
    }
    #[cfg(not(target_arch = "arm"))]
    for (at, patch) in patch.iter().enumerate() {
        for k in 0..4 {
            portable::input(
                patch.map(|word| word >> (4 * k) & 0x000F_000F),
                words,
                to,
                8 * at + 4 * (k % 2) + k / 2 + 2 * vector,
            );
        }
    }
}

/// Transforms lanes of nine taps into vector `vector` of the pair `to`, the two groups from word `at` on
/// of 16 positions of `words` words.
pub(super) fn filter(taps: &[[u32; 9]; 4], words: usize, to: &mut [u32], at: usize, vector: usize) {
    if vector > 1 || at + 8 > words || to.len() < 16 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = taps.as_ptr_range();
        // SAFETY: both groups lie inside each position, which is in `to`.
        unsafe { arm::filter(ends.start, to.as_mut_ptr().add(at + 2 * vector), 4 * words, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (k, taps) in taps.iter().enumerate() {
        portable::filter(*taps, words, to, at + 4 * (k / 2) + k % 2 + 2 * vector);
    }
}

#[cfg(not(target_arch = "arm"))]
pub(super) mod portable {
    use super::super::super::dsp::{add16, sub16};
    use super::super::two::PLACE;

    pub(super) fn input(d: [u32; 16], words: usize, to: &mut [u32], at: usize) {
        let one = |d: [u32; 4]| [sub16(d[0], d[2]), add16(d[1], d[2]), sub16(d[2], d[1]), sub16(d[3], d[1])];
        let columns = [0, 1, 2, 3].map(|j| one([d[4 * j], d[4 * j + 1], d[4 * j + 2], d[4 * j + 3]]));
        for i in 0..4 {
            let row = one([columns[0][i], columns[1][i], columns[2][i], columns[3][i]]);
            for (j, value) in row.into_iter().enumerate() {
                to[(4 * j + PLACE[i]) * words + at] = value;
            }
        }
    }

    pub(in super::super) fn filter(g: [u32; 9], words: usize, to: &mut [u32], at: usize) {
        let one = |a: u32, b: u32, c: u32| {
            let ends = add16(a, c);
            [add16(a, a), add16(ends, b), sub16(ends, b), add16(c, c)]
        };
        let columns = [0, 1, 2].map(|j| one(g[j], g[3 + j], g[6 + j]));
        for i in 0..4 {
            let row = one(columns[0][i], columns[1][i], columns[2][i]);
            for (j, value) in row.into_iter().enumerate() {
                to[(4 * j + PLACE[i]) * words + at] = value;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::Patch;

    /// For each two elements of the patch their even, then their odd bytes, `keep` added; or for each its
    /// nibbles, `keep` their mask.
    ///
    /// # Safety
    ///
    /// `patch..end` are one or more elements of nibbles, or pairs of them of bytes; `to` names, for each of
    /// these, the first two words, or the others, of two groups of 16 positions that are `stride` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn input<const NIBBLES: usize>(
        patch: *const Patch,
        to: *mut u32,
        stride: usize,
        keep: u32,
        end: *const Patch,
    ) {
        // Rows of the result are r2 bytes apart, row 3 lies at r3. Columns 0, 2, 1, 3 of the
        // patch, so that two are alive at a time: r4 to r7 and r8 to r11.
        naked_asm!(
            "
            .macro lanes d, turn
            .if {nibbles}
            and \\d, r12, \\d, lsr #\\turn
            .else
            sxtab16 \\d, r12, \\d, ror #\\turn
            .endif
            .endm
            .macro column d0, d1, d2, d3, turn
            ldm r0!, {{\\d0, \\d1, \\d2, \\d3}}
            lanes \\d0, \\turn
            lanes \\d1, \\turn
            lanes \\d2, \\turn
            lanes \\d3, \\turn
            ssub16 \\d0, \\d0, \\d2
            ssub16 \\d3, \\d3, \\d1
            sadd16 lr, \\d1, \\d2
            ssub16 \\d2, \\d2, \\d1
            .endm
            .macro store d0, d1, d2, d3
            str \\d1, [r1]
            str \\d2, [r1, r2]
            str \\d0, [r1, r2, lsl #1]
            str \\d3, [r1, r3]
            add r1, r1, r2, lsl #2
            .endm
            .macro lane turn, step
            column r4, r5, r6, r7, \\turn
            mov r5, lr
            adds r0, #16
            column r8, r9, r10, r11, \\turn
            ssub16 r4, r4, r8
            ssub16 r5, r5, lr
            mov r9, lr
            ssub16 r6, r6, r10
            ssub16 r7, r7, r11
            store r4, r5, r6, r7
            subs r0, #32
            column r4, r5, r6, r7, \\turn
            mov r5, lr
            sadd16 lr, r4, r8
            ssub16 r8, r8, r4
            str lr, [r1, r2, lsl #1]
            sadd16 lr, r5, r9
            ssub16 r9, r9, r5
            str lr, [r1]
            sadd16 lr, r6, r10
            ssub16 r10, r10, r6
            str lr, [r1, r2]
            sadd16 lr, r7, r11
            ssub16 r11, r11, r7
            str lr, [r1, r3]
            add r1, r1, r2, lsl #2
            store r8, r9, r10, r11
            adds r0, #16
            column r8, r9, r10, r11, \\turn
            ssub16 r4, r8, r4
            ssub16 r5, lr, r5
            ssub16 r6, r10, r6
            ssub16 r7, r11, r7
            store r4, r5, r6, r7
            sub r1, r1, r2, lsl #4
            add r1, r1, #\\step
            .endm
            push {{r4-r11, lr}}
            mov r12, r3
            add r3, r2, r2, lsl #1
            1:
            .if {nibbles}
            lane 0, 4
            subs r0, #64
            lane 8, 12
            subs r0, #64
            lane 4, 4
            subs r0, #64
            lane 12, 12
            ldr lr, [sp, #36]
            cmp r0, lr
            bne.w 1b
            .else
            lane 0, 16
            subs r0, #64
            lane 8, 12
            ldr lr, [sp, #36]
            subs lr, lr, r0
            beq 2f
            lsls lr, lr, #25
            it mi
            submi r1, r1, #24
            b.w 1b
            2:
            .endif
            pop {{r4-r11, pc}}
            .purgem lanes
            .purgem column
            .purgem store
            .purgem lane
            ",
            nibbles = const NIBBLES,
        )
    }

    /// For each element of nine taps one word of 16 positions.
    ///
    /// # Safety
    ///
    /// `taps..end` are four elements; `to` names the first two words, or the others, of two groups of 16
    /// positions that are `stride` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn filter(
        taps: *const [u32; 9],
        to: *mut u32,
        stride: usize,
        end: *const [u32; 9],
    ) {
        // r4 to r12 hold the taps; rows of the result as in `input`, r3 a temporary once `end` is kept.
        naked_asm!(
            "
            .macro row i, d
            .if \\i == 1
            str \\d, [r1]
            .elseif \\i == 2
            str \\d, [r1, r2]
            .else
            str \\d, [r1, r2, lsl #1]
            .endif
            .endm
            .macro last d
            add r3, r2, r2, lsl #1
            str \\d, [r1, r3]
            add r1, r1, r2, lsl #2
            .endm
            .macro outer a, b, c
            sadd16 lr, \\a, \\c
            sadd16 r3, lr, \\b
            sadd16 r3, r3, r3
            row 1, r3
            ssub16 r3, lr, \\b
            sadd16 r3, r3, r3
            row 2, r3
            sadd16 r3, \\a, \\a
            sadd16 r3, r3, r3
            row 0, r3
            sadd16 lr, \\c, \\c
            sadd16 lr, lr, lr
            last lr
            .endm
            .macro inner a, b, c
            sadd16 lr, \\a, \\c
            sadd16 r3, lr, \\b
            row 1, r3
            ssub16 r3, lr, \\b
            row 2, r3
            sadd16 r3, \\a, \\a
            row 0, r3
            sadd16 lr, \\c, \\c
            last lr
            .endm
            push {{r3-r11, lr}}
            1:
            ldm r0!, {{r4-r12}}
            outer r4, r7, r10
            add r1, r1, r2, lsl #3
            outer r6, r9, r12
            sub r1, r1, r2, lsl #2
            sub r1, r1, r2, lsl #3
            sadd16 r4, r4, r6
            sadd16 r7, r7, r9
            sadd16 r10, r10, r12
            sadd16 r6, r4, r5
            sadd16 r9, r7, r8
            sadd16 r12, r10, r11
            ssub16 r5, r4, r5
            ssub16 r8, r7, r8
            ssub16 r11, r10, r11
            inner r6, r9, r12
            inner r5, r8, r11
            sub r1, r1, r2, lsl #2
            sub r1, r1, r2, lsl #3
            ldr r3, [sp]
            subs r3, r3, r0
            beq 2f
            tst r3, #4
            ite ne
            addne r1, #4
            addeq r1, #12
            b.w 1b
            2:
            pop {{r3-r11, pc}}
            .purgem row
            .purgem last
            .purgem outer
            .purgem inner
            ",
        )
    }
}
