//! Orders of weights in the artefact, as index maps.
//!
//! A layout is a permutation of a filter's elements: it says at which position of which row
//! element (output channel, tap, input channel) lies. The reference kernels read every layout
//! through this map, so a file laid out for one core runs on all.

use crate::int4;

/// Bits of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WeightBits {
    /// -7..=7, packed.
    Four = 4,
    /// -127..=127.
    Eight = 8,
}

/// Where the elements of a filter lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Layout {
    /// A row per output channel: taps in reading order, input channels innermost.
    OutputMajor = 0,
    /// A row per tap, channels innermost: for depthwise filters.
    TapMajor = 1,
}

/// Extents of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterShape {
    /// Output channels; for a depthwise filter, the channels.
    pub outputs: usize,
    /// Kernel positions: kernel height times width, in reading order.
    pub taps: usize,
    /// Input channels; 1 for a depthwise filter.
    pub inputs: usize,
}

impl WeightBits {
    /// The width that an op record names.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            4 => Some(WeightBits::Four),
            8 => Some(WeightBits::Eight),
            _ => None,
        }
    }

    /// Largest magnitude that the storage can hold: 8 or 128.
    pub const fn max_abs(self) -> u64 {
        match self {
            WeightBits::Four => 8,
            WeightBits::Eight => 128,
        }
    }

    /// Bytes of a row of `n` weights.
    pub const fn row_bytes(self, n: usize) -> usize {
        match self {
            WeightBits::Four => int4::row_bytes(n),
            WeightBits::Eight => n,
        }
    }

    /// Weight `i` of a row; 0 outside it.
    #[inline]
    pub fn get(self, row: &[u8], i: usize) -> i32 {
        match self {
            WeightBits::Four => int4::get_signed(row, i),
            WeightBits::Eight => row.get(i).map_or(0, |&b| i32::from(b as i8)),
        }
    }

    /// Writes weight `i` of a row; does nothing outside it.
    pub fn set(self, row: &mut [u8], i: usize, value: i8) {
        match self {
            WeightBits::Four => int4::set(row, i, i32::from(value)),
            WeightBits::Eight => {
                if let Some(byte) = row.get_mut(i) {
                    *byte = value as u8;
                }
            }
        }
    }
}

impl Layout {
    /// The layout that an op record names.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Layout::OutputMajor),
            1 => Some(Layout::TapMajor),
            _ => None,
        }
    }

    /// Rows of a filter, and elements in each.
    pub const fn rows(self, shape: FilterShape) -> (usize, usize) {
        match self {
            Layout::OutputMajor => (shape.outputs, shape.taps * shape.inputs),
            Layout::TapMajor => (shape.taps, shape.outputs * shape.inputs),
        }
    }

    /// Row and position in it of an element.
    #[inline]
    pub const fn position(
        self,
        shape: FilterShape,
        output: usize,
        tap: usize,
        input: usize,
    ) -> (usize, usize) {
        match self {
            Layout::OutputMajor => (output, tap * shape.inputs + input),
            Layout::TapMajor => (tap, output * shape.inputs + input),
        }
    }

    /// Bytes of a stored filter.
    pub const fn bytes(self, shape: FilterShape, bits: WeightBits) -> usize {
        let (rows, n) = self.rows(shape);
        rows * bits.row_bytes(n)
    }

    /// [`bytes`](Self::bytes) of untrusted extents: `None` where the filter has 2^31 elements or more.
    pub fn checked_bytes(self, shape: FilterShape, bits: WeightBits) -> Option<usize> {
        let elements = shape.outputs.checked_mul(shape.taps)?.checked_mul(shape.inputs)?;
        if elements >= 1 << 31 { None } else { Some(self.bytes(shape, bits)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_a_permutation() {
        let shape = FilterShape { outputs: 3, taps: 4, inputs: 5 };
        for layout in [Layout::OutputMajor, Layout::TapMajor] {
            let (rows, n) = layout.rows(shape);
            let mut seen = [false; 60];
            for o in 0..3 {
                for t in 0..4 {
                    for i in 0..5 {
                        let (row, at) = layout.position(shape, o, t, i);
                        assert!(row < rows && at < n);
                        assert!(!core::mem::replace(&mut seen[row * n + at], true));
                    }
                }
            }
            assert!(seen.iter().all(|&s| s));
        }
    }

    #[test]
    fn rows_of_odd_nibbles_round_up() {
        let shape = FilterShape { outputs: 2, taps: 9, inputs: 3 };
        assert_eq!(Layout::OutputMajor.bytes(shape, WeightBits::Four), 28);
        assert_eq!(
            Layout::TapMajor.bytes(FilterShape { outputs: 5, taps: 9, inputs: 1 }, WeightBits::Four),
            27
        );
    }
}
