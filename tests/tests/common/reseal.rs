//! An artefact taken apart and put together again, with every CRC right.
//!
//! What a changed file must get past before its content is looked at; the fuzzer and the tests of
//! bad input change sections, records and fields between [`Parts::of`] and [`Parts::join`].

use fourbit::artefact::header::{ALIGN, ENTRY_BYTES, HEADER_BYTES};
use fourbit::artefact::{Section, Sections};
use fourbit::crc32;

/// Where the header holds the file's length and its CRC.
const FILE_BYTES_AT: usize = 12;
const CRC_AT: usize = 56;

/// Header and sections of an artefact.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parts {
    /// The header's bytes; length, count of sections and CRC are written by [`join`](Self::join).
    pub(crate) header: [u8; HEADER_BYTES],
    /// In the order of the table.
    pub(crate) sections: Vec<Part>,
}

/// A section.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) kind: u16,
    pub(crate) tag: u16,
    pub(crate) content: Vec<u8>,
}

impl Parts {
    /// The parts of a well-formed file.
    pub(crate) fn of(file: &[u8]) -> Self {
        let header = *file.first_chunk().expect("a whole header");
        let part = |section: Section| Part {
            kind: section.kind,
            tag: section.tag,
            content: section.content(file).to_vec(),
        };
        Self { header, sections: Sections::new(file, count(file)).map(part).collect() }
    }

    /// The content of the first section of a kind.
    pub(crate) fn section(&mut self, kind: u16) -> &mut Vec<u8> {
        let part = self.sections.iter_mut().find(|part| part.kind == kind);
        &mut part.expect("a section of this kind").content
    }

    /// The file: each section at the next multiple of 16, all lengths and CRCs right.
    pub(crate) fn join(&self) -> Vec<u8> {
        let mut file = self.header.to_vec();
        file.resize(HEADER_BYTES + ENTRY_BYTES * self.sections.len(), 0);
        for (index, Part { kind, tag, content }) in self.sections.iter().enumerate() {
            file.resize(file.len().next_multiple_of(ALIGN), 0);
            let (offset, bytes) = (file.len(), content.len() as u32);
            let entry = Section { kind: *kind, tag: *tag, offset, bytes, crc: crc32(content) };
            put(&mut file, HEADER_BYTES + ENTRY_BYTES * index, &entry.encode());
            file.extend(content);
        }
        let bytes = file.len() as u32;
        put(&mut file, 10, &(self.sections.len() as u16).to_le_bytes());
        put(&mut file, FILE_BYTES_AT, &bytes.to_le_bytes());
        seal(&mut file);
        file
    }
}

/// Repairs the CRC of every section that the table places inside the file, then the header's.
pub(crate) fn reseal(file: &mut [u8]) {
    let sections: Vec<Section> = Sections::new(file, count(file)).collect();
    for (index, section) in sections.into_iter().enumerate() {
        let crc = crc32(section.content(file));
        let at = HEADER_BYTES + ENTRY_BYTES * index;
        if let Some(entry) = file.get_mut(at..at + ENTRY_BYTES) {
            entry.copy_from_slice(&Section { crc, ..section }.encode());
        }
    }
    seal(file);
}

/// Repairs the CRC of header and table, if the file has both.
fn seal(file: &mut [u8]) {
    if let Some(table) = file.get(HEADER_BYTES..HEADER_BYTES + ENTRY_BYTES * usize::from(count(file))) {
        let crc = crc32(&[&file[..CRC_AT], table].concat());
        put(file, CRC_AT, &crc.to_le_bytes());
    }
}

/// Replaces bytes from `at` on.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Sections that the header announces.
fn count(file: &[u8]) -> u16 {
    file.get(10..12).map_or(0, |field| u16::from_le_bytes([field[0], field[1]]))
}
