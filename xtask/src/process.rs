//! Runs other programs: their output goes to stderr, so that stdout stays a command's own.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use crate::paths;

/// Says on stderr what comes next.
pub(crate) fn step(what: &str) {
    eprintln!("\n== {what}");
}

/// `cargo`, in the root of the repository.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(paths::root());
    command
}

/// The command as one would type it.
pub(crate) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let root = format!("{}/", paths::root().display());
    words.map(|word| word.to_string_lossy().replace(&root, "")).collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end; what it prints is shown on stderr, with its progress display.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .with_context(|| format!("cannot start `{}`", typed(command)))?;
    check(command, status)
}

/// Runs a command, shows every line of its output on stderr, and hands each to `see`.
pub(crate) fn follow(command: &mut Command, mut see: impl FnMut(&str)) -> anyhow::Result<ExitStatus> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", typed(command)))?;
    // The command holds the pipe's writing ends: without them the reader would wait for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = BufReader::new(reader);
    let mut bytes = Vec::new();
    while lines.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        eprintln!("{line}");
        see(line);
        bytes.clear();
    }
    Ok(child.wait()?)
}

/// What a command prints on stdout; `None` where it cannot be started or fails.
pub(crate) fn output(program: &str, args: &[&str]) -> Option<String> {
    let command = Command::new(program).args(args).current_dir(paths::root()).output().ok()?;
    command.status.success().then(|| String::from_utf8_lossy(&command.stdout).into_owned())
}

/// Turns a bad exit status into an error that names the command.
pub(crate) fn check(command: &Command, status: ExitStatus) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    match status.code() {
        Some(code) => bail!("`{}` ended with exit code {code}", typed(command)),
        None => bail!("`{}` was ended by a signal", typed(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_seen_and_the_exit_code_named() {
        let mut seen = Vec::new();
        let mut command = Command::new("cargo");
        let status = follow(command.arg("no-such-subcommand"), |line| seen.push(line.to_owned())).unwrap();
        assert!(seen.iter().any(|line| line.contains("no-such-subcommand")), "{seen:?}");
        let error = check(&command, status).unwrap_err().to_string();
        assert_eq!(error, "`cargo no-such-subcommand` ended with exit code 101");
    }
}
