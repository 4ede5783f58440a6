//! Magic, version, section table: what can be read and verified in a `const`.
//!
//! [`Verified`] is an artefact whose header and CRCs were checked, at compile time for an
//! embedded file ([`embed!`](crate::embed)), at run time otherwise.

use crate::bytes::{put, u16_at, u32_at};
use crate::crc::{crc32, crc32_parts};
use crate::kernels::Family;
use crate::shape::Shape;

/// First bytes of every artefact.
pub const MAGIC: [u8; 8] = *b"FOURBIT\x1A";
/// Format version written and read; any change of bits or layout raises it.
pub const VERSION: u16 = 3;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 60;
/// Bytes of an entry of the section table, which follows the header.
pub const ENTRY_BYTES: usize = 12;
/// Alignment of the file and of every section in it.
pub const ALIGN: usize = 16;
/// Arenas that the header can name: one per kernel family code.
pub const MAX_FAMILIES: usize = 8;

/// Kinds of sections. Kinds from 0x8000 on may be ignored by a reader that does not know them.
pub mod kind {
    /// Tensor records.
    pub const TENSORS: u16 = 1;
    /// Op records, in execution order.
    pub const OPS: u16 = 2;
    /// Filters.
    pub const WEIGHTS: u16 = 3;
    /// Bias, multiplier and shift per output channel.
    pub const CHANNELS: u16 = 4;
    /// A plan; the tag is the kernel family.
    pub const PLAN: u16 = 5;
    /// Op names: length byte, then UTF-8.
    pub const NAMES: u16 = 0x8001;
    /// Class labels, UTF-8, each ended by a line feed.
    pub const LABELS: u16 = 0x8002;
    /// Free text about the network, UTF-8.
    pub const CARD: u16 = 0x8003;
}

/// What an artefact says of itself before its sections are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole file.
    pub file_bytes: u32,
    /// Entries of the section table.
    pub sections: u16,
    /// Arena bytes per kernel family code; 0 where the file has no plan for the family.
    pub arenas: [u32; MAX_FAMILIES],
    /// Shape of the image, int8.
    pub input_shape: Shape,
    /// Number of logits, int8.
    pub logits: u16,
}

/// One entry of the section table, and where its section lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// One of [`kind`].
    pub kind: u16,
    /// Kernel family of a plan, otherwise 0.
    pub tag: u16,
    /// From the start of the file: the next multiple of [`ALIGN`] behind the section before. No entry has it.
    pub offset: usize,
    /// Bytes.
    pub bytes: u32,
    /// CRC-32 of the bytes.
    pub crc: u32,
}

/// Why bytes are not a complete artefact of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum HeaderError {
    /// Fewer bytes than a header, or than the header promises.
    Truncated {
        /// Bytes that the file should have.
        need: u32,
        /// Bytes given.
        have: u32,
    },
    /// More bytes than the header says, or than its sections fill.
    TrailingBytes {
        /// Bytes that the file should have.
        need: u32,
        /// Bytes given.
        have: u32,
    },
    /// The first bytes are not [`MAGIC`].
    BadMagic,
    /// Written by another version of the format.
    Version {
        /// The file's version.
        found: u16,
    },
    /// Header or section table do not match their CRC.
    HeaderCrc,
    /// A section lies outside the file, or does not follow the one before: after zeros, and in
    /// ascending order of kind and tag.
    SectionPlace {
        /// Its place in the table.
        index: u16,
    },
    /// A section does not match its CRC.
    SectionCrc {
        /// One of [`kind`].
        kind: u16,
    },
}

impl Header {
    /// Reads the header and checks the section table, but no section's content.
    pub const fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
        let have = bytes.len() as u32;
        let Some(head) = bytes.first_chunk() else {
            return Err(HeaderError::Truncated { need: HEADER_BYTES as u32, have });
        };
        if u32_at(head, 0) != u32_at(&MAGIC, 0) || u32_at(head, 4) != u32_at(&MAGIC, 4) {
            return Err(HeaderError::BadMagic);
        }
        let version = u16_at(head, 8);
        if version != VERSION {
            return Err(HeaderError::Version { found: version });
        }
        let header = Header::fields(head);
        if bytes.len() > u32::MAX as usize || have > header.file_bytes {
            return Err(HeaderError::TrailingBytes { need: header.file_bytes, have });
        }
        if have < header.file_bytes {
            return Err(HeaderError::Truncated { need: header.file_bytes, have });
        }
        let table_end = header.table_end();
        if table_end > bytes.len() {
            return Err(HeaderError::Truncated { need: table_end as u32, have });
        }
        let table = part(bytes, HEADER_BYTES, table_end - HEADER_BYTES);
        if crc32_parts(part(bytes, 0, CRC_AT), table) != u32_at(head, CRC_AT) {
            return Err(HeaderError::HeaderCrc);
        }
        let mut sections = Sections::new(bytes, header.sections);
        let mut end = table_end;
        let mut last = 0;
        let mut index = 0;
        while let Some(section) = sections.take_next() {
            let start = section.offset;
            let rank = (section.kind as u32) << 16 | section.tag as u32;
            let inside = match bytes.len().checked_sub(start) {
                Some(room) => section.bytes as usize <= room,
                None => false,
            };
            if !inside || (index > 0 && rank <= last) {
                return Err(HeaderError::SectionPlace { index });
            }
            let mut zeros = part(bytes, end, start - end);
            while let [zero, rest @ ..] = zeros {
                if *zero != 0 {
                    return Err(HeaderError::SectionPlace { index });
                }
                zeros = rest;
            }
            end = start + section.bytes as usize;
            last = rank;
            index += 1;
        }
        if end != bytes.len() {
            return Err(HeaderError::TrailingBytes { need: end as u32, have });
        }
        Ok(header)
    }

    const fn fields(bytes: &[u8; HEADER_BYTES]) -> Header {
        let mut arenas = [0; MAX_FAMILIES];
        let mut i = 0;
        while i < MAX_FAMILIES {
            arenas[i] = u32_at(bytes, 16 + 4 * i);
            i += 1;
        }
        Header {
            sections: u16_at(bytes, 10),
            file_bytes: u32_at(bytes, 12),
            arenas,
            input_shape: Shape::new(
                u16_at(bytes, 48) as usize,
                u16_at(bytes, 50) as usize,
                u16_at(bytes, 52) as usize,
            ),
            logits: u16_at(bytes, 54),
        }
    }

    const fn table_end(&self) -> usize {
        HEADER_BYTES + ENTRY_BYTES * self.sections as usize
    }

    /// Arena bytes that a kernel family needs; 0 where the file has no plan for it.
    pub const fn arena_bytes(&self, family: Family) -> usize {
        self.arenas[family as usize] as usize
    }

    /// The header's bytes for a section table, its CRC included.
    pub fn encode(&self, table: &[u8]) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 8, VERSION.to_le_bytes());
        put(&mut bytes, 10, self.sections.to_le_bytes());
        put(&mut bytes, 12, self.file_bytes.to_le_bytes());
        for (i, arena) in self.arenas.iter().enumerate() {
            put(&mut bytes, 16 + 4 * i, arena.to_le_bytes());
        }
        put(&mut bytes, 48, (self.input_shape.height as u16).to_le_bytes());
        put(&mut bytes, 50, (self.input_shape.width as u16).to_le_bytes());
        put(&mut bytes, 52, (self.input_shape.channels as u16).to_le_bytes());
        put(&mut bytes, 54, self.logits.to_le_bytes());
        let crc = crc32_parts(bytes.get(..CRC_AT).unwrap_or(&[]), table);
        put(&mut bytes, CRC_AT, crc.to_le_bytes());
        bytes
    }
}

const CRC_AT: usize = 56;

/// Some of a file's bytes; none where they do not all lie in it.
const fn part(file: &[u8], start: usize, bytes: usize) -> &[u8] {
    match file.split_at_checked(start) {
        Some((_, tail)) => match tail.split_at_checked(bytes) {
            Some((part, _)) => part,
            None => &[],
        },
        None => &[],
    }
}

impl Section {
    /// The entry's bytes.
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        put(&mut bytes, 0, self.kind.to_le_bytes());
        put(&mut bytes, 2, self.tag.to_le_bytes());
        put(&mut bytes, 4, self.bytes.to_le_bytes());
        put(&mut bytes, 8, self.crc.to_le_bytes());
        bytes
    }

    /// The section's content; empty where it lies outside the file.
    pub const fn content<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        part(file, self.offset, self.bytes as usize)
    }
}

/// The sections of a file in the order of its table; none where that is cut short.
#[derive(Clone, Debug)]
pub struct Sections<'a> {
    table: &'a [u8],
    /// Where the one before ends.
    end: usize,
}

impl<'a> Sections<'a> {
    /// So many sections, as the file's header has them.
    pub const fn new(file: &'a [u8], count: u16) -> Self {
        let bytes = ENTRY_BYTES * count as usize;
        Self { table: part(file, HEADER_BYTES, bytes), end: HEADER_BYTES + bytes }
    }

    /// The next section: [`next`](Iterator::next), in a `const` too.
    pub const fn take_next(&mut self) -> Option<Section> {
        let Some((entry, table)) = self.table.split_first_chunk::<ENTRY_BYTES>() else { return None };
        // Up to the first section that lies outside the file, all of this fits.
        let offset = self.end.wrapping_add(ALIGN - 1) & !(ALIGN - 1);
        let (bytes, crc) = (u32_at(entry, 4), u32_at(entry, 8));
        (self.table, self.end) = (table, offset.wrapping_add(bytes as usize));
        Some(Section { kind: u16_at(entry, 0), tag: u16_at(entry, 2), offset, bytes, crc })
    }
}

impl Iterator for Sections<'_> {
    type Item = Section;

    fn next(&mut self) -> Option<Section> {
        self.take_next()
    }
}

/// An artefact whose header, section table and CRCs were found good.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    bytes: &'a [u8],
    header: Header,
}

impl<'a> Verified<'a> {
    /// Checks header, section table and the CRC of every section.
    #[inline(never)]
    pub const fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        match Self::without_section_crcs(bytes) {
            Err(error) => Err(error),
            Ok(verified) => {
                let mut sections = verified.sections();
                while let Some(section) = sections.take_next() {
                    if crc32(section.content(bytes)) != section.crc {
                        return Err(HeaderError::SectionCrc { kind: section.kind });
                    }
                }
                Ok(verified)
            }
        }
    }

    /// Checks header and section table only: for files above 256 KiB embedded by a build script
    /// that has checked the sections, which a `const` would do slowly.
    pub const fn without_section_crcs(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        match Header::read(bytes) {
            Ok(header) => Ok(Self { bytes, header }),
            Err(error) => Err(error),
        }
    }

    /// The header.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The sections.
    pub const fn sections(&self) -> Sections<'a> {
        Sections::new(self.bytes, self.header.sections)
    }

    /// The whole file.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Bytes at an address that is a multiple of 16: where an artefact or an arena may lie.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct Aligned<T: ?Sized>(pub T);

/// Embeds an artefact: a `Verified<'static>` for a `const`. The path is as for `include_bytes!`.
///
/// A truncated or corrupt file fails the build; so does one above 256 KiB, which belongs to the
/// build script and [`Verified::without_section_crcs`].
#[macro_export]
macro_rules! embed {
    ($path:expr) => {{
        static FILE: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
        assert!(FILE.0.len() <= 256 * 1024, "an artefact above 256 KiB is verified by the build script");
        #[allow(long_running_const_eval)]
        const VERIFIED: $crate::Verified<'static> = match $crate::Verified::new(&FILE.0) {
            Ok(verified) => verified,
            Err(_) => panic!("the embedded artefact is truncated, corrupt or of another version"),
        };
        VERIFIED
    }};
}
