//! Boards: what `board.toml` says of one, and what its firmware reports.
//!
//! A board is a folder in `boards/`. [`crate::firmware`] builds its programs and
//! [`crate::runner`] runs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use fourbit::kernels::Family;
use fourbit_tests::report::Line;
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use serde::Deserialize;

use crate::elf::Flash;
use crate::failure::bad_input;
use crate::model::Model;
use crate::paths;
use crate::runner::{Firmware, Probe, Runner};

/// What `boards/NAME/board.toml` says; the board's build script reads the rest of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Board {
    /// The folder's name.
    pub(crate) name: String,
    /// What Arm calls it.
    pub(crate) core: String,
    kernels: Kernels,
    pub(crate) clock_hz: u64,
    pub(crate) memory: BTreeMap<String, Region>,
    #[serde(flatten)]
    runner: Runner,
    /// An emulated board's firmware reports with defmt instead of text.
    #[serde(skip)]
    pub(crate) frames: bool,
    /// Where its firmware is built from.
    #[serde(skip, default = "paths::root")]
    pub(crate) root: PathBuf,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kernels {
    Portable,
    Armv7em,
    Mve,
}

/// A region of memory.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Region {
    pub(crate) bytes: usize,
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
    /// The runtime for any artefact: that it cannot panic.
    Classifier,
    /// One network and what it needs of the runtime: its code size.
    Product,
}

/// What one image costs on a board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bench {
    /// From the int8 image to the logits: instructions, or cycles where the board counts those.
    pub(crate) count: u64,
    /// In the order of execution.
    pub(crate) ops: Vec<OpBench>,
    /// Of activations.
    pub(crate) arena_bytes: usize,
    /// High-water mark.
    pub(crate) stack_bytes: usize,
    /// Of a product beside the artefact.
    pub(crate) flash: Flash,
    /// For the image of noise that was measured.
    pub(crate) logits: Vec<i8>,
}

/// What one operation costs on a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpBench {
    /// In the artefact.
    pub(crate) name: String,
    /// Instructions, or cycles where the board counts those.
    pub(crate) count: u64,
    /// CRC-32 of the output: of the sum where an add was computed with it.
    pub(crate) checksum: u32,
    /// The add's name.
    pub(crate) fused: Option<String>,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Bench => "bench",
            Self::Demo => "demo",
            Self::Conformance => "conformance",
            Self::Classifier => "classifier",
            Self::Product => "product",
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

/// The boards that are emulated.
pub(crate) fn emulated() -> anyhow::Result<Vec<Board>> {
    let boards = all().into_iter().map(|name| Board::load(&name)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(boards.into_iter().filter(Board::is_emulated).collect())
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
            Kernels::Mve => Family::Mve,
        }
    }

    /// Whether it needs no hardware.
    pub(crate) fn is_emulated(&self) -> bool {
        self.runner.is_emulator()
    }

    /// The same board, its firmware reporting with defmt.
    pub(crate) fn with_frames(self) -> Self {
        Self { frames: true, ..self }
    }

    /// The same board, its firmware built from a copy of the repository.
    pub(crate) fn of(self, root: PathBuf) -> Self {
        Self { root, ..self }
    }

    /// The debug probe of a board that is flashed.
    pub(crate) fn probe(&self) -> anyhow::Result<&Probe> {
        match &self.runner {
            Runner::Probe(probe) => Ok(probe),
            Runner::Qemu(_) => Err(bad_input(format!(
                "{0} is emulated and has nothing to flash: use `cargo xtask run --board {0}`",
                self.name
            ))),
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
        let runs = if self.is_emulated() { rayon::current_num_threads() } else { 1 };
        let share = count.div_ceil(runs).max(1) * elements;
        let parts = images.par_chunks(share).map(|images| {
            let mut logits = Vec::new();
            self.runner.run(&firmware, images, false, |line| {
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
        self.runner.run(&firmware, images, false, |line| {
            if let Line::Label { permille, label, .. } = line {
                labels.push((label.to_owned(), permille));
            }
        })?;
        Ok(labels)
    }

    /// What one image costs.
    pub(crate) fn bench(&self, model: &Model) -> anyhow::Result<Bench> {
        let product = self.firmware(Program::Product, Some(model))?;
        let flash = Flash::read(&product.elf)?.beside(model.bytes().len());
        let mut bench = Bench { flash, ..Bench::default() };
        let firmware = self.firmware(Program::Bench, Some(model))?;
        self.runner.run(&firmware, &[], true, |line| match line {
            Line::Total { count } => bench.count = count,
            Line::Memory { arena_bytes, stack_bytes } => {
                bench.arena_bytes = arena_bytes as usize;
                bench.stack_bytes = stack_bytes as usize;
            }
            Line::Op { count, checksum, name, fused } => {
                let (name, fused) = (name.to_owned(), fused.map(str::to_owned));
                bench.ops.push(OpBench { name, count, checksum, fused });
            }
            Line::Logits { values, .. } => bench.logits = values.iter().collect(),
            _ => {}
        })?;
        ensure!(bench.count > 0 && !bench.ops.is_empty(), "{} counted nothing", self.name);
        Ok(bench)
    }

    /// Runs a firmware with its emulator's log of executed instructions, line by line.
    pub(crate) fn trace(&self, firmware: &Firmware, see: impl FnMut(&[u8])) -> anyhow::Result<()> {
        self.runner.trace(firmware, see)
    }

    /// Runs the suites of the board's kernels: each with its number of cases.
    pub(crate) fn conformance(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let firmware = self.firmware(Program::Conformance, None)?;
        self.suites(&firmware)
    }

    /// Runs the suites of a conformance firmware; the first mismatch is the error.
    pub(crate) fn suites(&self, firmware: &Firmware) -> anyhow::Result<Vec<(String, u32)>> {
        let mut suites = Vec::new();
        self.runner.run(firmware, &[], false, |line| {
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
            // Cargo takes a dot in a target's name for the end of a key.
            let target = target.split('.').fold(&config["target"], |config, word| &config[word]);
            let runner = target["runner"].as_array().unwrap().iter();
            let runner: Vec<_> = runner.map(|word| word.as_str().unwrap().to_owned()).collect();
            let board = Board::load(&name).unwrap();
            assert_eq!(runner, board.runner.words(), "{name}");
        }
    }

    #[test]
    fn an_unknown_board_is_one_sentence() {
        let error = Board::load("mps9").unwrap_err().to_string();
        assert!(error.starts_with("no board mps9: the boards are sim, mps2-an386"), "{error}");
    }

    #[test]
    fn only_a_board_with_a_probe_is_flashed() {
        assert_eq!(Board::load("nrf52840-dk").unwrap().probe().unwrap().chip, "nRF52840_xxAA");
        let error = Board::load("mps2-an386").unwrap().probe().unwrap_err().to_string();
        assert!(error.starts_with("mps2-an386 is emulated and has nothing to flash"), "{error}");
    }
}
