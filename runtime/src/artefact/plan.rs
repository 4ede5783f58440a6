//! Plans: where each tensor lies in the arena and when it lives, and how each op is executed, for
//! one kernel family.
//!
//! A plan section is a 8-byte head (arena bytes u32, tensors u16, ops u16), then a record of 12
//! bytes per tensor, then one of 12 bytes per op.

use core::ops::Range;

use crate::bytes::{put, u8_at, u16_at, u32_at};
use crate::kernels::Kernel;

/// Bytes of a plan's head.
pub const PLAN_HEAD_BYTES: usize = 8;
/// Bytes of a tensor's placement.
pub const PLACEMENT_BYTES: usize = 12;
/// Bytes of an op's choice.
pub const CHOICE_BYTES: usize = 12;

/// Where a tensor lies, and from which op to which it must keep its content, both included.
///
/// The image lives from op 0, each other tensor from the op that writes it; the logits live to
/// the last op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Bytes from the start of the arena.
    pub offset: u32,
    /// First op.
    pub first: u16,
    /// Last op.
    pub last: u16,
    /// Rows that the place holds: the height for a whole tensor, fewer for a ring of lines, 0 for
    /// the output of a convolution that is fused with the add behind it, which is never stored.
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
    /// Scratch bytes from the start of the arena.
    pub scratch: u32,
    /// Bytes of scratch; 0 for none.
    pub scratch_bytes: u32,
}

/// A plan section, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    arena_bytes: u32,
    placements: &'a [[u8; PLACEMENT_BYTES]],
    choices: &'a [[u8; CHOICE_BYTES]],
}

impl<'a> Plan<'a> {
    /// A plan over a section's bytes; `None` where the length does not fit the counts.
    pub(super) fn new(bytes: &'a [u8], tensors: usize, ops: usize) -> Option<Self> {
        let (head, records) = bytes.split_first_chunk::<PLAN_HEAD_BYTES>()?;
        let (placements, choices) = records.split_at_checked(PLACEMENT_BYTES * tensors)?;
        let counts = (usize::from(u16_at(head, 4)), usize::from(u16_at(head, 6)));
        let fits = counts == (tensors, ops) && choices.len() == CHOICE_BYTES * ops;
        let (placements, choices) = (placements.as_chunks().0, choices.as_chunks().0);
        fits.then_some(Self { arena_bytes: u32_at(head, 0), placements, choices })
    }

    /// Bytes of arena that the plan needs.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes as usize
    }

    /// Number of tensors placed.
    pub fn tensors(&self) -> usize {
        self.placements.len()
    }

    /// Number of ops that it covers.
    pub fn ops(&self) -> usize {
        self.choices.len()
    }

    /// Where a tensor lies.
    #[inline(never)]
    pub fn placement(&self, tensor: usize) -> Placement {
        let record = self.placements.get(tensor).unwrap_or(&[0; PLACEMENT_BYTES]);
        Placement {
            offset: u32_at(record, 0),
            first: u16_at(record, 4),
            last: u16_at(record, 6),
            lines: u16_at(record, 8),
        }
    }

    /// How an op is executed; `None` for a code that this runtime does not know.
    #[inline(never)]
    pub fn choice(&self, op: usize) -> Option<Choice> {
        let record = self.choices.get(op)?;
        let flags = Some(u8_at(record, 2)).filter(|&flags| flags < 4)?;
        Some(Choice {
            kernel: Kernel::from_code(u8_at(record, 0))?,
            fusion: match u8_at(record, 1) {
                0 => Fusion::None,
                1 => Fusion::WithNext,
                2 => Fusion::Done,
                _ => return None,
            },
            streamed: flags & 1 != 0,
            short_start: flags & 2 != 0,
            rows: u8_at(record, 3),
            scratch: u32_at(record, 4),
            scratch_bytes: u32_at(record, 8),
        })
    }
}

impl Placement {
    /// Whether the tensor must keep its content while `op` runs.
    pub fn lives_at(&self, op: u16) -> bool {
        self.first <= op && op <= self.last
    }

    /// The record's bytes.
    pub fn encode(&self) -> [u8; PLACEMENT_BYTES] {
        let mut record = [0; PLACEMENT_BYTES];
        put(&mut record, 0, self.offset.to_le_bytes());
        put(&mut record, 4, self.first.to_le_bytes());
        put(&mut record, 6, self.last.to_le_bytes());
        put(&mut record, 8, self.lines.to_le_bytes());
        record
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
        let flags = self.streamed as u8 | (self.short_start as u8) << 1;
        put(&mut record, 0, [self.kernel as u8, self.fusion as u8, flags, self.rows]);
        put(&mut record, 4, self.scratch.to_le_bytes());
        put(&mut record, 8, self.scratch_bytes.to_le_bytes());
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_lie_behind_the_head() {
        let placement = Placement { offset: 16, first: 0, last: 2, lines: 3 };
        let choice = Choice {
            kernel: Kernel::Winograd,
            fusion: Fusion::WithNext,
            streamed: true,
            rows: 2,
            short_start: true,
            scratch: 64,
            scratch_bytes: 32,
        };
        let mut bytes = vec![0, 4, 0, 0, 1, 0, 1, 0];
        bytes.extend(placement.encode());
        bytes.extend(choice.encode());
        let plan = Plan::new(&bytes, 1, 1).expect("a well-formed plan");
        assert_eq!(plan.arena_bytes(), 1024);
        assert_eq!(plan.placement(0), placement);
        assert_eq!(plan.choice(0), Some(choice));
        assert_eq!(choice.scratch_range(), 64..96);
        assert_eq!(Choice { scratch_bytes: 0, ..choice }.scratch_range(), 0..0);
        for at in 0..3 {
            let mut bytes = bytes.clone();
            bytes[PLAN_HEAD_BYTES + PLACEMENT_BYTES + at] = 9;
            assert_eq!(Plan::new(&bytes, 1, 1).expect("a well-formed plan").choice(0), None);
        }
        assert!(Plan::new(&bytes, 2, 1).is_none());
    }
}
