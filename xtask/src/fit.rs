//! `fit`: the cost model's coefficients from counted instructions, and how well they do.
//!
//! Takes the committed ResNet-8 artefacts and the snapshots of their counts on a board, gives the
//! coefficients of its family by least squares and a table of counted beside predicted.

use std::fs;

use anyhow::{Context, ensure};
use clap::Args;
use comfy_table::CellAlignment;
use fourbit::kernels::Family;
use fourbit_models::compile::predict::{self, Fit as Coefficients, Operation, TERMS};
use serde::Serialize;

use crate::board::Board;
use crate::model::Model;
use crate::table::{Table, percent, thousands};
use crate::{paths, snapshot};

/// Fits the cost model to the counts in tests/snapshots.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask ci budgets --bless   counts the published artefacts anew
  cargo xtask fit --write          fits the cost model to those counts

Then build again: predictions are made with the coefficients that were there at the build.")]
pub(crate) struct Fit {
    /// A board whose counts are committed
    #[arg(long, value_name = "BOARD", default_value = "mps2-an386")]
    board: String,
    /// Writes the coefficients to the file that predictions are made with
    #[arg(long)]
    write: bool,
}

/// An artefact whose instructions were counted.
struct Sample {
    name: String,
    total: f64,
    operations: Vec<(Operation, f64)>,
}

/// What was found, as `--json` prints it.
#[derive(Serialize)]
struct Report<'a> {
    board: &'a str,
    #[serde(flatten)]
    fit: &'a Coefficients,
    networks: Vec<Network<'a>>,
}

#[derive(Serialize)]
struct Network<'a> {
    name: &'a str,
    counted: u64,
    predicted: u64,
}

impl Fit {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let family = Board::load(&self.board)?.family();
        let samples = samples(&self.board, family)?;
        let fit = fitted(&samples);
        let network = |sample: &'_ Sample| {
            let operations: Vec<_> = sample.operations.iter().map(|(op, _)| op.clone()).collect();
            (sample.total as u64, fit.network(&operations))
        };
        if json {
            let networks = samples.iter().map(|sample| {
                let (counted, predicted) = network(sample);
                Network { name: &sample.name, counted, predicted }
            });
            let report = Report { board: &self.board, fit: &fit, networks: networks.collect() };
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{}\n\n{}", layers(&samples, &fit), coefficients(&fit));
            for sample in &samples {
                let (counted, predicted) = network(sample);
                println!("{}: {}", sample.name, compared(counted, predicted));
            }
        }
        if self.write {
            let name = format!("{family:?}.fit.toml").to_lowercase();
            let path = paths::root().join("models/src/compile/cost").join(name);
            paths::write(&path, toml::to_string(&fit)?.as_bytes())?;
            eprintln!("{}: build again to predict with it", paths::shown(&path));
        }
        Ok(())
    }
}

/// `1,000 counted, 990 predicted, 1.00 % too few`.
pub(crate) fn compared(counted: u64, predicted: u64) -> String {
    let off = predicted as f64 / counted.max(1) as f64 - 1.0;
    let what = if off < 0.0 { "too few" } else { "too many" };
    format!(
        "{} counted, {} predicted, {} {what}",
        thousands(counted),
        thousands(predicted),
        percent(off.abs())
    )
}

fn fitted(samples: &[Sample]) -> Coefficients {
    let operations = samples.iter().flat_map(|sample| &sample.operations);
    let operations: Vec<_> = operations.map(|(op, count)| (op.terms, *count)).collect();
    let networks = samples.iter().map(|sample| {
        let calls = sample.operations.iter().map(|(op, _)| op.calls).sum();
        (calls, sample.total - sample.operations.iter().map(|(_, count)| count).sum::<f64>())
    });
    Coefficients::fitted(&operations, &networks.collect::<Vec<_>>())
}

/// The published artefacts that have a snapshot on the board.
fn samples(board: &str, family: Family) -> anyhow::Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for name in paths::published().into_iter().filter(|name| name.starts_with("resnet8-")) {
        let path = snapshot::path(&format!("{name}.{board}"));
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let operations = predict::operations(&Model::open(&name)?.artefact()?, family);
        let operations = operations.with_context(|| format!("{name} has no plan for {board}"))?;
        samples.push(sample(&name, &text, operations)?);
    }
    ensure!(
        !samples.is_empty(),
        "no count of a ResNet-8 on {board} is committed: `cargo xtask ci budgets --bless`"
    );
    Ok(samples)
}

/// The counts of a snapshot beside the operations of its artefact.
fn sample(name: &str, snapshot: &str, operations: Vec<Operation>) -> anyhow::Result<Sample> {
    let count = |row: &str, word: usize| {
        let words: Vec<_> = row.split_whitespace().collect();
        words.get(words.len().checked_sub(word)?)?.replace(',', "").parse::<f64>().ok()
    };
    let stale = || format!("the snapshot of {name} is not of its artefact: `cargo xtask ci budgets --bless`");
    let total = snapshot.lines().find(|line| line.starts_with("instructions "));
    let total = total.and_then(|row| count(row, 1)).with_context(stale)?;
    let counted = operations.into_iter().map(|op| {
        let own = |line: &&str| line.strip_prefix(&op.name).is_some_and(|rest| rest.starts_with("  "));
        let counted = snapshot.lines().find(own).and_then(|row| count(row, 3)).with_context(stale)?;
        Ok((op, counted))
    });
    Ok(Sample { name: name.to_owned(), total, operations: counted.collect::<anyhow::Result<_>>()? })
}

fn layers(samples: &[Sample], fit: &Coefficients) -> Table {
    let mut table = Table::new(["model", "op", "counted", "predicted", "off"]);
    for sample in samples {
        for (op, counted) in &sample.operations {
            let predicted = fit.operation(&op.terms);
            let off = format!("{:+.1} %", 100.0 * (predicted / counted - 1.0));
            let [counted, predicted] = [*counted, predicted].map(|count| thousands(count.max(0.0) as u64));
            table.row([&sample.name, &op.name, &counted, &predicted, &off]);
        }
    }
    table.align(2..5, CellAlignment::Right);
    table
}

fn coefficients(fit: &Coefficients) -> Table {
    let mut table = Table::new(["term", "coefficient"]);
    for (term, coefficient) in TERMS.iter().zip(fit.coefficients) {
        table.row([*term, &format!("{coefficient:.3}")]);
    }
    table.row(["between two calls", &format!("{:.0}", fit.between)]);
    table.align(1..2, CellAlignment::Right);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_by_name() {
        let op = |name: &str| Operation { name: name.to_owned(), terms: Default::default(), calls: 1 };
        let text = "m             b\n---\ninstructions  1,010\n\nop     instructions  share\n---\n\
                    a + b           600  59.4 %\na               400  39.6 %\n";
        let found = sample("m", text, vec![op("a + b"), op("a")]).unwrap();
        assert_eq!(found.total, 1010.0);
        assert_eq!(found.operations.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [600.0, 400.0]);
        let error = sample("m", text, vec![op("c")]).err().unwrap().to_string();
        assert!(error.starts_with("the snapshot of m is not of its artefact"), "{error}");
    }

    #[test]
    fn differences_name_their_side() {
        assert_eq!(compared(1000, 990), "1,000 counted, 990 predicted, 1.00 % too few");
        assert_eq!(compared(1000, 1100), "1,000 counted, 1,100 predicted, 10.00 % too many");
    }

    #[test]
    fn the_committed_counts_are_predicted() {
        for sample in samples("mps2-an386", Family::Armv7em).unwrap() {
            let operations: Vec<_> = sample.operations.into_iter().map(|(op, _)| op).collect();
            let predicted = Coefficients::of(Family::Armv7em).network(&operations) as f64;
            assert!((predicted / sample.total - 1.0).abs() < 0.10, "{}: {predicted}", sample.name);
        }
    }
}
