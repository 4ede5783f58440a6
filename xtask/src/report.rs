//! What `quantize` found: figures, their table, and what is wrong with them.

use std::path::PathBuf;

use fourbit_models::agreement::Agreement;
use serde::Serialize;

use crate::place::Cost;
use crate::table::{Table, percent, thousands};

/// What `--check` asks for: float accuracy, what quantization may cost, what a linear model may reach.
const FLOAT_AT_LEAST: f64 = 0.85;
const LOSS_AT_MOST: f64 = 0.02;
const LINEAR_BELOW: f64 = 0.50;
/// What a difference of two accuracies may be off by.
const ROUNDING: f64 = 1e-9;

/// A network that was made, measured and run on a board.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) model: String,
    pub(crate) dataset: String,
    pub(crate) bits: String,
    /// A fraction; none where the graph came without its metrics.
    pub(crate) float_accuracy: Option<f64>,
    pub(crate) accuracy: f64,
    pub(crate) linear_accuracy: f64,
    pub(crate) images: usize,
    pub(crate) correct: usize,
    pub(crate) board: String,
    #[serde(flatten)]
    pub(crate) cost: Cost,
    /// Images that ran on the board, and those whose logits were the simulator's bytes.
    pub(crate) board_images: usize,
    pub(crate) board_equal: usize,
    /// None where the graph came without its metrics.
    pub(crate) agreement: Option<Agreement>,
    pub(crate) training_seconds: f64,
    pub(crate) artefact: PathBuf,
    pub(crate) card: PathBuf,
    pub(crate) picture: PathBuf,
}

impl Report {
    /// What is wrong with it, each in a sentence; with `check`, the accuracies too.
    pub(crate) fn complaints(&self, check: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.board_equal != self.board_images {
            let wrong = self.board_images - self.board_equal;
            let (board, all) = (&self.board, self.board_images);
            complaints
                .push(format!("{wrong} of {all} images have other logits on {board} than in the simulator"));
        }
        complaints.extend(self.agreement.iter().flat_map(Agreement::complaints));
        if !check {
            return complaints;
        }
        if self.agreement.is_none() {
            let missing = "training and runtime were not compared: start from a float graph";
            complaints.push(missing.to_owned());
        }
        let float = self.float_accuracy.unwrap_or(0.0);
        let mut ask = |holds: bool, what: &str, is: f64, limit: f64| {
            if !holds {
                complaints.push(format!("{what}: {}, the limit is {}", percent(is), percent(limit)));
            }
        };
        ask(float >= FLOAT_AT_LEAST, "float accuracy", float, FLOAT_AT_LEAST);
        let loss = float - self.accuracy;
        ask(loss <= LOSS_AT_MOST + ROUNDING, "accuracy lost by quantization", loss, LOSS_AT_MOST);
        ask(
            self.linear_accuracy < LINEAR_BELOW,
            "a linear model's accuracy",
            self.linear_accuracy,
            LINEAR_BELOW,
        );
        complaints
    }
}

/// The figures, a row each.
pub(crate) fn table(report: &Report) -> Table {
    let mut table = Table::new([report.model.as_str(), report.dataset.as_str()]);
    let mut row = |what: &str, figure: String| table.row([what, figure.as_str()]);
    row("float accuracy", report.float_accuracy.map_or("not measured".to_owned(), percent));
    row(&format!("{} accuracy", report.bits), percent(report.accuracy));
    row("linear model's accuracy", percent(report.linear_accuracy));
    costs(&report.cost).into_iter().for_each(|(what, figure)| row(what, figure));
    let (equal, all, board) = (report.board_equal, report.board_images, &report.board);
    row(&format!("same logits on {board}"), format!("{equal} of {all} images"));
    let agreement = report.agreement.as_ref();
    row("training and runtime agree", agreement.map_or("not measured".to_owned(), ToString::to_string));
    table
}

/// Rows of what a model needs and takes.
pub(crate) fn costs(cost: &Cost) -> [(&'static str, String); 3] {
    let Cost { artefact_bytes, code_bytes, arena_bytes, stack_bytes, instructions, cycles, .. } = *cost;
    let time = match cycles {
        Some(cycles) => ("cycles per image", thousands(cycles)),
        None => ("instructions per image", instructions.map_or("not counted".to_owned(), thousands)),
    };
    [
        ("flash", sum("artefact", artefact_bytes, "code", code_bytes)),
        ("RAM", sum("arena", arena_bytes, "stack", stack_bytes)),
        time,
    ]
}

/// A sum with its parts, in bytes.
fn sum(first: &str, a: usize, second: &str, b: Option<usize>) -> String {
    let part = |n: usize| thousands(n as u64);
    match b {
        Some(b) => format!("{} bytes: {first} {}, {second} {}", part(a + b), part(a), part(b)),
        None => format!("{} bytes of {first}", part(a)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(float: f64, accuracy: f64, linear: f64, equal: usize) -> Report {
        Report {
            model: "planted".into(),
            dataset: "shapes".into(),
            bits: "w4a8".into(),
            float_accuracy: Some(float),
            accuracy,
            linear_accuracy: linear,
            images: 100,
            correct: 90,
            board: "mps2-an386".into(),
            cost: Cost { artefact_bytes: 1000, code_bytes: Some(500), ..Cost::default() },
            board_images: 64,
            board_equal: equal,
            agreement: Some(agreement(990)),
            training_seconds: 1.0,
            artefact: PathBuf::new(),
            card: PathBuf::new(),
            picture: PathBuf::new(),
        }
    }

    fn agreement(same_top1: usize) -> Agreement {
        let (training_accuracy, runtime_accuracy) = (0.9, 0.9);
        Agreement { layers: vec![], images: 990, same_top1, training_accuracy, runtime_accuracy }
    }

    #[test]
    fn agreement_is_always_asked_for() {
        let cases = [(Some(agreement(990)), [0, 0]), (Some(agreement(980)), [1, 1]), (None, [0, 1])];
        for (agreement, found) in cases {
            let report = Report { agreement, ..report(0.90, 0.90, 0.30, 64) };
            assert_eq!([false, true].map(|check| report.complaints(check).len()), found);
        }
    }

    #[test]
    fn every_figure_has_its_limit() {
        let found = |report: Report| report.complaints(true).len();
        assert_eq!(found(report(0.90, 0.88, 0.30, 64)), 0);
        assert_eq!(found(report(0.84, 0.84, 0.30, 64)), 1);
        assert_eq!(found(report(0.90, 0.87, 0.30, 64)), 1);
        assert_eq!(found(report(0.90, 0.90, 0.50, 64)), 1);
        assert_eq!(found(report(0.90, 0.90, 0.30, 63)), 1);
    }

    #[test]
    fn sums_name_their_parts() {
        assert_eq!(sum("artefact", 1000, "code", Some(500)), "1,500 bytes: artefact 1,000, code 500");
        assert_eq!(sum("arena", 1000, "stack", None), "1,000 bytes of arena");
    }
}
