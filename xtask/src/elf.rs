//! What a firmware's file takes of a board's flash, by its sections.

use std::fs;
use std::path::Path;

use anyhow::Context;
use object::{Object, ObjectSection, SectionKind};

/// Section of interrupt vectors: every firmware of the board has it.
const VECTORS: &str = ".vector_table";

/// Code, constants and initial values of an ELF file, without the interrupt vectors.
pub(crate) fn code_bytes(elf: &Path) -> anyhow::Result<usize> {
    let bytes = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(bytes.as_slice());
    let file = file.with_context(|| format!("{} is not an ELF file", elf.display()))?;
    let sections = file.sections().map(|section| {
        let name = section.name().unwrap_or("").to_owned();
        (name, section.kind(), section.size() as usize)
    });
    Ok(sum(sections))
}

fn sum(sections: impl Iterator<Item = (String, SectionKind, usize)>) -> usize {
    let in_flash = |kind| {
        use SectionKind::{Data, ReadOnlyData, ReadOnlyString, Text};
        matches!(kind, Text | Data | ReadOnlyData | ReadOnlyString)
    };
    sections.filter(|(name, kind, _)| name != VECTORS && in_flash(*kind)).map(|(_, _, bytes)| bytes).sum()
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
        assert_eq!(
            sum(sections.into_iter().map(|(name, kind, bytes)| (name.to_owned(), kind, bytes))),
            20_608
        );
    }

    #[test]
    fn another_file_is_refused() {
        let error = code_bytes(Path::new("src/elf.rs")).unwrap_err().to_string();
        assert_eq!(error, "src/elf.rs is not an ELF file");
    }
}
