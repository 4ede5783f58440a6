//! Packed 4-bit integers: two to a byte, the low nibble first.
//!
//! The only packing in the project. A row (the channels of one pixel, or the weights of one
//! output channel) starts at a byte; the unused nibble of an odd row is zero.

/// Bytes of a row of `n` nibbles.
pub const fn row_bytes(n: usize) -> usize {
    n.div_ceil(2)
}

/// Nibble `i` of a packed row as an unsigned value, 0..=15; 0 outside the row.
#[inline]
pub fn get_unsigned(row: &[u8], i: usize) -> i32 {
    let byte = row.get(i / 2).copied().unwrap_or(0);
    i32::from(if i.is_multiple_of(2) { byte & 0x0F } else { byte >> 4 })
}

/// Nibble `i` of a packed row in two's complement, -8..=7; 0 outside the row.
#[inline]
pub fn get_signed(row: &[u8], i: usize) -> i32 {
    (get_unsigned(row, i) ^ 8) - 8
}

/// Replaces nibble `i` by the low four bits of `value`; does nothing outside the row.
#[inline]
pub fn set(row: &mut [u8], i: usize, value: i32) {
    if let Some(byte) = row.get_mut(i / 2) {
        let nibble = (value & 0x0F) as u8;
        *byte = if i.is_multiple_of(2) { (*byte & 0xF0) | nibble } else { (*byte & 0x0F) | (nibble << 4) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_nibble_comes_first() {
        let row = [0x71, 0x8F];
        assert_eq!([0, 1, 2, 3].map(|i| get_unsigned(&row, i)), [1, 7, 15, 8]);
        assert_eq!([0, 1, 2, 3].map(|i| get_signed(&row, i)), [1, 7, -1, -8]);
        assert_eq!(get_signed(&row, 4), 0);
    }

    #[test]
    fn set_keeps_the_neighbour() {
        let mut row = [0xAB, 0xFF];
        set(&mut row, 0, -1);
        set(&mut row, 3, 2);
        set(&mut row, 4, 5);
        assert_eq!(row, [0xAF, 0x2F]);
    }

    #[test]
    fn odd_rows_round_up() {
        assert_eq!([0, 1, 2, 3].map(row_bytes), [0, 1, 1, 2]);
    }
}
