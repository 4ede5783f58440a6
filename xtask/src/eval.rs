//! `eval`: accuracy of an artefact over a data set, through the runtime in the simulator.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use fourbit_models::dataset::{Images, Kind, Split};
use fourbit_models::simulate::{self, Backend, Simulator};
use serde::Serialize;

use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::paths;
use crate::picture::{self, Evaluation, Sample};
use crate::table::percent;

/// Measures an artefact's accuracy over a data set in the simulator.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask eval --model resnet8-shapes-w4a8 --dataset shapes
  cargo xtask eval --model resnet8-cifar10-w4a8 --dataset cifar10 --data ~/cifar-10-binary.tar.gz --json
  cargo xtask eval --model my.fourbit --dataset folder --data ~/photos")]
pub(crate) struct Eval {
    /// A .fourbit file, or a name in models/artefacts
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// shapes, cifar10 or folder
    #[arg(long, value_name = "SET")]
    dataset: Kind,
    /// Where the data set's files lie; by default the variable FOURBIT_DATA says it
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Which images
    #[arg(long, value_enum, default_value_t = Part::Test)]
    split: Part,
    /// Only the first N images
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

#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    dataset: &'a str,
    split: Part,
    images: usize,
    correct: usize,
    /// A fraction.
    accuracy: f64,
    seconds: f64,
}

impl Eval {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let started = Instant::now();
        let model = Model::open(&self.model)?;
        let loaded = self.dataset.load(self.data.as_deref(), Split::HoldOut);
        let dataset = loaded.or_bad_input(|| format!("no data set {}", self.dataset))?;
        let images = match self.split {
            Part::Test => dataset.test,
            Part::HeldOut => dataset.held_out,
            Part::Train => dataset.train,
        };
        let images = self.images.map_or_else(|| images.clone(), |count| images.first(count));
        let title = format!("{} on {}", model.name, dataset.name);
        let evaluation = evaluate(&model, &images, title, &dataset.classes)?;
        let (correct, all) = evaluation.correct();
        let report = Report {
            model: &model.name,
            dataset: self.dataset.name(),
            split: self.split,
            images: all,
            correct,
            accuracy: correct as f64 / all as f64,
            seconds: started.elapsed().as_secs_f64(),
        };
        if let Some(path) = &self.picture {
            paths::write(path, &picture::evaluation(&evaluation)?)?;
            eprintln!("picture: {}", paths::shown(path));
        }
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            let (accuracy, name) = (percent(report.accuracy), &dataset.name);
            println!("{}: {correct} of {all} images of {name} correct, {accuracy}", model.name);
            println!("{:.1} s in the simulator", report.seconds);
        }
        Ok(())
    }
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
