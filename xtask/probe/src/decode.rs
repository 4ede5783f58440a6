//! Frames of defmt to lines of text, with the table in the firmware's ELF file.
//!
//! The one decoder for all transports: an RTT channel and an emulator's output.

use std::io::Write;

use anyhow::{Context, bail, ensure};
use defmt_decoder::{DecodeError, StreamDecoder, Table};

/// The words of a firmware, which its frames refer to.
pub(crate) fn table(elf: &[u8]) -> anyhow::Result<Table> {
    let table = Table::parse(elf).context("the firmware's table of defmt cannot be read")?;
    table.context("the firmware has no table of defmt: it does not report in frames")
}

/// Takes frames in pieces of any length.
pub(crate) struct Decoder<'t> {
    stream: Box<dyn StreamDecoder + Send + Sync + 't>,
    /// The bytes so far end amid a frame.
    torn: bool,
}

impl<'t> Decoder<'t> {
    /// At the start of a stream.
    pub(crate) fn new(table: &'t Table) -> Self {
        Self { stream: table.new_stream_decoder(), torn: false }
    }

    /// Writes a line for each frame that these bytes complete. A damaged frame is an error.
    pub(crate) fn lines(&mut self, bytes: &[u8], out: &mut impl Write) -> anyhow::Result<()> {
        self.stream.received(bytes);
        // The encoding, rzCOBS, ends a frame with the only zero in it.
        self.torn = bytes.last().map_or(self.torn, |&last| last != 0);
        loop {
            match self.stream.decode() {
                Ok(frame) => {
                    let text = frame.display_message().to_string();
                    writeln!(out, "{}", text.replace(['\r', '\n'], " "))?;
                }
                Err(DecodeError::UnexpectedEof) => return Ok(out.flush()?),
                Err(DecodeError::Malformed) => bail!("the firmware's report has a damaged frame"),
            }
        }
    }

    /// Fails if the stream ended amid a frame.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        ensure!(!self.torn, "the firmware's report ends amid a frame");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What frame 1 says, in the words of defmt's book, "Interning".
    const WORD: &str =
        r#"{"package":"p","tag":"defmt_println","data":"total {=u32}","disambiguator":"1","crate_name":"c"}"#;
    const ABSOLUTE: u16 = 0xFFF1;

    /// An ELF file with these symbols: name, section (1 is `.defmt`), value. After the tables of
    /// *Executable and Linkable Format*: header, `.defmt`, `.symtab`, `.strtab`, section headers.
    fn elf(symbols: &[(&str, u16, u32)]) -> Vec<u8> {
        let mut names = b"\0.defmt\0.symtab\0.strtab\0".to_vec();
        let mut table = vec![0; 16];
        for (name, section, value) in symbols {
            let (size, info) = (1_u32, [0x11, 0]);
            table.extend([names.len() as u32, *value, size].iter().flat_map(|word| word.to_le_bytes()));
            table.extend(info.iter().copied().chain(section.to_le_bytes()));
            names.extend(name.bytes().chain([0]));
        }
        names.resize(names.len().next_multiple_of(4), 0);
        let words = [0; 16];
        let (words_at, table_at) = (52, 52 + words.len() as u32);
        let names_at = table_at + table.len() as u32;
        let headers_at = names_at + names.len() as u32;
        let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x28\0".to_vec();
        file.extend([1, 0, 0, headers_at, 0].iter().flat_map(|word| word.to_le_bytes()));
        file.extend([52_u16, 32, 0, 40, 4, 3].iter().flat_map(|half| half.to_le_bytes()));
        file.extend(words.iter().chain(&table).chain(&names));
        let headers = [
            [0; 10],
            [1, 1, 0, 0, words_at, words.len() as u32, 0, 0, 1, 0],
            [8, 2, 0, 0, table_at, table.len() as u32, 3, 1, 4, 16],
            [16, 3, 0, 0, names_at, names.len() as u32, 0, 0, 1, 0],
        ];
        file.extend(headers.as_flattened().iter().flat_map(|word| word.to_le_bytes()));
        file
    }

    /// A firmware with one word, whose frame 1 is `total {=u32}`.
    fn planted() -> Vec<u8> {
        elf(&[(WORD, 1, 1), ("_defmt_version_ = 4", ABSOLUTE, 0), ("_defmt_encoding_ = rzcobs", ABSOLUTE, 0)])
    }

    /// `total 258`: index 1 as u16, 258 as u32, little-endian: 01 00 02 01 00 00. In rzCOBS a
    /// block of seven bytes is those that are not zero and then a byte whose bits say where zeros
    /// stood; an unfinished block is such a byte too. Here: 01 02 01, and zeros at 1, 4 and 5.
    const FRAME: [u8; 5] = [0x01, 0x02, 0x01, 0b0111_0010, 0x00];

    #[test]
    fn a_frame_is_its_line() {
        let file = planted();
        let table = table(&file).expect("has a table");
        for piece in 1..FRAME.len() {
            let (mut decoder, mut out) = (Decoder::new(&table), Vec::new());
            for bytes in FRAME.chunks(piece) {
                decoder.lines(bytes, &mut out).expect("decodes");
            }
            decoder.end().expect("is whole");
            assert_eq!(out, b"total 258\n");
        }
    }

    #[test]
    fn torn_and_damaged_frames_are_errors() {
        let file = planted();
        let table = table(&file).expect("has a table");
        let mut decoder = Decoder::new(&table);
        decoder.lines(&FRAME[..3], &mut vec![]).expect("may go on");
        assert_eq!(decoder.end().unwrap_err().to_string(), "the firmware's report ends amid a frame");
        let unknown = [0x77, 0x02, 0x01, FRAME[3], 0x00];
        let error = Decoder::new(&table).lines(&unknown, &mut vec![]).unwrap_err().to_string();
        assert_eq!(error, "the firmware's report has a damaged frame");
    }

    #[test]
    fn a_firmware_without_a_table_is_refused() {
        let mut file = elf(&[("main", ABSOLUTE, 0)]);
        let at = file.windows(6).position(|name| name == b".defmt").expect("has the section");
        file[at..at + 6].copy_from_slice(b".other");
        let error = table(&file).unwrap_err().to_string();
        assert!(error.starts_with("the firmware has no table of defmt"), "{error}");
    }
}
