//! The job `mutants`: bugs planted in the kernels, one at a time, in copies of the repository; the suites
//! must find every one.
//!
//! `tests/mutants.toml` lists them. Found is what a suite names a mismatch of: a mutant that does not build
//! or start is not.

use std::env::consts::EXE_EXTENSION;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fourbit::kernels::Vectors;
use indicatif::ProgressBar;
use rayon::prelude::*;
use serde::Deserialize;

use super::{Context, Tally};
use crate::board::{Board, Program};
use crate::failure::chain;
use crate::{paths, process};

/// Copies of the repository in which mutants are built side by side.
const COPIES: usize = 2;
/// What is not copied: results, and what no suite reads.
const LEFT: [&str; 4] = ["target", ".git", "artefacts", "docs"];
/// For the fuzzer, which finds a wrong kernel with its first inputs.
const SECONDS: &str = "10";
/// What a board's suites say of a mismatch, and the fuzzer.
const FAILED: &str = "should be";
const DIFFERS: &str = "gives other bytes";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

/// A bug in a kernel.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    /// Whose suite is to find it; `sim` is the fuzzer, which compares simulator and reference.
    board: String,
    /// In `runtime/src/kernels`.
    file: PathBuf,
    /// What is wrong then.
    bug: String,
    /// Stands once in the file.
    was: String,
    /// Stands there instead.
    now: String,
    /// Whether this machine needs [`Vectors::Avx512`] to run what is wrong; without it the mutant is skipped.
    #[serde(default)]
    avx512: bool,
}

pub(super) fn job(_: &Context) -> anyhow::Result<Tally> {
    let mutants = list()?;
    let folder = paths::target().join("mutants");
    let bar = ProgressBar::new(mutants.len() as u64);
    // Builds take turns; meanwhile the other copy's suite runs.
    let results = (0..COPIES).into_par_iter().map(|index| {
        let copy = Copy::new(&folder.join(index.to_string()))?;
        let own = mutants.iter().skip(index).step_by(COPIES).map(|mutant| {
            if mutant.avx512 && Vectors::best() < Vectors::Avx512 {
                bar.inc(1);
                return Tally { skipped: 1, ..Tally::default() };
            }
            let result = copy.finds(mutant);
            let found = if result.is_ok() { "found" } else { "NOT FOUND" };
            bar.inc(1);
            bar.suspend(|| eprintln!("{}, {}: {found}", mutant.file.display(), mutant.bug));
            Tally::one(result.with_context(|| format!("{}: {}", mutant.file.display(), mutant.bug)))
        });
        Ok(own.fold(Tally::default(), |mut all, one| {
            all += one;
            all
        }))
    });
    let results = results.collect::<anyhow::Result<Vec<_>>>()?;
    bar.finish_and_clear();
    let mut tally = Tally::default();
    results.into_iter().for_each(|copy| tally += copy);
    Ok(tally)
}

/// What `tests/mutants.toml` lists.
fn list() -> anyhow::Result<Vec<Mutant>> {
    let path = paths::root().join("tests/mutants.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", paths::shown(&path)))?;
    let List { mutant } = toml::from_str(&text).context("tests/mutants.toml")?;
    Ok(mutant)
}

impl Mutant {
    /// The file with the bug in it.
    fn plant(&self, text: &str) -> anyhow::Result<String> {
        let times = text.matches(&self.was).count();
        ensure!(times == 1, "`{}` stands {times} times in {}", self.was, self.file.display());
        Ok(text.replace(&self.was, &self.now))
    }
}

/// A copy of the repository.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn new(root: &Path) -> anyhow::Result<Self> {
        if root.exists() {
            fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", paths::shown(root)))?;
        }
        copy(&paths::root(), root)?;
        Ok(Self { root: std::path::absolute(root).context("the working folder is gone")? })
    }

    /// Whether the suite builds with the bug, and finds it.
    fn finds(&self, mutant: &Mutant) -> anyhow::Result<()> {
        let file = self.root.join("runtime/src/kernels").join(&mutant.file);
        let text = fs::read_to_string(&file)?;
        fs::write(&file, mutant.plant(&text)?)?;
        let found = match mutant.board.as_str() {
            "sim" => self.fuzz(),
            board => self.suites(board),
        };
        fs::write(&file, text)?;
        let said = found?;
        ensure!(said.contains(FAILED) || said.contains(DIFFERS), "no mismatch, but: {said}");
        Ok(())
    }

    /// What a board's suites say at their end.
    fn suites(&self, board: &str) -> anyhow::Result<String> {
        let board = Board::load(board)?.of(self.root.clone());
        let firmware = board.firmware(Program::Conformance, None)?;
        Ok(board.suites(&firmware).err().map_or_else(|| "they pass".to_owned(), |error| chain(&error)))
    }

    /// What the fuzzer says.
    fn fuzz(&self) -> anyhow::Result<String> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release"]).current_dir(self.root.join("tests/fuzz"));
        // Of this copy alone: the other one's build would replace the program before it is started.
        let target = self.root.join("target/fuzz");
        process::run(cargo.env("CARGO_TARGET_DIR", &target))?;
        let mut fuzzer = Command::new(target.join("release/fourbit-fuzz").with_extension(EXE_EXTENSION));
        let output = fuzzer.args(["--seconds", SECONDS]).stdin(Stdio::null()).output()?;
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Copies a folder and all in it but [`LEFT`].
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", paths::shown(to)))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", paths::shown(from)))? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if LEFT.iter().any(|left| name == *left) {
            continue;
        }
        if kind.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::board;

    #[test]
    fn every_mutant_can_be_planted() {
        let boards = board::all();
        for mutant in list().unwrap() {
            let text =
                fs::read_to_string(paths::root().join("runtime/src/kernels").join(&mutant.file)).unwrap();
            assert_ne!(mutant.plant(&text).unwrap(), text);
            assert!(mutant.board == "sim" || boards.contains(&mutant.board), "{}", mutant.board);
        }
    }

    #[test]
    fn every_family_has_mutants() {
        let families: BTreeSet<_> =
            list().unwrap().iter().map(|mutant| mutant.file.iter().next().unwrap().to_owned()).collect();
        assert!(families.iter().eq(["armv7em", "host", "mve", "portable"].iter()));
    }
}
