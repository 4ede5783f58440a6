//! `run`: classifies image files in the simulator or on a board.

use std::path::PathBuf;

use clap::Args;
use comfy_table::CellAlignment;
use fourbit_models::simulate;
use serde::Serialize;

use crate::model::Model;
use crate::place::Place;
use crate::table::{Table, percent};
use crate::{image_file, paths};

/// Classifies PNG or JPEG files in the simulator or on a board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask run --model resnet8-shapes-w4a8 star.png
  cargo xtask run --model resnet8-shapes-w4a8 --board mps2-an386 --json star.png ring.png

The images must have the network's size: 8-bit RGB, nothing is resized.")]
pub(crate) struct Run {
    /// A .fourbit file, or a name in models/artefacts
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// sim, or a folder in boards
    #[arg(long, value_name = "BOARD", default_value = "sim")]
    board: String,
    /// PNG or JPEG files
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    model: &'a str,
    board: &'a str,
    results: Vec<Classified>,
}

#[derive(Debug, Serialize)]
struct Classified {
    image: String,
    label: String,
    logits: Vec<i8>,
}

impl Run {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let place = Place::named(&self.board)?;
        let model = Model::open(&self.model)?;
        let artefact = model.artefact()?;
        let (shape, count) = (artefact.header().input_shape, usize::from(artefact.header().logits));
        let mut values = Vec::new();
        for image in &self.images {
            values.extend(image_file::read(image, shape)?);
        }
        let logits = place.logits(&model, &values)?;
        let labels: Vec<_> = artefact.labels().collect();
        let label = |class: usize| labels.get(class).map_or_else(|| class.to_string(), |l| (*l).to_owned());
        let results = self.images.iter().zip(logits.chunks_exact(count)).map(|(image, logits)| Classified {
            image: image.display().to_string(),
            label: label(simulate::best(logits)),
            logits: logits.to_vec(),
        });
        let report = Report { model: &model.name, board: &self.board, results: results.collect() };
        if json {
            println!("{}", serde_json::to_string(&report)?);
            return Ok(());
        }
        let scale = artefact.tensor(artefact.output()).map_or(1.0, |tensor| tensor.scale.to_f32());
        println!("{}", table(&report, scale, label));
        Ok(())
    }
}

/// Each image with its three best classes and their probabilities.
fn table(report: &Report<'_>, scale: f32, label: impl Fn(usize) -> String) -> Table {
    let mut table = Table::new(["image", "class", "probability", "then"]);
    for result in &report.results {
        let best = fourbit::classify::top_k::<3>(&result.logits, scale);
        let probability = |p: f32| percent(f64::from(p));
        let rest: Vec<_> =
            best.iter().skip(1).map(|&(class, p)| format!("{} {}", label(class), probability(p))).collect();
        let first = best.first().map_or(String::new(), |&(_, p)| probability(p));
        let image = paths::shown(result.image.as_ref());
        table.row([&image, &result.label, &first, &rest.join(", ")]);
    }
    table.align(2..3, CellAlignment::Right);
    table
}
