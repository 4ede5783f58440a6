//! Builds firmware, and shows what must not build.
//!
//! A board's programs are built in a target folder of their own, in the board's folder, where their
//! target and flags are configured, with the artefact embedded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, ensure};

use crate::board::{Board, Program};
use crate::failure::bad_input;
use crate::model::Model;
use crate::runner::Firmware;
use crate::{paths, process};

impl Board {
    /// Whether the classifier, with a camera, links although its panic handler calls what exists nowhere.
    pub(crate) fn cannot_panic(&self) -> anyhow::Result<()> {
        let mut command = self.cargo("build", None);
        command.args(["--bin", Program::Classifier.name(), "--features", "camera"]);
        process::run(&mut command).context("a panic is linked into the classifier")
    }

    /// Whether a classifier with a panic planted in it is refused by the linker for that reason.
    pub(crate) fn planted_panic_is_found(&self) -> anyhow::Result<()> {
        let mut command = self.cargo("build", None);
        command.args(["--bin", Program::Classifier.name(), "--features", "planted-panic"]);
        refused(&mut command, "a_panic_is_linked")
    }

    /// Whether a firmware with a corrupt artefact does not build, for that reason.
    pub(crate) fn corrupt_artefact_is_found(&self, model: &Model) -> anyhow::Result<()> {
        let mut bytes = model.bytes().to_vec();
        let last = bytes.last_mut().context("an artefact has bytes")?;
        *last ^= 1;
        let file = tempfile::Builder::new().suffix(".fourbit").tempfile()?;
        fs::write(file.path(), &bytes).context("cannot write the corrupt artefact")?;
        let mut command = self.cargo("build", None);
        command.args(["--bin", Program::Run.name()]).env("FOURBIT_MODEL", file.path());
        refused(&mut command, "the embedded artefact is truncated, corrupt or of another version")
    }

    /// Checks the board's crates with clippy, warnings denied.
    pub(crate) fn lint(&self, model: &Model) -> anyhow::Result<()> {
        let mut command = self.cargo("clippy", Some(model));
        command.args(["--package", &self.name, "--package", "board-support", "--", "-D", "warnings"]);
        process::run(&mut command)
    }

    /// Builds a program, with an artefact embedded where it takes one.
    pub(crate) fn firmware(&self, program: Program, model: Option<&Model>) -> anyhow::Result<Firmware> {
        // One target folder: the file that a build leaves is copied before the next build starts.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(model) = model {
            self.admit(model)?;
        }
        let mut command = self.cargo("build", model);
        command.args(["--bin", program.name(), "--message-format", "json-render-diagnostics"]);
        if self.frames {
            command.args(["--features", "defmt"]);
        }
        command.stdin(Stdio::null());
        let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "the firmware `{}` for {} does not build",
            program.name(),
            self.name
        );
        let messages = String::from_utf8_lossy(&output.stdout);
        let elf = messages.lines().rev().find_map(executable).context("cargo named no executable")?;
        Firmware::new(&format!("{} on {}", program.name(), self.name), &elf, self.frames)
    }

    /// Whether an artefact can run here at all.
    fn admit(&self, model: &Model) -> anyhow::Result<()> {
        let arena = model.artefact()?.header().arena_bytes(self.family());
        if arena == 0 {
            let (name, board) = (&model.name, &self.name);
            return Err(bad_input(format!("{name} has no plan for {board}: compile it again")));
        }
        for (what, need, region) in [("artefact", model.bytes().len(), "FLASH"), ("arena", arena, "RAM")] {
            let have = self.memory.get(region).map_or(0, |region| region.bytes);
            if need > have {
                let (name, board) = (&model.name, &self.name);
                return Err(bad_input(format!(
                    "the {what} of {name} has {need} bytes and {board} has {have} bytes of {region}: use a \
                     smaller network"
                )));
            }
        }
        Ok(())
    }

    /// A cargo command in the board's folder, where its target and flags are configured.
    fn cargo(&self, command: &str, model: Option<&Model>) -> Command {
        let mut cargo = process::cargo([command, "--release"]);
        cargo.current_dir(self.root.join("boards").join(&self.name));
        cargo.env("CARGO_TARGET_DIR", absolute(&paths::target().join("boards")));
        // What this process was started with belongs to the host's build.
        for variable in ["CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "CARGO_BUILD_TARGET", "FOURBIT_MODEL"] {
            cargo.env_remove(variable);
        }
        if let Some(model) = model {
            cargo.env("FOURBIT_MODEL", absolute(model.path()));
        }
        cargo
    }
}

/// Runs a build that must fail, and for a reason that it names.
fn refused(command: &mut Command, reason: &str) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success(), "`{}` succeeds", process::typed(command));
    ensure!(said.contains(reason), "`{}` fails for another reason: {said}", process::typed(command));
    Ok(())
}

/// A path that means the same in another working folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The executable that one of cargo's messages names.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    message.get("executable")?.as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_read_from_messages() {
        let message = r#"{"reason":"compiler-artifact","executable":"target/run"}"#;
        assert_eq!(executable(message), Some(PathBuf::from("target/run")));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","executable":null}"#), None);
        assert_eq!(executable("not json"), None);
    }
}
