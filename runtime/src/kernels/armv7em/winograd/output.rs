//! Two tiles' outputs of two channels: `A^T m A`, then the rescale.
#![allow(unsafe_code)]

use super::super::channels::Pair;
use super::super::dot::Sums;

/// Gives the values, not clamped yet: for each tile and each of its rows, two pixels of two
/// channels.
pub(super) fn transform(sums: &[Sums; 16], channels: &Pair, values: &mut [Sums; 4]) {
    #[cfg(target_arch = "arm")]
    // SAFETY: the types hold all that the instructions read and write.
    unsafe {
        let ends = core::slice::from_ref(channels).as_ptr_range();
        arm::transform(sums, ends.start, values, ends.end);
    }
    #[cfg(not(target_arch = "arm"))]
    for tile in 0..2 {
        for output in 0..2 {
            let position = |i: usize, j: usize| sums[4 * i + j][2 * tile + output];
            let one = |m: [u32; 4]| {
                let inner = m[1].wrapping_sub(m[2]).wrapping_sub(m[3]);
                [m[0].wrapping_add(m[1]).wrapping_add(m[2]), inner]
            };
            let columns = [0, 1, 2, 3].map(|j| one([0, 1, 2, 3].map(|i| position(i, j))));
            for row in 0..2 {
                let pixels = one(columns.map(|column| column[row]));
                for (pixel, sum) in pixels.into_iter().enumerate() {
                    let value = super::super::channels::rescaled(sum, channels, output);
                    values[2 * tile + row][2 * pixel + output] = value;
                }
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::{Pair, Sums};

    /// # Safety
    ///
    /// `channels..end` is one element.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn transform(
        sums: *const [Sums; 16],
        channels: *const Pair,
        values: *mut [Sums; 4],
        end: *const Pair,
    ) {
        // Column `j` of the sums enters all outputs at once: r3 to r6 are these, row by row.
        naked_asm!(
            "
            .macro column at, j, upper, lower
            ldr \\upper, [r0, #\\at+16*\\j+64]
            ldr lr, [r0, #\\at+16*\\j+128]
            .if \\j == 1
            add \\upper, \\upper, r9
            .endif
            sub \\lower, \\upper, lr
            add \\upper, \\upper, lr
            ldr lr, [r0, #\\at+16*\\j]
            add \\upper, \\upper, lr
            ldr lr, [r0, #\\at+16*\\j+192]
            sub \\lower, \\lower, lr
            .endm
            .macro tile at, to
            column \\at, 0, r3, r5
            column \\at, 1, r4, r6
            add r3, r3, r4
            add r5, r5, r6
            column \\at, 2, r7, r8
            add r3, r3, r7
            sub r4, r4, r7
            add r5, r5, r8
            sub r6, r6, r8
            column \\at, 3, r7, r8
            sub r4, r4, r7
            sub r6, r6, r8
            smmla r3, r3, r10, r11
            smmla r4, r4, r10, r11
            smmla r5, r5, r10, r11
            smmla r6, r6, r10, r11
            asr r3, r3, r12
            asr r4, r4, r12
            asr r5, r5, r12
            asr r6, r6, r12
            str r3, [r2, #\\to]
            str r4, [r2, #\\to+8]
            str r5, [r2, #\\to+16]
            str r6, [r2, #\\to+24]
            .endm
            push {{r3-r11, lr}}
            1:
            ldm r1!, {{r9-r12}}
            tile 0, 0
            tile 8, 32
            add r0, #4
            add r2, #4
            ldr lr, [sp]
            cmp r1, lr
            bne.w 1b
            pop {{r3-r11, pc}}
            .purgem column
            .purgem tile
            ",
        )
    }
}
