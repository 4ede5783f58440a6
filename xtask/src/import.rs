//! `import`: a TFLite or ONNX file to a graph, or, where it says how to quantize, to an artefact.
//!
//! An int8 file has its scales and becomes an artefact at once. A float file becomes a `.graph`,
//! and with a folder of images an artefact, without training.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use comfy_table::CellAlignment;
use fourbit_models::graph::Graph;
use fourbit_models::import::Imported;
use fourbit_models::quantize::QGraph;
use fourbit_models::scheme::Setting;
use serde::Serialize;

use crate::failure::bad_input;
use crate::layers::{Layer, float, integer};
use crate::network::{self, Calibrated, Compiled};
use crate::paths;
use crate::table::{Table, thousands};

/// Imports a TFLite or ONNX network: int8 to an artefact, float to a graph or, with images, to an artefact.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask import resnet8_int8.tflite
  cargo xtask import resnet8_float.tflite --calibrate PHOTOS --bits w8a8
  cargo xtask import resnet18.onnx --white 1

An int8 network gives NAME.fourbit, a float one NAME.graph, and with images NAME.fourbit and the
calibrated NAME-BITS.graph, which `compile` takes too. They go to --out.")]
pub(crate) struct Import {
    /// A .tflite or .onnx file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What the network will be called; by default the file's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the results go; by default target/fourbit/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of PNG or JPEG images of the network's size, or CIFAR-10: quantizes a float network
    /// with up to 200 of them; labels are not looked at
    #[arg(long, value_name = "DIR")]
    calibrate: Option<PathBuf>,
    /// w8a8, w4a8, w4a4 or all4
    #[arg(long, value_name = "SETTING", default_value = "w8a8", requires = "calibrate")]
    bits: Setting,
    /// What a float network takes for the brightest pixel: 255 or 1
    #[arg(long, value_name = "VALUE", default_value_t = 255)]
    white: u8,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    /// `int8` or `float`.
    kind: &'static str,
    input: String,
    logits: usize,
    parameters: usize,
    layers: Vec<Layer>,
    /// None for an int8 network.
    graph: Option<PathBuf>,
    /// None for a float network that was not calibrated.
    artefact: Option<Compiled>,
}

impl Import {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let name = network::name(self.name.as_deref(), &self.file);
        let out = paths::out(self.out.as_deref(), &name);
        let imported = network::open(&self.file, &name, self.white)?;
        let report = match &imported {
            Imported::Integer(graph) => self.integer(graph, &out)?,
            Imported::Float(graph) => self.float(graph, &out)?,
        };
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print(&report);
        }
        Ok(())
    }

    fn integer(&self, graph: &QGraph, out: &Path) -> anyhow::Result<Report> {
        if self.calibrate.is_some() {
            let file = paths::shown(&self.file);
            return Err(bad_input(format!(
                "{file} is int8 and has its scales: leave --calibrate out, or import the float network"
            )));
        }
        let artefact = network::write(graph, out, &self.file, "int8 with the file's own scales")?;
        let layers = integer(graph);
        let shape = graph.tensors[graph.input].info.shape;
        Ok(Report {
            model: graph.name.clone(),
            kind: "int8",
            input: format!("{}x{}x{}", shape.height, shape.width, shape.channels),
            logits: graph.tensors[graph.output].info.shape.elements(),
            parameters: layers.iter().map(|layer| layer.parameters).sum(),
            layers,
            graph: None,
            artefact: Some(artefact),
        })
    }

    fn float(&self, graph: &Graph, out: &Path) -> anyhow::Result<Report> {
        let [height, width, channels] = graph.tensors[graph.input].shape;
        // Calibrated first: a folder that does not fit leaves no file behind.
        let calibrated = self.calibrate.as_ref().map(|folder| Calibrated::make(graph, self.bits, folder));
        let (artefact, file) = match calibrated.transpose()? {
            Some(calibrated) => {
                let (artefact, file) = calibrated.write(out, &self.file, self.bits)?;
                (Some(artefact), file)
            }
            None => {
                let file = out.join(format!("{}.graph", graph.name));
                std::fs::create_dir_all(out)
                    .with_context(|| format!("cannot create {}", paths::shown(out)))?;
                graph.save(&file)?;
                (None, file)
            }
        };
        let layers = float(graph);
        Ok(Report {
            model: graph.name.clone(),
            kind: "float",
            input: format!("{height}x{width}x{channels}"),
            logits: graph.tensors[graph.output].shape.iter().product(),
            parameters: layers.iter().map(|layer| layer.parameters).sum(),
            layers,
            graph: Some(file),
            artefact,
        })
    }
}

fn print(report: &Report) {
    let mut table = Table::new(["layer", "kind", "reads", "output", "window", "parameters"]);
    for layer in &report.layers {
        let Layer { name, kind, reads, output, window, parameters } = layer;
        let parameters = if *parameters == 0 { String::new() } else { thousands(*parameters as u64) };
        table.row([name, *kind, &reads.join(", "), output, window, &parameters]);
    }
    table.align(5..6, CellAlignment::Right);
    println!("{table}\n");
    let (parameters, logits) = (thousands(report.parameters as u64), report.logits);
    println!(
        "{}: {}, image {}, {logits} logits, {parameters} parameters",
        report.model, report.kind, report.input
    );
    if let Some(Compiled { bytes, arena_bytes, .. }) = &report.artefact {
        let [bytes, arena] = [*bytes, *arena_bytes].map(|n| thousands(n as u64));
        println!("{bytes} bytes of artefact, {arena} bytes of arena");
    }
    for path in report.artefact.iter().map(|artefact| &artefact.path).chain(&report.graph) {
        println!("{}", paths::shown(path));
    }
}
