//! A network that others trained: out of its file, calibrated without training, into an artefact.
//!
//! What `import` and `quantize --from FILE --calibrate DIR` share. Nothing is written before
//! everything that was given has been looked at.

use std::path::{Path, PathBuf};

use fourbit::kernels::Family;
use fourbit_models::compile::compile;
use fourbit_models::graph::Graph;
use fourbit_models::import::{self, Imported};
use fourbit_models::ptq;
use fourbit_models::quantize::{QGraph, quantize};
use fourbit_models::scheme::Setting;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::{paths, sample};

/// Most images that calibrate a network.
pub(crate) const CALIBRATION: usize = 200;

/// A network with the ranges that its activations have on some images.
#[derive(Debug)]
pub(crate) struct Calibrated {
    /// In float, with ranges and bits.
    pub(crate) graph: Graph,
    /// The same in integers.
    pub(crate) quantized: QGraph,
    /// The images: NHWC, `pixel / 255`.
    pub(crate) images: Vec<Vec<f32>>,
}

/// An artefact that was written.
#[derive(Debug, Serialize)]
pub(crate) struct Compiled {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
    pub(crate) arena_bytes: usize,
    /// None where the file's own integers were taken.
    pub(crate) bits: Option<String>,
    pub(crate) calibration_images: usize,
}

/// The network's name: what was asked for, or the file's name without its ending.
pub(crate) fn name(asked: Option<&str>, file: &Path) -> String {
    asked.map_or_else(|| file.file_stem().unwrap_or_default().to_string_lossy().into_owned(), str::to_owned)
}

/// The network in a TFLite or ONNX file, which takes `white` for the brightest pixel.
pub(crate) fn open(file: &Path, name: &str, white: u8) -> anyhow::Result<Imported> {
    if !matches!(white, 1 | 255) {
        return Err(bad_input(format!(
            "--white {white} is neither 255 nor 1: say what the network takes for white"
        )));
    }
    let imported = import::open(file, name, f32::from(white));
    imported.or_bad_input(|| format!("cannot import {}", paths::shown(file)))
}

impl Calibrated {
    /// Quantizes a float network with up to 200 images of a folder, which have its size.
    pub(crate) fn make(graph: &Graph, bits: Setting, folder: &Path) -> anyhow::Result<Self> {
        let images = sample::real(folder, graph.tensors[graph.input].shape, CALIBRATION)?;
        let bar = ProgressBar::new(graph.nodes.len() as u64).with_prefix(graph.name.clone());
        bar.set_style(ProgressStyle::with_template("{prefix}  {wide_bar}  {pos}/{len} layers")?);
        let calibrated =
            ptq::quantize(graph, &bits.into(), &images, &mut |done, _| bar.set_position(done as u64));
        bar.finish_and_clear();
        let calibrated = calibrated.and_then(|graph| Ok((quantize(&graph)?, graph)));
        let (quantized, graph) = calibrated.or_bad_input(|| format!("{} cannot be quantized", graph.name))?;
        Ok(Self { graph, quantized, images })
    }

    /// Writes `NAME.fourbit` and `NAME-BITS.graph`; gives both.
    pub(crate) fn write(
        &self,
        out: &Path,
        source: &Path,
        bits: Setting,
    ) -> anyhow::Result<(Compiled, PathBuf)> {
        let count = self.images.len();
        let how = format!("{bits}, calibrated with {count} images, not trained");
        let compiled = write(&self.quantized, out, source, &how)?;
        let file = out.join(format!("{}-{bits}.graph", self.graph.name));
        self.graph.save(&file)?;
        Ok((Compiled { bits: Some(bits.to_string()), calibration_images: count, ..compiled }, file))
    }
}

/// Writes `NAME.fourbit`; its card says where the network comes from and how it became integers.
pub(crate) fn write(graph: &QGraph, out: &Path, source: &Path, how: &str) -> anyhow::Result<Compiled> {
    let source = source.file_name().unwrap_or_default().to_string_lossy();
    let card = format!("{}: imported from {source}, {how}.\n", graph.name);
    let bytes = compile(graph, &graph.labels, &card);
    let bytes = bytes.or_bad_input(|| format!("{} cannot be compiled", graph.name))?;
    let path = out.join(format!("{}.fourbit", graph.name));
    paths::write(&path, &bytes)?;
    let model = Model::read(&path)?;
    let arena_bytes = model.artefact()?.header().arena_bytes(Family::Portable);
    Ok(Compiled {
        sha256: model.sha256.clone(),
        bytes: model.bytes().len(),
        arena_bytes,
        bits: None,
        calibration_images: 0,
        path,
    })
}
