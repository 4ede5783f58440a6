//! Plans: where each tensor lies in the arena, and how each op is executed, for one kernel family.
//!
//! A plan section is a record per tensor, then one per op up to the last op that is not executed as
//! [`Choice::default`] says.

use core::ops::Range;

use super::tensor::{TENSOR_BYTES, height};
use crate::bytes::{put, u8_at, u16_at, u32_at};
use crate::kernels::Kernel;

/// Bytes of a tensor's placement.
pub const PLACEMENT_BYTES: usize = 4;
/// Bytes of an op's choice.
pub const CHOICE_BYTES: usize = 7;
/// Bytes of the largest arena.
pub const MAX_ARENA: usize = 1 << 26;
/// Bytes of the largest scratch.
pub const MAX_SCRATCH: usize = 4 * u16::MAX as usize;
/// Lines of the longest ring.
pub const MAX_LINES: usize = WHOLE as usize - 1;
/// Stands for as many lines as the tensor has rows.
const WHOLE: u8 = u8::MAX;

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Bytes from the start of the arena, a multiple of 4.
    pub offset: u32,
    /// Rows that the place holds: the height for a whole tensor, fewer for a ring of lines, at most
    /// [`MAX_LINES`], 0 for the output of a convolution that is fused with the add behind it, which is never
    /// stored.
    pub lines: u16,
}

/// Whether an op runs by itself or an add is computed in the epilogue of the convolution before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Fusion {
    /// By itself.
    #[default]
    None = 0,
    /// A convolution that computes the add behind it too.
    WithNext = 1,
    /// An add that the convolution before it has computed.
    Done = 2,
}

/// How an op is executed.
///
/// Ops that are `streamed` into the next form a group with it: its ops run in turn, `rows` rows
/// of output at a time, each as soon as the rows that it reads are there. An op of no group that
/// has `rows` runs so by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which of the family's kernels for this op.
    pub kernel: Kernel,
    /// By itself, or with the add behind it.
    pub fusion: Fusion,
    /// Whether the next op belongs to the same group.
    pub streamed: bool,
    /// Rows of output made at a time; 0 for all.
    pub rows: u8,
    /// Whether the first of several calls makes only so many rows that a later one ends where the reader
    /// needs it to: shorter rings for one call more.
    pub short_start: bool,
    /// Scratch bytes from the start of the arena, a multiple of 4.
    pub scratch: u32,
    /// Bytes of scratch, a multiple of 4 of at most [`MAX_SCRATCH`]; 0 for none.
    pub scratch_bytes: u32,
}

/// A plan section, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    arena_bytes: usize,
    tensors: &'a [[u8; TENSOR_BYTES]],
    placements: &'a [[u8; PLACEMENT_BYTES]],
    choices: &'a [[u8; CHOICE_BYTES]],
}

impl<'a> Plan<'a> {
    /// A plan over a section's bytes; `None` where the length does not fit the tensors, one more than ops.
    pub(super) fn new(
        bytes: &'a [u8],
        arena_bytes: usize,
        tensors: &'a [[u8; TENSOR_BYTES]],
    ) -> Option<Self> {
        let (placements, choices) = bytes.split_at_checked(PLACEMENT_BYTES * tensors.len())?;
        let (choices, rest) = choices.as_chunks();
        let fits = rest.is_empty() && choices.len() < tensors.len();
        fits.then_some(Self { arena_bytes, tensors, placements: placements.as_chunks().0, choices })
    }

    /// Bytes of arena that the plan needs.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Number of tensors placed.
    pub fn tensors(&self) -> usize {
        self.placements.len()
    }

    /// Number of ops that it covers.
    pub fn ops(&self) -> usize {
        self.placements.len().saturating_sub(1)
    }

    /// Where a tensor lies.
    #[inline(never)]
    pub fn placement(&self, tensor: usize) -> Placement {
        let place = self.placements.get(tensor).map_or(0, |record| u32_at(record, 0));
        let lines = match place as u8 {
            WHOLE => self.tensors.get(tensor).map_or(0, height),
            lines => lines.into(),
        };
        Placement { offset: place >> 8 << 2, lines }
    }

    /// How an op is executed; `None` for a code that this runtime does not know.
    #[inline(never)]
    pub fn choice(&self, op: usize) -> Option<Choice> {
        let record = self.choices.get(op).unwrap_or(&[0; CHOICE_BYTES]);
        let word = u32_at(record, 0);
        Some(Choice {
            kernel: Kernel::from_code(word as u8 & 0xF)?,
            fusion: match word >> 4 & 3 {
                0 => Fusion::None,
                1 => Fusion::WithNext,
                2 => Fusion::Done,
                _ => return None,
            },
            streamed: word & 0x40 != 0,
            short_start: word & 0x80 != 0,
            rows: u8_at(record, 4),
            scratch: word >> 8 << 2,
            scratch_bytes: u32::from(u16_at(record, 5)) << 2,
        })
    }
}

impl Placement {
    /// The bytes of the record of a tensor with so many rows.
    pub fn encode(&self, height: usize) -> [u8; PLACEMENT_BYTES] {
        let lines = if usize::from(self.lines) == height { WHOLE } else { self.lines as u8 };
        words(self.offset, lines)
    }
}

impl Choice {
    /// The scratch's place in the arena; empty at 0 where there is none.
    pub fn scratch_range(&self) -> Range<usize> {
        let start = if self.scratch_bytes == 0 { 0 } else { self.scratch as usize };
        start..start.saturating_add(self.scratch_bytes as usize)
    }

    /// The record's bytes.
    pub fn encode(&self) -> [u8; CHOICE_BYTES] {
        let mut record = [0; CHOICE_BYTES];
        let flags = (self.streamed as u8) << 6 | (self.short_start as u8) << 7;
        put(&mut record, 0, words(self.scratch, self.kernel as u8 | (self.fusion as u8) << 4 | flags));
        put(&mut record, 4, [self.rows]);
        put(&mut record, 5, ((self.scratch_bytes >> 2) as u16).to_le_bytes());
        record
    }
}

/// An offset in the arena, in words, behind a byte.
fn words(offset: u32, low: u8) -> [u8; 4] {
    (offset >> 2 << 8 | u32::from(low)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::artefact::TensorInfo;
    use crate::shape::{DType, Shape};

    #[test]
    fn records_follow_one_another() {
        let choice = Choice {
            kernel: Kernel::Winograd,
            fusion: Fusion::WithNext,
            streamed: true,
            rows: 2,
            short_start: true,
            scratch: 64,
            scratch_bytes: 32,
        };
        let info =
            TensorInfo { shape: Shape::new(300, 1, 1), dtype: DType::I8, zero_point: 0, scale: f16::ONE };
        let tensors = [info.encode(); 3];
        let placements = [300, 3, 0].map(|lines| Placement { offset: MAX_ARENA as u32 - 4, lines });
        let mut bytes = placements.map(|placement| placement.encode(300)).concat();
        bytes.extend(choice.encode());
        let plan = Plan::new(&bytes, 1024, &tensors).expect("a well-formed plan");
        assert_eq!([0, 1, 2].map(|tensor| plan.placement(tensor)), placements);
        assert_eq!([0, 1].map(|op| plan.choice(op)), [choice, Choice::default()].map(Some));
        assert_eq!(choice.scratch_range(), 64..96);
        assert_eq!(Choice { scratch_bytes: 0, ..choice }.scratch_range(), 0..0);
        for code in [0x0F, 0x30] {
            let mut bytes = bytes.clone();
            bytes[3 * PLACEMENT_BYTES] |= code;
            assert_eq!(Plan::new(&bytes, 1024, &tensors).expect("a well-formed plan").choice(0), None);
        }
        assert!(Plan::new(&bytes, 1024, &tensors[..2]).is_none());
        assert!(Plan::new(&bytes[..bytes.len() - 1], 1024, &tensors).is_none());
    }

    #[test]
    fn the_largest_scratch() {
        let choice = Choice { scratch_bytes: MAX_SCRATCH as u32, ..Choice::default() };
        assert_eq!(choice.encode(), [0, 0, 0, 0, 0, 0xFF, 0xFF]);
    }
}
