//! The emulator: `qemu-system-arm` with semihosting and nothing else.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// The emulator's flags beside the machine: semihosting and nothing else.
const FLAGS: &[&str] =
    &["-nographic", "-monitor", "none", "-serial", "none", "-semihosting-config", "enable=on,target=native"];
/// An instruction takes a nanosecond of the emulated time: timers count instructions.
const COUNTING: &[&str] = &["-icount", "shift=0"];

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
}
