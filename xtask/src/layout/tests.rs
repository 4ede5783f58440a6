//! Firmware that fits and firmware that does not.

use super::*;

/// nRF52840_xxAA: 1 MiB of flash, 256 KiB of RAM.
fn regions() -> Vec<Region> {
    let region = |name: &str, flash, start, end| Region { name: name.to_owned(), flash, start, end };
    vec![region("NVM", true, 0, 0x10_0000), region("RAM", false, 0x2000_0000, 0x2004_0000)]
}

/// A file with these segments, and the control block at `rtt`.
fn elf(segments: &[Segment], rtt: Option<u64>) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".elf").tempfile().unwrap();
    fs::write(file.path(), planted::elf(segments, rtt)).unwrap();
    file
}

fn flash(load: u64, bytes: u64) -> Segment {
    Segment { load, address: load, loaded: bytes, bytes }
}

/// Variables whose initial values lie behind `load`.
fn data(load: u64, address: u64, loaded: u64, bytes: u64) -> Segment {
    Segment { load, address, loaded, bytes }
}

/// The sentence that refuses a firmware, if one does.
fn refused(segments: &[Segment], rtt: Option<u64>) -> Option<String> {
    let file = elf(segments, rtt);
    let layout = Layout::read(file.path()).unwrap();
    assert_eq!(layout.segments, segments);
    layout.check("it", "C", &regions()).err().map(|error| error.to_string())
}

const RTT_AT: Option<u64> = Some(0x2000_0000);

#[test]
fn what_fills_the_chip_fits() {
    let full =
        [flash(0, 0xF_FF00), data(0xF_FF00, 0x2000_0000, 0x100, 0x100), data(0, 0x2000_0100, 0, 0x3_FF00)];
    assert_eq!(refused(&full, RTT_AT), None);
    let layout = Layout::read(elf(&full, RTT_AT).path()).unwrap();
    let used: Vec<_> = regions().iter().map(|region| layout.used(region)).collect();
    assert_eq!((used, layout.rtt), (vec![0x10_0000, 0x4_0000], RTT_AT));
}

#[test]
fn one_byte_more_does_not() {
    let sentence = |place: &str, end: &str| {
        Some(format!("it ends 1 byte behind the {place} of C, which ends at {end}: use a smaller network"))
    };
    assert_eq!(refused(&[flash(0, 0x10_0001)], RTT_AT), sentence("NVM", "0x00100000"));
    // Initial values go to flash as well.
    let over = [flash(0, 0xF_FF00), data(0xF_FF00, 0x2000_0000, 0x101, 0x101)];
    assert_eq!(refused(&over, RTT_AT), sentence("NVM", "0x00100000"));
    let over = [flash(0, 64), data(0, 0x2000_0000, 0, 0x4_0001)];
    assert_eq!(refused(&over, RTT_AT), sentence("RAM", "0x20040000"));
}

#[test]
fn wrong_addresses_are_named() {
    let sentence = refused(&[flash(0x0800_0000, 1024)], RTT_AT).unwrap();
    assert_eq!(sentence, "it has 1,024 bytes at 0x08000000, where C has no flash: link it for this chip");
    let sentence = refused(&[flash(0, 64), data(0, 0x1000_0000, 0, 8)], RTT_AT).unwrap();
    assert_eq!(sentence, "it has 8 bytes at 0x10000000, where C has no memory: link it for this chip");
    // RAM can be loaded, but not kept.
    let sentence = refused(&[flash(0x2000_0000, 64)], RTT_AT).unwrap();
    assert!(sentence.contains("at 0x20000000, where C has no flash"), "{sentence}");
    let sentence = refused(&[flash(0x1000, 64)], RTT_AT).unwrap();
    assert_eq!(sentence, "it begins at 0x00001000 and C starts at 0x00000000: link it for this chip");
}

#[test]
fn a_firmware_must_be_able_to_talk() {
    for rtt in [None, Some(0x100)] {
        let sentence = refused(&[flash(0, 1024)], rtt).unwrap();
        assert!(sentence.starts_with("it has no _SEGGER_RTT in RAM"), "{sentence}");
    }
    let sentence = refused(&[data(0, 0x2000_0000, 0, 8)], RTT_AT).unwrap();
    assert!(sentence.starts_with("it has nothing to be written"), "{sentence}");
}

#[test]
fn other_files_are_refused() {
    let said = |path: &Path| Layout::read(path).unwrap_err().to_string();
    assert!(said(Path::new("no-such.elf")).starts_with("cannot read the firmware no-such.elf"));
    assert!(said(Path::new("src/layout.rs")).starts_with("src/layout.rs is not a firmware"));
}
