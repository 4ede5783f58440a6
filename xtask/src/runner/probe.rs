//! A chip behind a debug probe: builds and starts `fourbit-probe`.
//!
//! probe-rs is linked into `fourbit-probe` only, a workspace of its own in `xtask/probe`, so that no
//! other command waits for its build.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, anyhow, bail, ensure};
use serde::Deserialize;

use crate::layout::Region;
use crate::{paths, process};

/// Where probe-rs says how a user may open probes.
const SETUP: &str = "https://probe.rs/docs/getting-started/probe-setup";

/// How a chip is reached, as `board.toml` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// Its name in probe-rs.
    pub(crate) chip: String,
    /// What to connect, as the end of a sentence.
    connect: String,
}

impl Probe {
    /// The memory of the chip.
    pub(crate) fn regions(&self) -> anyhow::Result<Vec<Region>> {
        let output = Command::new(program()?)
            .args(["regions", &self.chip])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start fourbit-probe")?;
        ensure!(output.status.success(), "the memory of {} is not known", self.chip);
        serde_json::from_slice(&output.stdout).context("fourbit-probe names no regions")
    }

    /// Fails with what to do where no probe can be opened; otherwise gives its name.
    pub(crate) fn find(&self) -> anyhow::Result<String> {
        let output = Command::new(program()?).arg("find").output().context("cannot start fourbit-probe")?;
        self.found(output.status.code(), &String::from_utf8_lossy(&output.stdout))
    }

    /// What `fourbit-probe find` found, by its exit code.
    fn found(&self, code: Option<i32>, name: &str) -> anyhow::Result<String> {
        match code {
            Some(0) => Ok(name.trim().to_owned()),
            Some(3) => bail!(
                "no debug probe is connected: connect {} (on Linux, install the udev rule of {SETUP} too)",
                self.connect
            ),
            Some(4) => bail!("the debug probe may not be opened: install the udev rule of {SETUP}"),
            _ => bail!("debug probes cannot be looked for"),
        }
    }

    /// Writes a firmware to the chip, reads it back and starts it.
    pub(crate) fn flash(&self, elf: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(program()?);
        process::run(command.args(["flash", &self.chip]).arg(elf)).context("flashing failed")
    }

    /// The command that flashes a firmware and is its pipe.
    pub(super) fn run(&self, elf: &Path) -> anyhow::Result<Command> {
        self.find()?;
        let mut command = Command::new(program()?);
        command.args(["run", &self.chip]).arg(elf);
        Ok(command)
    }

    /// The command of probe-rs's own tools, up to the firmware's file.
    #[cfg(test)]
    pub(super) fn words(&self) -> Vec<String> {
        ["probe-rs", "run", "--chip", &self.chip].map(str::to_owned).into()
    }
}

/// The command that turns a firmware's frames into lines.
pub(super) fn decoder(elf: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program()?);
    command.arg("decode").arg(elf);
    Ok(command)
}

/// Builds `fourbit-probe`, once; cargo shows its progress.
fn program() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        eprintln!("building fourbit-probe (the first time with probe-rs, a minute or some)");
        let target = std::path::absolute(paths::target().join("probe")).map_err(|error| error.to_string())?;
        let mut cargo = process::cargo(["build", "--bin", "fourbit-probe"]);
        cargo.current_dir(paths::root().join("xtask/probe")).env("CARGO_TARGET_DIR", &target);
        process::run(&mut cargo).map_err(|error| format!("{error:#}"))?;
        Ok(target.join(format!("debug/fourbit-probe{EXE_SUFFIX}")))
    });
    built.as_deref().map_err(|sentence| anyhow!("fourbit-probe does not build: {sentence}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_probe_says_what_to_do() {
        let probe = Probe { chip: "C".to_owned(), connect: "the connector J2".to_owned() };
        assert_eq!(probe.found(Some(0), "J-Link\n").unwrap(), "J-Link");
        let said = |code| probe.found(code, "").unwrap_err().to_string();
        assert!(said(Some(3)).starts_with("no debug probe is connected: connect the connector J2 (on Linux"));
        assert!(said(Some(4)).contains("udev rule"), "{}", said(Some(4)));
        assert_eq!(said(None), "debug probes cannot be looked for");
    }
}
