//! How the bytes of a source encode pixels.
//!
//! Every pixel becomes 8-bit RGB: 5 and 6 bits are scaled to 0..=255 and rounded to nearest; YUYV
//! is ITU-R BT.601 in full range, as JFIF defines it, in 16-bit fixed point.

use super::{ImageError, MAX_SOURCE};

/// An encoding of pixels, row by row without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Format {
    /// 3 bytes a pixel: red, green, blue.
    Rgb888,
    /// 2 bytes a pixel, little-endian: 5 bits of red (the highest), 6 of green, 5 of blue.
    Rgb565,
    /// 4 bytes for two pixels of a row: Y0, U (Cb), Y1, V (Cr), each 0..=255. Both pixels have the
    /// same colour difference; the width is even.
    Yuyv,
}

/// An image in a caller's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The pixels, the upper row first.
    pub bytes: &'a [u8],
    /// Their encoding.
    pub format: Format,
    /// Columns: 1 to [`MAX_SOURCE`].
    pub width: usize,
    /// Rows: 1 to [`MAX_SOURCE`].
    pub height: usize,
}

impl Format {
    /// Bytes of a row of `width` pixels.
    pub const fn row_bytes(self, width: usize) -> usize {
        match self {
            Format::Rgb888 => width.saturating_mul(3),
            Format::Rgb565 | Format::Yuyv => width.saturating_mul(2),
        }
    }
}

impl Source<'_> {
    /// Whether size, format and buffer agree.
    pub(super) fn check(&self) -> Result<(), ImageError> {
        let &Self { bytes, format, width, height } = self;
        let fits = |extent: usize| (1..=MAX_SOURCE).contains(&extent);
        if !fits(width) || !fits(height) {
            return Err(ImageError::SourceSize { width, height });
        }
        if format == Format::Yuyv && !width.is_multiple_of(2) {
            return Err(ImageError::OddWidth { width });
        }
        // Where the product does not fit the address space, no buffer has that length.
        let (need, have) = (format.row_bytes(width).saturating_mul(height), bytes.len());
        if need == have { Ok(()) } else { Err(ImageError::Bytes { need, have }) }
    }

    /// The bytes of a row; none outside the image.
    #[inline]
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let bytes = self.format.row_bytes(self.width);
        let start = bytes.saturating_mul(y);
        self.bytes.get(start..start.saturating_add(bytes)).unwrap_or(&[])
    }

    /// A pixel of a row as RGB; black outside it.
    #[inline]
    pub(super) fn pixel(&self, row: &[u8], x: usize) -> [u8; 3] {
        match self.format {
            Format::Rgb888 => row.as_chunks().0.get(x).copied().unwrap_or_default(),
            Format::Rgb565 => {
                let word = row.as_chunks().0.get(x).map_or(0, |&bytes| u16::from_le_bytes(bytes));
                rgb565(word)
            }
            Format::Yuyv => match row.as_chunks().0.get(x / 2) {
                Some(&[y0, u, y1, v]) => rgb(if x.is_multiple_of(2) { y0 } else { y1 }, u, v),
                None => [0; 3],
            },
        }
    }
}

/// Five and six bits to eight: `round(value * 255 / 31)` and `round(value * 255 / 63)`.
fn rgb565(word: u16) -> [u8; 3] {
    let five = |value: u16| ((u32::from(value & 31) * 527 + 23) >> 6) as u8;
    let six = |value: u16| ((u32::from(value & 63) * 259 + 33) >> 6) as u8;
    [five(word >> 11), six(word >> 5), five(word)]
}

/// BT.601 with Kr = 0.299 and Kb = 0.114, full range, in steps of 2^-16:
/// R = Y + 1.402 V, G = Y - 0.344136 U - 0.714136 V, B = Y + 1.772 U, with U and V from -128.
fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = ((i32::from(y) << 16) + (1 << 15), i32::from(u) - 128, i32::from(v) - 128);
    let sums = [y + 91_881 * v, y - 22_554 * u - 46_802 * v, y + 116_130 * u];
    sums.map(|sum| (sum >> 16).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_and_six_bits_are_rounded_to_nearest() {
        for value in 0..32u16 {
            let expected = (f64::from(value) * 255.0 / 31.0).round() as u8;
            assert_eq!(rgb565(value << 11 | value), [expected, 0, expected], "{value}");
        }
        for value in 0..64u16 {
            assert_eq!(rgb565(value << 5)[1], (f64::from(value) * 255.0 / 63.0).round() as u8, "{value}");
        }
    }

    #[test]
    fn yuv_is_its_float_formula_to_half_a_step() {
        let (kr, kb) = (0.299, 0.114);
        let kg = 1.0 - kr - kb;
        for y in (0..=255u8).step_by(5) {
            for (u, v) in (0..=255u8).flat_map(|u| (0..=255u8).map(move |v| (u, v))) {
                let (luma, cb, cr) = (f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0);
                let red = luma + 2.0 * (1.0 - kr) * cr;
                let blue = luma + 2.0 * (1.0 - kb) * cb;
                let green = (luma - kr * red - kb * blue) / kg;
                for (found, exact) in rgb(y, u, v).into_iter().zip([red, green, blue]) {
                    assert!((f64::from(found) - exact.clamp(0.0, 255.0)).abs() < 0.502, "{y} {u} {v}");
                }
            }
        }
        assert_eq!(rgb(76, 85, 255), [254, 0, 0]);
        assert_eq!(rgb(200, 128, 128), [200; 3]);
    }
}
