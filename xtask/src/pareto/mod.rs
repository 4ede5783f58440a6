//! `pareto`: a family of networks over width, depth and bits, and which of them are worth having.
//!
//! One TOML file says what is made ([`sweep`]); every point is trained, compiled, evaluated through the runtime
//! and priced ([`make`]); the results are a table, diagrams and a page ([`outputs`]). Several machines share a
//! sweep with `--shard`, and [`merge`] brings their points together.

mod curves;
mod html;
mod make;
mod merge;
mod outputs;
mod progress;
pub(crate) mod record;
mod sweep;

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use comfy_table::CellAlignment;

use crate::failure::OrBadInput;
use crate::place::Place;
use crate::table::{Table, percent, thousands};
use crate::{paths, setup, train};
use curves::Cost;
use make::Maker;
use outputs::Report;
use sweep::Sweep;

/// Trains, measures and compares a family of networks over width, depth and bits.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  cargo xtask pareto --config pareto-smoke
  cargo xtask pareto --config models/configs/pareto-cifar10.toml --data ~/cifar-10-binary.tar.gz
  cargo xtask pareto --config pareto-cifar10 --data PATH --shard 3/8 --out shard-3
  cargo xtask pareto merge --config pareto-cifar10 --out merged shard-1 shard-2

The folder --out receives NAME.csv, NAME.json, NAME.html and diagrams; artefacts, cards and records of all
points go to its subfolder NAME. A sweep that was interrupted goes on when it is started again: finished points
and runs are not made twice. docs/pareto.md says what the file holds and how several machines share a sweep."
)]
pub(crate) struct Pareto {
    #[command(subcommand)]
    action: Option<Action>,
    /// A TOML file, or its name in models/configs
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<String>,
    /// Only the K-th of N parts of the sweep, from 1; networks of one architecture, width and seed stay together
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    /// Where the results go; by default target/pareto/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    options: train::Options,
}

#[derive(Debug, Subcommand)]
enum Action {
    Merge(merge::Merge),
}

/// A part of a sweep: `3/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard(usize, usize);

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        let valid = parts.filter(|&(k, n): &(usize, usize)| 1 <= k && k <= n && n <= 10_000);
        valid
            .map(|(k, n)| Self(k, n))
            .ok_or_else(|| "give a part as 3/8: 1/8 is the first, 8/8 the last".to_owned())
    }
}

impl Pareto {
    /// The command on a sweep, with results and runs in a folder.
    pub(crate) fn on(config: &str, out: &Path) -> Self {
        let options = train::Options { runs: Some(out.join("runs")), ..train::Options::default() };
        Self {
            action: None,
            config: Some(config.to_owned()),
            shard: None,
            out: Some(out.to_owned()),
            options,
        }
    }

    /// The results of folders of a sweep, merged into another one.
    pub(crate) fn merging(config: &str, folders: &[&Path], out: &Path) -> anyhow::Result<Report> {
        merge::Merge::of(config, folders, out).make()
    }

    /// `Ok(false)` where a point failed.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        match &self.action {
            Some(Action::Merge(merge)) => merge.run(json),
            None => self.make()?.finish(&self.folder()?, json),
        }
    }

    fn sweep(&self) -> anyhow::Result<Sweep> {
        let config = self.config.as_deref().unwrap_or_default();
        Sweep::load(&train::config(config)?, self.options.threads)
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(out(self.out.as_deref(), &self.sweep()?))
    }

    /// Makes what is missing.
    pub(crate) fn make(&self) -> anyhow::Result<Report> {
        let mut sweep = self.sweep()?;
        if let Some(Shard(k, n)) = self.shard {
            sweep.shard((k, n));
        }
        let place = Place::named(&sweep.board)?;
        let data = sweep.dataset.load(self.options.data.as_deref(), sweep.split);
        let data = data.or_bad_input(|| "the data set cannot be loaded".to_owned())?;
        if matches!(place, Place::Board(_)) {
            setup::targets()?;
            setup::qemu()?;
        }
        let folder = points(&out(self.out.as_deref(), &sweep), &sweep);
        // The recipes say how many threads train; the results depend on it.
        let options = train::Options { threads: None, ..self.options.clone() };
        let (records, failures) = Maker::new(&sweep, (&data, &place), &options, &folder).make()?;
        let missing = merge::missing(&sweep, &records);
        Ok(Report::new(&sweep.name, records, missing, failures))
    }
}

/// The folder of a sweep's results.
fn out(chosen: Option<&Path>, sweep: &Sweep) -> PathBuf {
    chosen.map_or_else(|| paths::target().join("pareto").join(&sweep.name), Path::to_path_buf)
}

/// The folder of a sweep's points in that of its results.
fn points(out: &Path, sweep: &Sweep) -> PathBuf {
    out.join(&sweep.name)
}

impl Report {
    /// Writes the files and prints the table; `Ok(false)` where a point failed.
    fn finish(&self, out: &Path, json: bool) -> anyhow::Result<bool> {
        for failure in &self.failures {
            eprintln!("error: {} failed: {}", failure.name, failure.reason);
        }
        if self.records.is_empty() {
            if self.missing.is_empty() {
                eprintln!(
                    "this part of {} has no point: there are fewer families of points than parts",
                    self.sweep
                );
            }
            return Ok(self.failures.is_empty());
        }
        let files = self.write(out)?;
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            println!("{}", table(self));
            files.iter().for_each(|file| println!("{}", paths::shown(file)));
        }
        if !self.missing.is_empty() {
            eprintln!("{} points are missing: {}", self.missing.len(), self.missing.join(", "));
        }
        Ok(self.failures.is_empty())
    }
}

/// A row for each point; a star where no other network beats it in this cost.
fn table(report: &Report) -> Table {
    let mut table =
        Table::new(["point", "accuracy", "weighted MACs", "instructions", "flash", "arena", "trained, s"]);
    for row in &report.points {
        let cost = |cost: Cost| {
            let star = if report.is_best(row, cost) { " *" } else { "  " };
            cost.of(row).map_or("-  ".to_owned(), |value| thousands(value as u64) + star)
        };
        let [macs, instructions, flash, arena] =
            [Cost::WeightedMacs, Cost::Instructions, Cost::Flash, Cost::Arena].map(cost);
        let seconds = thousands(row.train_seconds.round() as u64);
        table.row([&row.name, &percent(row.accuracy), &macs, &instructions, &flash, &arena, &seconds]);
    }
    table.align(1..7, CellAlignment::Right);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_one() {
        assert_eq!("3/8".parse(), Ok(Shard(3, 8)));
        for text in ["0/8", "9/8", "3", "3/", "a/b", "-1/2", "1/0"] {
            assert!(text.parse::<Shard>().unwrap_err().starts_with("give a part as 3/8"), "{text}");
        }
    }
}
