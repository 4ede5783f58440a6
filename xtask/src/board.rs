//! Boards: what `board.toml` says of one, its firmware built and run.
//!
//! A board is a folder in `boards/`. Its firmware is built in a target folder of its own, with
//! the artefact embedded; what it reports is read by [`crate::runner`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, bail, ensure};
use fourbit::kernels::Family;
use fourbit_tests::report::Line;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Deserialize;

use crate::failure::bad_input;
use crate::model::Model;
use crate::runner::{Emulator, Firmware};
use crate::{elf, paths, process};

/// What `boards/NAME/board.toml` says; the board's build script reads the rest of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Board {
    /// The folder's name.
    pub(crate) name: String,
    kernels: Kernels,
    memory: BTreeMap<String, Region>,
    qemu: Emulator,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kernels {
    Portable,
    Armv7em,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Region {
    bytes: usize,
}

/// The programs in `boards/firmware`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Images to logits.
    Run,
    /// What an image costs.
    Bench,
    /// Images to labels.
    Demo,
    /// The kernels' suites.
    Conformance,
    /// Nothing but the runtime: its code size, and that it cannot panic.
    Classifier,
}

/// What one image costs on a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bench {
    /// From the int8 image to the logits.
    pub(crate) instructions: u64,
    /// In the order of execution.
    pub(crate) ops: Vec<OpBench>,
    /// Of activations.
    pub(crate) arena_bytes: usize,
    /// High-water mark.
    pub(crate) stack_bytes: usize,
    /// Of the classifier beside the artefact.
    pub(crate) code_bytes: usize,
    /// For the image of noise that was measured.
    pub(crate) logits: Vec<i8>,
}

/// What one operation costs on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpBench {
    /// In the artefact.
    pub(crate) name: String,
    pub(crate) instructions: u64,
    /// CRC-32 of the output: of the sum where an add was computed with it.
    pub(crate) checksum: u32,
    /// The add's name.
    pub(crate) fused: Option<String>,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Bench => "bench",
            Self::Demo => "demo",
            Self::Conformance => "conformance",
            Self::Classifier => "classifier",
        }
    }
}

/// The names of all boards, sorted.
pub(crate) fn all() -> Vec<String> {
    let entries = fs::read_dir(paths::root().join("boards")).into_iter().flatten().flatten();
    let boards = entries.filter(|entry| entry.path().join("board.toml").is_file());
    let mut names: Vec<_> = boards.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

impl Board {
    /// Reads the description of a board.
    pub(crate) fn load(name: &str) -> anyhow::Result<Self> {
        if !all().iter().any(|board| board == name) {
            return Err(bad_input(format!("no board {name}: the boards are sim, {}", all().join(", "))));
        }
        let text = fs::read_to_string(paths::root().join("boards").join(name).join("board.toml"))
            .with_context(|| format!("cannot read the description of {name}"))?;
        toml::from_str(&text).with_context(|| format!("boards/{name}/board.toml"))
    }

    /// The family of the board's kernels.
    pub(crate) fn family(&self) -> Family {
        match self.kernels {
            Kernels::Portable => Family::Portable,
            Kernels::Armv7em => Family::Armv7em,
        }
    }

    /// The logits of one image after the other; several emulators share the images.
    pub(crate) fn logits(&self, model: &Model, images: &[i8]) -> anyhow::Result<Vec<i8>> {
        let header = *model.artefact()?.header();
        let (elements, classes) = (header.input_shape.elements(), usize::from(header.logits));
        ensure!(images.len().is_multiple_of(elements), "the last image is not whole");
        let firmware = self.firmware(Program::Run, Some(model))?;
        let count = images.len() / elements;
        let bar = ProgressBar::new(count as u64).with_prefix(self.name.clone());
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} images, {eta} left");
        bar.set_style(style.context("the progress bar's template")?);
        let share = count.div_ceil(rayon::current_num_threads()).max(1) * elements;
        let parts = images.par_chunks(share).map(|images| {
            let mut logits = Vec::new();
            self.qemu.run(&firmware, images, false, |line| {
                if let Line::Logits { values, .. } = line {
                    logits.extend(values.iter());
                    bar.inc(1);
                }
            })?;
            ensure!(
                logits.len() == images.len() / elements * classes,
                "{} gave {} logits for {} images",
                self.name,
                logits.len(),
                images.len() / elements
            );
            Ok(logits)
        });
        let logits = parts.collect::<anyhow::Result<Vec<_>>>();
        bar.finish_and_clear();
        Ok(logits?.concat())
    }

    /// The best class of each image and its probability in thousandths, as the demo shows them.
    pub(crate) fn labels(&self, model: &Model, images: &[i8]) -> anyhow::Result<Vec<(String, u32)>> {
        let firmware = self.firmware(Program::Demo, Some(model))?;
        let mut labels = Vec::new();
        self.qemu.run(&firmware, images, false, |line| {
            if let Line::Label { permille, label, .. } = line {
                labels.push((label.to_owned(), permille));
            }
        })?;
        Ok(labels)
    }

    /// What one image costs.
    pub(crate) fn bench(&self, model: &Model) -> anyhow::Result<Bench> {
        let classifier = self.firmware(Program::Classifier, Some(model))?;
        let mut bench = Bench { code_bytes: elf::code_bytes(&classifier.elf)?, ..Bench::default() };
        let firmware = self.firmware(Program::Bench, Some(model))?;
        self.qemu.run(&firmware, &[], true, |line| match line {
            Line::Total { count } => bench.instructions = count,
            Line::Memory { arena_bytes, stack_bytes } => {
                bench.arena_bytes = arena_bytes as usize;
                bench.stack_bytes = stack_bytes as usize;
            }
            Line::Op { count, checksum, name, fused } => {
                let (name, fused) = (name.to_owned(), fused.map(str::to_owned));
                bench.ops.push(OpBench { name, instructions: count, checksum, fused });
            }
            Line::Logits { values, .. } => bench.logits = values.iter().collect(),
            _ => {}
        })?;
        ensure!(bench.instructions > 0 && !bench.ops.is_empty(), "{} counted nothing", self.name);
        Ok(bench)
    }

    /// Runs the suites of the board's kernels: each with its number of cases.
    pub(crate) fn conformance(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let firmware = self.firmware(Program::Conformance, None)?;
        let mut suites = Vec::new();
        self.qemu.run(&firmware, &[], false, |line| {
            if let Line::Passed { cases, suite } = line {
                suites.push((suite.to_owned(), cases));
            }
        })?;
        ensure!(!suites.is_empty(), "{} ran no suite", self.name);
        if let Some((suite, _)) = suites.iter().find(|(_, cases)| *cases == 0) {
            bail!("{}: no {suite} were run", self.name);
        }
        Ok(suites)
    }

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
    fn firmware(&self, program: Program, model: Option<&Model>) -> anyhow::Result<Firmware> {
        // One target folder: the file that a build leaves is copied before the next build starts.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(model) = model {
            self.admit(model)?;
        }
        let mut command = self.cargo("build", model);
        command.args(["--bin", program.name(), "--message-format", "json-render-diagnostics"]);
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
        Firmware::new(&format!("{} on {}", program.name(), self.name), &elf)
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
        cargo.current_dir(paths::root().join("boards").join(&self.name));
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
    fn every_board_is_described() {
        assert!(all().iter().any(|name| name == "mps2-an386"), "{:?}", all());
        for name in all() {
            let board = Board::load(&name).unwrap();
            assert_eq!(board.name, name);
            assert!(["FLASH", "RAM"].iter().all(|region| board.memory.contains_key(*region)), "{name}");
        }
    }

    #[test]
    fn the_boards_own_runner_is_the_one_used_here() {
        for name in all() {
            let path = paths::root().join("boards").join(&name).join(".cargo/config.toml");
            let config: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
            let target = config["build"]["target"].as_str().unwrap();
            let runner = config["target"][target]["runner"].as_array().unwrap().iter();
            let runner: Vec<_> = runner.map(|word| word.as_str().unwrap().to_owned()).collect();
            let board = Board::load(&name).unwrap();
            assert_eq!(runner, board.qemu.words(true), "{name}");
        }
    }

    #[test]
    fn an_unknown_board_is_one_sentence() {
        let error = Board::load("mps9").unwrap_err().to_string();
        assert!(error.starts_with("no board mps9: the boards are sim, mps2-an386"), "{error}");
    }

    #[test]
    fn executables_are_read_from_messages() {
        let message = r#"{"reason":"compiler-artifact","executable":"target/run"}"#;
        assert_eq!(executable(message), Some(PathBuf::from("target/run")));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","executable":null}"#), None);
        assert_eq!(executable("not json"), None);
    }
}
