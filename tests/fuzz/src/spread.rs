//! A plan without thrift: every tensor has bytes of its own and lives to the end.

use fourbit::artefact::header::{HEADER_BYTES, kind};
use fourbit::artefact::{CHOICE_BYTES, OP_BYTES, PLACEMENT_BYTES, PLAN_HEAD_BYTES, Placement, TENSOR_BYTES};
use fourbit::kernels::Family;
use fourbit::shape::{DType, Shape};

use crate::reseal::{Part, Parts, put};

/// Gives a family such a plan, whether or not it had one, and gives its arena's bytes.
pub(crate) fn spread(parts: &mut Parts, family: Family) -> usize {
    if parts.find(kind::TENSORS).is_none() || parts.find(kind::OPS).is_none() {
        return 0;
    }
    let (tensors, ops) = (parts.section(kind::TENSORS).clone(), parts.section(kind::OPS).clone());
    let writers: Vec<u16> =
        ops.chunks_exact(OP_BYTES).map(|record| u16::from_le_bytes([record[10], record[11]])).collect();
    let last = (writers.len() as u16).saturating_sub(1);
    let (mut plan, mut arena) = (vec![0; PLAN_HEAD_BYTES], 0u32);
    for (index, record) in tensors.chunks_exact(TENSOR_BYTES).enumerate() {
        let first = writers.iter().position(|&tensor| usize::from(tensor) == index).unwrap_or(0) as u16;
        let lines = u16::from_le_bytes([record[4], record[5]]);
        plan.extend(Placement { offset: arena, first, last, lines }.encode());
        arena = arena.saturating_add(bytes(record).next_multiple_of(4));
    }
    debug_assert_eq!(plan.len(), PLAN_HEAD_BYTES + PLACEMENT_BYTES * (tensors.len() / TENSOR_BYTES));
    plan.resize(plan.len() + CHOICE_BYTES * writers.len(), 0);
    put(&mut plan, 0, &arena.to_le_bytes());
    put(&mut plan, 4, &((tensors.len() / TENSOR_BYTES) as u16).to_le_bytes());
    put(&mut plan, 6, &(writers.len() as u16).to_le_bytes());
    put(&mut parts.header, 16 + 4 * family as usize, &arena.to_le_bytes());
    let key = (kind::PLAN, family as u16);
    let at = parts.sections.partition_point(|part| (part.kind, part.tag) < key);
    match parts.sections.get_mut(at) {
        Some(part) if (part.kind, part.tag) == key => part.content = plan,
        _ => parts.sections.insert(at, Part { kind: key.0, tag: key.1, content: plan }),
    }
    arena as usize
}

/// Bytes of a tensor, none for an impossible one.
pub(crate) fn bytes(record: &[u8]) -> u32 {
    let extent = |at: usize| usize::from(u16::from_le_bytes([record[at], record[at + 1]]));
    let channels = u32::from_le_bytes([record[8], record[9], record[10], record[11]]) as usize;
    let shape = Shape::new(extent(4), extent(6), channels);
    let bytes = DType::from_code(record[0]).and_then(|dtype| shape.checked_bytes(dtype));
    bytes.map_or(0, |bytes| bytes as u32)
}

impl Parts {
    /// Where the first section of a kind is.
    pub(crate) fn find(&self, kind: u16) -> Option<usize> {
        self.sections.iter().position(|part| part.kind == kind)
    }

    /// A field of the header.
    pub(crate) fn header_u16(&self, at: usize) -> u16 {
        debug_assert!(at + 2 <= HEADER_BYTES);
        u16::from_le_bytes([self.header[at], self.header[at + 1]])
    }
}
