//! The two transforms into the domain of the products, lane by lane: the input's `B^T d B` and the
//! filter's `(2G) g (2G)^T`. Both read words that lie together and write 16 positions.
#![allow(unsafe_code)]

use super::super::dsp::{high_lanes, low_lanes};

/// A tile's patch: for each word of a pixel, that word of 4x4 pixels.
pub(super) type Patch = [u32; 16];

/// Transforms a patch into vector `vector` of the pair `to`, 16 positions of as many words as
/// the patch has bytes a pixel. `zero` is added to both lanes of every value.
pub(super) fn input(patch: &[Patch], zero: u32, to: &mut [u32], vector: usize) {
    let words = 4 * patch.len();
    if patch.is_empty() || vector > 1 || to.len() < 16 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = patch.as_ptr_range();
        // SAFETY: `patch` has an element; each writes four words of each position, which are in `to`.
        unsafe { arm::input(ends.start, to.as_mut_ptr().add(vector), 4 * words, zero, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (at, patch) in patch.iter().enumerate() {
        use super::super::dsp::{add_even_bytes, add_odd_bytes};
        let even = patch.map(|word| add_even_bytes(zero, word));
        let odd = patch.map(|word| add_odd_bytes(zero, word));
        portable::input(even, words, to, 4 * at + vector);
        portable::input(odd, words, to, 4 * at + 2 + vector);
    }
}

/// Puts a row of four pixels into a patch, words `4 * i` to `4 * i + 3` of each element: of eight
/// bytes 0, 1, 4 and 5 into one element, the others into the next.
pub(super) fn row(pixels: &[u8], patch: &mut [Patch], i: usize) {
    let at = (4 * i) & 15;
    #[cfg(target_arch = "arm")]
    if !patch.is_empty()
        && patch.len().is_multiple_of(4)
        && pixels.len() >= 16 * patch.len()
        && pixels.as_ptr().addr().is_multiple_of(4)
    {
        // SAFETY: `patch` holds four or more whole elements, `pixels` is aligned and four words
        // for each of them.
        return unsafe {
            arm::row(pixels.as_ptr().cast(), patch.as_mut_ptr().cast::<u32>().add(at), patch.len() / 4)
        };
    }
    for (j, pixel) in pixels.chunks_exact(4 * patch.len().max(1)).take(4).enumerate() {
        pixel_to(pixel, patch, at + j);
    }
}

/// Puts a pixel into a patch, word `at` of each element, in the order of [`row`].
pub(super) fn pixel_to(pixel: &[u8], patch: &mut [Patch], at: usize) {
    for (patch, eight) in
        patch.as_chunks_mut::<2>().0.iter_mut().zip(pixel.as_chunks::<4>().0.as_chunks::<2>().0)
    {
        let [one, two] = eight.map(u32::from_le_bytes);
        patch[0][at & 15] = low_lanes(one, two);
        patch[1][at & 15] = high_lanes(one, two);
    }
}

/// Transforms lanes of nine taps into vector `vector` of the pair `to` from word `at` on, 16
/// positions of `words` words; element `k` of `taps` goes two words behind the one before.
pub(super) fn filter(taps: &[[u32; 9]], words: usize, to: &mut [u32], at: usize, vector: usize) {
    if taps.is_empty() || vector > 1 || at + 2 * taps.len() > words || to.len() < 16 * words {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = taps.as_ptr_range();
        // SAFETY: `taps` has an element; the words of all lie inside each position, which is in `to`.
        unsafe { arm::filter(ends.start, to.as_mut_ptr().add(at + vector), 4 * words, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (k, taps) in taps.iter().enumerate() {
        portable::filter(*taps, words, to, at + 2 * k + vector);
    }
}

#[cfg(not(target_arch = "arm"))]
pub(super) mod portable {
    use super::super::super::dsp::{add16, sub16};

    pub(super) fn input(d: [u32; 16], words: usize, to: &mut [u32], at: usize) {
        let one = |d: [u32; 4]| [sub16(d[0], d[2]), add16(d[1], d[2]), sub16(d[2], d[1]), sub16(d[1], d[3])];
        let columns = [0, 1, 2, 3].map(|j| one([d[j], d[4 + j], d[8 + j], d[12 + j]]));
        for i in 0..4 {
            let row = one([columns[0][i], columns[1][i], columns[2][i], columns[3][i]]);
            for (j, value) in row.into_iter().enumerate() {
                to[(4 * i + j) * words + at] = value;
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
                to[(4 * i + j) * words + at] = value;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::Patch;

    /// For each element of the patch its even, then its odd bytes.
    ///
    /// # Safety
    ///
    /// `patch..end` are one or more elements; `to` names, for each, words 0 and 2 of four words of
    /// 16 positions that are `stride` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn input(
        patch: *const Patch,
        to: *mut u32,
        stride: usize,
        zero: u32,
        end: *const Patch,
    ) {
        // Rows of the result are 4 and 8 strides apart, or r3 bytes. Columns 0, 2, 1, 3 of the
        // patch, so that two are alive at a time: r4 to r7 and r8 to r11.
        naked_asm!(
            "
            .macro column j, d0, d1, d2, d3, turn
            ldr \\d0, [r0, #4*\\j]
            ldr \\d1, [r0, #4*\\j+16]
            ldr \\d2, [r0, #4*\\j+32]
            ldr \\d3, [r0, #4*\\j+48]
            sxtab16 \\d0, r12, \\d0, ror #\\turn
            sxtab16 \\d1, r12, \\d1, ror #\\turn
            sxtab16 \\d2, r12, \\d2, ror #\\turn
            sxtab16 \\d3, r12, \\d3, ror #\\turn
            ssub16 \\d0, \\d0, \\d2
            ssub16 \\d3, \\d1, \\d3
            sadd16 lr, \\d1, \\d2
            ssub16 \\d2, \\d2, \\d1
            .endm
            .macro store d0, d1, d2, d3
            str \\d0, [r1]
            str \\d1, [r1, r2, lsl #2]
            str \\d2, [r1, r2, lsl #3]
            str \\d3, [r1, r3]
            add r1, r1, r2
            .endm
            .macro lane turn
            column 0, r4, r5, r6, r7, \\turn
            mov r5, lr
            column 2, r8, r9, r10, r11, \\turn
            ssub16 r4, r4, r8
            ssub16 r5, r5, lr
            mov r9, lr
            ssub16 r6, r6, r10
            ssub16 r7, r7, r11
            store r4, r5, r6, r7
            column 1, r4, r5, r6, r7, \\turn
            mov r5, lr
            sadd16 lr, r4, r8
            ssub16 r8, r8, r4
            str lr, [r1]
            sadd16 lr, r5, r9
            ssub16 r9, r9, r5
            str lr, [r1, r2, lsl #2]
            sadd16 lr, r6, r10
            ssub16 r10, r10, r6
            str lr, [r1, r2, lsl #3]
            sadd16 lr, r7, r11
            ssub16 r11, r11, r7
            str lr, [r1, r3]
            add r1, r1, r2
            store r8, r9, r10, r11
            column 3, r8, r9, r10, r11, \\turn
            ssub16 r4, r4, r8
            ssub16 r5, r5, lr
            ssub16 r6, r6, r10
            ssub16 r7, r7, r11
            store r4, r5, r6, r7
            sub r1, r1, r2, lsl #2
            .endm
            push {{r4-r11, lr}}
            mov r12, r3
            add r3, r2, r2, lsl #1
            lsl r3, r3, #2
            1:
            lane 0
            add r1, #8
            lane 8
            add r1, #8
            add r0, #64
            ldr lr, [sp, #36]
            cmp r0, lr
            bne.w 1b
            pop {{r4-r11, pc}}
            .purgem column
            .purgem store
            .purgem lane
            ",
        )
    }

    /// # Safety
    ///
    /// `pixels` names `16 * count` words, `patch` word `4 * i` of `4 * count` elements.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn row(pixels: *const u32, patch: *mut u32, count: usize) {
        naked_asm!(
            "push {{r4-r8, lr}}
            movs r8, #4
            1:
            mov r3, r1
            mov lr, r2
            2:
            ldm r0!, {{r4-r7}}
            pkhbt r12, r4, r5, lsl #16
            pkhtb r5, r5, r4, asr #16
            pkhbt r4, r6, r7, lsl #16
            pkhtb r7, r7, r6, asr #16
            str r12, [r3]
            str r5, [r3, #64]
            str r4, [r3, #128]
            str r7, [r3, #192]
            add r3, r3, #256
            subs lr, lr, #1
            bne 2b
            add r1, r1, #4
            subs r8, r8, #1
            bne 1b
            pop {{r4-r8, pc}}",
        )
    }

    /// For each element of nine taps one word of 16 positions, two words behind the one before.
    ///
    /// # Safety
    ///
    /// `taps..end` are one or more elements; `to` names, for each, a word of 16 positions that are
    /// `stride` bytes apart.
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
            .if \\i == 0
            str \\d, [r1]
            .elseif \\i == 1
            str \\d, [r1, r2, lsl #2]
            .else
            str \\d, [r1, r2, lsl #3]
            .endif
            .endm
            .macro last d
            add r3, r2, r2, lsl #1
            str \\d, [r1, r3, lsl #2]
            add r1, r1, r2
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
            add r1, r1, r2, lsl #1
            outer r6, r9, r12
            sub r1, r1, r2
            sub r1, r1, r2, lsl #1
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
            sub r1, r1, r2
            sub r1, r1, r2, lsl #1
            add r1, #8
            ldr r3, [sp]
            cmp r0, r3
            bne.w 1b
            pop {{r3-r11, pc}}
            .purgem row
            .purgem last
            .purgem outer
            .purgem inner
            ",
        )
    }
}
