//! The products: pairs of patches meet groups of four output channels, sixteen values at a time, and
//! the sums are rescaled where they are.
//!
//! A patch is a run of int8 values; the next one begins `step` bytes further on. The weights of a
//! group are interleaved: a vector of its first channel, one of its second, and so on. Behind the
//! last value of a patch, up to a whole vector, weights are zero and the patch may hold anything.
#![allow(unsafe_code)]

use super::scratch::{GROUP, TABLE, VECTOR};

/// Bias less the zero point's share, multiplier, and 32 less the shift, of each channel of a group.
pub(super) type Constants = [i32; TABLE];

/// What all patches meet.
pub(super) struct Block<'a> {
    /// Vectors of a patch, at least one.
    pub(super) vectors: usize,
    /// For each group, `GROUP` channels of so many vectors.
    pub(super) weights: &'a [u8],
    /// One for each group.
    pub(super) table: &'a [Constants],
    /// Zero point of the results.
    pub(super) zero_point: i32,
    /// Smallest result.
    pub(super) min: i32,
    /// Largest result.
    pub(super) max: i32,
}

impl Block<'_> {
    /// Writes the int8 results of `patches` patches: the values of all groups, `pixel` bytes from one
    /// patch's to the next's. Nothing where a slice is too short.
    pub(super) fn run(&self, x: &[u8], step: usize, patches: usize, out: &mut [u8], pixel: usize) {
        let (groups, bytes) = (self.table.len(), VECTOR * self.vectors);
        let Some(last) = patches.checked_sub(1) else { return };
        let reads = last * step + bytes <= x.len() && groups * GROUP * bytes <= self.weights.len();
        let writes = last * pixel + groups * GROUP <= out.len();
        if !reads || !writes || groups == 0 || self.vectors == 0 {
            return;
        }
        #[cfg(target_arch = "arm")]
        {
            if patches > 1 {
                // SAFETY: an even number of patches lies in `x` and `out`, as was checked.
                unsafe { self.pairs(x.as_ptr(), step, patches / 2, out.as_mut_ptr(), pixel) }
            }
            if patches % 2 == 1 {
                // SAFETY: the last patch lies in `x` and `out`; it makes both of a pair.
                unsafe {
                    self.pairs(x.as_ptr().add(last * step), 0, 1, out.as_mut_ptr().add(last * pixel), 0);
                }
            }
        }
        #[cfg(not(target_arch = "arm"))]
        for patch in 0..patches {
            let x = &x[patch * step..][..bytes];
            let out = &mut out[patch * pixel..][..groups * GROUP];
            self.patch(x, out);
        }
    }

    /// # Safety
    ///
    /// Two patches for each pair begin at `x` and then every `step` bytes; at `out` and then every
    /// `pixel` bytes there is room for the values of all groups.
    #[cfg(target_arch = "arm")]
    unsafe fn pairs(&self, x: *const u8, step: usize, pairs: usize, out: *mut u8, pixel: usize) {
        let rest = self.vectors - 1;
        let ends = self.table.as_ptr_range();
        let pairs = arm::Pairs {
            x: [x, x.wrapping_add(step)],
            out: [out, out.wrapping_add(pixel)],
            weights: self.weights.as_ptr(),
            table: ends.start.cast(),
            rest: GROUP * VECTOR * rest,
            skipped: arm::VECTOR_CODE * (rest - rest.saturating_sub(1) / 4 * 4),
            end: ends.end.cast(),
            zero_point: self.zero_point,
            pairs,
            step: 2 * step,
            // The results of all groups have been passed.
            pixel: (2 * pixel).wrapping_sub(GROUP * self.table.len()),
            min: self.min,
            max: self.max,
        };
        // SAFETY: the caller's promise; `run` has checked the weights.
        unsafe { arm::pairs(&pairs) }
    }

    #[cfg(not(target_arch = "arm"))]
    fn patch(&self, x: &[u8], out: &mut [u8]) {
        let groups = self.weights.chunks_exact(GROUP * x.len()).zip(self.table);
        for ((weights, table), out) in groups.zip(out.as_chunks_mut::<GROUP>().0) {
            for (channel, out) in out.iter_mut().enumerate() {
                let mut sum = table[channel];
                for (x, weights) in x.chunks(VECTOR).zip(weights.chunks(GROUP * VECTOR)) {
                    for (&x, &w) in x.iter().zip(&weights[channel * VECTOR..]) {
                        sum = sum.wrapping_add(i32::from(x as i8) * i32::from(w as i8));
                    }
                }
                let high = ((i64::from(sum) * i64::from(table[GROUP + channel])) >> 32) as i32;
                let shift = -table[2 * GROUP + channel];
                let value = ((i64::from(high) + (1 << (shift - 1))) >> shift) as i32 + self.zero_point;
                *out = value.max(self.min).min(self.max) as u8;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    /// What [`pairs`] takes: its stack frame, word by word.
    #[repr(C)]
    pub(super) struct Pairs {
        pub(super) x: [*const u8; 2],
        pub(super) out: [*mut u8; 2],
        pub(super) weights: *const u8,
        pub(super) table: *const i32,
        /// Bytes of a group's weights behind those of the first vector.
        pub(super) rest: usize,
        /// Bytes of code from where the loop is entered to its end.
        pub(super) skipped: usize,
        pub(super) end: *const i32,
        pub(super) zero_point: i32,
        pub(super) pairs: usize,
        /// From one pair to the next.
        pub(super) step: usize,
        pub(super) pixel: usize,
        pub(super) min: i32,
        pub(super) max: i32,
    }

    /// Bytes of code of a [`vector!`].
    pub(super) const VECTOR_CODE: usize = 56;

    /// A vector of both patches with one of each channel; `$a` is empty or adds to the sums.
    macro_rules! vector {
        ($a:literal) => {
            concat!(
                "vldrb.u8 q0, [r3], #16\n",
                "vldrw.u32 q2, [r1], #16\n",
                "vldrb.u8 q1, [r5], #16\n",
                "vmladav",
                $a,
                ".s8 r0, q0, q2\n",
                "vldrw.u32 q3, [r1], #16\n",
                "vmladav",
                $a,
                ".s8 r8, q1, q2\n",
                "vmladav",
                $a,
                ".s8 r2, q0, q3\n",
                "vldrw.u32 q2, [r1], #16\n",
                "vmladav",
                $a,
                ".s8 r10, q1, q3\n",
                "vmladav",
                $a,
                ".s8 r4, q0, q2\n",
                "vldrw.u32 q3, [r1], #16\n",
                "vmladav",
                $a,
                ".s8 r12, q1, q2\n",
                "vmladav",
                $a,
                ".s8 r6, q0, q3\n",
                "vmladav",
                $a,
                ".s8 lr, q1, q3\n",
            )
        };
    }

    /// Sums of the first patch are in r0, r2, r4, r6, of the second in r8, r10, r12, lr; the odd
    /// registers are pointers: weights, patches, end of weights, entry of the loop, constants. The loop
    /// takes up to four vectors a turn: it is entered where the first turn's begin.
    ///
    /// # Safety
    ///
    /// The pointers name what [`Block::run`](super::Block::run) has checked.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn pairs(pairs: *const Pairs) {
        naked_asm!(
            ".cpu cortex-m55",
            // ADR counts from a multiple of 4.
            ".p2align 2",
            "push {{r4-r11, lr}}",
            "vpush {{d8-d11}}",
            "sub sp, sp, #60",
            "mov r12, sp",
            "ldm r0!, {{r1-r8}}",
            "stm r12!, {{r1-r8}}",
            "ldm r0, {{r1-r7}}",
            "stm r12, {{r1-r7}}",
            "vdup.32 q4, r6",
            "vdup.32 q5, r7",
            "adr r9, 4f",
            "ldr r0, [sp, #28]",
            "sub r9, r9, r0",
            // For BX: the code is Thumb.
            "add r9, r9, #1",
            // For every pair of patches, from the first group on.
            "1:",
            "ldrd r1, r11, [sp, #16]",
            // For every group.
            "2:",
            "ldrd r3, r5, [sp]",
            "ldr r7, [sp, #24]",
            vector!(""),
            "add r7, r7, r1",
            "bx r9",
            "3:",
            vector!("a"),
            vector!("a"),
            vector!("a"),
            vector!("a"),
            "4:",
            "cmp r1, r7",
            "bne 3b",
            "vmov q0[2], q0[0], r0, r4",
            "vmov q0[3], q0[1], r2, r6",
            "vmov q1[2], q1[0], r8, r12",
            "vmov q1[3], q1[1], r10, lr",
            "vldrw.u32 q2, [r11], #16",
            "ldrd r6, r0, [sp, #32]",
            "vadd.i32 q0, q0, q2",
            "vadd.i32 q1, q1, q2",
            "vldrw.u32 q2, [r11], #16",
            "vmulh.s32 q0, q0, q2",
            "vldrw.u32 q3, [r11], #16",
            "vmulh.s32 q1, q1, q2",
            "vrshl.s32 q0, q0, q3",
            "vrshl.s32 q1, q1, q3",
            "vadd.i32 q0, q0, r0",
            "ldrd r2, r4, [sp, #8]",
            "vadd.i32 q1, q1, r0",
            "vmax.s32 q0, q0, q4",
            "vmax.s32 q1, q1, q4",
            "vmin.s32 q0, q0, q5",
            "vmin.s32 q1, q1, q5",
            "vstrb.32 q0, [r2], #4",
            "vstrb.32 q1, [r4], #4",
            "strd r2, r4, [sp, #8]",
            "cmp r11, r6",
            "bne 2b",
            "ldr r0, [sp, #44]",
            "ldr r1, [sp, #48]",
            "ldrd r3, r5, [sp]",
            "add r3, r3, r0",
            "add r5, r5, r0",
            "add r2, r2, r1",
            "add r4, r4, r1",
            "strd r3, r5, [sp]",
            "strd r2, r4, [sp, #8]",
            "ldr r0, [sp, #40]",
            "subs r0, r0, #1",
            "str r0, [sp, #40]",
            "bne 1b",
            "add sp, sp, #60",
            "vpop {{d8-d11}}",
            "pop {{r4-r11, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_by_hand() {
        // Channel 1 of the group is 1, 2, 0, ... and -1 in the second vector.
        let mut weights = [0; 2 * GROUP * VECTOR];
        (weights[16], weights[17], weights[64 + 16]) = (1, 2, 0xFF);
        let mut table = [0; TABLE];
        // Halves: 2^31 / 2^(32 + 1) of the sum, doubled by the bias' parity.
        table[GROUP..].fill(1 << 30);
        table[2 * GROUP..].fill(-1);
        table[1] = 1;
        let block =
            Block { vectors: 2, weights: &weights, table: &[table], zero_point: -5, min: -6, max: 127 };
        let mut x = [0; 48];
        (x[0], x[1], x[16]) = (10, 20, 3);
        let mut out = [9; 8];
        block.run(&x, 16, 2, &mut out, 4);
        // 1 + 10 + 40 - 3 = 48, an eighth is 6; 1 + 3 = 4, an eighth is a tie: 1.
        assert_eq!(out.map(|v| v as i8), [-5, 1, -5, -5, -5, -4, -5, -5]);
        block.run(&x, 16, 3, &mut out, 2);
        assert_eq!(out.map(|v| v as i8), [-5, 1, -5, -5, -5, -4, -5, -5]);
    }
}
