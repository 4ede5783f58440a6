//! `bits`: which layers of a float network lose by 4-bit weights, and where 8 bits pay under a budget.
//!
//! Every network is quantized without training, compiled and measured in the simulator on labelled images that
//! no quantization has seen; its instructions are predicted.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use comfy_table::CellAlignment;
use fourbit_models::calibrate::calibration_images;
use fourbit_models::dataset::{Kind, Split};
use fourbit_models::float_forward::accuracy;
use fourbit_models::graph::Graph;
use fourbit_models::mixed::{Bench, Layer, Step, Trial};
use fourbit_models::scheme::Setting;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::board::Board;
use crate::choose::Latency;
use crate::eval::instructions;
use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::network::CALIBRATION;
use crate::paths;
use crate::process::step;
use crate::ram::Bytes;
use crate::table::{Table, percent, thousands};

/// Measures how much each layer loses by 4-bit weights, and finds where 8 bits pay under a budget.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask bits --from models/artefacts/resnet8-shapes-float.graph --dataset shapes
  cargo xtask bits --from models/artefacts/resnet8-cifar10-float.graph --dataset cifar10 --data PATH \\
      --bits w4a4 --max-artefact 52K --max-latency 400ms

Nothing is trained. The best network within the budget is written to --out, and the layers that keep 8 bits in
it are printed as a line for a training recipe. The error is the power of what the logits are off by, as a part of
the float logits' power. Exit code 1 where nothing fits.")]
pub(crate) struct BitsOfLayers {
    /// A float network: a .graph file
    #[arg(long, value_name = "GRAPH")]
    from: PathBuf,
    /// w4a8, w4a4 or all4: what the layers have that do not keep 8 bits
    #[arg(long, value_name = "BITS", default_value_t = Setting::W4a8)]
    bits: Setting,
    /// shapes, cifar10 or folder
    #[arg(long, value_name = "SET")]
    dataset: Kind,
    /// Where the data set's files lie; by default the variable FOURBIT_DATA says it
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Most held-out training images to measure on
    #[arg(long, value_name = "N", default_value_t = 1000)]
    images: usize,
    /// Whose instructions are predicted
    #[arg(long, value_name = "BOARD", default_value = "mps2-an386")]
    board: String,
    /// Most bytes of artefact: 52000, 52K (1,000 bytes each)
    #[arg(long, value_name = "BYTES")]
    max_artefact: Option<Bytes>,
    /// Most time for one image, at an instruction a cycle of the board's clock: 50ms, 1.5s
    #[arg(long, value_name = "TIME")]
    max_latency: Option<Latency>,
    /// Where the artefact goes; by default target/fourbit/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    bits: String,
    images: usize,
    float_accuracy: f64,
    layers: Vec<Layer>,
    networks: Vec<Row>,
    /// Of `networks`; none where nothing fits.
    chosen: Option<usize>,
    artefact: Option<PathBuf>,
}

/// A network with some layers at 8 bits.
#[derive(Clone, Debug, Serialize)]
struct Row {
    /// The layer that was tried; none in the first row.
    tried: Option<String>,
    /// Whether it keeps 8 bits in the rows below.
    kept: bool,
    eight: BTreeSet<String>,
    artefact_bytes: usize,
    instructions: u64,
    error: f64,
    accuracy: f64,
}

impl Row {
    fn of(step: &Step, instructions: u64) -> Self {
        let Trial { eight, artefact, error, accuracy } = &step.trial;
        Self {
            tried: step.layer.clone(),
            kept: step.kept,
            eight: eight.clone(),
            artefact_bytes: artefact.len(),
            instructions,
            error: *error,
            accuracy: *accuracy,
        }
    }
}

impl BitsOfLayers {
    /// Runs the command; `Ok(false)` where no network fits the budget.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        let report = self.make()?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
            return Ok(report.chosen.is_some());
        }
        println!("{}\n\n{}\n", layer_table(&report), network_table(&report));
        match report.chosen.map(|chosen| &report.networks[chosen]) {
            Some(row) => {
                let names: Vec<_> = row.eight.iter().map(|name| format!("{name:?}")).collect();
                println!("In a recipe, with setting = \"{}\": eight = [{}]", report.bits, names.join(", "));
                report.artefact.iter().for_each(|path| println!("{}", paths::shown(path)));
            }
            None => eprintln!("error: {}", self.nothing(&report)),
        }
        Ok(report.chosen.is_some())
    }

    fn make(&self) -> anyhow::Result<Report> {
        if self.bits == Setting::W8a8 {
            return Err(bad_input("every layer of w8a8 has 8 bits: name w4a8, w4a4 or all4 with --bits"));
        }
        let board = Board::load(&self.board)?;
        let float = Graph::load(&self.from).or_bad_input(|| "the graph cannot be used".to_owned())?;
        let dataset = self.dataset.load(self.data.as_deref(), Split::HoldOut);
        let dataset = dataset.or_bad_input(|| format!("no data set {}", self.dataset))?;
        if float.labels != dataset.classes {
            let file = paths::shown(&self.from);
            return Err(bad_input(format!("{file} was not trained on the classes of {}", dataset.name)));
        }
        let images = dataset.held_out.spread(self.images);
        let mut calibration = calibration_images(&dataset.train, 1);
        calibration.truncate(CALIBRATION);
        step(&format!("measure {} in {} on {} held-out images", float.name, self.bits, images.len()));
        let bench = Bench::new(&float, self.bits, &calibration, &images);
        let bar = ProgressBar::new(2 * bench.layers().len() as u64 + 2).with_prefix(float.name.clone());
        bar.set_style(ProgressStyle::with_template(
            "{prefix}  {wide_bar}  {pos}/{len} networks, {eta} left",
        )?);
        bar.tick();
        let fits = |instructions: u64, artefact_bytes: usize| {
            let seconds = instructions as f64 / board.clock_hz as f64;
            self.max_artefact.is_none_or(|most| artefact_bytes <= most.0)
                && self.max_latency.is_none_or(|most| seconds <= most.0)
        };
        // Where time alone is short, bytes do not count.
        let time_alone = self.max_artefact.is_none() && self.max_latency.is_some();
        let gain = if time_alone { |layer: &Layer| layer.error } else { Layer::error_per_weight };
        let mut counts = Vec::new();
        let mut measure = || -> Result<_, fourbit_models::mixed::MixedError> {
            let layers = bench.sensitivities(&mut || bar.inc(1))?;
            let mut fits = |trial: &Trial| {
                bar.inc(1);
                counts.push(predicted(trial, &self.board));
                let count = counts.last().and_then(|count| count.as_ref().ok());
                count.is_some_and(|&count| fits(count, trial.artefact.len()))
            };
            let steps = bench.ascent(&layers, gain, &mut fits)?;
            Ok((layers, steps))
        };
        let measured = measure();
        bar.finish_and_clear();
        let (layers, steps) = measured.or_bad_input(|| format!("{} cannot be measured", float.name))?;
        let counts = counts.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let networks: Vec<_> = steps.iter().zip(counts).map(|(step, count)| Row::of(step, count)).collect();
        let chosen = best(&networks, |row| fits(row.instructions, row.artefact_bytes));
        let name = format!("{}-{}", float.name, self.bits);
        let out = paths::out(self.out.as_deref(), &name);
        let artefact = chosen.map(|chosen| {
            let path = out.join(format!("{name}.fourbit"));
            paths::write(&path, &steps[chosen].trial.artefact).map(|()| path)
        });
        Ok(Report {
            model: float.name.clone(),
            bits: self.bits.to_string(),
            images: images.len(),
            float_accuracy: accuracy(&float, &images),
            layers,
            networks,
            chosen,
            artefact: artefact.transpose()?,
        })
    }

    /// Why nothing fits, and what would.
    fn nothing(&self, report: &Report) -> String {
        let least = |of: fn(&Row) -> u64| report.networks.iter().map(of).min().unwrap_or(0);
        format!(
            "no network fits: the smallest has {} bytes, the fastest takes {} instructions",
            thousands(least(|row| row.artefact_bytes as u64)),
            thousands(least(|row| row.instructions))
        )
    }
}

/// Instructions that a board is predicted to take for a trial's network.
fn predicted(trial: &Trial, board: &str) -> anyhow::Result<u64> {
    let file = tempfile::Builder::new().suffix(".fourbit").tempfile()?;
    std::fs::write(file.path(), &trial.artefact)?;
    instructions(&Model::read(file.path())?, board)
}

/// The network with the least error that fits.
fn best(networks: &[Row], fits: impl Fn(&Row) -> bool) -> Option<usize> {
    let fitting = networks.iter().enumerate().filter(|(_, row)| fits(row));
    fitting.min_by(|(_, a), (_, b)| a.error.total_cmp(&b.error)).map(|(index, _)| index)
}

/// An error as a part of the signal.
fn part(error: f64) -> String {
    format!("{:.3} %", 100.0 * error)
}

fn layer_table(report: &Report) -> Table {
    let mut table = Table::new(["4 bits in", "weights", "error added", "accuracy"]);
    table.row(["(float)", "", "", &percent(report.float_accuracy)]);
    for Layer { name, weights, error, accuracy } in &report.layers {
        table.row([name, &thousands(*weights as u64), &part(*error), &percent(*accuracy)]);
    }
    table.align(1..4, CellAlignment::Right);
    table
}

fn network_table(report: &Report) -> Table {
    let mut table = Table::new(["8 bits in", "artefact", "instructions", "error", "accuracy", ""]);
    for (index, row) in report.networks.iter().enumerate() {
        let what = row.tried.as_ref().map_or("no layer".to_owned(), |layer| format!("and {layer}"));
        let (bytes, count) = (thousands(row.artefact_bytes as u64), thousands(row.instructions));
        let mark = match (report.chosen == Some(index), row.kept) {
            (true, _) => "chosen",
            (false, true) => "kept",
            (false, false) => "back to 4 bits",
        };
        table.row([&what, &bytes, &count, &part(row.error), &percent(row.accuracy), mark]);
    }
    table.align(1..5, CellAlignment::Right);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |eight: &[&str], artefact_bytes, instructions, error| Row {
            tried: eight.last().map(|&name| name.to_owned()),
            kept: artefact_bytes < 60,
            eight: eight.iter().map(|&name| name.to_owned()).collect(),
            artefact_bytes,
            instructions,
            error,
            accuracy: 0.5,
        };
        vec![row(&[], 40, 9, 0.04), row(&["a"], 50, 10, 0.02), row(&["a", "b"], 60, 8, 0.01)]
    }

    #[test]
    fn the_least_error_within_the_budget() {
        assert_eq!(best(&rows(), |_| true), Some(2));
        assert_eq!(best(&rows(), |row| row.artefact_bytes <= 59), Some(1));
        assert_eq!(best(&rows(), |row| row.artefact_bytes <= 59 && row.instructions < 10), Some(0));
        assert_eq!(best(&rows(), |row| row.artefact_bytes < 40), None);
    }

    #[test]
    fn the_tables_name_what_is_added() {
        let layers = vec![Layer { name: "a".into(), weights: 2304, error: 0.0123, accuracy: 0.5 }];
        let (model, bits) = ("net".to_owned(), "w4a8".to_owned());
        let report = Report {
            model,
            bits,
            images: 10,
            float_accuracy: 0.75,
            layers,
            networks: rows(),
            chosen: Some(1),
            artefact: None,
        };
        assert!(layer_table(&report).to_string().contains("1.230 %"));
        let shown = network_table(&report).to_string();
        assert!(shown.contains("no layer") && shown.contains("and b"), "{shown}");
        assert!(shown.lines().last().is_some_and(|line| line.ends_with("back to 4 bits")), "{shown}");
        assert_eq!(shown.lines().filter(|line| line.ends_with("chosen")).count(), 1);
    }
}
