//! Columns times weights: a row of outputs of four channels, rescaled.
//!
//! An output takes three neighbouring columns: four SMLAD and four single products each. LLVM spills
//! such a loop, so it is written out.
#![allow(unsafe_code)]

use super::super::dot::Sums;
use super::block::Block;
#[cfg(not(target_arch = "arm"))]
use super::columns::COLUMN;
use super::columns::Column;

/// Writes `count` saturated outputs, four bytes at every `pixel` bytes of `to`. Does nothing where a slice
/// is too short.
pub(super) fn saturated(
    columns: &[Column],
    stride: usize,
    block: &Block,
    count: usize,
    to: &mut [u8],
    pixel: usize,
) {
    let Some(last) = count.checked_sub(1) else { return };
    if columns.len() < last * stride + 3 || to.len() < last * pixel + 4 || pixel == 0 {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let start = to.as_mut_ptr();
        // SAFETY: there is an output, and columns and room for every one.
        unsafe {
            arm::walk::<1>(
                columns.as_ptr(),
                block,
                start,
                pixel,
                start.wrapping_add(count * pixel),
                back(stride),
            )
        }
    }
    #[cfg(not(target_arch = "arm"))]
    for (x, to) in to.chunks_mut(pixel).take(count).enumerate() {
        let values = portable(&columns[x * stride..], block);
        to[..4].copy_from_slice(&values.map(|value| (value as i32).clamp(-128, 127) as u8));
    }
}

/// Writes the rescaled sums of as many outputs as `to` has, not clamped yet. Does nothing where there are
/// too few columns.
pub(super) fn values(columns: &[Column], stride: usize, block: &Block, to: &mut [Sums]) {
    let Some(last) = to.len().checked_sub(1) else { return };
    if columns.len() < last * stride + 3 {
        return;
    }
    #[cfg(target_arch = "arm")]
    {
        let ends = to.as_mut_ptr_range();
        // SAFETY: there is an output, and columns for every one.
        unsafe {
            arm::walk::<0>(
                columns.as_ptr(),
                block,
                ends.start.cast(),
                size_of::<Sums>(),
                ends.end.cast(),
                back(stride),
            )
        }
    }
    #[cfg(not(target_arch = "arm"))]
    for (x, to) in to.iter_mut().enumerate() {
        *to = portable(&columns[x * stride..], block);
    }
}

/// Bytes from behind an output's last column back to the next output's first one.
#[cfg(target_arch = "arm")]
fn back(stride: usize) -> usize {
    (3usize.wrapping_sub(stride)).wrapping_mul(size_of::<Column>())
}

#[cfg(not(target_arch = "arm"))]
fn portable(columns: &[Column], block: &Block) -> Sums {
    use super::super::dsp::{low, multiply_high_add};
    let mut sums = [block[0], block[1], block[2], block[3]];
    for (x, w) in columns.iter().zip(block[4..22].as_chunks::<COLUMN>().0) {
        for (channel, sum) in sums.iter_mut().enumerate() {
            let (single, half) = (4 + channel % 2, channel as u32 / 2);
            let products = [
                low(x[channel], 0) * low(w[channel], 0),
                low(x[channel], 1) * low(w[channel], 1),
                low(x[single], half) * low(w[single], half),
            ];
            *sum = products.into_iter().fold(*sum, |sum, product| sum.wrapping_add(product as u32));
        }
    }
    let mut finish = block[22..].as_chunks::<3>().0.iter();
    sums.map(|sum| {
        let &[multiplier, addend, shift] = finish.next().unwrap_or(&[0; 3]);
        (multiply_high_add(sum as i32, multiplier as i32, addend as i32) >> shift) as u32
    })
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::{Block, Column};

    /// Stores four words at every `step` bytes from `to` up to `end`, or four saturated bytes.
    ///
    /// # Safety
    ///
    /// From `to` to `end` there are one or more whole steps, with room for what is stored; `columns` are
    /// three for each, the next ones `back` bytes before the end of these.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn walk<const BYTES: usize>(
        columns: *const Column,
        block: *const Block,
        to: *mut u8,
        step: usize,
        end: *mut u8,
        back: usize,
    ) {
        naked_asm!(
            "push {{r4-r11, lr}}
            ldrd r4, r5, [sp, #36]
            push {{r2-r5}}
            1:
            ldm r1!, {{r2-r5}}
            .rept 3
            ldm r0!, {{r6-r9}}
            ldm r1!, {{r10-r12, lr}}
            smlad r2, r6, r10, r2
            smlad r3, r7, r11, r3
            smlad r4, r8, r12, r4
            smlad r5, r9, lr, r5
            ldm r0!, {{r6, r7}}
            ldm r1!, {{r10, r11}}
            smlabb r2, r6, r10, r2
            smlabb r3, r7, r11, r3
            smlatt r4, r6, r10, r4
            smlatt r5, r7, r11, r5
            .endr
            ldm r1!, {{r6-r11}}
            smmla r2, r2, r6, r7
            smmla r3, r3, r9, r10
            asr r2, r2, r8
            asr r3, r3, r11
            ldm r1!, {{r6-r11}}
            smmla r4, r4, r6, r7
            smmla r5, r5, r9, r10
            asr r4, r4, r8
            asr r5, r5, r11
            ldm sp, {{r6-r9}}
            .if {bytes}
            ssat r2, #8, r2
            ssat r3, #8, r3
            ssat r4, #8, r4
            ssat r5, #8, r5
            bfi r2, r3, #8, #8
            bfi r2, r4, #16, #8
            bfi r2, r5, #24, #8
            str r2, [r6]
            .else
            stm r6, {{r2-r5}}
            .endif
            add r6, r6, r7
            str r6, [sp]
            sub r0, r0, r9
            sub r1, r1, #136
            cmp r6, r8
            bne 1b
            add sp, #16
            pop {{r4-r11, pc}}",
            bytes = const BYTES,
        )
    }
}
