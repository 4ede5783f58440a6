//! The filter's transform for 4-bit weights, as `tile` has it for 16-bit lanes: `(2G) g (2G)^T` of
//! -8..=7 stays within eight bits, so four weights are transformed at a time and widened when
//! they are stored.
#![allow(unsafe_code)]

/// Transforms the packed weights of nine taps, `inputs / 2` bytes each, into vector `vector` of the
/// pair `to`, 16 positions of `inputs` words. Of eight weights two groups hold 0 and 4, 2 and 6; 1 and 5,
/// 3 and 7.
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
        // SAFETY: nine taps of whole words lie in `row`, their groups of each position in `to`.
        unsafe { arm::transform(tap.start, to.as_mut_ptr().add(2 * vector), 4 * inputs, tap.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for at in (0..stride).step_by(4) {
        for half in 0..2 {
            use super::super::super::dsp::sub16;
            let word = |tap: usize| {
                let packed = row[tap * stride + at..].first_chunk().copied().unwrap_or_default();
                (u32::from_le_bytes(packed) ^ 0x8888_8888) >> (4 * half)
            };
            let start = 2 * at + 2 * vector + 4 * half;
            for (lane, start) in [start, start + 1].into_iter().enumerate() {
                let taps = [0, 1, 2, 3, 4, 5, 6, 7, 8]
                    .map(|tap| sub16(word(tap) >> (8 * lane) & 0x000F_000F, 0x0008_0008));
                super::super::tile::portable::filter(taps, inputs, to, start);
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
    /// `stride`. `to` names, for each word, the first two words, or the others, of two groups of 16
    /// positions that are `stride` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn transform(row: *const u8, to: *mut u32, stride: usize, end: *const u8) {
        // The low nibbles of a word of each tap, then the high ones: r4 to r12 hold four times their values
        // as bytes, column by column, columns of the result twice. On the stack: whether the high nibbles
        // are in work, `end`.
        naked_asm!(
            "
            .macro put d
            sxtb16 lr, \\d
            sxtb16 r3, \\d, ror #8
            strd lr, r3, [r1]
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
            push {{r2-r11, lr}}
            movs r3, #0
            1:
            str r3, [sp]
            lsr r12, r2, #3
            ldr r4, [r0]
            ldr r7, [r0, r12]
            ldr r10, [r0, r12, lsl #1]
            add r11, r0, r12
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
            add r1, r1, #16
            ldr r3, [sp]
            eors r3, r3, #1
            bne.w 1b
            adds r0, #4
            ldr lr, [sp, #4]
            cmp r0, lr
            bne.w 1b
            pop {{r2-r11, pc}}
            .purgem put
            .purgem line
            ",
        )
    }
}
