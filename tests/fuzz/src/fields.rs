//! Fields of records, headers and constants, each changed to a value that is likely to matter.

use fourbit::artefact::header::kind;
use fourbit::artefact::{CHOICE_BYTES, OP_BYTES, PLACEMENT_BYTES, PLAN_HEAD_BYTES, TENSOR_BYTES};
use fourbit_tests::Rng;

use crate::reseal::Parts;

/// Place and width of a field in its record.
type Field = (usize, usize);

const HEADER: [Field; 10] =
    [(16, 4), (20, 4), (24, 4), (44, 4), (48, 2), (50, 2), (52, 2), (54, 2), (56, 2), (58, 2)];
const TENSOR: [Field; 6] = [(0, 1), (1, 1), (2, 2), (4, 2), (6, 2), (8, 4)];
const OP: [Field; 24] = [
    (0, 2),
    (2, 2),
    (4, 2),
    (6, 2),
    (10, 2),
    (12, 2),
    (14, 2),
    (16, 2),
    (18, 2),
    (20, 2),
    (22, 2),
    (24, 2),
    (26, 2),
    (28, 1),
    (29, 1),
    (30, 1),
    (31, 1),
    (32, 4),
    (36, 4),
    (40, 4),
    (44, 1),
    (45, 1),
    (46, 1),
    (60, 4),
];
const PLAN_HEAD: [Field; 3] = [(0, 4), (4, 2), (6, 2)];
const PLACEMENT: [Field; 4] = [(0, 4), (4, 2), (6, 2), (8, 2)];
const CHOICE: [Field; 6] = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 4), (8, 4)];

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

/// A field of some plan; a change of arena bytes is as often as not made in the header too.
fn plan(parts: &mut Parts, rng: &mut Rng) {
    let tensors = parts.find(kind::TENSORS).map_or(0, |i| parts.sections[i].content.len() / TENSOR_BYTES);
    let ops = parts.find(kind::OPS).map_or(0, |i| parts.sections[i].content.len() / OP_BYTES);
    let tag = rng.pick([0u16, 0, 1, 2, 3]);
    let part = parts.sections.iter_mut().find(|part| (part.kind, part.tag) == (kind::PLAN, tag));
    let Some(part) = part else { return };
    match rng.size(0, 7) {
        0 => {
            one(&mut part.content, 0, rng.pick(PLAN_HEAD), rng);
            if let (Some(arena), true) = (part.content.get(..4), rng.one_in(2)) {
                parts.header[16 + 4 * usize::from(tag)..][..4].copy_from_slice(arena);
            }
        }
        1..6 => {
            let at = PLAN_HEAD_BYTES + PLACEMENT_BYTES * rng.size(0, tensors.saturating_sub(1));
            one(&mut part.content, at, rng.pick(PLACEMENT), rng);
        }
        _ => {
            let choices = PLAN_HEAD_BYTES + PLACEMENT_BYTES * tensors;
            let at = choices + CHOICE_BYTES * rng.size(0, ops.saturating_sub(1));
            one(&mut part.content, at, rng.pick(CHOICE), rng);
        }
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
