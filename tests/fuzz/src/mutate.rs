//! Changes: fields, bytes, records, sections, whole layers; after them every CRC is right, but for
//! one file in twenty.

use fourbit::artefact::header::{ENTRY_BYTES, HEADER_BYTES, kind};
use fourbit::artefact::{OP_BYTES, TENSOR_BYTES};
use fourbit_tests::Rng;

use crate::fields;
use crate::layers;
use crate::reseal::{Part, Parts, reseal};

/// A file that differs from another in one to four ways.
pub(crate) fn mutate(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut parts = Parts::of(file);
    // A layer is changed consistently before fields are changed at random.
    for _ in 0..rng.size(0, 2) {
        layers::change(&mut parts, rng);
    }
    for _ in 0..rng.size(0, 2) {
        match rng.size(0, 15) {
            0 => sections(&mut parts, rng),
            1 => resize(&mut parts, rng),
            2 | 3 => records(&mut parts, rng),
            4..8 => bytes(&mut parts, rng),
            _ => fields::change(&mut parts, rng),
        }
    }
    let mut file = parts.join();
    if rng.one_in(20) {
        damage(&mut file, rng);
    }
    file
}

/// A section at random, unless there is none.
fn any<'p>(parts: &'p mut Parts, rng: &mut Rng) -> Option<&'p mut Part> {
    let last = parts.sections.len().checked_sub(1)?;
    parts.sections.get_mut(rng.size(0, last))
}

/// A few bytes of a section replaced.
fn bytes(parts: &mut Parts, rng: &mut Rng) {
    let Some(part) = any(parts, rng).filter(|part| !part.content.is_empty()) else { return };
    for _ in 0..rng.size(1, 8) {
        let at = rng.size(0, part.content.len() - 1);
        part.content[at] = rng.bits() as u8;
    }
}

/// A record copied over another, swapped with it, removed, or doubled.
fn records(parts: &mut Parts, rng: &mut Rng) {
    let (kind, size) = rng.pick([(kind::TENSORS, TENSOR_BYTES), (kind::OPS, OP_BYTES)]);
    let Some(index) = parts.find(kind) else { return };
    let content = &mut parts.sections[index].content;
    let count = content.len() / size;
    if count == 0 {
        return;
    }
    let (a, b) = (size * rng.size(0, count - 1), size * rng.size(0, count - 1));
    match rng.size(0, 3) {
        0 => content.copy_within(a..a + size, b),
        1 => (0..size).for_each(|i| content.swap(a + i, b + i)),
        2 => drop(content.drain(a..a + size)),
        _ => content.extend_from_within(a..a + size),
    }
}

/// A section cut or extended.
fn resize(parts: &mut Parts, rng: &mut Rng) {
    let Some(part) = any(parts, rng) else { return };
    let by = rng.pick([1, 2, 4, 8, 12, 16, 64]);
    let length = part.content.len();
    let filler = rng.bits() as u8;
    part.content.resize(if rng.one_in(2) { length.saturating_sub(by) } else { length + by }, filler);
}

/// A section removed, doubled, moved or renamed.
fn sections(parts: &mut Parts, rng: &mut Rng) {
    let Some(last) = parts.sections.len().checked_sub(1) else { return };
    let (a, b) = (rng.size(0, last), rng.size(0, last));
    match rng.size(0, 4) {
        0 => drop(parts.sections.remove(a)),
        1 => parts.sections.insert(b, parts.sections[a].clone()),
        2 => parts.sections.swap(a, b),
        3 => parts.sections[a].kind = rng.pick([0, 1, 2, 3, 4, 5, 6, 0x8001, 0x8002, 0x8003, 0x8004]),
        _ => parts.sections[a].tag = rng.pick([0, 1, 2, 0xFFFF]),
    }
}

/// A finished file cut, extended, or with other bytes; the CRCs are repaired as often as not.
fn damage(file: &mut Vec<u8>, rng: &mut Rng) {
    match rng.size(0, 3) {
        0 => file.truncate(rng.size(0, file.len())),
        1 => file.push(0),
        2 => {
            let at = rng.size(0, (HEADER_BYTES + 9 * ENTRY_BYTES).min(file.len()) - 1);
            file[at] = rng.bits() as u8;
        }
        _ => {
            let at = rng.size(0, file.len() - 1);
            file[at] ^= 1 << rng.size(0, 7);
        }
    }
    if rng.one_in(2) {
        reseal(file);
    }
}
