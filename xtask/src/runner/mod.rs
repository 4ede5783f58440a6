//! Runs firmware: on an emulator or on a chip behind a debug probe, as `board.toml` says.
//!
//! Both are commands. The host's images go to standard input as frames
//! ([`fourbit_tests::frame`]); the report comes back as lines, from an emulator as they are or, where
//! the firmware reports with defmt, through the decoder in `fourbit-probe`, which decodes what comes
//! over RTT too.

mod follow;
mod probe;
mod qemu;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use fourbit_tests::report::Line;
use serde::Deserialize;
use tempfile::TempDir;

pub(crate) use probe::Probe;
use qemu::Emulator;

/// A firmware that reports nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(300);

/// How a board's firmware runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runner {
    /// In an emulator, of which there can be any number.
    Qemu(Emulator),
    /// On the one chip that is connected.
    Probe(Probe),
}

/// A built firmware, in a folder that goes with it.
#[derive(Debug)]
pub(crate) struct Firmware {
    /// Its file.
    pub(crate) elf: PathBuf,
    name: String,
    /// Reports with defmt.
    frames: bool,
    folder: TempDir,
}

impl Firmware {
    /// Keeps a copy of what a build left; `frames` says that it reports with defmt.
    pub(crate) fn new(name: &str, elf: &Path, frames: bool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a folder for the firmware")?;
        let copy = folder.path().join("firmware.elf");
        fs::copy(elf, &copy).with_context(|| format!("cannot copy {}", elf.display()))?;
        Ok(Self { elf: copy, name: name.to_owned(), frames, folder })
    }
}

impl Runner {
    /// Runs a firmware to its end; `see` gets each line of its report. With `counting`, the counter
    /// of an emulator counts instructions; that of a chip counts cycles in any case.
    pub(crate) fn run(
        &self,
        firmware: &Firmware,
        input: &[i8],
        counting: bool,
        see: impl FnMut(Line<'_>),
    ) -> anyhow::Result<()> {
        let (mut command, decoder) = match self {
            Self::Qemu(emulator) => {
                let decoder = if firmware.frames { Some(probe::decoder(&firmware.elf)?) } else { None };
                (emulator.command(&firmware.elf, counting), decoder)
            }
            Self::Probe(probe) => (probe.run(&firmware.elf)?, None),
        };
        command.current_dir(firmware.folder.path());
        follow::follow(command, decoder, input, SILENCE, see).with_context(|| firmware.name.clone())
    }

    /// Runs a firmware to its end in an emulator that logs what it executes; `see` gets each line.
    pub(crate) fn trace(&self, firmware: &Firmware, see: impl FnMut(&[u8])) -> anyhow::Result<()> {
        match self {
            Self::Qemu(emulator) => emulator.trace(&firmware.elf, see).with_context(|| firmware.name.clone()),
            Self::Probe(_) => bail!("{}: a chip does not log what it executes", firmware.name),
        }
    }

    /// The emulator, where it is one.
    pub(crate) fn is_emulator(&self) -> bool {
        matches!(self, Self::Qemu(_))
    }

    /// The command that cargo's `runner` of the board must name.
    #[cfg(test)]
    pub(crate) fn words(&self) -> Vec<String> {
        match self {
            Self::Qemu(emulator) => emulator.words(true),
            Self::Probe(probe) => probe.words(),
        }
    }
}
