//! `eval`: accuracy of an artefact over a data set, through the runtime in the simulator, and the
//! instructions that a board is predicted to spend on an image.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use fourbit_models::compile::predict::{self, Fit};
use fourbit_models::dataset::{Images, Kind, Split};
use fourbit_models::simulate::{self, Backend, Simulator};
use serde::Serialize;

use crate::board::Board;
use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::paths;
use crate::picture::{self, Evaluation, Sample};
use crate::table::{percent, thousands};

/// Measures an artefact's accuracy over a data set in the simulator, and predicts its cost on a board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask eval --model resnet8-shapes-w4a8 --dataset shapes
  cargo xtask eval --model resnet8-cifar10-w4a8 --dataset cifar10 --data ~/cifar-10-binary.tar.gz --json
  cargo xtask eval --model my.fourbit --dataset folder --data ~/photos
  cargo xtask eval --model my.fourbit --cost mps2-an386

Instructions are predicted from the plan's operations (docs/costs.md): nothing is built or emulated.")]
pub(crate) struct Eval {
    /// A .fourbit file, or a name in models/artefacts
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// shapes, cifar10 or folder
    #[arg(long, value_name = "SET", required_unless_present = "cost")]
    dataset: Option<Kind>,
    /// Predicts the instructions for an image on this board
    #[arg(long, value_name = "BOARD")]
    cost: Option<String>,
    /// Where the data set's files lie; by default the variable FOURBIT_DATA says it
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Which images
    #[arg(long, value_enum, default_value_t = Part::Test)]
    split: Part,
    /// Only N images, at even distances
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Also draws the confusion matrix and sample predictions into this PNG file
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    Test,
    HeldOut,
    Train,
}

/// What was found, as `--json` prints it; without a data set there is no accuracy.
#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    #[serde(flatten)]
    measured: Option<Measured>,
    #[serde(flatten)]
    predicted: Option<Predicted>,
}

#[derive(Debug, Serialize)]
struct Measured {
    dataset: &'static str,
    split: Part,
    images: usize,
    correct: usize,
    /// A fraction.
    accuracy: f64,
    seconds: f64,
}

/// What a board is predicted to take.
#[derive(Debug, Serialize)]
struct Predicted {
    cost: String,
    /// For one image.
    instructions: u64,
    arena_bytes: usize,
    artefact_bytes: usize,
}

impl Eval {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let model = Model::open(&self.model)?;
        let predicted = self.cost.as_deref().map(|board| Predicted::of(&model, board)).transpose()?;
        let measured = self.dataset.map(|dataset| self.measure(&model, dataset)).transpose()?;
        let report = Report { model: &model.name, measured, predicted };
        if json {
            println!("{}", serde_json::to_string(&report)?);
            return Ok(());
        }
        if let Some(Measured { dataset, images, correct, accuracy, seconds, .. }) = &report.measured {
            let accuracy = percent(*accuracy);
            println!("{}: {correct} of {images} images of {dataset} correct, {accuracy}", model.name);
            println!("{seconds:.1} s in the simulator");
        }
        if let Some(Predicted { cost, instructions, .. }) = &report.predicted {
            println!(
                "{}: about {} instructions for an image on {cost}",
                model.name,
                thousands(*instructions)
            );
        }
        Ok(())
    }

    /// Runs the model over the images that were asked for.
    fn measure(&self, model: &Model, kind: Kind) -> anyhow::Result<Measured> {
        let started = Instant::now();
        let loaded = kind.load(self.data.as_deref(), Split::HoldOut);
        let dataset = loaded.or_bad_input(|| format!("no data set {kind}"))?;
        let images = match self.split {
            Part::Test => dataset.test,
            Part::HeldOut => dataset.held_out,
            Part::Train => dataset.train,
        };
        let images = self.images.map_or_else(|| images.clone(), |count| images.spread(count));
        let title = format!("{} on {}", model.name, dataset.name);
        let evaluation = evaluate(model, &images, title, &dataset.classes)?;
        let (correct, images) = evaluation.correct();
        let seconds = started.elapsed().as_secs_f64();
        if let Some(path) = &self.picture {
            paths::write(path, &picture::evaluation(&evaluation)?)?;
            eprintln!("picture: {}", paths::shown(path));
        }
        let accuracy = correct as f64 / images as f64;
        Ok(Measured { dataset: kind.name(), split: self.split, images, correct, accuracy, seconds })
    }
}

impl Predicted {
    fn of(model: &Model, board: &str) -> anyhow::Result<Self> {
        let family = Board::load(board)?.family();
        let artefact = model.artefact()?;
        let none = || bad_input(format!("{} has no plan for {board}: compile it again", model.name));
        let operations = predict::operations(&artefact, family).ok_or_else(none)?;
        Ok(Self {
            cost: board.to_owned(),
            instructions: Fit::of(family).network(&operations),
            arena_bytes: artefact.header().arena_bytes(family),
            artefact_bytes: model.bytes().len(),
        })
    }
}

/// Instructions that a board is predicted to spend on an image.
pub(crate) fn instructions(model: &Model, board: &str) -> anyhow::Result<u64> {
    Ok(Predicted::of(model, board)?.instructions)
}

/// Runs a model over images; keeps the counts and, for the picture, samples of every class.
pub(crate) fn evaluate(
    model: &Model,
    images: &Images,
    title: String,
    classes: &[String],
) -> anyhow::Result<Evaluation> {
    let artefact = model.artefact()?;
    let logits = usize::from(artefact.header().logits);
    if images.is_empty() {
        return Err(bad_input("no image to evaluate: this split of the data set is empty"));
    }
    if logits != classes.len() {
        let (name, found) = (&model.name, classes.len());
        return Err(bad_input(format!(
            "{name} tells {logits} classes apart and the data set has {found}: name another data set"
        )));
    }
    let simulator = Simulator::new(artefact, Backend::Host);
    let measured = simulator.evaluate(&simulate::values(&images.pixels), &images.labels);
    let measured = measured.or_bad_input(|| format!("{} cannot be evaluated", model.name))?;
    let mut samples = Vec::new();
    let (mut right, mut wrong) = (0, 0);
    for (index, (scores, &label)) in measured.logits.chunks_exact(logits).zip(&images.labels).enumerate() {
        let (truth, predicted) = (usize::from(label), simulate::best(scores));
        // A few failures show more than successes alone.
        let (count, most) = if truth == predicted { (&mut right, 24) } else { (&mut wrong, 6) };
        *count += 1;
        if *count <= most {
            let (size, pixels) = ([32, 32], images.image(index).to_vec());
            samples.push(Sample { size, pixels, truth, predicted });
        }
    }
    Ok(Evaluation { title, labels: classes.to_vec(), confusion: measured.confusion, samples })
}
