//! A board's build script: [`emit`] turns `board.toml` and an artefact into what firmware needs.
//!
//! - `memory.x`, the regions for the link script, and the arguments that name the script;
//! - `BOARD_CLOCK_HZ`, a variable for `env!`;
//! - `network.rs`: `NEEDS`, the kernels that the artefact needs on this board; `ARTEFACT`, the one that the
//!   variable `FOURBIT_MODEL` names, whose content this script has checked; `ARENA`, `PIXELS` and `CLASSES`, the
//!   bytes and the values of what it works on. A corrupt file fails the build: up to 256 KiB the compiler checks the CRCs in a `const`,
//!   above that this script does.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use fourbit::Artefact;
use fourbit::kernels::{Family, needs};
use serde::Deserialize;

/// Largest artefact that the compiler checks.
const CONST_BYTES: usize = 256 * 1024;

/// The part of `board.toml` that firmware needs.
#[derive(Deserialize)]
struct Board {
    clock_hz: u32,
    kernels: String,
    memory: BTreeMap<String, Region>,
}

#[derive(Deserialize)]
struct Region {
    origin: u32,
    bytes: u32,
}

/// Writes the files and tells cargo; ends the build with a sentence where something is wrong.
pub fn emit() {
    if let Err(sentence) = emit_all() {
        println!("cargo::error={sentence}");
    }
}

/// Programs that report; the classifier does not, and defmt's logger, which can panic, stays out of it.
const REPORTING: &[&str] = &["run", "bench", "demo", "conformance"];

/// Adds the link script of `defmt`, for firmware that reports with it.
pub fn emit_defmt() {
    for program in REPORTING {
        println!("cargo::rustc-link-arg-bin={program}=-Tdefmt.x");
    }
}

fn emit_all() -> Result<(), String> {
    let out =
        PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: run this from a build script")?);
    let text =
        fs::read_to_string("board.toml").map_err(|error| format!("cannot read board.toml: {error}"))?;
    let board: Board = toml::from_str(&text).map_err(|error| format!("board.toml: {}", error.message()))?;
    let write = |name: &str, text: &str| {
        fs::write(out.join(name), text).map_err(|error| format!("cannot write {name}: {error}"))
    };
    write("memory.x", &regions(&board.memory))?;
    write("network.rs", &network(&board.kernels)?)?;
    println!("cargo::rerun-if-changed=board.toml");
    println!("cargo::rerun-if-env-changed=FOURBIT_MODEL");
    println!("cargo::rustc-env=BOARD_CLOCK_HZ={}", board.clock_hz);
    println!("cargo::rustc-link-search={}", out.display());
    // Sections lie at the addresses of the link script, not at pages of the linker's.
    println!("cargo::rustc-link-arg-bins=--nmagic");
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    Ok(())
}

/// The memory regions as cortex-m-rt's link script wants them; a region `BOOT` takes what the core
/// reads first, the section `.boot`.
fn regions(memory: &BTreeMap<String, Region>) -> String {
    let mut text = String::from("MEMORY {\n");
    for (name, Region { origin, bytes }) in memory {
        let _ = writeln!(text, "  {name} : ORIGIN = {origin:#010x}, LENGTH = {bytes}");
    }
    text += "}\n";
    if memory.contains_key("BOOT") {
        text += "SECTIONS { .boot : { KEEP(*(.boot)) } > BOOT } INSERT BEFORE .text;\n";
    }
    text
}

/// The items of `network.rs`: some that fail the build where no artefact was named.
fn network(kernels: &str) -> Result<String, String> {
    let family = match kernels {
        "portable" => Family::Portable,
        "armv7em" => Family::Armv7em,
        "mve" => Family::Mve,
        other => return Err(format!("board.toml: no kernels are called {other}")),
    };
    let Some(path) = env::var_os("FOURBIT_MODEL") else {
        return Ok("compile_error!(\"set FOURBIT_MODEL to the path of a .fourbit file\");".to_owned());
    };
    let path = Path::new(&path).canonicalize();
    let path = path.map_err(|error| format!("FOURBIT_MODEL does not name a file: {error}"))?;
    println!("cargo::rerun-if-changed={}", path.display());
    let bytes = fs::read(&path).map_err(|error| format!("cannot read the artefact: {error}"))?;
    let verified = verified(&path, &bytes)?;
    let needs = needs(&bytes, family)?;
    Ok(format!(
        "const NEEDS: u32 = {needs:#x};
const NETWORK: fourbit::Embedded<NEEDS> = {{
    const VERIFIED: fourbit::Verified<'static> = {verified};
    // SAFETY: the build script has opened this file and taken the needs from it.
    unsafe {{ fourbit::Embedded::new(VERIFIED) }}
}};
static ARTEFACT: fourbit::Artefact<'static> = NETWORK.artefact();
const ARENA: usize = NETWORK.header().arena_bytes(fourbit::kernels::Family::{family:?});
const PIXELS: usize = NETWORK.header().input_shape.elements();
const CLASSES: usize = NETWORK.header().logits as usize;
"
    ))
}

/// An expression for the artefact, its CRCs checked.
fn verified(path: &Path, bytes: &[u8]) -> Result<String, String> {
    if bytes.len() <= CONST_BYTES {
        return Ok(format!("fourbit::embed!({path:?})"));
    }
    fourbit::Verified::new(bytes).map_err(|error| format!("the artefact cannot be embedded: {error}"))?;
    Ok(format!(
        "{{
    static FILE: &fourbit::Aligned<[u8]> = &fourbit::Aligned(*include_bytes!({path:?}));
    match fourbit::Verified::without_section_crcs(&FILE.0) {{
        Ok(verified) => verified,
        Err(_) => panic!(\"the build script has read another file\"),
    }}
}}"
    ))
}

/// What kernels the artefact needs, its content checked; everything for a file that does not verify, which
/// the compiler refuses.
fn needs(bytes: &[u8], family: Family) -> Result<u32, String> {
    // An artefact lies at a multiple of 16.
    let mut memory = vec![0; bytes.len() + 15];
    let start = memory.as_ptr().align_offset(16);
    let memory = &mut memory[start..start + bytes.len()];
    memory.copy_from_slice(bytes);
    let Ok(verified) = fourbit::Verified::new(memory) else { return Ok(needs::ALL) };
    let artefact =
        Artefact::open(verified).map_err(|error| format!("the artefact cannot be embedded: {error}"))?;
    fourbit::embedded::needs(&artefact, family)
        .ok_or_else(|| "the artefact has no plan for this board".to_owned())
}
