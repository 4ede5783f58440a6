//! Where the rows of a tensor lie in the arena.
//!
//! Takes a tensor's description and its placement, gives the bytes that hold some rows and the
//! ring that finds them there; takes such parts out of the arena.

use core::ops::Range;

use crate::artefact::TensorInfo;
use crate::kernels::{Addend, Ring};
use crate::requant::Rescale;

/// A tensor and where it lies in the arena.
pub(super) struct Place {
    pub(super) info: TensorInfo,
    pub(super) start: usize,
    /// Rows that the place holds.
    pub(super) lines: usize,
}

/// Bytes of the arena that hold some rows of a tensor.
pub(super) struct Part {
    pub(super) bytes: Range<usize>,
    pub(super) ring: Ring,
}

impl Place {
    /// Some rows: no more than these of a whole tensor, all lines of a ring.
    #[inline(never)]
    pub(super) fn part(&self, rows: Range<usize>) -> Part {
        let (height, row_bytes) = (self.info.shape.height, self.info.shape.row_bytes(self.info.dtype));
        let whole = self.lines == height;
        let (lines, first) = if whole { (rows.clone(), rows.start) } else { (0..self.lines, 0) };
        let at = |line: usize| self.start.saturating_add(line.saturating_mul(row_bytes));
        let bytes = if rows.is_empty() { 0..0 } else { at(lines.start)..at(lines.end) };
        Part { bytes, ring: Ring { first, lines: self.lines } }
    }

    /// All rows of a tensor that is whole.
    pub(super) fn whole(&self) -> Part {
        self.part(0..self.info.shape.height)
    }

    /// Some rows, or no bytes where the output replaces them.
    pub(super) fn part_unless(&self, replaced: bool, rows: Range<usize>) -> Part {
        self.part(if replaced { 0..0 } else { rows })
    }

    /// The tensor as a side of an add; no data where it lies in the output's bytes.
    pub(super) fn addend<'v>(&self, data: Option<&'v [u8]>, ring: Ring, rescale: Rescale) -> Addend<'v> {
        let TensorInfo { dtype, zero_point, .. } = self.info;
        Addend { data, ring, dtype, zero_point: i32::from(zero_point), rescale }
    }
}

/// Parts of the arena that share no byte.
#[inline(never)]
pub(super) fn disjoint(arena: &mut [u8], parts: [Range<usize>; 4]) -> Option<[&mut [u8]; 4]> {
    arena.get_disjoint_mut(parts).ok()
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::shape::{DType, Shape};

    #[test]
    fn rows_of_a_whole_tensor_and_of_a_ring() {
        let info =
            TensorInfo { shape: Shape::new(8, 3, 5), dtype: DType::U4, zero_point: 0, scale: f16::ONE };
        let whole = Place { info, start: 100, lines: 8 };
        let part = whole.part(2..4);
        assert_eq!((part.bytes, part.ring), (118..136, Ring { first: 2, lines: 8 }));
        assert_eq!(whole.whole().bytes, 100..172);
        assert_eq!(whole.part_unless(true, 2..4).bytes, 0..0);
        let ring = Place { lines: 3, ..whole }.part(2..4);
        assert_eq!((ring.bytes, ring.ring), (100..127, Ring { first: 0, lines: 3 }));
    }
}
