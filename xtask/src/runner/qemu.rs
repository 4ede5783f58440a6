//! The emulator: `qemu-system-arm` with semihosting and nothing else.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The emulator's flags beside the machine: semihosting and nothing else.
const FLAGS: &[&str] =
    &["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"];
/// An instruction takes a nanosecond of the emulated time: timers count instructions.
const COUNTING: &[&str] = &["-icount", "shift=0"];
/// Lists each block when it is translated, names it each time that it runs, and writes that to stdout,
/// where semihosting writes nothing.
const LOGGING: &[&str] = &["-d", "in_asm,exec,nochain", "-D", "/dev/stdout"];

/// How a board is emulated, as `board.toml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Emulator {
    program: String,
    machine: String,
}

impl Emulator {
    /// The command up to the firmware's file.
    pub(super) fn words(&self, counting: bool) -> Vec<String> {
        let mut words = vec![self.program.as_str(), "-M", &self.machine];
        words.extend(FLAGS);
        words.extend(if counting { COUNTING } else { &[] });
        words.push("-kernel");
        words.into_iter().map(str::to_owned).collect()
    }

    /// The command for a firmware.
    pub(super) fn command(&self, elf: &Path, counting: bool) -> Command {
        let words = self.words(counting);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(elf);
        command
    }

    /// Runs a firmware, counting; `see` gets each line of the log of what it executes.
    pub(super) fn trace(&self, elf: &Path, mut see: impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut command = self.command(elf, true);
        command.args(LOGGING).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut emulator = command.spawn().context("cannot start the emulator")?;
        let log = emulator.stdout.take().context("the emulator has no stdout")?;
        let (mut log, mut line) = (BufReader::with_capacity(1 << 16, log), Vec::new());
        while log.read_until(b'\n', &mut line)? > 0 {
            see(&line);
            line.clear();
        }
        let status = emulator.wait().context("cannot wait for the emulator")?;
        ensure!(status.success(), "ended with {status} while it was logged");
        Ok(())
    }
}
