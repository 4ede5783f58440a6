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

/// A layer that was tried at 8 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name; none for the network with no layer at 8 bits.
    pub layer: Option<String>,
    /// The network with it, and with what was kept before.
    pub trial: Trial,
    /// Whether it keeps 8 bits.
    pub kept: bool,
}

impl Layer {
    /// The error that its 4 bits add, for each of its weights: what a byte more takes away.
    pub fn error_per_weight(&self) -> f64 {
        self.error / self.weights.max(1) as f64
    }
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

    /// From all layers at 4 bits on, one layer after another at 8, that of the greatest `gain` first. A layer goes
    /// back to 4 bits where 8 take no error away or the network no longer fits; as long as none fits, fitting is
    /// not asked for. `fits` is called once with each network.
    pub fn ascent(
        &self,
        layers: &[Layer],
        gain: fn(&Layer) -> f64,
        fits: &mut dyn FnMut(&Trial) -> bool,
    ) -> Result<Vec<Step>, MixedError> {
        let mut order: Vec<&Layer> = layers.iter().collect();
        order.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
        let none = self.trial(BTreeSet::new())?;
        let mut fitting = fits(&none);
        let (mut eight, mut error) = (BTreeSet::new(), none.error);
        let mut steps = vec![Step { layer: None, trial: none, kept: true }];
        for layer in order {
            let mut more = eight.clone();
            more.insert(layer.name.clone());
            let trial = self.trial(more)?;
            let fits = fits(&trial);
            let kept = trial.error < error && (fits || !fitting);
            if kept {
                (eight, error, fitting) = (trial.eight.clone(), trial.error, fits);
            }
            steps.push(Step { layer: Some(layer.name.clone()), trial, kept });
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo;

    /// Four images of noise.
    fn planted() -> Images {
        let pixels = (0..4).flat_map(|seed| zoo::image([32, 32, 3], seed)).map(|v| v as u8).collect();
        Images { pixels, labels: vec![0, 1, 2, 3] }
    }

    #[test]
    fn eight_bits_cost_bytes_and_take_error_away() {
        let float = crate::fold::folded_graph(&zoo::resnet8(3, Setting::W8a8).expect("calibrates"));
        let images = planted();
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
    fn the_dearest_error_per_byte_comes_first_and_stays_where_it_fits_and_helps() {
        let float = crate::fold::folded_graph(&zoo::resnet8(3, Setting::W8a8).expect("calibrates"));
        let images = planted();
        let calibration = [images.scaled(0..1), images.scaled(1..2)];
        let bench = Bench::new(&float, Setting::W4a8, &calibration, &images);
        let layer = |name: &str, weights, error| Layer { name: name.into(), weights, error, accuracy: 0.0 };
        let layers = [
            layer("stack1.conv1", 100, 0.1),
            layer("stack3.conv2", 10, 0.03),
            layer("stack2.conv1", 10, 0.02),
        ];
        let calls = std::cell::Cell::new(0);
        let ascent = |most: usize| {
            let mut fits = |trial: &Trial| {
                calls.set(calls.get() + 1);
                trial.artefact.len() <= most
            };
            bench.ascent(&layers, Layer::error_per_weight, &mut fits).unwrap()
        };
        let steps = ascent(usize::MAX);
        let order: Vec<_> = steps.iter().map(|step| step.layer.as_deref()).collect();
        assert_eq!(order, [None, Some("stack3.conv2"), Some("stack2.conv1"), Some("stack1.conv1")]);
        for pair in steps.windows(2) {
            let helped = pair[1].trial.error < pair[0].trial.error;
            assert!(!pair[0].kept || pair[1].kept == helped);
        }
        // The first one's 36,864 weights find no room, the others do.
        let steps = ascent(steps[0].trial.artefact.len() + 10_000);
        assert!(!steps[1].kept);
        assert!(!steps[2].trial.eight.contains("stack3.conv2") && steps[2].trial.eight.len() == 1);
        assert_eq!(calls.get(), 8);
        // Nothing fits: what helps is kept.
        let steps = ascent(0);
        assert!(steps.iter().any(|step| step.layer.is_some() && step.kept));
    }
}
