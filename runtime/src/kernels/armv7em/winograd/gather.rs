//! A tile's patch: pixels of four rows brought together, column by column.
#![allow(unsafe_code)]

use super::tile::Patch;

/// Puts `count` pixels of four rows, `start` bytes behind their first, into a patch of bytes or of
/// nibbles, from column `first` on. Does nothing where a row is too short.
pub(super) fn gather(
    rows: &[&[u8]; 4],
    start: usize,
    count: usize,
    patch: &mut [Patch],
    first: usize,
    bytes: bool,
) {
    let (words, run) = (patch.len(), 4 * patch.len() * count);
    let short = |row: &&[u8]| start.saturating_add(run) > row.len();
    let whole = words > 0 && (!bytes || words.is_multiple_of(2));
    if count == 0 || first + count > 4 || !whole || rows.iter().any(short) {
        return;
    }
    #[cfg(target_arch = "arm")]
    // SAFETY: each row holds `count` pixels of `words` words, each element so many columns.
    unsafe {
        let to = patch.as_mut_ptr().cast::<u32>().add(4 * first);
        let rows = rows.map(|row| row.as_ptr().add(start));
        if bytes {
            arm::gather::<0>(&rows, to, words / 2, count)
        } else {
            arm::gather::<1>(&rows, to, words, count)
        }
    }
    #[cfg(not(target_arch = "arm"))]
    portable(rows, start..start + run, patch, first, bytes);
}

/// The same for patches of any size, `PIXELS` in `READ` rows: the bytes `pixels` of each row.
#[cfg(not(target_arch = "arm"))]
pub(super) fn portable<const READ: usize, const PIXELS: usize>(
    rows: &[&[u8]; READ],
    pixels: core::ops::Range<usize>,
    patch: &mut [[u32; PIXELS]],
    first: usize,
    bytes: bool,
) {
    use super::super::dsp::{high_lanes, low_lanes};
    for (i, row) in rows.iter().enumerate() {
        for (column, pixel) in row[pixels.clone()].chunks_exact(4 * patch.len()).enumerate() {
            let (words, place) = (pixel.as_chunks::<4>().0, READ * (first + column) + i);
            if bytes {
                for (patch, pair) in patch.as_chunks_mut::<2>().0.iter_mut().zip(words.as_chunks::<2>().0) {
                    let [one, two] = pair.map(u32::from_le_bytes);
                    patch[0][place] = low_lanes(one, two);
                    patch[1][place] = high_lanes(one, two);
                }
            } else {
                for (patch, &word) in patch.iter_mut().zip(words) {
                    patch[place] = u32::from_le_bytes(word);
                }
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    /// # Safety
    ///
    /// Each row names `count` pixels of `turns` words of nibbles, or of bytes twice as many, `to` as many
    /// columns of so many elements.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn gather<const NIBBLES: usize>(
        rows: &[*const u8; 4],
        to: *mut u32,
        turns: usize,
        count: usize,
    ) {
        naked_asm!(
            "
            .macro rows from, other, at
            .if {nibbles}
            ldr r8, [\\from], #4
            ldr r9, [\\other], #4
            strd r8, r9, [r0, #\\at]
            .else
            ldr r8, [\\from], #4
            ldr r9, [\\from], #4
            ldr r10, [\\other], #4
            ldr r11, [\\other], #4
            pkhbt r12, r8, r9, lsl #16
            pkhtb r9, r9, r8, asr #16
            pkhbt r8, r10, r11, lsl #16
            pkhtb r11, r11, r10, asr #16
            strd r12, r8, [r0, #\\at]
            strd r9, r11, [r0, #64+\\at]
            .endif
            .endm
            push {{r4-r11, lr}}
            ldm r0, {{r4-r7}}
            1:
            mov r0, r1
            mov lr, r2
            2:
            rows r4, r5, 0
            rows r6, r7, 8
            adds r0, #{step}
            subs lr, #1
            bne 2b
            adds r1, #16
            subs r3, #1
            bne 1b
            pop {{r4-r11, pc}}
            .purgem rows
            ",
            nibbles = const NIBBLES,
            step = const if NIBBLES == 1 { 64 } else { 128 },
        )
    }
}
