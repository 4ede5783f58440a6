//! A plan without thrift: every tensor has bytes of its own.

use fourbit::artefact::header::kind;
use fourbit::artefact::{Placement, TENSOR_BYTES};
use fourbit::kernels::Family;
use fourbit::shape::{DType, Shape};

use crate::reseal::{Part, Parts, put};

/// Gives a family such a plan, whether or not it had one, and gives its arena's bytes.
pub(crate) fn spread(parts: &mut Parts, family: Family) -> usize {
    if parts.find(kind::TENSORS).is_none() {
        return 0;
    }
    let (mut plan, mut arena) = (Vec::new(), 0u32);
    for record in parts.section(kind::TENSORS).chunks_exact(TENSOR_BYTES) {
        let lines = u16::from_le_bytes([record[7], record[8]]);
        plan.extend(Placement { offset: arena, lines }.encode(lines.into()));
        arena = arena.saturating_add(bytes(record).next_multiple_of(4));
    }
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
    let [height, width, channels] = extents(record);
    let dtype = DType::from_code(record[0] & 0xF);
    let bytes = dtype.and_then(|dtype| Shape::new(height, width, channels).checked_bytes(dtype));
    bytes.map_or(0, |bytes| bytes as u32)
}

/// Height, width and channels in a tensor's record.
pub(crate) fn extents(record: &[u8]) -> [usize; 3] {
    let extent = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]).into();
    let storage = u32::from_le_bytes([record[0], record[1], record[2], record[3]]);
    [extent(7), extent(9), (storage >> 4) as usize]
}

impl Parts {
    /// Where the first section of a kind is.
    pub(crate) fn find(&self, kind: u16) -> Option<usize> {
        self.sections.iter().position(|part| part.kind == kind)
    }
}
