//! Follows a firmware that runs as a command: sends it the host's values, reads its report line by
//! line.
//!
//! A run succeeds only if the report ends with `done` and the command exits with 0.

use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use fourbit_tests::{frame, report::Line};

/// Runs a command that reports on stdout or stderr; with a `decoder`, its stdout goes through that.
pub(super) fn follow(
    mut command: Command,
    decoder: Option<Command>,
    input: &[i8],
    silence: Duration,
    mut see: impl FnMut(Line<'_>),
) -> anyhow::Result<()> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::piped()).stderr(writer.try_clone()?);
    let decoder = match decoder {
        Some(mut decoder) => {
            let (frames, sink) = io::pipe().context("cannot make a pipe")?;
            command.stdout(sink);
            decoder.stdin(frames).stdout(writer.try_clone()?).stderr(writer);
            Some(start(decoder)?)
        }
        None => {
            command.stdout(writer);
            None
        }
    };
    // The commands hold the pipes' writing ends, and `start` drops them: the reader must not wait
    // for ever.
    let mut children = Children { firmware: start(command)?, decoder };
    if let Some(stdin) = children.firmware.stdin.take() {
        let input = input.to_vec();
        thread::spawn(move || send(stdin, &input));
    }
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
                bail!("reported nothing for {} s and was stopped", silence.as_secs());
            }
        };
        match Line::parse(&line) {
            Some(Line::Failed { reason }) => bail!("{reason}"),
            Some(Line::Done) => done = true,
            Some(line) => see(line),
            None => other.push(line),
        }
    }
    let status = children.firmware.wait().context("cannot wait for the firmware")?;
    let decoded = match &mut children.decoder {
        Some(decoder) => decoder.wait().context("cannot wait for the decoder")?.success(),
        None => true,
    };
    if !done || !decoded || !status.success() {
        let said = if other.is_empty() { "nothing else was said".to_owned() } else { other.join("; ") };
        bail!("ended without a complete report ({status}): {said}");
    }
    Ok(())
}

/// Starts a command and lets go of its ends of the pipes.
fn start(mut command: Command) -> anyhow::Result<Child> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            anyhow!("{program} is missing: `cargo xtask setup` installs it, or says how to")
        }
        _ => anyhow!("cannot start {program}: {error}"),
    })
}

/// Sends the values. A firmware that wants none has closed the pipe, which is fine.
fn send(stdin: ChildStdin, values: &[i8]) {
    let mut stdin = BufWriter::new(stdin);
    let _ = frame::send(values, |bytes| stdin.write_all(bytes)).and_then(|()| stdin.flush());
}

/// The commands; those that still run when nobody waits for them any more are ended.
struct Children {
    firmware: Child,
    decoder: Option<Child>,
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in [Some(&mut self.firmware), self.decoder.as_mut()].into_iter().flatten() {
            // One that has ended is fine too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn shell(script: &str, decoder: Option<&str>, silence: Duration) -> (Result<(), String>, usize) {
        let mut seen = 0;
        let result = follow(sh(script), decoder.map(sh), &[1, 2, 3], silence, |_| seen += 1);
        (result.map_err(|error| error.to_string()), seen)
    }

    #[test]
    fn a_report_is_complete_or_an_error() {
        assert_eq!(shell("echo total 5 >&2; echo noise; echo done", None, MINUTE), (Ok(()), 1));
        let (result, _) = shell("echo total 5; echo the emulator broke; exit 3", None, MINUTE);
        let sentence = "ended without a complete report (exit status: 3): the emulator broke";
        assert_eq!(result, Err(sentence.to_owned()));
        let (result, _) = shell("echo done; exit 1", None, MINUTE);
        assert!(result.unwrap_err().starts_with("ended without a complete report"));
        let (result, _) = shell("echo failed the arena has 3 bytes; echo done", None, MINUTE);
        assert_eq!(result, Err("the arena has 3 bytes".to_owned()));
    }

    #[test]
    fn a_decoder_stands_between_firmware_and_report() {
        // A fake: capital letters are the frames.
        let decoder = Some("tr A-Z a-z");
        assert_eq!(shell("echo TOTAL 5; echo DONE", decoder, MINUTE), (Ok(()), 1));
        let (result, _) = shell("echo DONE", Some("tr A-Z a-z; echo a damaged frame >&2; exit 1"), MINUTE);
        assert!(result.unwrap_err().ends_with("a damaged frame"));
    }

    #[test]
    fn values_are_sent_as_frames() {
        // The frame of 1, 2, 3 and the last one, as `frame` writes them: 12 + 5 bytes.
        let (result, seen) = shell("test $(wc -c) = 17 && echo total 5; echo done", None, MINUTE);
        assert_eq!((result, seen), (Ok(()), 1));
    }

    #[test]
    fn a_silent_firmware_is_stopped() {
        let (result, seen) = shell("echo total 5; exec sleep 60", None, Duration::from_millis(300));
        assert_eq!((result, seen), (Err("reported nothing for 0 s and was stopped".to_owned()), 1));
    }

    #[test]
    fn a_missing_emulator_says_what_to_do() {
        let result = follow(Command::new("no-such-emulator"), None, &[], MINUTE, |_| ());
        let sentence = "no-such-emulator is missing: `cargo xtask setup` installs it, or says how to";
        assert_eq!(result.unwrap_err().to_string(), sentence);
    }
}
