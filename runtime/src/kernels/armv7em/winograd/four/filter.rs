//! The transform of 4-bit filters, `C g C^T`: across each row it stays within eight bits, four weights at a
//! time, then down each column two at a time.
#![allow(unsafe_code)]

/// Transforms the packed weights of nine taps, `inputs / 2` bytes each, into vector `vector` of the
/// pair `to`, 36 positions of `inputs` words. Of eight weights two groups hold 0 and 4, 2 and 6; 1 and 5,
/// 3 and 7.
pub(super) fn transform(row: &[u8], inputs: usize, to: &mut [u32], vector: usize) {
    let stride = inputs / 2;
    if row.len() < 9 * stride || !stride.is_multiple_of(4) || stride == 0 {
        return;
    }
    if vector > 1 || to.len() < 36 * inputs {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let tap = row.get(..stride).unwrap_or_default().as_ptr_range();
        // SAFETY: nine taps of whole words lie in `row`, their groups of each position in `to`.
        unsafe { arm::transform(tap.start, to.as_mut_ptr().add(2 * vector), 4 * inputs, tap.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for at in (0..stride).step_by(4) {
        for (k, word) in [0, 4, 1, 5].into_iter().enumerate() {
            portable::transform(row, stride, (at, k), to, (inputs, 2 * at + 2 * vector + word));
        }
    }
}

#[cfg(not(target_arch = "arm"))]
mod portable {
    /// Weights `k` and `k + 4` of a word, to a word of every position.
    pub(super) fn transform(
        row: &[u8],
        stride: usize,
        (at, k): (usize, usize),
        to: &mut [u32],
        (words, word): (usize, usize),
    ) {
        let lane = |high: usize| {
            let weight = |tap: usize| crate::int4::get_signed(&row[tap * stride + at..], k + 4 * high);
            let one =
                |a: i32, b: i32, c: i32| [a, a + b + c, a - b + c, a + 2 * b + 4 * c, a - 2 * b + 4 * c, c];
            let columns = [0, 1, 2].map(|j| one(weight(j), weight(3 + j), weight(6 + j)));
            core::array::from_fn::<_, 6, _>(|i| one(columns[0][i], columns[1][i], columns[2][i]))
        };
        let [low, high] = [lane(0), lane(1)];
        for (i, (low, high)) in low.into_iter().zip(high).enumerate() {
            for (j, (low, high)) in low.into_iter().zip(high).enumerate() {
                to[(6 * j + i) * words + word] = (low as u32 & 0xFFFF) | (high as u32) << 16;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    /// # Safety
    ///
    /// `row..end` are one or more words, behind which lie eight more taps of as many bytes, an eighth of
    /// `stride`. `to` names, for each word, the first two words, or the others, of two groups of 36
    /// positions that are `stride` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn transform(row: *const u8, to: *mut u32, stride: usize, end: *const u8) {
        // Across three taps in bytes, of the low nibbles of a word and of the high ones; then down each of
        // six columns, both times, in lanes of 16 bits. On the stack: columns of three rows, `end`.
        naked_asm!(
            "
            .macro half at, shift
            .if \\shift
            and r7, r10, r4, lsr #\\shift
            and r8, r10, r5, lsr #\\shift
            and r9, r10, r6, lsr #\\shift
            .else
            and r7, r10, r4
            and r8, r10, r5
            and r9, r10, r6
            .endif
            .irp d, r7, r8, r9
            eor \\d, \\d, r3
            ssub8 \\d, \\d, r3
            .endr
            str r7, [r12, #\\at]
            str r9, [r12, #120+\\at]
            sadd8 lr, r7, r9
            sadd8 r9, r9, r9
            sadd8 r9, r9, r9
            sadd8 r9, r9, r7
            sadd8 r7, lr, r8
            str r7, [r12, #24+\\at]
            ssub8 r7, lr, r8
            str r7, [r12, #48+\\at]
            sadd8 r8, r8, r8
            sadd8 r7, r9, r8
            str r7, [r12, #72+\\at]
            ssub8 r7, r9, r8
            str r7, [r12, #96+\\at]
            .endm
            .macro lanes to, turn
            sxtb16 r7, r4, ror #\\turn
            sxtb16 r8, r5, ror #\\turn
            sxtb16 r9, r6, ror #\\turn
            str r7, [\\to]
            str r9, [\\to, r11]
            sadd16 lr, r7, r9
            sadd16 r9, r9, r9
            sadd16 r9, r9, r9
            sadd16 r9, r9, r7
            sadd16 r7, lr, r8
            str r7, [\\to, r2]
            ssub16 r7, lr, r8
            str r7, [\\to, r2, lsl #1]
            sadd16 r8, r8, r8
            sadd16 r7, r9, r8
            str r7, [\\to, r3]
            ssub16 r7, r9, r8
            str r7, [\\to, r2, lsl #2]
            .endm
            push {{r3-r11, lr}}
            sub sp, sp, #144
            1:
            mov r3, #0x08080808
            mov r10, #0x0F0F0F0F
            lsr r11, r2, #3
            mov r12, sp
            2:
            ldr r4, [r0]
            ldr r5, [r0, r11]
            ldr r6, [r0, r11, lsl #1]
            add r0, r0, r11
            add r0, r0, r11, lsl #1
            half 0, 0
            half 12, 4
            add r12, r12, #4
            add lr, sp, #12
            cmp r12, lr
            bne 2b
            subs r0, r0, r2
            sub r0, r0, r11
            add r3, r2, r2, lsl #1
            add r11, r2, r2, lsl #2
            mov r12, sp
            add r10, r1, #4
            3:
            ldm r12!, {{r4-r6}}
            lanes r1, 0
            lanes r10, 8
            adds r1, #16
            add r10, r10, #16
            ldm r12!, {{r4-r6}}
            lanes r1, 0
            lanes r10, 8
            lsls r5, r3, #1
            subs r5, #16
            add r1, r5
            add r10, r5
            add lr, sp, #144
            cmp r12, lr
            bne.w 3b
            sub r1, r1, r3, lsl #2
            sub r1, r1, r3, lsl #3
            adds r1, #32
            adds r0, #4
            ldr lr, [sp, #144]
            cmp r0, lr
            bne.w 1b
            add sp, sp, #148
            pop {{r4-r11, pc}}
            .purgem half
            .purgem lanes
            ",
        )
    }
}
