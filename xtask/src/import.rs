//! `import`: a TFLite file to a graph, or, where it says how to quantize, to an artefact.
//!
//! An int8 file has its scales and becomes an artefact at once. A float file becomes a `.graph`,
//! and with a folder of images an artefact, without training.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use comfy_table::CellAlignment;
use fourbit_models::compile::compile;
use fourbit_models::graph::Graph;
use fourbit_models::import::{self, Imported};
use fourbit_models::ptq;
use fourbit_models::quantize::{QGraph, quantize};
use fourbit_models::scheme::Setting;
use serde::Serialize;

use crate::failure::{OrBadInput, bad_input};
use crate::layers::{Layer, float, integer};
use crate::model::Model;
use crate::table::{Table, thousands};
use crate::{paths, sample};

/// Most images that calibrate a network.
const CALIBRATION: usize = 200;

/// Imports a TFLite network: int8 to an artefact, float to a graph or, with images, to an artefact.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask import resnet8_int8.tflite
  cargo xtask import resnet8_float.tflite --calibrate PHOTOS --bits w8a8
  cargo xtask import resnet8_float.tflite --white 255

An int8 network gives NAME.fourbit, a float one NAME.graph, and with images NAME.fourbit and the
calibrated NAME-BITS.graph, which `compile` takes too. They go to --out.")]
pub(crate) struct Import {
    /// A .tflite file
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

#[derive(Debug, Serialize)]
struct Compiled {
    path: PathBuf,
    sha256: String,
    bytes: usize,
    arena_bytes: usize,
    /// None where the file's own integers were taken.
    bits: Option<String>,
    calibration_images: usize,
}

impl Import {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        if !matches!(self.white, 1 | 255) {
            return Err(bad_input(format!(
                "--white {} is neither 255 nor 1: say what the network takes for white",
                self.white
            )));
        }
        let name = self
            .name
            .clone()
            .unwrap_or_else(|| self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let out = paths::out(self.out.as_deref(), &name);
        let imported = import::open(&self.file, &name, f32::from(self.white));
        let imported = imported.or_bad_input(|| format!("cannot import {}", paths::shown(&self.file)))?;
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
        let artefact = self.compile(graph, out, None, 0)?;
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
        let shape @ [height, width, channels] = graph.tensors[graph.input].shape;
        // Calibrated first: a folder that does not fit leaves no file behind.
        let calibrated = match &self.calibrate {
            Some(folder) => {
                let images = sample::real(folder, shape, CALIBRATION)?;
                let calibrated = ptq::quantize(graph, self.bits, &images, &mut |_, _| {});
                let calibrated = calibrated.and_then(|graph| Ok((quantize(&graph)?, graph)));
                let (quantized, calibrated) =
                    calibrated.or_bad_input(|| format!("{} cannot be quantized", graph.name))?;
                Some((quantized, calibrated, images.len()))
            }
            None => None,
        };
        let artefact = match &calibrated {
            Some((quantized, _, images)) => Some(self.compile(quantized, out, Some(self.bits), *images)?),
            None => None,
        };
        let name = match &calibrated {
            Some(_) => format!("{}-{}.graph", graph.name, self.bits),
            None => format!("{}.graph", graph.name),
        };
        let file = out.join(name);
        std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", paths::shown(out)))?;
        calibrated.as_ref().map_or(graph, |(_, calibrated, _)| calibrated).save(&file)?;
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

    fn compile(
        &self,
        graph: &QGraph,
        out: &Path,
        bits: Option<Setting>,
        images: usize,
    ) -> anyhow::Result<Compiled> {
        let source = self.file.file_name().unwrap_or_default().to_string_lossy();
        let how = match bits {
            Some(bits) => format!("{bits}, calibrated with {images} images, not trained"),
            None => "int8 with the file's own scales".to_owned(),
        };
        let card = format!("{}: imported from {source}, {how}.\n", graph.name);
        let bytes = compile(graph, &graph.labels, &card);
        let bytes = bytes.or_bad_input(|| format!("{} cannot be compiled", graph.name))?;
        let path = out.join(format!("{}.fourbit", graph.name));
        paths::write(&path, &bytes)?;
        let model = Model::read(&path)?;
        let arena_bytes = model.artefact()?.header().arena_bytes(fourbit::kernels::Family::Portable);
        Ok(Compiled {
            sha256: model.sha256.clone(),
            bytes: model.bytes().len(),
            arena_bytes,
            bits: bits.map(|bits| bits.to_string()),
            calibration_images: images,
            path,
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
