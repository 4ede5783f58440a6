//! Firmware in an emulator: starts it, hands it images, reads its report line by line.
//!
//! A run succeeds only if the report ends with `done` and the firmware exits with 0.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use fourbit_tests::report::Line;
use serde::Deserialize;
use tempfile::TempDir;

/// A firmware that reports nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(300);
/// The file, in the emulator's working folder, from which the firmware reads.
const INPUT: &str = "input.bin";
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

/// A built firmware, in a folder that goes with it.
#[derive(Debug)]
pub(crate) struct Firmware {
    /// Its file.
    pub(crate) elf: PathBuf,
    name: String,
    folder: TempDir,
}

impl Firmware {
    /// Keeps a copy of what a build left.
    pub(crate) fn new(name: &str, elf: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("cannot create a folder for the firmware")?;
        let copy = folder.path().join("firmware.elf");
        fs::copy(elf, &copy).with_context(|| format!("cannot copy {}", elf.display()))?;
        Ok(Self { elf: copy, name: name.to_owned(), folder })
    }
}

impl Emulator {
    /// The command up to the firmware's file.
    pub(crate) fn words(&self, counting: bool) -> Vec<String> {
        let mut words = vec![self.program.as_str(), "-M", &self.machine];
        words.extend(FLAGS);
        words.extend(if counting { COUNTING } else { &[] });
        words.push("-kernel");
        words.into_iter().map(str::to_owned).collect()
    }

    /// Runs a firmware to its end; `see` gets each line of its report. With `counting`, its
    /// counter counts instructions.
    pub(crate) fn run(
        &self,
        firmware: &Firmware,
        input: &[i8],
        counting: bool,
        see: impl FnMut(Line<'_>),
    ) -> anyhow::Result<()> {
        let folder = TempDir::new_in(firmware.folder.path()).context("cannot create a folder for the run")?;
        let bytes: Vec<_> = input.iter().map(|&value| value as u8).collect();
        fs::write(folder.path().join(INPUT), bytes).context("cannot write the images for the board")?;
        let words = self.words(counting);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(&firmware.elf).current_dir(folder.path());
        follow(command, SILENCE, see).with_context(|| firmware.name.clone())
    }
}

/// Runs a command that reports on stdout or stderr.
fn follow(mut command: Command, silence: Duration, mut see: impl FnMut(Line<'_>)) -> anyhow::Result<()> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow!("{program} is missing: `cargo xtask setup` installs it, or says how to")
        }
        _ => anyhow!("cannot start {program}: {error}"),
    })?;
    // The command holds the pipe's writing ends: without them the reader would wait for ever.
    drop(command);
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { break };
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let (mut done, mut other) = (false, Vec::new());
    loop {
        let line = match lines.recv_timeout(silence) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut child);
                bail!("reported nothing for {} s and was stopped", silence.as_secs());
            }
        };
        match Line::parse(&line) {
            Some(Line::Failed { reason }) => {
                stop(&mut child);
                bail!("{reason}");
            }
            Some(Line::Done) => done = true,
            Some(line) => see(line),
            None => other.push(line),
        }
    }
    let status = child.wait().context("cannot wait for the emulator")?;
    if !done || !status.success() {
        let said = if other.is_empty() { "nothing else was said".to_owned() } else { other.join("; ") };
        bail!("ended without a complete report ({status}): {said}");
    }
    Ok(())
}

/// Ends a command whose report is of no more use; one that has ended is fine too.
fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, silence: Duration) -> (Result<(), String>, usize) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut seen = 0;
        let result = follow(command, silence, |_| seen += 1);
        (result.map_err(|error| error.to_string()), seen)
    }

    #[test]
    fn a_report_is_complete_or_an_error() {
        let minute = Duration::from_secs(60);
        assert_eq!(shell("echo total 5 >&2; echo noise; echo done", minute), (Ok(()), 1));
        let (result, _) = shell("echo total 5; echo the emulator broke; exit 3", minute);
        let sentence = "ended without a complete report (exit status: 3): the emulator broke";
        assert_eq!(result, Err(sentence.to_owned()));
        let (result, _) = shell("echo done; exit 1", minute);
        assert!(result.unwrap_err().starts_with("ended without a complete report"));
        let (result, _) = shell("echo failed the arena has 3 bytes; echo done", minute);
        assert_eq!(result, Err("the arena has 3 bytes".to_owned()));
    }

    #[test]
    fn a_silent_firmware_is_stopped() {
        let (result, seen) = shell("echo total 5; exec sleep 60", Duration::from_millis(300));
        assert_eq!((result, seen), (Err("reported nothing for 0 s and was stopped".to_owned()), 1));
    }

    #[test]
    fn a_missing_emulator_says_what_to_do() {
        let result = follow(Command::new("no-such-emulator"), SILENCE, |_| ());
        let sentence = "no-such-emulator is missing: `cargo xtask setup` installs it, or says how to";
        assert_eq!(result.unwrap_err().to_string(), sentence);
    }
}
