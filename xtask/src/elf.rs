//! A firmware's file: what it takes of a board's flash, by its sections, and what lies there.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use object::{Object, ObjectSection, ObjectSymbol, SectionKind};
use serde::Serialize;

/// Section of interrupt vectors: every firmware of the board has it.
const VECTORS: &str = ".vector_table";

/// Bytes of flash beside the interrupt vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Flash {
    /// Instructions.
    pub(crate) code: usize,
    /// Tables, texts and initial values.
    pub(crate) constants: usize,
}

impl Flash {
    /// Of an ELF file.
    pub(crate) fn read(elf: &Path) -> anyhow::Result<Self> {
        let bytes = contents(elf)?;
        let sections = parse(elf, &bytes)?;
        let sections = sections.sections().map(|section| {
            let name = section.name().unwrap_or("").to_owned();
            (name, section.kind(), section.size() as usize)
        });
        Ok(Self::sum(sections))
    }

    /// What is left without an artefact among the constants.
    pub(crate) fn beside(self, artefact: usize) -> Self {
        Self { constants: self.constants.saturating_sub(artefact), ..self }
    }

    /// Both.
    pub(crate) fn bytes(self) -> usize {
        self.code + self.constants
    }

    fn sum(sections: impl Iterator<Item = (String, SectionKind, usize)>) -> Self {
        use SectionKind::{Data, ReadOnlyData, ReadOnlyString, Text};
        let mut flash = Self::default();
        for (_, kind, bytes) in sections.filter(|(name, _, _)| name != VECTORS) {
            match kind {
                Text => flash.code += bytes,
                Data | ReadOnlyData | ReadOnlyString => flash.constants += bytes,
                _ => {}
            }
        }
        flash
    }
}

/// The code of a firmware, as it lies in flash.
#[derive(Debug)]
pub(crate) struct Image {
    /// From address 0 on.
    pub(crate) flash: Vec<u8>,
    functions: Vec<(String, Range<u32>)>,
}

impl Image {
    /// Of an ELF file.
    pub(crate) fn read(elf: &Path) -> anyhow::Result<Self> {
        let bytes = contents(elf)?;
        let file = parse(elf, &bytes)?;
        let mut flash = Vec::new();
        for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
            let (start, data) = (section.address() as usize, section.data()?);
            flash.resize(flash.len().max(start + data.len()), 0);
            flash[start..start + data.len()].copy_from_slice(data);
        }
        let functions = file.symbols().filter_map(|symbol| {
            // The lowest bit says that a function is in Thumb.
            let start = symbol.address() as u32 & !1;
            Some((symbol.name().ok()?.to_owned(), start..start + symbol.size() as u32))
        });
        Ok(Self { functions: functions.collect(), flash })
    }

    /// Where the function lies whose name contains this.
    pub(crate) fn function(&self, part: &str) -> Option<Range<u32>> {
        self.functions.iter().find(|(name, _)| name.contains(part)).map(|(_, place)| place.clone())
    }
}

fn contents(elf: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))
}

fn parse<'a>(elf: &Path, bytes: &'a [u8]) -> anyhow::Result<object::File<'a>> {
    object::File::parse(bytes).with_context(|| format!("{} is not an ELF file", elf.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_variables_and_debug_information_do_not_count() {
        let sections = [
            (".vector_table", SectionKind::ReadOnlyData, 1024),
            (".text", SectionKind::Text, 20_000),
            (".rodata", SectionKind::ReadOnlyData, 600),
            (".data", SectionKind::Data, 8),
            (".bss", SectionKind::UninitializedData, 100),
            (".debug_line", SectionKind::Debug, 9_999),
        ];
        let sections = sections.into_iter().map(|(name, kind, bytes)| (name.to_owned(), kind, bytes));
        let flash = Flash::sum(sections);
        assert_eq!((flash, flash.bytes()), (Flash { code: 20_000, constants: 608 }, 20_608));
    }

    #[test]
    fn another_file_is_refused() {
        let error = Flash::read(Path::new("src/elf.rs")).unwrap_err().to_string();
        assert_eq!(error, "src/elf.rs is not an ELF file");
    }
}
