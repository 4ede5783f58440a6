//! ELF files for checks: firmware that fits a chip by a byte, or not.
//!
//! Written byte by byte after *Executable and Linkable Format* (TIS 1.2), so that the reader is held
//! to the standard and not to a library that it shares with the writer.

use super::{RTT, Segment};

/// Bytes of the file's header, of a program header, of a section header, of a symbol.
const HEADER: u32 = 52;
const PROGRAM: u32 = 32;
const SECTION: u32 = 40;
const SYMBOL: u32 = 16;

/// An executable for a 32-bit Arm core: these segments, of zeros, and the symbol of RTT's control
/// block, where it has one.
pub(crate) fn elf(segments: &[Segment], rtt: Option<u64>) -> Vec<u8> {
    let mut content = Vec::new();
    let begin = HEADER + PROGRAM * segments.len() as u32;
    let mut programs = Vec::new();
    for segment in segments {
        let Segment { load, address, loaded, bytes } = *segment;
        let [loadable, readable, align] = [1, 4, 4];
        let offset = begin + content.len() as u32;
        let (load, address, loaded, bytes) = (load as u32, address as u32, loaded as u32, bytes as u32);
        programs.extend([loadable, offset, address, load, loaded, bytes, readable, align]);
        content.resize((content.len() + loaded as usize).next_multiple_of(4), 0);
    }
    let names = format!("\0.symtab\0.strtab\0{RTT}\0");
    let name = |of: &str| names.find(of).unwrap_or(0) as u32;
    let symbols_at = begin + content.len() as u32;
    let mut symbols = vec![0; SYMBOL as usize];
    if let Some(rtt) = rtt {
        let [absolute, global_object, size] = [0xFFF1_u32, 0x11, 4];
        words(&mut symbols, [name(RTT), rtt as u32, size, absolute << 16 | global_object]);
    }
    let names_at = symbols_at + symbols.len() as u32;
    let sections_at = (names_at + names.len() as u32).next_multiple_of(4);

    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let [executable, arm, version] = [2, 40, 1];
    words(&mut file, [arm << 16 | executable, version, 0, HEADER, sections_at, 0]);
    let [sections, names_section] = [3, 2];
    let counts =
        [PROGRAM << 16 | HEADER, SECTION << 16 | segments.len() as u32, names_section << 16 | sections];
    words(&mut file, counts);
    words(&mut file, programs);
    file.extend(content);
    file.extend(&symbols);
    file.extend(names.bytes());
    file.resize(sections_at as usize, 0);
    words(&mut file, [0; 10]);
    let [table, strings] = [2, 3];
    let (first_global, symbols) = (1, symbols.len() as u32);
    words(
        &mut file,
        [name(".symtab"), table, 0, 0, symbols_at, symbols, names_section, first_global, 4, SYMBOL],
    );
    words(&mut file, [name(".strtab"), strings, 0, 0, names_at, names.len() as u32, 0, 0, 1, 0]);
    file
}

fn words(file: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    file.extend(words.into_iter().flat_map(u32::to_le_bytes));
}
