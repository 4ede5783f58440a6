//! The filter's transform for 4-bit weights, as `tile` has it for 16-bit lanes: `(2G) g (2G)^T` of
//! -8..=7 stays within eight bits, so four weights are transformed at a time and widened when
//! they are stored.
#![allow(unsafe_code)]

/// Transforms the packed weights of nine taps, `inputs / 2` bytes each, into vector `vector` of the
/// pair `to`, 16 positions of `inputs` words. Of eight weights 0 and 4 go to a word, 1 and 5 two
/// words behind it, 2 and 6 four, 3 and 7 six. No number leaves eight bits, so four weights are
/// transformed at a time.
pub(super) fn transform(row: &[u8], inputs: usize, to: &mut [u32], vector: usize) {
    let stride = inputs / 2;
    if row.len() < 9 * stride || !stride.is_multiple_of(4) || stride == 0 {
        return;
    }
    if vector > 1 || to.len() < 16 * inputs {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let tap = row.get(..stride).unwrap_or_default().as_ptr_range();
        // SAFETY: nine taps of whole words lie in `row`, their words of each position in `to`.
        unsafe { arm::transform(tap.start, to.as_mut_ptr().add(vector), 4 * inputs, 16, tap.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for at in (0..stride).step_by(4) {
        for half in 0..2 {
            use super::super::dsp::sub16;
            let word = |tap: usize| {
                let packed = row[tap * stride + at..].first_chunk().copied().unwrap_or_default();
                (u32::from_le_bytes(packed) ^ 0x8888_8888) >> (4 * half)
            };
            let start = 2 * at + vector + 2 * half;
            for (lane, start) in [start, start + 4].into_iter().enumerate() {
                let taps = [0, 1, 2, 3, 4, 5, 6, 7, 8]
                    .map(|tap| sub16(word(tap) >> (8 * lane) & 0x000F_000F, 0x0008_0008));
                super::tile::portable::filter(taps, inputs, to, start);
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
    /// `stride`. `to` names, for each word, the words 0, 2, 4 and 6 of 16 positions that are `stride`
    /// bytes apart; `second` is 16.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn transform(
        row: *const u8,
        to: *mut u32,
        stride: usize,
        second: usize,
        end: *const u8,
    ) {
        // The low nibbles of a word of each tap, then the high ones: r4 to r12 hold four times their
        // values as bytes, column by column, columns of the result twice. On the stack: the word's address, whether its high
        // nibbles come next, a free word.
        naked_asm!(
            "
            .macro put d
            sxtb16 lr, \\d
            str lr, [r1]
            sxtb16 lr, \\d, ror #8
            str lr, [r1, r0]
            add r1, r1, r2
            .endm
            .macro line a, b, c
            sadd8 r3, \\a, \\c
            shadd8 r3, r3, \\b
            put r3
            sadd8 r3, \\a, \\c
            shsub8 r3, r3, \\b
            put r3
            put \\a
            put \\c
            .endm
            push {{r4-r11, lr}}
            sub sp, sp, #12
            mov r4, #0
            strd r0, r4, [sp]
            mov r0, r3
            1:
            ldrd r11, r3, [sp]
            lsr r12, r2, #3
            ldr r4, [r11]
            ldr r7, [r11, r12]
            ldr r10, [r11, r12, lsl #1]
            add r11, r11, r12
            add r11, r11, r12, lsl #1
            ldr r5, [r11]
            ldr r8, [r11, r12]
            ldr lr, [r11, r12, lsl #1]
            add r11, r11, r12
            add r11, r11, r12, lsl #1
            ldr r6, [r11]
            ldr r9, [r11, r12]
            ldr r12, [r11, r12, lsl #1]
            mov r11, lr
            mov lr, #0x3C3C3C3C
            cbz r3, 2f
            .irp d, r4, r5, r6, r7, r8, r9, r10, r11, r12
            and \\d, lr, \\d, lsr #2
            .endr
            b 3f
            2:
            .irp d, r4, r5, r6, r7, r8, r9, r10, r11, r12
            and \\d, lr, \\d, lsl #2
            .endr
            3:
            mov lr, #0x20202020
            .irp d, r4, r5, r6, r7, r8, r9, r10, r11, r12
            eor \\d, \\d, lr
            ssub8 \\d, \\d, lr
            .endr
            line r4, r5, r6
            sadd8 r4, r4, r10
            sadd8 r5, r5, r11
            sadd8 r6, r6, r12
            shsub8 r7, r4, r7
            shsub8 r8, r5, r8
            shsub8 r9, r6, r9
            ssub8 r4, r4, r7
            ssub8 r5, r5, r8
            ssub8 r6, r6, r9
            line r4, r5, r6
            line r7, r8, r9
            line r10, r11, r12
            sub r1, r1, r2, lsl #4
            ldrd r4, r5, [sp]
            cbnz r5, 4f
            add r1, r1, #24
            sub r1, r1, r0
            mov r5, #1
            str r5, [sp, #4]
            b.w 1b
            4:
            add r1, r1, r0
            add r1, r1, #8
            add r4, r4, #4
            mov r5, #0
            strd r4, r5, [sp]
            ldr r3, [sp, #48]
            cmp r4, r3
            bne.w 1b
            add sp, sp, #12
            pop {{r4-r11, pc}}
            .purgem put
            .purgem line
            ",
        )
    }
}
