//! Products at 16 positions and what becomes of them: `A^T m A`, then the rescale.
//!
//! Positions lie column by column, rows in the order 1, 2, 0, 3, and row 3 and column 3 of the inputs
//! have the other sign. So a column's `m1`, `m1 + m2` and `m1 + m2 + m0` come from one run of sums,
//! and `2 m1 - (m1 + m2)` begins the run that ends with `m1 - m2 - m3`.
#![allow(unsafe_code)]

use super::super::super::channels::Pair;
use super::super::super::dot::{GROUP, MOST, Sums};

/// Where in a column a row lies.
#[cfg(not(target_arch = "arm"))]
pub(in super::super) const PLACE: [usize; 4] = [2, 0, 1, 3];

/// Products of positions of so many values.
#[derive(Clone, Copy)]
pub(super) struct Products {
    /// Words of a pair's 16 positions.
    words: usize,
    #[cfg(target_arch = "arm")]
    column: arm::Column,
}

impl Products {
    /// `None` for numbers of values that are not whole groups or too many of them.
    pub(super) fn new(values: usize) -> Option<Self> {
        (values.is_multiple_of(GROUP) && values <= GROUP * MOST).then_some(Self {
            words: 16 * values,
            #[cfg(target_arch = "arm")]
            column: arm::Column {
                entry: super::super::super::dot::arm::entry(values / GROUP),
                sums: if values == 16 { arm::column::<1> } else { arm::column::<0> },
            },
        })
    }

    /// Makes the outputs of two tiles `x` and two channels `w`: for each tile and each of its rows, two
    /// pixels of two channels, not clamped yet. Does nothing where a slice is too short.
    #[inline(always)]
    pub(super) fn outputs(&self, x: &[u32], w: &[u32], channels: &Pair, values: &mut [Sums; 4]) {
        if x.len() < self.words || w.len() < self.words {
            return;
        }
        #[cfg(target_arch = "arm")]
        // SAFETY: both slices hold 16 positions of so many groups.
        unsafe {
            arm::products(x.as_ptr(), w.as_ptr(), channels, values, self.column)
        }
        #[cfg(not(target_arch = "arm"))]
        portable(x, w, self.words / 16, channels, values);
    }
}

#[cfg(not(target_arch = "arm"))]
fn portable(x: &[u32], w: &[u32], words: usize, channels: &Pair, values: &mut [Sums; 4]) {
    let mut sums = [[0; 4]; 16];
    for ((sums, x), w) in sums.iter_mut().zip(x.chunks_exact(words)).zip(w.chunks_exact(words)) {
        *sums = super::super::super::dot::portable(x, w);
    }
    for (sum, [tile, output]) in [[0, 0], [0, 1], [1, 0], [1, 1]].into_iter().enumerate() {
        let one = |m: [u32; 4]| {
            let inner = m[1].wrapping_sub(m[2]).wrapping_add(m[3]);
            [m[0].wrapping_add(m[1]).wrapping_add(m[2]), inner]
        };
        let columns = [0, 1, 2, 3].map(|j| one(PLACE.map(|i| sums[4 * j + i][sum])));
        for row in 0..2 {
            let pixels = one(columns.map(|column| column[row]));
            for (pixel, sum) in pixels.into_iter().enumerate() {
                let value = super::super::super::channels::rescaled(sum, channels, output);
                values[2 * tile + row][2 * pixel + output] = value;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::super::super::super::dot::arm::groups;
    use super::super::super::super::dot::group;
    use super::{Pair, Sums};

    /// How a column of positions is summed.
    #[derive(Clone, Copy)]
    #[repr(C)]
    pub(super) struct Column {
        /// Where the products of a position begin.
        pub(super) entry: usize,
        pub(super) sums: unsafe extern "C" fn(),
    }

    /// A column's products, on top of the sums in r2 to r5; as [`products`] calls it. `SMALL` is 1
    /// for positions of four groups, otherwise r6 is the entry for them.
    ///
    /// Leaves 40 bytes on the stack: the upper sums, the lower ones, what r6 and lr were.
    ///
    /// # Safety
    ///
    /// r0 and r1 name four positions.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn column<const SMALL: usize>() {
        naked_asm!(
            "
            .macro position at
            .if {small}
            .rept 4",
            group!(),
            ".endr
            .else
            ldr r7, [sp, #\\at]
            bl {groups}
            .endif
            .endm
            push {{r6, lr}}
            position 0
            push {{r2-r5}}
            position 16
            ldm sp, {{r6-r9}}
            rsb r6, r2, r6, lsl #1
            rsb r7, r3, r7, lsl #1
            rsb r8, r4, r8, lsl #1
            rsb r9, r5, r9, lsl #1
            stm sp, {{r6-r9}}
            position 16
            push {{r2-r5}}
            ldrd r2, r3, [sp, #16]
            ldrd r4, r5, [sp, #24]
            position 32
            strd r2, r3, [sp, #16]
            strd r4, r5, [sp, #24]
            ldr pc, [sp, #36]
            .purgem position
            ",
            small = const SMALL,
            groups = sym groups,
        )
    }

    /// # Safety
    ///
    /// `x` and `w` name 16 positions for `column`.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn products(
        x: *const u32,
        w: *const u32,
        channels: *const Pair,
        values: *mut [Sums; 4],
        column: Column,
    ) {
        // Column `j` lies on the stack at 120 - 40 j, above them `channels`, `values` and `column`.
        naked_asm!(
            "
            .macro sums j
            ldrd r6, r7, [sp, #40*\\j+8]
            .if \\j == 1
            ldr r9, [sp, #40]
            ldr r2, [r9]
            ldr r3, [r9, #16]
            .else
            movs r2, #0
            movs r3, #0
            .endif
            mov r4, r2
            mov r5, r3
            blx r7
            .endm
            .macro outputs tile, row
            ldrd r2, r3, [sp, #8*\\tile+16*\\row+120]
            ldrd r4, r5, [sp, #8*\\tile+16*\\row+80]
            ldrd r6, r7, [sp, #8*\\tile+16*\\row+40]
            ldrd r8, r9, [sp, #8*\\tile+16*\\row]
            add r2, r2, r4
            add r3, r3, r5
            sub r4, r4, r6
            sub r5, r5, r7
            add r2, r2, r6
            add r3, r3, r7
            add r4, r4, r8
            add r5, r5, r9
            ldr r6, [sp, #164]
            smmla r2, r2, r10, r11
            smmla r3, r3, r0, r1
            smmla r4, r4, r10, r11
            smmla r5, r5, r0, r1
            asr r2, r2, r12
            asr r3, r3, lr
            asr r4, r4, r12
            asr r5, r5, lr
            strd r2, r3, [r6, #32*\\tile+16*\\row]
            strd r4, r5, [r6, #32*\\tile+16*\\row+8]
            .endm
            push {{r4-r11, lr}}
            ldrd r4, r5, [sp, #36]
            push {{r2-r5}}
            sums 0
            sums 1
            sums 2
            sums 3
            ldr r9, [sp, #160]
            ldrd r10, r11, [r9, #4]
            ldr r12, [r9, #12]
            ldrd r0, r1, [r9, #20]
            ldr lr, [r9, #28]
            outputs 0, 0
            outputs 0, 1
            outputs 1, 0
            outputs 1, 1
            add sp, #176
            pop {{r4-r11, pc}}
            .purgem sums
            .purgem outputs
            ",
        )
    }
}
