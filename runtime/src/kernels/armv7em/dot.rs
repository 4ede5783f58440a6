//! Dot products in blocks of two by two: every product of the family is made here.
//!
//! Two vectors `x` and two vectors `w` of 16-bit values lie interleaved in words: a group of four
//! values takes four words, two of `x0` and two of `x1`, of which the first holds values 0 and 2 of the
//! group and the second values 1 and 3. So one LDM brings four values of both vectors, and ten
//! instructions make 16 products. LLVM spills such a loop, so it is written out.
#![allow(unsafe_code)]

/// Sums of a block, two's complement: `x0 w0`, `x0 w1`, `x1 w0`, `x1 w1`.
pub(super) type Sums = [u32; 4];

/// Words of a group.
pub(super) const GROUP: usize = 4;
/// Groups of a vector that is multiplied without a loop.
pub(super) const MOST: usize = super::scratch::INPUTS / GROUP;

/// Sums of the pair `x` with every pair of `w`, one pair behind the other: as many as `out` has.
/// Does nothing where `w` is too short or `x` is not whole groups.
pub(super) fn with_each(x: &[u32], w: &[u32], out: &mut [Sums]) {
    if out.is_empty() || !x.len().is_multiple_of(GROUP) || w.len() < x.len() * out.len() {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = out.as_mut_ptr_range();
        // SAFETY: `out` has an element; `x` and as many pairs of `w` were checked to be there.
        unsafe { arm::with_each(x.as_ptr(), w.as_ptr(), x.len() / GROUP, ends.start, ends.end) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (sums, w) in out.iter_mut().zip(w.chunks_exact(x.len().max(1))) {
        *sums = portable(x, w);
    }
}

/// Sums of one pair with another.
#[cfg(not(target_arch = "arm"))]
pub(super) fn portable(x: &[u32], w: &[u32]) -> Sums {
    use super::dsp::low;
    let mut sums = [0; 4];
    for (x, w) in x.chunks_exact(GROUP).zip(w.chunks_exact(GROUP)) {
        for (i, sum) in sums.iter_mut().enumerate() {
            for (x, w) in x[i / 2 * 2..][..2].iter().zip(&w[i % 2 * 2..][..2]) {
                let products = (low(*x, 0) * low(*w, 0)).wrapping_add(low(*x, 1) * low(*w, 1));
                *sum = u32::wrapping_add(*sum, products as u32);
            }
        }
    }
    sums
}

/// Ten instructions of 40 bytes: a group of both pairs, at r0 and r1, into the sums in r2 to r5.
#[cfg(target_arch = "arm")]
macro_rules! group {
    () => {
        "ldm r0!, {{r6-r9}}
        ldm r1!, {{r10-r12, lr}}
        smlad r2, r6, r10, r2
        smlad r3, r6, r12, r3
        smlad r4, r8, r10, r4
        smlad r5, r8, r12, r5
        smlad r2, r7, r11, r2
        smlad r3, r7, lr, r3
        smlad r4, r9, r11, r4
        smlad r5, r9, lr, r5"
    };
}
#[cfg(target_arch = "arm")]
pub(super) use group;

/// The same for the first group: r2 to r5 need not hold sums.
#[cfg(target_arch = "arm")]
macro_rules! first_group {
    () => {
        "ldm r0!, {{r6-r9}}
        ldm r1!, {{r10-r12, lr}}
        smuad r2, r6, r10
        smuad r3, r6, r12
        smuad r4, r8, r10
        smuad r5, r8, r12
        smlad r2, r7, r11, r2
        smlad r3, r7, lr, r3
        smlad r4, r9, r11, r4
        smlad r5, r9, lr, r5"
    };
}
#[cfg(target_arch = "arm")]
pub(super) use first_group;

#[cfg(target_arch = "arm")]
pub(super) mod arm {
    use core::arch::naked_asm;

    use super::{MOST, Sums};

    /// Adds the products of groups to the sums in r2 to r5; leaves r0 and r1 behind them and takes every other
    /// register. r7 is the [`entry`] for their number.
    ///
    /// # Safety
    ///
    /// r0 and r1 name so many groups.
    #[unsafe(naked)]
    pub(in super::super) unsafe extern "C" fn groups() {
        naked_asm!("push {{lr}}", "bx r7", ".rept {most}", group!(), ".endr", "pop {{pc}}", most = const MOST)
    }

    /// Where [`groups`] is entered for so many groups, [`MOST`] at most.
    pub(in super::super) fn entry(count: usize) -> usize {
        // Two instructions of two bytes, then forty bytes for each group.
        groups as *const () as usize + 4 + 40 * MOST.saturating_sub(count)
    }

    /// The loop holds twelve groups (a 3x3 window's rows are multiples of four); it is entered so
    /// that the groups left over come first.
    ///
    /// # Safety
    ///
    /// `x` names `4 * groups` words, `out..end` at least one block, `w` as many words per block.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn with_each(
        x: *const u32,
        w: *const u32,
        groups: usize,
        out: *mut Sums,
        end: *mut Sums,
    ) {
        // On the stack: where the pair of `w` ends, `out`, `end`, bytes of a pair, entry.
        naked_asm!(
            "push {{r4-r11, lr}}
            sub sp, #20
            ldr r4, [sp, #56]
            movs r6, #12
            udiv r7, r2, r6
            mls r7, r7, r6, r2
            movs r6, #40
            mul r7, r7, r6
            adr.w r8, 3f
            sub r8, r8, r7
            lsl r5, r2, #4
            strd r3, r4, [sp, #4]
            strd r5, r8, [sp, #12]
            1:
            ldrd r6, r7, [sp, #12]
            add r6, r6, r1
            str r6, [sp]
            movs r2, #0
            movs r3, #0
            movs r4, #0
            movs r5, #0
            mov pc, r7
            .p2align 2
            2:
            .rept 12",
            group!(),
            ".endr
            3:
            ldr r6, [sp]
            cmp r1, r6
            bne.w 2b
            ldrd r6, r7, [sp, #4]
            ldr r8, [sp, #12]
            stm r6!, {{r2-r5}}
            str r6, [sp, #4]
            sub r0, r0, r8
            cmp r6, r7
            bne.w 1b
            add sp, #20
            pop {{r4-r11, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that hold two vectors of small values, interleaved.
    fn words(values: impl Fn(usize, usize) -> i32, len: usize) -> Vec<u32> {
        let lane = |vector, i| values(vector, i) as u32 & 0xFFFF;
        let word = |at: usize| {
            let (first, vector) = (at / GROUP * GROUP + at % 2, at % GROUP / 2);
            lane(vector, first) | lane(vector, first + 2) << 16
        };
        (0..len).map(word).collect()
    }

    #[test]
    fn sums_of_squares() {
        let x = words(|vector, i| if vector == 0 { i as i32 } else { -1 }, 8);
        let w = words(|vector, i| if vector == 0 { i as i32 } else { 1 }, 8);
        let mut out = [[0; 4]; 1];
        with_each(&x, &w, &mut out);
        // Over 0..=7: squares 140, sum 28.
        assert_eq!(out, [[140, 28, -28, -8].map(|sum: i32| sum as u32)]);
    }

    #[test]
    fn short_slices_are_left_alone() {
        let mut out = [[7; 4]; 2];
        with_each(&[0; 8], &[0; 12], &mut out);
        assert_eq!(out, [[7; 4]; 2]);
    }
}
