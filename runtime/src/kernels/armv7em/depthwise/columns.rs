//! Three rows of input as columns of lanes, relative to the zero point: four channels of one position.
//!
//! A column has six words: rows 0 and 1 of each channel as a pair of lanes, then row 2 of channels 0
//! and 2 and of channels 1 and 3.
#![allow(unsafe_code)]

#[cfg(not(target_arch = "arm"))]
use super::super::dsp::{add_even_bytes, add_odd_bytes};
use super::super::dsp::{both, high_lanes, low_lanes};
use super::super::scratch::GROUP;
use crate::kernels::args::TensorRef;
use crate::shape::DType;

/// Words of a column.
pub(in super::super) const COLUMN: usize = 6;
/// Four channels of three rows at one position.
pub(super) type Column = [u32; COLUMN];

/// Writes the first columns of a group of channels, as many as `to` has; `rows` are rows of `input`.
pub(super) fn fill(rows: [&[u8]; 3], input: &TensorRef<'_>, group: usize, to: &mut [Column]) {
    let pixel = input.dtype.row_bytes(input.shape.channels);
    let bytes = input.dtype.row_bytes(GROUP);
    let short = rows.iter().any(|row| row.len() < pixel * to.len());
    if short || (group + 1) * bytes > pixel {
        return to.fill([0; COLUMN]);
    }
    let rows = rows.map(|row| row.get(group * bytes..).unwrap_or_default());
    match input.dtype {
        DType::I8 => of_bytes(rows, pixel, both(-input.zero_point), to),
        DType::U4 => of_nibbles(rows, pixel, 0, to),
        DType::S4 => of_nibbles(rows, pixel, 8, to),
    }
}

/// Every row has four bytes at each of `to.len()` multiples of `pixel`.
fn of_bytes(rows: [&[u8]; 3], pixel: usize, zero: u32, to: &mut [Column]) {
    #[cfg(target_arch = "arm")]
    if !to.is_empty() {
        let bytes = pixel * to.len();
        let ends = rows.map(|row| row.as_ptr().wrapping_add(bytes));
        // SAFETY: there is a column, and `fill` has checked that the rows have four bytes for each.
        unsafe { arm::of_bytes(&ends, pixel, zero, to.as_mut_ptr(), bytes.wrapping_neg()) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (x, to) in to.iter_mut().enumerate() {
        let word = |row: &[u8]| {
            row.get(x * pixel..).and_then(|row| row.first_chunk()).map_or(0, |&word| u32::from_le_bytes(word))
        };
        *to = column(rows.map(word).map(|word| [add_even_bytes(zero, word), add_odd_bytes(zero, word)]));
    }
}

/// As `of_bytes` for two bytes each; `sign` is the value of the sign's bit, 0 where there is none.
fn of_nibbles(rows: [&[u8]; 3], pixel: usize, sign: u32, to: &mut [Column]) {
    let (signs, less) = (both(sign as i32) | both(sign as i32) << 8, both(sign as i32));
    for (x, to) in to.iter_mut().enumerate() {
        let lanes = rows.map(|row| {
            let stored = row.get(x * pixel..).and_then(|row| row.first_chunk());
            let word = u32::from(stored.map_or(0, |&bytes| u16::from_le_bytes(bytes)));
            // A nibble in each byte: channels 0, 1, 2, 3.
            let [even, odd] = [word & 0x0F0F, word >> 4 & 0x0F0F];
            let spread = |bytes: u32| (bytes & 0xFF) | (bytes & 0xFF00) << 8;
            [even, odd].map(|bytes| lanes_less(spread(bytes) ^ (signs & 0x00FF_00FF), less))
        });
        *to = column(lanes);
    }
}

/// Lanes of at most 15 less lanes of 0 or 8.
fn lanes_less(lanes: u32, less: u32) -> u32 {
    super::super::dsp::sub16(lanes, less)
}

/// A column of each row's lanes: channels 0 and 2, channels 1 and 3.
#[inline(always)]
fn column([[even, odd], [next_even, next_odd], last]: [[u32; 2]; 3]) -> Column {
    [
        low_lanes(even, next_even),
        low_lanes(odd, next_odd),
        high_lanes(even, next_even),
        high_lanes(odd, next_odd),
        last[0],
        last[1],
    ]
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::Column;

    /// # Safety
    ///
    /// The rows end at `ends`; from `start` (negative) on, each has four bytes at every `pixel` bytes. `to`
    /// has a column for each, at least one.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn of_bytes(
        ends: *const [*const u8; 3],
        pixel: usize,
        zero: u32,
        to: *mut Column,
        start: usize,
    ) {
        naked_asm!(
            "push {{r4-r11, lr}}
            ldr r7, [sp, #36]
            mov lr, r3
            mov r12, r2
            mov r3, r1
            ldm r0, {{r0-r2}}
            1:
            ldr r4, [r0, r7]
            ldr r5, [r1, r7]
            ldr r6, [r2, r7]
            sxtab16 r8, r12, r4
            sxtab16 r9, r12, r4, ror #8
            sxtab16 r10, r12, r5
            sxtab16 r11, r12, r5, ror #8
            pkhbt r4, r8, r10, lsl #16
            pkhbt r5, r9, r11, lsl #16
            pkhtb r8, r10, r8, asr #16
            pkhtb r9, r11, r9, asr #16
            sxtab16 r10, r12, r6
            sxtab16 r11, r12, r6, ror #8
            stm lr!, {{r4, r5, r8-r11}}
            adds r7, r7, r3
            bne 1b
            pop {{r4-r11, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Ring;
    use crate::shape::Shape;

    fn first(dtype: DType, zero_point: i32, rows: [&[u8]; 3]) -> Column {
        let shape = Shape::new(3, 1, 4);
        let input = TensorRef { data: &[], ring: Ring::whole(3), shape, dtype, zero_point };
        let mut to = [[9; COLUMN]; 1];
        fill(rows, &input, 0, &mut to);
        to[0]
    }

    #[test]
    fn columns_by_hand() {
        let column = first(DType::I8, -1, [&[1, 2, 3, 4], &[0xFF, 0x80, 0x7F, 0], &[5, 6, 7, 8]]);
        assert_eq!(column, [0x0000_0002, 0xFF81_0003, 0x0080_0004, 0x0001_0005, 0x0008_0006, 0x0009_0007]);
        let nibbles: [&[u8]; 3] = [&[0x21, 0x43], &[0x8F, 0x07], &[0x65, 0x87]];
        let column = first(DType::U4, 0, nibbles);
        assert_eq!(column, [0x000F_0001, 0x0008_0002, 0x0007_0003, 0x0000_0004, 0x0007_0005, 0x0008_0006]);
        let column = first(DType::S4, 0, nibbles);
        assert_eq!(column, [0xFFFF_0001, 0xFFF8_0002, 0x0007_0003, 0x0000_0004, 0x0007_0005, 0xFFF8_0006]);
        assert_eq!(first(DType::I8, 0, [&[1, 2, 3, 4], &[1, 2, 3], &[0; 4]]), [0; COLUMN]);
    }
}
