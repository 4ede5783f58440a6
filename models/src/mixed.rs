//! Bits layer by layer: what each layer's 4-bit weights cost, and where 8 bits pay.
//!
//! Takes a float graph, quantizes it without training ([`ptq`]) with other layers at 8 bits each time, and
//! measures every artefact through the runtime. The measure is the power of the logits' error as a part of the
//! float logits' own, the inverse of the signal-to-quantization-noise ratio: it asks for no label and moves long
//! before the accuracy does.

use std::collections::BTreeSet;

use rayon::prelude::*;
use serde::Serialize;

use crate::calibrate::assign_bits;
use crate::compile::{CompileError, compile};
use crate::dataset::Images;
use crate::file::AlignedBytes;
use crate::float_forward::forward;
use crate::graph::{Graph, Op};
use crate::ptq;
use crate::quantize::{QuantizeError, quantize};
use crate::scheme::{Bits, Setting};
use crate::simulate::{self, Backend, SimulateError, Simulator};
use fourbit::{Artefact, ParseError};

/// Why a network cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum MixedError {
    /// It cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// It cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The runtime refuses what was compiled.
    #[error("the runtime refuses the artefact: {0:?}")]
    Parse(ParseError),
    /// It cannot be run.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
}

/// A float network with what it is measured on.
#[derive(Debug)]
pub struct Bench<'a> {
    float: &'a Graph,
    setting: Setting,
    calibration: &'a [Vec<f32>],
    images: &'a Images,
    /// Of the images, one after the other.
    logits: Vec<f32>,
}

/// A layer whose weights have 4 bits in the setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Of the node.
    pub name: String,
    /// Weights.
    pub weights: usize,
    /// By how much its 4 bits raise the error of a network with 8-bit weights elsewhere.
    pub error: f64,
    /// Accuracy of that network, a fraction.
    pub accuracy: f64,
}

/// A network with some layers at 8 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Their names.
    pub eight: BTreeSet<String>,
    /// The file.
    pub artefact: Vec<u8>,
    /// Power of the logits' error, as a part of the float logits' power.
    pub error: f64,
    /// On the images, a fraction.
    pub accuracy: f64,
}

impl<'a> Bench<'a> {
    /// Runs the float network over the images. `calibration` are NHWC, `pixel / 255`.
    pub fn new(float: &'a Graph, setting: Setting, calibration: &'a [Vec<f32>], images: &'a Images) -> Self {
        let run = |index: usize| forward(float, &images.scaled(index..index + 1), |_, _| {});
        let logits = (0..images.len()).into_par_iter().flat_map_iter(run).collect();
        Self { float, setting, calibration, images, logits }
    }

    /// The layers with 4-bit weights, each with its number of weights.
    pub fn layers(&self) -> Vec<(String, usize)> {
        let mut graph = self.float.clone();
        let bounds = vec![1.0; graph.tensors.len()];
        assign_bits(&mut graph, &self.setting.into(), &bounds);
        let four = graph.nodes.iter().filter_map(|node| match &node.op {
            Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) if conv.weight_bits == Some(4) => {
                Some((node.name.clone(), conv.weights.len()))
            }
            _ => None,
        });
        four.collect()
    }

    /// Quantizes, compiles and measures the network with these layers at 8 bits.
    pub fn trial(&self, eight: BTreeSet<String>) -> Result<Trial, MixedError> {
        let bits = Bits { setting: self.setting, eight };
        let graph = ptq::quantize(self.float, &bits, self.calibration, &mut |_, _| {})?;
        let scale = graph.tensors[graph.output].range.map_or(1.0, |range| range.scale());
        let artefact = compile(&quantize(&graph)?, &graph.labels, "quantized without training")?;
        let file = AlignedBytes::copy(&artefact);
        let parsed = Artefact::parse(file.bytes()).map_err(MixedError::Parse)?;
        let simulator = Simulator::new(parsed, Backend::Host);
        let measured = simulator.evaluate(&simulate::values(&self.images.pixels), &self.images.labels)?;
        let pairs = self.logits.iter().zip(&measured.logits);
        let (mut error, mut power) = (0.0, 0.0);
        for (&float, &logit) in pairs {
            error += f64::from(f32::from(logit) * scale - float).powi(2);
            power += f64::from(float).powi(2);
        }
        let accuracy = measured.accuracy();
        Ok(Trial { eight: bits.eight, artefact, error: error / power.max(f64::MIN_POSITIVE), accuracy })
    }

    /// What each layer's 4 bits cost by themselves; `progress` is called after each trial.
    pub fn sensitivities(&self, progress: &mut dyn FnMut()) -> Result<Vec<Layer>, MixedError> {
        let layers = self.layers();
        let all: BTreeSet<String> = layers.iter().map(|(name, _)| name.clone()).collect();
        let base = self.trial(all.clone())?;
        progress();
        let layer = |(name, weights): (String, usize)| {
            let mut eight = all.clone();
            eight.remove(&name);
            let Trial { error, accuracy, .. } = self.trial(eight)?;
            progress();
            Ok(Layer { name, weights, error: error - base.error, accuracy })
        };
        layers.into_iter().map(layer).collect()
    }

    /// Networks from all layers at 4 bits to all at 8, the layer first in which a byte takes the most error
    /// away.
    pub fn ascent(&self, layers: &[Layer], progress: &mut dyn FnMut()) -> Result<Vec<Trial>, MixedError> {
        let mut order: Vec<&Layer> = layers.iter().collect();
        let gain = |layer: &Layer| layer.error / layer.weights.max(1) as f64;
        order.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
        let mut eight = BTreeSet::new();
        let mut trials = vec![self.trial(eight.clone())?];
        progress();
        for layer in order {
            eight.insert(layer.name.clone());
            trials.push(self.trial(eight.clone())?);
            progress();
        }
        Ok(trials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo;

    #[test]
    fn eight_bits_cost_bytes_and_take_error_away() {
        let float = crate::fold::folded_graph(&zoo::resnet8(3, Setting::W8a8).expect("calibrates"));
        let pixels: Vec<u8> =
            (0..4).flat_map(|seed| zoo::image([32, 32, 3], seed)).map(|v| v as u8).collect();
        let images = Images { pixels, labels: vec![0, 1, 2, 3] };
        let calibration = [images.scaled(0..1), images.scaled(1..2)];
        let bench = Bench::new(&float, Setting::W4a8, &calibration, &images);
        let layers = bench.layers();
        assert_eq!(layers.len(), 8);
        assert_eq!(layers[0], ("stack1.conv1".to_owned(), 16 * 9 * 16));
        let all: BTreeSet<String> = layers.into_iter().map(|(name, _)| name).collect();
        let (none, all) = (bench.trial(BTreeSet::new()).unwrap(), bench.trial(all).unwrap());
        assert!(all.artefact.len() > none.artefact.len() + 30_000);
        assert!(all.error < none.error / 4.0, "{} {}", all.error, none.error);
    }

    #[test]
    fn the_dearest_error_per_byte_comes_first() {
        let float = crate::fold::folded_graph(&zoo::resnet8(3, Setting::W8a8).expect("calibrates"));
        let images = Images {
            pixels: zoo::image([32, 32, 3], 1).into_iter().map(|v| v as u8).collect(),
            labels: vec![0],
        };
        let bench = Bench::new(&float, Setting::W4a4, &[], &images);
        let layer = |name: &str, weights, error| Layer { name: name.into(), weights, error, accuracy: 0.0 };
        let layers = [layer("stack1.conv1", 100, 0.1), layer("stack2.conv1", 10, 0.02)];
        let mut calls = 0;
        let trials = bench.ascent(&layers, &mut || calls += 1).unwrap();
        let eight: Vec<Vec<&str>> =
            trials.iter().map(|trial| trial.eight.iter().map(String::as_str).collect()).collect();
        assert_eq!(eight, [vec![], vec!["stack2.conv1"], vec!["stack1.conv1", "stack2.conv1"]]);
        assert_eq!(calls, 3);
    }
}
