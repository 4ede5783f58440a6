//! Fields of records, headers and constants, each changed to a value that is likely to matter.

use fourbit::artefact::header::kind;
use fourbit::artefact::{CHOICE_BYTES, OP_BYTES, PLACEMENT_BYTES, TENSOR_BYTES};
use fourbit_tests::Rng;

use crate::reseal::Parts;

/// Place and width of a field in its record.
type Field = (usize, usize);

const HEADER: [Field; 8] = [(16, 4), (20, 4), (24, 4), (44, 4), (48, 2), (50, 2), (52, 2), (54, 2)];
const TENSOR: [Field; 6] = [(0, 1), (0, 4), (4, 1), (5, 2), (7, 2), (9, 2)];
const OP: [Field; 20] = [
    (0, 1),
    (1, 2),
    (3, 1),
    (4, 1),
    (5, 1),
    (5, 2),
    (6, 1),
    (7, 1),
    (8, 1),
    (9, 1),
    (10, 1),
    (11, 1),
    (12, 1),
    (13, 1),
    (10, 4),
    (14, 4),
    (18, 4),
    (19, 1),
    (20, 1),
    (21, 1),
];
const PLACEMENT: [Field; 3] = [(0, 1), (1, 3), (0, 4)];
const CHOICE: [Field; 4] = [(0, 1), (1, 3), (4, 1), (5, 2)];

/// Changes one field.
pub(crate) fn change(parts: &mut Parts, rng: &mut Rng) {
    match rng.size(0, 9) {
        0 => one(&mut parts.header, 0, rng.pick(HEADER), rng),
        1 | 2 => record(parts, kind::TENSORS, TENSOR_BYTES, &TENSOR, rng),
        3..7 => record(parts, kind::OPS, OP_BYTES, &OP, rng),
        7 => {
            let Some(index) = parts.find(kind::CHANNELS) else { return };
            let content = &mut parts.sections[index].content;
            let width = rng.pick([1, 4]);
            let at = width * rng.size(0, content.len() / width);
            one(content, at, (0, width), rng);
        }
        _ => plan(parts, rng),
    }
}

/// A field of some record of a section.
fn record(parts: &mut Parts, kind: u16, size: usize, fields: &[Field], rng: &mut Rng) {
    let Some(index) = parts.find(kind) else { return };
    let content = &mut parts.sections[index].content;
    let at = size * rng.size(0, (content.len() / size).saturating_sub(1));
    one(content, at, fields[rng.size(0, fields.len() - 1)], rng);
}

/// A field of some plan.
fn plan(parts: &mut Parts, rng: &mut Rng) {
    let tensors = parts.find(kind::TENSORS).map_or(0, |i| parts.sections[i].content.len() / TENSOR_BYTES);
    let ops = parts.find(kind::OPS).map_or(0, |i| parts.sections[i].content.len() / OP_BYTES);
    let tag = rng.pick([0u16, 0, 1, 2, 3]);
    let part = parts.sections.iter_mut().find(|part| (part.kind, part.tag) == (kind::PLAN, tag));
    let Some(part) = part else { return };
    if rng.one_in(3) {
        let at = PLACEMENT_BYTES * tensors + CHOICE_BYTES * rng.size(0, ops.saturating_sub(1));
        if part.content.len() < at + CHOICE_BYTES {
            part.content.resize(at + CHOICE_BYTES, 0);
        }
        one(&mut part.content, at, rng.pick(CHOICE), rng);
    } else {
        let at = PLACEMENT_BYTES * rng.size(0, tensors.saturating_sub(1));
        one(&mut part.content, at, rng.pick(PLACEMENT), rng);
    }
}

/// A little-endian field of the record at `at`; nothing where it lies outside.
fn one(bytes: &mut [u8], at: usize, (offset, width): Field, rng: &mut Rng) {
    let Some(field) = bytes.get_mut(at + offset..at + offset + width) else { return };
    let mut old = [0; 4];
    old[..width].copy_from_slice(field);
    field.copy_from_slice(&value(u32::from_le_bytes(old), rng).to_le_bytes()[..width]);
}

/// A value near the old one, a limit of some type, or a random one.
fn value(old: u32, rng: &mut Rng) -> u32 {
    match rng.size(0, 7) {
        0 => old.wrapping_add(1),
        1 => old.wrapping_sub(1),
        2 => rng.size(0, 9) as u32,
        3 => rng.pick([4, 8, 12, 16, 32, 64, 128, 256]),
        4 => rng.pick([0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, !0]),
        5 => old ^ 1 << rng.size(0, 31),
        6 => old.wrapping_add(rng.pick([4, 16, 64, 4u32.wrapping_neg(), 16u32.wrapping_neg()])),
        _ => rng.bits() as u32,
    }
}
