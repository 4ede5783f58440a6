//! Bad artefacts: each is refused with its own error, in one sentence that says what to do.
//!
//! Here the file as a whole: cut, damaged, put together wrongly. `artefact/content.rs` and
//! `artefact/plans.rs` have files that are whole and ask for what cannot be run, `artefact/buffers.rs` the
//! caller's buffers.

#[path = "artefact/buffers.rs"]
mod buffers;
#[path = "artefact/content.rs"]
mod content;
#[path = "artefact/plans.rs"]
mod plans;
#[path = "common/reseal.rs"]
mod reseal;
#[path = "artefact/tiny.rs"]
mod tiny;

use std::fmt::Display;
use std::path::Path;

use fourbit::artefact::header::{ALIGN, ENTRY_BYTES, HEADER_BYTES, kind};
use fourbit::artefact::{PlanProblem, Section, Sections};
use fourbit::kernels::Family;
use fourbit::{Artefact, HeaderError, ParseError};
use fourbit_models::file::AlignedBytes;
use fourbit_models::scheme::Setting;
use fourbit_models::{compile::compile, quantize::quantize, zoo};
use reseal::{Part, Parts, put, reseal};

/// How an error's last part begins: it tells the reader what to do.
const VERBS: [&str; 7] = ["build", "compile", "copy", "give", "put", "resize", "use"];

/// The error of a file that must be refused, itself checked for what it says.
fn refusal(file: &[u8]) -> ParseError {
    let aligned = AlignedBytes::copy(file);
    let error = Artefact::parse(aligned.bytes()).expect_err("the file must be refused");
    assert_tells(&error);
    error
}

fn damage(file: &[u8]) -> HeaderError {
    match refusal(file) {
        ParseError::Header(error) => error,
        other => panic!("refused only for its content: {other}"),
    }
}

fn accepted(file: &[u8]) -> bool {
    Artefact::parse(AlignedBytes::copy(file).bytes()).is_ok()
}

/// One sentence: what is wrong, then what to do.
fn assert_tells(error: &impl Display) {
    let text = error.to_string();
    let (_, advice) = text.rsplit_once("; ").unwrap_or_else(|| panic!("no advice: {text}"));
    let verb = advice.split(' ').next().expect("a word");
    assert!(VERBS.contains(&verb), "no advice: {text}");
    assert!(!text.contains(['\n', '\r']) && !text.contains(". ") && !text.ends_with('.'), "{text}");
}

/// Taken apart, changed, and put together with every CRC right.
fn changed(file: &[u8], change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::of(file);
    change(&mut parts);
    parts.join()
}

fn sections(file: &[u8]) -> Sections<'_> {
    Sections::new(file, Parts::of(file).sections.len() as u16)
}

/// An entry of the section table changed, the header's CRC repaired.
fn moved(file: &[u8], index: u16, change: impl FnOnce(&mut Section)) -> HeaderError {
    let mut file = file.to_vec();
    let mut section = sections(&file).nth(index.into()).expect("a section");
    change(&mut section);
    put(&mut file, HEADER_BYTES + ENTRY_BYTES * usize::from(index), &section.encode());
    reseal(&mut file);
    damage(&file)
}

#[test]
fn the_committed_files_are_what_the_compiler_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    for (name, file) in tiny::files() {
        let path = folder.join(name).with_extension("fourbit");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &file).expect("the golden files can be written");
        }
        let committed = std::fs::read(&path).expect("the golden files can be read");
        assert!(committed == file, "{name} has other bytes now; BLESS=1 writes them");
        assert!(file.len() < 1536, "{name} has {} bytes", file.len());
        assert_eq!(Parts::of(&file).join(), file);
    }
}

#[test]
fn cut_at_every_length() {
    for (_, file) in tiny::files() {
        for length in 0..file.len() {
            let need = if length < HEADER_BYTES { HEADER_BYTES } else { file.len() };
            let expected = HeaderError::Truncated { need: need as u32, have: length as u32 };
            assert_eq!(damage(&file[..length]), expected);
        }
    }
}

#[test]
fn cut_files_that_deny_it() {
    for (_, file) in tiny::files() {
        for length in HEADER_BYTES..file.len() {
            let mut cut = file[..length].to_vec();
            put(&mut cut, 12, &(length as u32).to_le_bytes());
            reseal(&mut cut);
            let error = damage(&cut);
            assert!(
                matches!(error, HeaderError::SectionPlace { .. } | HeaderError::Truncated { .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn longer_than_it_says() {
    for (_, mut file) in tiny::files() {
        let need = file.len() as u32;
        file.push(0);
        assert_eq!(damage(&file), HeaderError::TrailingBytes { need, have: need + 1 });
        put(&mut file, 12, &(need + 1).to_le_bytes());
        reseal(&mut file);
        assert_eq!(damage(&file), HeaderError::TrailingBytes { need, have: need + 1 });
    }
}

/// What a flipped bit must be found as.
fn damage_at(file: &[u8], at: usize) -> HeaderError {
    let word = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
    let have = file.len() as u32;
    let sections: Vec<_> = Sections::new(file, word(10)).collect();
    let table_end = HEADER_BYTES + ENTRY_BYTES * usize::from(word(10));
    match at {
        0..8 => HeaderError::BadMagic,
        8..10 => HeaderError::Version { found: word(8) },
        10..12 if table_end > file.len() => HeaderError::Truncated { need: table_end as u32, have },
        12..16 => {
            let need = u32::from(word(12)) | u32::from(word(14)) << 16;
            if need < have {
                HeaderError::TrailingBytes { need, have }
            } else {
                HeaderError::Truncated { need, have }
            }
        }
        _ if at < table_end.max(HEADER_BYTES + ENTRY_BYTES) => HeaderError::HeaderCrc,
        _ => {
            let end = |section: &Section| section.offset + section.bytes as usize;
            let index = sections.iter().position(|section| at < end(section)).expect("a section");
            if at < sections[index].offset {
                HeaderError::SectionPlace { index: index as u16 }
            } else {
                HeaderError::SectionCrc { kind: sections[index].kind }
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_found() {
    for (_, file) in tiny::files() {
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut file = file.clone();
                file[at] ^= 1 << bit;
                assert_eq!(damage(&file), damage_at(&file, at), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn flipped_bits_of_a_large_network_are_found() {
    let graph = quantize(&zoo::resnet8(1, Setting::W4a4).expect("calibrates")).expect("quantizes");
    let mut file = compile(&graph, &graph.labels, "random weights").expect("compiles");
    assert!(accepted(&file));
    for at in (0..file.len()).step_by(997) {
        file[at] ^= 1 << (at % 8);
        assert_eq!(damage(&file), damage_at(&file, at), "byte {at}");
        file[at] ^= 1 << (at % 8);
    }
}

#[test]
fn other_files_and_versions() {
    let [(_, file), _] = tiny::files();
    let mut png = file.clone();
    put(&mut png, 0, b"\x89PNG\r\n\x1A\n");
    assert_eq!(damage(&png), HeaderError::BadMagic);
    for version in [0, 1, 2, 4, 0x0100, u16::MAX] {
        let mut other = file.clone();
        put(&mut other, 8, &version.to_le_bytes());
        reseal(&mut other);
        assert_eq!(damage(&other), HeaderError::Version { found: version });
    }
}

#[test]
fn at_every_address() {
    let [(_, file), _] = tiny::files();
    let mut memory = AlignedBytes::zeroed(file.len() + ALIGN);
    for start in 0..=ALIGN {
        let bytes = &mut memory.bytes_mut()[start..start + file.len()];
        bytes.copy_from_slice(&file);
        match Artefact::parse(bytes) {
            Ok(_) => assert!(start.is_multiple_of(ALIGN)),
            Err(error) => {
                assert_eq!((error, start.is_multiple_of(ALIGN)), (ParseError::Misaligned, false));
                assert_tells(&error);
            }
        }
    }
}

#[test]
fn sections_out_of_place() {
    let [(_, file), _] = tiny::files();
    let last = Parts::of(&file).sections.len() as u16 - 1;
    let place = |index| HeaderError::SectionPlace { index };
    // Where no zeros are.
    assert_eq!(moved(&file, 0, |section| section.bytes += ALIGN as u32), place(1));
    assert_eq!(moved(&file, 0, |section| section.bytes -= ALIGN as u32), place(1));
    for bytes in [1 << 20, u32::MAX - ALIGN as u32, u32::MAX] {
        assert_eq!(moved(&file, 0, |section| section.bytes = bytes), place(0));
        assert_eq!(moved(&file, last, |section| section.bytes = bytes), place(last));
    }
    assert_eq!(moved(&file, last, |section| section.bytes += 1), place(last));
    let (need, have) = (file.len() as u32 - 1, file.len() as u32);
    assert_eq!(moved(&file, last, |section| section.bytes -= 1), HeaderError::TrailingBytes { need, have });
}

#[test]
fn sections_out_of_order() {
    let [(_, file), _] = tiny::files();
    let swapped = changed(&file, |parts| parts.sections.swap(0, 1));
    assert_eq!(damage(&swapped), HeaderError::SectionPlace { index: 1 });
    for index in 0..Parts::of(&file).sections.len() {
        let twice = changed(&file, |parts| parts.sections.insert(index, parts.sections[index].clone()));
        assert_eq!(damage(&twice), HeaderError::SectionPlace { index: index as u16 + 1 });
    }
}

#[test]
fn sections_that_this_runtime_does_not_know() {
    let [(_, file), _] = tiny::files();
    let with = |kind, tag| {
        changed(&file, |parts| {
            let at = parts.sections.partition_point(|part| (part.kind, part.tag) < (kind, tag));
            parts.sections.insert(at, Part { kind, tag, content: vec![7; 5] });
        })
    };
    for (kind, tag) in [(0, 0), (6, 0), (0x7FFF, 0), (kind::OPS, 1), (kind::WEIGHTS, u16::MAX)] {
        assert_eq!(refusal(&with(kind, tag)), ParseError::UnknownSection { kind });
    }
    // A plan for cores of later days, and what a reader may ignore.
    for (kind, tag) in [(kind::PLAN, 4), (kind::PLAN, u16::MAX), (kind::CARD, 1), (0x8004, 0), (!0, !0)] {
        assert!(accepted(&with(kind, tag)), "{kind:#06x}, {tag}");
    }
}

#[test]
fn sections_that_are_missing() {
    let [(_, file), _] = tiny::files();
    let without = |kind| changed(&file, |parts| parts.sections.retain(|part| part.kind != kind));
    let plan = |problem| ParseError::Plan { family: Family::Portable, problem };
    assert_eq!(refusal(&without(kind::TENSORS)), ParseError::Counts { tensors: 0, ops: 4 });
    assert_eq!(refusal(&without(kind::OPS)), ParseError::Counts { tensors: 5, ops: 0 });
    assert_eq!(refusal(&without(kind::PLAN)), plan(PlanProblem::Arena));
    for kind in [kind::WEIGHTS, kind::CHANNELS] {
        assert!(matches!(refusal(&without(kind)), ParseError::Op { index: 0, .. }));
    }
    for kind in [kind::NAMES, kind::LABELS] {
        assert!(accepted(&without(kind)));
    }
    let nothing = changed(&file, |parts| parts.sections.clear());
    assert_eq!(refusal(&nothing), ParseError::Counts { tensors: 0, ops: 0 });
}

#[test]
fn text_that_is_none() {
    let [_, (_, file)] = tiny::files();
    let with = |kind, text: &[u8]| changed(&file, |parts| *parts.section(kind) = text.to_vec());
    for (kind, text) in [
        (kind::LABELS, &b"no\ny\xFFs\n"[..]),
        (kind::LABELS, b"no\n"),
        (kind::LABELS, b"no\nyes\nperhaps\n"),
        (kind::CARD, b"\xC3"),
    ] {
        assert_eq!(refusal(&with(kind, text)), ParseError::Text { kind });
    }
    assert!(accepted(&with(kind::LABELS, b"")));
    assert!(accepted(&with(kind::NAMES, b"\xFF")));
}
