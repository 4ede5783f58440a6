//! `quantize --from FILE --calibrate DIR`: a float network and unlabelled images to an artefact,
//! proven on a board.
//!
//! Nothing is trained. What the artefact keeps of the network is said by the images themselves:
//! how often both name the same class. With a labelled data set its accuracy is measured too.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use comfy_table::CellAlignment;
use fourbit_models::dataset::{Dataset, Kind, SIDE, Split};
use fourbit_models::float_forward::forward;
use fourbit_models::graph::Graph;
use fourbit_models::import::Imported;
use fourbit_models::scheme::Setting;
use fourbit_models::simulate;
use serde::Serialize;

use crate::eval::evaluate;
use crate::failure::{OrBadInput, bad_input};
use crate::layers::{self, Layer};
use crate::model::Model;
use crate::network::{self, Calibrated};
use crate::place::{Cost, OpCost, Place};
use crate::process::step;
use crate::report::costs;
use crate::table::{Table, percent, thousands};
use crate::{paths, place, setup};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct PostTraining<'a> {
    /// A float network: `.tflite`, `.onnx` or `.graph`.
    pub(crate) from: &'a Path,
    /// Images.
    pub(crate) folder: &'a Path,
    pub(crate) bits: Setting,
    pub(crate) name: Option<&'a str>,
    /// What a network that is not ours takes for the brightest pixel.
    pub(crate) white: u8,
    /// A data set of as many classes, and where it lies.
    pub(crate) labelled: Option<(Kind, Option<&'a Path>)>,
    pub(crate) board: &'a str,
    /// Most images that run on the board.
    pub(crate) images: usize,
    pub(crate) out: Option<&'a Path>,
}

/// A network that was calibrated, measured and run on a board.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    bits: String,
    /// `32x32x3`.
    input: String,
    logits: usize,
    parameters: usize,
    layers: Vec<Layer>,
    calibration_images: usize,
    /// Of them, those that float and integers name the same class for.
    same_class: usize,
    /// Of a labelled data set.
    measured: Option<Measured>,
    board: String,
    #[serde(flatten)]
    cost: Cost,
    ops: Vec<OpCost>,
    /// Images that ran on the board, and those whose logits were the simulator's bytes.
    board_images: usize,
    board_equal: usize,
    artefact: PathBuf,
    artefact_sha256: String,
    graph: PathBuf,
}

#[derive(Debug, Serialize)]
struct Measured {
    dataset: String,
    images: usize,
    correct: usize,
    /// A fraction.
    accuracy: f64,
}

/// Whether a file can be read and is no graph of ours.
pub(crate) fn is_foreign(file: &Path) -> bool {
    let mut letters = Vec::new();
    let read = File::open(file).and_then(|file| file.take(8).read_to_end(&mut letters));
    read.is_ok() && !letters.starts_with(b"FBGRAPH")
}

impl PostTraining<'_> {
    /// Runs the command; `Ok(false)` where the board computes other bits.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        let report = self.make()?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{}\n\n{}", layer_table(&report), figures(&report));
            println!("{}\n{}", paths::shown(&report.artefact), paths::shown(&report.graph));
        }
        let wrong = report.board_images - report.board_equal;
        if wrong > 0 {
            let (board, all) = (&report.board, report.board_images);
            eprintln!("error: {wrong} of {all} images have other logits on {board} than in the simulator");
        }
        Ok(wrong == 0)
    }

    fn make(&self) -> anyhow::Result<Report> {
        let place = Place::named(self.board)?;
        let name = network::name(self.name, self.from);
        let graph = self.float(&name)?;
        let dataset = self.labelled.map(|(kind, path)| labelled(&graph, kind, path)).transpose()?;

        step(&format!("calibrate {name} in {}", self.bits));
        let calibrated = Calibrated::make(&graph, self.bits, self.folder)?;
        let out = paths::out(self.out, &name);
        let (compiled, graph_file) = calibrated.write(&out, self.from, self.bits)?;
        let model = Model::read(&compiled.path)?;
        let values: Vec<i8> = calibrated.images.iter().flat_map(|image| stored(image)).collect();
        let expected = place::simulate(&model, &values)?;
        let logits = graph.tensors[graph.output].shape.iter().product();
        let floats = calibrated.images.iter().map(|image| class(&forward(&graph, image, |_, _| {})));
        let same = floats.zip(expected.chunks_exact(logits)).filter(|(a, b)| *a == simulate::best(b));
        let same_class = same.count();

        let measured = dataset.map(|dataset| measure(&model, &dataset)).transpose()?;
        let shown = calibrated.images.len().min(self.images);
        step(&format!("run {shown} images on {}", self.board));
        if matches!(place, Place::Board(_)) {
            setup::targets()?;
            setup::qemu()?;
        }
        let image = values.len() / calibrated.images.len();
        let on_board = place.logits(&model, &values[..shown * image])?;
        let pairs = expected.chunks_exact(logits).zip(on_board.chunks_exact(logits));
        let (cost, ops) = place.cost(&model)?;
        let layers = layers::float(&graph);
        let [height, width, channels] = graph.tensors[graph.input].shape;
        Ok(Report {
            model: name,
            bits: self.bits.to_string(),
            input: format!("{height}x{width}x{channels}"),
            logits,
            parameters: layers.iter().map(|layer| layer.parameters).sum(),
            layers,
            calibration_images: calibrated.images.len(),
            same_class,
            measured,
            board: self.board.to_owned(),
            cost,
            ops,
            board_images: shown,
            board_equal: pairs.filter(|(simulated, measured)| simulated == measured).count(),
            artefact: compiled.path,
            artefact_sha256: compiled.sha256,
            graph: graph_file,
        })
    }

    /// The float network in the file.
    fn float(&self, name: &str) -> anyhow::Result<Graph> {
        let file = paths::shown(self.from);
        if !is_foreign(self.from) {
            let graph = Graph::load(self.from).or_bad_input(|| "the graph cannot be used".to_owned())?;
            if graph.tensors.iter().all(|tensor| tensor.range.is_some()) {
                return Err(bad_input(format!(
                    "{file} has its ranges and bits: make its artefact with `cargo xtask compile`"
                )));
            }
            return Ok(Graph { name: name.to_owned(), ..graph });
        }
        match network::open(self.from, name, self.white)? {
            Imported::Float(graph) => Ok(graph),
            Imported::Integer(_) => Err(bad_input(format!(
                "{file} is int8 and has its scales: make its artefact with `cargo xtask import`"
            ))),
        }
    }
}

/// A data set that fits the network.
fn labelled(graph: &Graph, kind: Kind, path: Option<&Path>) -> anyhow::Result<Dataset> {
    let [height, width, channels] = graph.tensors[graph.input].shape;
    if [height, width, channels] != [SIDE, SIDE, 3] {
        return Err(bad_input(format!(
            "{kind} has images of {SIDE}x{SIDE}x3 values and the network takes {height}x{width}x{channels}: leave --data and --dataset out"
        )));
    }
    let dataset = kind.load(path, Split::All).or_bad_input(|| "the data set cannot be loaded".to_owned())?;
    let logits: usize = graph.tensors[graph.output].shape.iter().product();
    if logits != dataset.classes.len() {
        let (name, found) = (&dataset.name, dataset.classes.len());
        return Err(bad_input(format!(
            "{name} has {found} classes and the network tells {logits} apart: name another data set, or none"
        )));
    }
    Ok(dataset)
}

fn measure(model: &Model, dataset: &Dataset) -> anyhow::Result<Measured> {
    step(&format!("evaluate {} images in the simulator", dataset.test.len()));
    let evaluation = evaluate(model, &dataset.test, String::new(), &dataset.classes)?;
    let (correct, images) = evaluation.correct();
    let accuracy = correct as f64 / images as f64;
    Ok(Measured { dataset: dataset.name.clone(), images, correct, accuracy })
}

/// The pixels of a real image as the runtime reads them.
fn stored(image: &[f32]) -> impl Iterator<Item = i8> {
    image.iter().map(|&value| ((value * 255.0).round() - 128.0) as i8)
}

/// The first of the largest logits, as in [`simulate::best`].
fn class(logits: &[f32]) -> usize {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == largest).unwrap_or(0)
}

/// Every layer with what it costs on the board.
fn layer_table(report: &Report) -> Table {
    let mut table = Table::new(["layer", "kind", "reads", "output", "window", "parameters", "instructions"]);
    for layer in &report.layers {
        let Layer { name, kind, reads, output, window, parameters } = layer;
        let parameters = if *parameters == 0 { String::new() } else { thousands(*parameters as u64) };
        let op = report.ops.iter().find(|op| op.name == *name);
        let instructions = op.and_then(|op| op.instructions).map_or(String::new(), thousands);
        table.row([name, *kind, &reads.join(", "), output, window, &parameters, &instructions]);
    }
    table.align(5..7, CellAlignment::Right);
    table
}

/// The figures, a row each.
fn figures(report: &Report) -> Table {
    let mut table = Table::new([report.model.as_str(), report.bits.as_str()]);
    let mut row = |what: &str, figure: String| table.row([what, figure.as_str()]);
    row("image, logits", format!("{}, {}", report.input, report.logits));
    row("parameters", thousands(report.parameters as u64));
    row("calibrated with", format!("{} images", report.calibration_images));
    row("same class as in float", format!("{} of {} images", report.same_class, report.calibration_images));
    if let Some(Measured { dataset, images, accuracy, .. }) = &report.measured {
        let images = thousands(*images as u64);
        row(&format!("accuracy on {dataset}"), format!("{} of {images} images", percent(*accuracy)));
    }
    costs(&report.cost).into_iter().for_each(|(what, figure)| row(what, figure));
    let (equal, all) = (report.board_equal, report.board_images);
    row(&format!("same logits on {}", report.board), format!("{equal} of {all} images"));
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourbit_models::graph::Tensor;

    #[test]
    fn a_data_set_of_another_number_of_classes() {
        let tensor = |shape| Tensor { name: "t".into(), shape, range: None };
        let graph = Graph {
            name: "net".into(),
            tensors: vec![tensor([SIDE, SIDE, 3]), tensor([1, 1, 5])],
            nodes: vec![],
            input: 0,
            output: 1,
            labels: vec![],
        };
        let folder = tempfile::tempdir().unwrap();
        for file in ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            image::RgbImage::new(32, 32).save(path).unwrap();
        }
        let said = labelled(&graph, Kind::Folder, Some(folder.path())).unwrap_err().to_string();
        let sentence = "has 2 classes and the network tells 5 apart: name another data set, or none";
        assert!(said.ends_with(sentence), "{said}");
    }

    #[test]
    fn pixels_come_back_as_they_were() {
        let real: Vec<f32> = (0..=255u8).map(|pixel| f32::from(pixel) / 255.0).collect();
        assert!(stored(&real).eq(i8::MIN..=i8::MAX));
    }

    #[test]
    fn the_first_of_equal_logits_is_the_class() {
        assert_eq!(class(&[-1.0, 2.0, 2.0]), 1);
        assert_eq!(simulate::best(&[-1, 2, 2]), 1);
    }
}
