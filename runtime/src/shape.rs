//! Element types and NHWC shapes (batch 1), with sizes that cannot overflow unseen.

use crate::int4;

/// How the elements of an activation are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum DType {
    /// One byte, two's complement, with a zero point.
    I8 = 0,
    /// A nibble, 0..=15, zero point 0: what a ReLU leaves.
    U4 = 1,
    /// A nibble, two's complement, zero point 0; the compiler gives -7..=7.
    S4 = 2,
}

impl DType {
    /// The type that a tensor record names.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(DType::I8),
            1 => Some(DType::U4),
            2 => Some(DType::S4),
            _ => None,
        }
    }

    /// Smallest and largest value.
    pub const fn limits(self) -> (i32, i32) {
        match self {
            DType::I8 => (-128, 127),
            DType::U4 => (0, 15),
            DType::S4 => (-8, 7),
        }
    }

    /// Bits of an element: 8 or 4.
    pub const fn bits(self) -> u8 {
        match self {
            DType::I8 => 8,
            DType::U4 | DType::S4 => 4,
        }
    }

    /// Bytes of a row of `n` elements; rows start at a byte.
    pub const fn row_bytes(self, n: usize) -> usize {
        match self {
            DType::I8 => n,
            DType::U4 | DType::S4 => int4::row_bytes(n),
        }
    }

    /// Element `i` of a row; 0 outside it.
    #[inline]
    pub fn get(self, row: &[u8], i: usize) -> i32 {
        match self {
            DType::I8 => row.get(i).map_or(0, |&b| i32::from(b as i8)),
            DType::U4 => int4::get_unsigned(row, i),
            DType::S4 => int4::get_signed(row, i),
        }
    }

    /// Writes element `i` of a row; does nothing outside it.
    #[inline]
    pub fn set(self, row: &mut [u8], i: usize, value: i32) {
        match self {
            DType::I8 => {
                if let Some(byte) = row.get_mut(i) {
                    *byte = value as u8;
                }
            }
            DType::U4 | DType::S4 => int4::set(row, i, value),
        }
    }

    /// The factor by which a pool widens a value exactly to another type: 15 * 17 = 255, 7 * 18 = 126.
    pub const fn widening(self, to: DType) -> i32 {
        match (self, to) {
            (DType::U4, DType::I8) => 17,
            (DType::S4, DType::I8) => 18,
            _ => 1,
        }
    }

    /// Zeroes the unused nibble of a row of `n` elements, if it has one.
    #[inline]
    pub fn clear_tail(self, row: &mut [u8], n: usize) {
        if self.bits() == 4 && !n.is_multiple_of(2) {
            int4::set(row, n, 0);
        }
    }
}

/// Height, width and channels of an activation; the batch is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Shape {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels, innermost.
    pub channels: usize,
}

impl Shape {
    /// `height` x `width` x `channels`.
    pub const fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels }
    }

    /// Positions: height times width.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Elements, without the padding of packed rows.
    pub const fn elements(self) -> usize {
        self.pixels() * self.channels
    }

    /// Bytes of a stored tensor: each pixel's channels start at a byte.
    pub const fn bytes(self, dtype: DType) -> usize {
        self.pixels() * dtype.row_bytes(self.channels)
    }

    /// Bytes of a row of pixels.
    pub const fn row_bytes(self, dtype: DType) -> usize {
        self.width * dtype.row_bytes(self.channels)
    }

    /// [`bytes`](Self::bytes) of untrusted sizes: `None` where an extent is zero or the tensor
    /// has 2^31 elements or more.
    pub fn checked_bytes(self, dtype: DType) -> Option<usize> {
        let elements =
            (self.height as u64).checked_mul(self.width as u64)?.checked_mul(self.channels as u64)?;
        if elements == 0 || elements >= 1 << 31 {
            return None;
        }
        Some(self.bytes(dtype))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_pixels_start_at_a_byte() {
        assert_eq!(Shape::new(2, 3, 5).bytes(DType::U4), 18);
        assert_eq!(Shape::new(2, 3, 5).bytes(DType::I8), 30);
    }

    #[test]
    fn untrusted_sizes_do_not_wrap() {
        assert_eq!(Shape::new(0, 3, 5).checked_bytes(DType::I8), None);
        assert_eq!(Shape::new(65_535, 65_535, 65_535).checked_bytes(DType::I8), None);
        assert_eq!(Shape::new(32, 32, 3).checked_bytes(DType::I8), Some(3072));
    }

    #[test]
    fn every_type_reads_what_it_wrote() {
        for (dtype, value) in [(DType::I8, -128), (DType::U4, 15), (DType::S4, -7)] {
            let mut row = [0u8; 3];
            dtype.set(&mut row, 2, value);
            assert_eq!(dtype.get(&row, 2), value);
            assert_eq!(dtype.get(&row, 1), 0);
            assert_eq!(dtype.get(&row, 9), 0);
        }
    }

    #[test]
    fn only_an_odd_row_of_nibbles_has_a_tail() {
        let cleared = |dtype: DType, n| {
            let mut row = [0xFFu8; 2];
            dtype.clear_tail(&mut row, n);
            row
        };
        assert_eq!(cleared(DType::U4, 3), [0xFF, 0x0F]);
        assert_eq!([cleared(DType::S4, 4), cleared(DType::I8, 1)], [[0xFF; 2]; 2]);
    }
}
