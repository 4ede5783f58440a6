//! `quantize`: a data set to a 4-bit artefact, its card and its picture, proven on a board.
//!
//! Trains a float network, fine-tunes it with quantization, compiles it, measures it in the
//! simulator over the whole test set, and on the board over the first test images, whose logits
//! must be the same bytes.

use std::path::PathBuf;

use clap::Args;
use fourbit_models::agreement::Agreement;
use fourbit_models::dataset::{Kind, Split};
use fourbit_models::scheme::Setting;
use fourbit_models::{linear, simulate};
use serde::Serialize;

use crate::card::Facts;
use crate::compile::compile;
use crate::eval::evaluate;
use crate::failure::OrBadInput;
use crate::model::Model;
use crate::place::{Cost, Place};
use crate::table::{Table, percent, thousands};
use crate::twin::Trained;
use crate::{paths, picture, place, setup, train};

/// The board that proves the bits unless another is named.
const BOARD: &str = "mps2-an386";
/// What `--check` asks for: float accuracy, what quantization may cost, what a linear model may reach.
const FLOAT_AT_LEAST: f64 = 0.85;
const LOSS_AT_MOST: f64 = 0.02;
const LINEAR_BELOW: f64 = 0.50;
/// What a difference of two accuracies may be off by.
const ROUNDING: f64 = 1e-9;

/// Makes a 4-bit artefact: trains, quantizes, compiles, and proves it on an emulated board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask quantize                     a small ResNet on drawn shapes, in some 3 minutes
  cargo xtask quantize --bits w4a4
  cargo xtask quantize --dataset cifar10 --data ~/cifar-10-binary.tar.gz
  cargo xtask quantize --from target/runs/my-run/float.graph

The artefact NAME.fourbit, its card NAME.md and its picture NAME.png go to --out.")]
pub(crate) struct Quantize {
    /// w8a8, w4a8, w4a4 or all4
    #[arg(long, value_name = "SETTING", default_value = "w4a8")]
    bits: Setting,
    /// shapes, which is drawn, or cifar10, which is read from files
    #[arg(long, value_name = "SET", default_value = "shapes")]
    dataset: Kind,
    /// A trained float graph to start from, instead of training one
    #[arg(long, value_name = "GRAPH")]
    from: Option<PathBuf>,
    /// The board that must compute the same bits: a folder in boards
    #[arg(long, value_name = "BOARD", default_value = BOARD)]
    board: String,
    /// Test images that run on the board
    #[arg(long, value_name = "N", default_value_t = 64)]
    images: usize,
    /// Where the results go; by default target/fourbit/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fails unless float reaches 85 %, 4 bits stay within 2 points and a linear model under 50 %
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    options: train::Options,
}

/// What the command found.
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

impl Quantize {
    /// The command without arguments but `--check`.
    pub(crate) fn checked(bits: Setting) -> Self {
        Self {
            bits,
            dataset: Kind::Shapes,
            from: None,
            board: BOARD.to_owned(),
            images: 64,
            out: None,
            check: true,
            options: train::Options::default(),
        }
    }

    /// Runs the command; `Ok(false)` where `--check`, the board or the agreement of training and
    /// runtime found something wrong.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        let report = self.make()?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{}", table(&report));
            for file in [&report.artefact, &report.card, &report.picture] {
                println!("{}", paths::shown(file));
            }
        }
        let complaints = self.complaints(&report);
        complaints.iter().for_each(|complaint| eprintln!("error: {complaint}"));
        Ok(complaints.is_empty())
    }

    /// Goes the whole way from images to files.
    pub(crate) fn make(&self) -> anyhow::Result<Report> {
        let place = Place::named(&self.board)?;
        setup::targets()?;
        setup::qemu()?;
        let dataset = self.dataset.load(self.options.data.as_deref(), Split::HoldOut);
        let dataset = dataset.or_bad_input(|| "the data set cannot be loaded".to_owned())?;
        let name = format!("resnet8-{}-{}", self.dataset, self.bits);
        let trained =
            Trained::make((self.dataset, &dataset), self.bits, self.from.as_deref(), &self.options)?;

        step("quantize and compile");
        let out = paths::out(self.out.as_deref(), &name);
        let command = self.typed();
        let facts = Facts { name: &name, bits: self.bits, dataset: &dataset, trained: &trained, command };
        let artefact = out.join(format!("{name}.fourbit"));
        let compiled = compile(&trained.graph, &facts.embedded())?;
        paths::write(&artefact, &compiled)?;
        let model = Model::read(&artefact)?;

        step(&format!("evaluate {} images in the simulator", dataset.test.len()));
        let linear_accuracy = linear::accuracy(&dataset.train, &dataset.test, dataset.classes.len());
        let title = format!("{name} on {}", dataset.name);
        let evaluation = evaluate(&model, &dataset.test, title, &dataset.classes)?;
        let (correct, images) = evaluation.correct();

        let shown = dataset.test.first(self.images);
        step(&format!("run {} images on {}", shown.len(), self.board));
        let values = simulate::values(&shown.pixels);
        let expected = place::simulate(&model, &values)?;
        let measured = place.logits(&model, &values)?;
        let (cost, _) = place.cost(&model)?;
        let logits = dataset.classes.len();
        let pairs = expected.chunks_exact(logits).zip(measured.chunks_exact(logits));

        let report = Report {
            dataset: dataset.name.clone(),
            bits: self.bits.to_string(),
            float_accuracy: trained.float_accuracy,
            accuracy: correct as f64 / images as f64,
            linear_accuracy,
            images,
            correct,
            board: self.board.clone(),
            cost,
            board_images: shown.len(),
            board_equal: pairs.filter(|(simulated, measured)| simulated == measured).count(),
            agreement: trained.agreement.clone(),
            training_seconds: trained.seconds,
            card: out.join(format!("{name}.md")),
            picture: out.join(format!("{name}.png")),
            model: name.clone(),
            artefact,
        };
        paths::write(&report.picture, &picture::evaluation(&evaluation)?)?;
        paths::write(&report.card, facts.page(&report, &evaluation).as_bytes())?;
        Ok(report)
    }

    /// The command that makes the artefact again; a path on this machine is not part of it.
    fn typed(&self) -> String {
        let mut command = "cargo xtask quantize".to_owned();
        if self.dataset != Kind::Shapes {
            command += &format!(" --dataset {} --data PATH", self.dataset);
        }
        if self.from.is_some() {
            command += " --from GRAPH";
        }
        command + &format!(" --bits {}", self.bits)
    }

    /// What is wrong with a result, each in a sentence.
    pub(crate) fn complaints(&self, report: &Report) -> Vec<String> {
        let mut complaints = Vec::new();
        if report.board_equal != report.board_images {
            let wrong = report.board_images - report.board_equal;
            let (board, all) = (&report.board, report.board_images);
            complaints
                .push(format!("{wrong} of {all} images have other logits on {board} than in the simulator"));
        }
        complaints.extend(report.agreement.iter().flat_map(Agreement::complaints));
        if !self.check {
            return complaints;
        }
        if report.agreement.is_none() {
            let missing = "training and runtime were not compared: start from a float graph";
            complaints.push(missing.to_owned());
        }
        let float = report.float_accuracy.unwrap_or(0.0);
        let mut ask = |holds: bool, what: &str, is: f64, limit: f64| {
            if !holds {
                complaints.push(format!("{what}: {}, the limit is {}", percent(is), percent(limit)));
            }
        };
        ask(float >= FLOAT_AT_LEAST, "float accuracy", float, FLOAT_AT_LEAST);
        let loss = float - report.accuracy;
        ask(loss <= LOSS_AT_MOST + ROUNDING, "accuracy lost by quantization", loss, LOSS_AT_MOST);
        ask(
            report.linear_accuracy < LINEAR_BELOW,
            "a linear model's accuracy",
            report.linear_accuracy,
            LINEAR_BELOW,
        );
        complaints
    }
}

/// Says on stderr what comes next.
pub(crate) fn step(what: &str) {
    eprintln!("\n== {what}");
}

/// The figures, a row each.
pub(crate) fn table(report: &Report) -> Table {
    let mut table = Table::new([report.model.as_str(), report.dataset.as_str()]);
    let mut row = |what: &str, figure: String| table.row([what, figure.as_str()]);
    row("float accuracy", report.float_accuracy.map_or("not measured".to_owned(), percent));
    row(&format!("{} accuracy", report.bits), percent(report.accuracy));
    row("linear model's accuracy", percent(report.linear_accuracy));
    let Cost { artefact_bytes, code_bytes, arena_bytes, stack_bytes, instructions } = report.cost;
    row("flash", sum("artefact", artefact_bytes, "code", code_bytes));
    row("RAM", sum("arena", arena_bytes, "stack", stack_bytes));
    row("instructions per image", instructions.map_or("not counted".to_owned(), thousands));
    let (equal, all, board) = (report.board_equal, report.board_images, &report.board);
    row(&format!("same logits on {board}"), format!("{equal} of {all} images"));
    let agreement = report.agreement.as_ref();
    row("training and runtime agree", agreement.map_or("not measured".to_owned(), ToString::to_string));
    table
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
            board: BOARD.into(),
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
        let unchecked = Quantize { check: false, ..Quantize::checked(Setting::W4a8) };
        let checked = Quantize::checked(Setting::W4a8);
        let cases = [(Some(agreement(990)), [0, 0]), (Some(agreement(980)), [1, 1]), (None, [0, 1])];
        for (agreement, found) in cases {
            let report = Report { agreement, ..report(0.90, 0.90, 0.30, 64) };
            assert_eq!([&unchecked, &checked].map(|command| command.complaints(&report).len()), found);
        }
    }

    #[test]
    fn every_figure_has_its_limit() {
        let command = Quantize::checked(Setting::W4a8);
        let found = |report| command.complaints(&report).len();
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
