//! A firmware's place in a chip's memory: reads it from an ELF file and checks it against the chip.
//!
//! Takes the regions as probe-rs describes them ([`Region`]); a firmware that does not fit is
//! refused in one sentence.

pub(crate) mod planted;

use std::fs;
use std::path::Path;

use object::elf::{EM_ARM, FileHeader32, PT_LOAD, SHF_ALLOC};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags};
use serde::{Deserialize, Serialize};

use crate::failure::{OrBadInput, bad_input};
use crate::paths;
use crate::table::thousands;

/// RTT's control block: a debug probe finds the firmware's channels by it.
const RTT: &str = "_SEGGER_RTT";

/// A range of a chip's addresses that hold memory.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Region {
    pub(crate) name: String,
    /// Keeps what is written without power.
    pub(crate) flash: bool,
    pub(crate) start: u64,
    /// The first address behind it.
    pub(crate) end: u64,
}

/// What is loaded to one place of the chip and runs at one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Segment {
    /// Address that is written by a debug probe.
    pub(crate) load: u64,
    /// Address at which the firmware sees it.
    pub(crate) address: u64,
    /// Bytes that are written; 0 for variables without initial values.
    pub(crate) loaded: u64,
    /// Bytes at `address`.
    pub(crate) bytes: u64,
}

/// A named part of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) address: u64,
    pub(crate) bytes: u64,
}

/// What a firmware's file says of memory.
#[derive(Debug, Serialize)]
pub(crate) struct Layout {
    pub(crate) segments: Vec<Segment>,
    /// The largest first.
    pub(crate) sections: Vec<Section>,
    /// Address of RTT's control block.
    pub(crate) rtt: Option<u64>,
}

impl Layout {
    /// Reads a firmware for a 32-bit Arm core.
    pub(crate) fn read(elf: &Path) -> anyhow::Result<Self> {
        let shown = paths::shown(elf);
        let bytes = fs::read(elf).or_bad_input(|| format!("cannot read the firmware {shown}"))?;
        let file = ElfFile::<FileHeader32<Endianness>>::parse(bytes.as_slice());
        let other =
            || bad_input(format!("{shown} is not a firmware: give the ELF file of a 32-bit Arm core"));
        let file = file.map_err(|_| other())?;
        let endian = file.endian();
        if file.elf_header().e_machine(endian) != EM_ARM {
            return Err(other());
        }
        let loads = file.elf_program_headers().iter().filter(|header| header.p_type(endian) == PT_LOAD);
        let segments = loads.map(|header| Segment {
            load: header.p_paddr(endian).into(),
            address: header.p_vaddr(endian).into(),
            loaded: header.p_filesz(endian).into(),
            bytes: header.p_memsz(endian).into(),
        });
        let in_memory =
            |flags| matches!(flags, SectionFlags::Elf { sh_flags, .. } if sh_flags.0 & SHF_ALLOC.0 != 0);
        let sections = file.sections().filter(|section| section.size() > 0 && in_memory(section.flags()));
        let mut sections: Vec<_> = sections
            .map(|section| Section {
                name: section.name().unwrap_or("").to_owned(),
                address: section.address(),
                bytes: section.size(),
            })
            .collect();
        sections.sort_by_key(|section| std::cmp::Reverse(section.bytes));
        let rtt = file.symbols().find(|symbol| symbol.name() == Ok(RTT)).map(|symbol| symbol.address());
        Ok(Self { segments: segments.filter(|segment| segment.bytes > 0).collect(), sections, rtt })
    }

    /// Whether everything lies in the memory of `chip`, starts where the chip does, and can be
    /// talked to; `name` is what the firmware is called.
    pub(crate) fn check(&self, name: &str, chip: &str, regions: &[Region]) -> anyhow::Result<()> {
        if self.segments.iter().all(|segment| segment.loaded == 0) {
            return Err(bad_input(format!(
                "{name} has nothing to be written: give the ELF file of a firmware"
            )));
        }
        for segment in &self.segments {
            if segment.loaded > 0 {
                fits(name, chip, "flash", segment.load, segment.loaded, regions, |region| region.flash)?;
            }
            fits(name, chip, "memory", segment.address, segment.bytes, regions, |_| true)?;
        }
        let start = regions.iter().filter(|region| region.flash).map(|region| region.start).min();
        let first =
            self.segments.iter().filter(|segment| segment.loaded > 0).map(|segment| segment.load).min();
        if let (Some(start), Some(first)) = (start, first)
            && first != start
        {
            return Err(bad_input(format!(
                "{name} begins at {first:#010x} and {chip} starts at {start:#010x}: link it for this chip"
            )));
        }
        let in_ram = |&rtt: &u64| regions.iter().any(|region| !region.flash && region.has(rtt));
        if self.rtt.filter(in_ram).is_none() {
            return Err(bad_input(format!(
                "{name} has no {RTT} in RAM, so nothing it says can be read: link it with RTT"
            )));
        }
        Ok(())
    }

    /// Bytes that the firmware takes of a region.
    pub(crate) fn used(&self, region: &Region) -> u64 {
        let taken = self.segments.iter().map(|segment| match region.flash {
            true if segment.loaded > 0 && region.has(segment.load) => segment.loaded,
            false if region.has(segment.address) => segment.bytes,
            _ => 0,
        });
        taken.sum()
    }
}

impl Region {
    /// Whether an address lies in it.
    pub(crate) fn has(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// Whether a range lies within one of the regions that serve for it.
fn fits(
    name: &str,
    chip: &str,
    what: &str,
    start: u64,
    bytes: u64,
    regions: &[Region],
    serves: impl Fn(&Region) -> bool,
) -> anyhow::Result<()> {
    let Some(region) = regions.iter().find(|region| serves(region) && region.has(start)) else {
        return Err(bad_input(format!(
            "{name} has {} bytes at {start:#010x}, where {chip} has no {what}: link it for this chip",
            thousands(bytes)
        )));
    };
    let over = (start + bytes).saturating_sub(region.end);
    if over > 0 {
        let unit = if over == 1 { "byte" } else { "bytes" };
        return Err(bad_input(format!(
            "{name} ends {} {unit} behind the {} of {chip}, which ends at {:#010x}: use a smaller network",
            thousands(over),
            region.name,
            region.end
        )));
    }
    Ok(())
}

#[cfg(test)]
#[path = "layout/tests.rs"]
mod tests;
