//! Networks with seeded random weights: for tests, benches and firmware before anything is trained.
//!
//! Takes a float graph or its name and a seed, gives a graph with ranges and bits in which no
//! value is degenerate: norms are fitted to a seeded image layer by layer, so that every activation has
//! about unit variance, and ranges are calibrated on it.

use crate::calibrate::calibrate;
use crate::float_forward::{finish, sums};
use crate::graph::{BatchNorm, Graph, Op};
use crate::nets::imagenet::ImageNetResNet;
use crate::nets::mobilenet::MobileNetV1;
use crate::nets::resnet::ResNet;
use crate::quantize::QuantizeError;
use crate::rng::Rng;
use crate::scheme::Setting;

/// ResNet-8 of MLPerf Tiny, 32x32 RGB, 10 logits.
pub fn resnet8(seed: u64, setting: Setting) -> Result<Graph, QuantizeError> {
    resnet(ResNet { blocks: 1, width: 1.0 }, seed, setting)
}

/// A ResNet for 32x32 RGB of any depth and width, 10 logits.
pub fn resnet(net: ResNet, seed: u64, setting: Setting) -> Result<Graph, QuantizeError> {
    let labels = (0..10).map(|class| format!("class{class}")).collect();
    quantizable(net.graph(labels, seed), setting, seed)
}

/// ResNet-18 for square images of so many pixels a side (224), 1000 logits.
pub fn resnet18(size: usize, seed: u64, setting: Setting) -> Result<Graph, QuantizeError> {
    quantizable(ImageNetResNet::RESNET18.graph(size, 1000, seed), setting, seed)
}

/// ResNet-50 (the stride in the 3x3 convolutions) for square images, 1000 logits.
pub fn resnet50(size: usize, seed: u64, setting: Setting) -> Result<Graph, QuantizeError> {
    quantizable(ImageNetResNet::RESNET50.graph(size, 1000, seed), setting, seed)
}

/// MobileNetV1 at width 0.25 of MLPerf Tiny's visual wake words, 96x96 RGB, 2 logits.
pub fn mobilenet(seed: u64, setting: Setting) -> Result<Graph, QuantizeError> {
    let labels = ["no person", "person"].map(str::to_owned).to_vec();
    quantizable(MobileNetV1::WAKE_WORDS.graph(labels, seed), setting, seed)
}

/// A seeded image as the runtime takes it: waves of every colour under noise.
pub fn image([height, width, channels]: [usize; 3], seed: u64) -> Vec<i8> {
    let mut rng = Rng::fork(seed, 0x1a6e);
    let waves: Vec<[f32; 3]> = (0..channels)
        .map(|_| [rng.uniform(0.05, 0.3), rng.uniform(0.05, 0.3), rng.uniform(0.0, 6.0)])
        .collect();
    let mut values = Vec::with_capacity(height * width * channels);
    for y in 0..height {
        for x in 0..width {
            for [down, right, phase] in &waves {
                // A triangle wave, which is the same on every machine.
                let at = (y as f32 * down + x as f32 * right + phase).fract();
                let wave = 160.0 * (2.0 * at - 1.0).abs();
                values.push((wave + rng.uniform(0.0, 95.0) - 128.0) as i8);
            }
        }
    }
    values
}

/// The same image as networks see it in training: `pixel / 255`.
pub fn real(image: &[i8]) -> Vec<f32> {
    image.iter().map(|&value| (f32::from(value) + 128.0) / 255.0).collect()
}

/// A freshly drawn graph with norms, ranges and bits.
fn quantizable(mut graph: Graph, setting: Setting, seed: u64) -> Result<Graph, QuantizeError> {
    let image = real(&image(graph.tensors[graph.input].shape, seed));
    fit_norms(&mut graph, &image, seed);
    calibrate(&graph, &setting.into(), &[image])
}

/// Draws every norm's scale and shift and sets its statistics to those of one image.
fn fit_norms(graph: &mut Graph, image: &[f32], seed: u64) {
    let mut rng = Rng::fork(seed, 0x4042);
    let mut activations = vec![Vec::new(); graph.tensors.len()];
    activations[graph.input] = image.to_vec();
    for index in 0..graph.nodes.len() {
        let mut values = sums(graph, &graph.nodes[index], &activations);
        if let Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) = &mut graph.nodes[index].op
            && let Some(norm) = &mut conv.norm
        {
            fit(norm, &values);
            norm.gamma.iter_mut().for_each(|gamma| *gamma = rng.uniform(0.6, 1.4));
            norm.beta.iter_mut().for_each(|beta| *beta = rng.uniform(-0.4, 0.4));
        }
        finish(graph, &graph.nodes[index], &mut values);
        activations[graph.nodes[index].output] = values;
    }
}

/// Sets mean and variance to those of `values`, channel by channel.
fn fit(norm: &mut BatchNorm, values: &[f32]) {
    let channels = norm.mean.len();
    let count = (values.len() / channels) as f64;
    for channel in 0..channels {
        let own = || values[channel..].iter().step_by(channels).map(|&x| f64::from(x));
        let mean = own().sum::<f64>() / count;
        let var = own().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        (norm.mean[channel], norm.var[channel]) = (mean as f32, var as f32);
    }
}
