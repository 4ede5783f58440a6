//! Plans: where each tensor lies in the arena and when it lives, for one kernel family.
//!
//! A plan section is a 8-byte head (arena bytes u32, tensors u16, ops u16), then a record of 8
//! bytes per tensor, then one of 12 bytes per op.

use core::ops::Range;

use crate::bytes::{put, u16_at, u32_at};

/// Bytes of a plan's head.
pub const PLAN_HEAD_BYTES: usize = 8;
/// Bytes of a tensor's placement.
pub const PLACEMENT_BYTES: usize = 8;
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
}

/// How an op is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which of the family's kernels for this op; 0 is the direct one.
    pub kernel: u16,
    /// Scratch bytes from the start of the arena.
    pub scratch: u32,
    /// Bytes of scratch; 0 for none.
    pub scratch_bytes: u32,
}

/// A plan section, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    bytes: &'a [u8],
}

impl<'a> Plan<'a> {
    /// A plan over a section's bytes; `None` where the length does not fit the counts.
    pub(super) fn new(bytes: &'a [u8], tensors: usize, ops: usize) -> Option<Self> {
        let expected = PLAN_HEAD_BYTES + PLACEMENT_BYTES * tensors + CHOICE_BYTES * ops;
        let counts = (usize::from(u16_at(bytes, 4)), usize::from(u16_at(bytes, 6)));
        (bytes.len() == expected && counts == (tensors, ops)).then_some(Self { bytes })
    }

    /// Bytes of arena that the plan needs.
    pub fn arena_bytes(&self) -> usize {
        u32_at(self.bytes, 0) as usize
    }

    /// Number of tensors placed.
    pub fn tensors(&self) -> usize {
        usize::from(u16_at(self.bytes, 4))
    }

    /// Where a tensor lies.
    pub fn placement(&self, tensor: usize) -> Placement {
        let at = PLAN_HEAD_BYTES + PLACEMENT_BYTES * tensor;
        Placement {
            offset: u32_at(self.bytes, at),
            first: u16_at(self.bytes, at + 4),
            last: u16_at(self.bytes, at + 6),
        }
    }

    /// How an op is executed.
    pub fn choice(&self, op: usize) -> Choice {
        let at = PLAN_HEAD_BYTES + PLACEMENT_BYTES * self.tensors() + CHOICE_BYTES * op;
        Choice {
            kernel: u16_at(self.bytes, at),
            scratch: u32_at(self.bytes, at + 4),
            scratch_bytes: u32_at(self.bytes, at + 8),
        }
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
        record
    }
}

impl Choice {
    /// The scratch's place in the arena.
    pub fn scratch_range(&self) -> Range<usize> {
        let start = self.scratch as usize;
        start..start.saturating_add(self.scratch_bytes as usize)
    }

    /// The record's bytes.
    pub fn encode(&self) -> [u8; CHOICE_BYTES] {
        let mut record = [0; CHOICE_BYTES];
        put(&mut record, 0, self.kernel.to_le_bytes());
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
        let placement = Placement { offset: 16, first: 0, last: 2 };
        let choice = Choice { kernel: 0, scratch: 64, scratch_bytes: 32 };
        let mut bytes = vec![0, 4, 0, 0, 1, 0, 1, 0];
        bytes.extend(placement.encode());
        bytes.extend(choice.encode());
        let plan = Plan::new(&bytes, 1, 1).expect("a well-formed plan");
        assert_eq!(plan.arena_bytes(), 1024);
        assert_eq!(plan.placement(0), placement);
        assert_eq!(plan.choice(0), choice);
        assert_eq!(plan.choice(0).scratch_range(), 64..96);
        assert!(Plan::new(&bytes, 2, 1).is_none());
    }
}
