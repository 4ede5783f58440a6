//! Quantization after training: a float graph and some unlabelled images to a graph with ranges and
//! bits, whose weights and biases are such that its integers lose little.
//!
//! Nothing is trained and no label is read; some 200 images do. One pass over the nodes follows the float
//! network and its quantized twin on all images, which are in memory together. [`Steps`] names what is
//! done, and `docs/quantization.md` what it buys. Where four bits still cost too much, the float graph is to
//! be fine-tuned with quantization in the forward pass.

mod bounds;
mod equalize;
mod moments;
mod norm;
mod round;
#[cfg(test)]
mod tests;
mod walk;

use rayon::prelude::*;

use crate::calibrate::{assign_bits, calibrate, widen};
use crate::float_forward::forward;
use crate::fold::folded_graph;
use crate::graph::{Conv, Graph, Node, Op};
use crate::quantize::{QuantizeError, check};
use crate::scheme::Bits;
pub(crate) use bounds::rounded;
use moments::Moments;
use norm::Norm;
pub use round::Rounding;
use walk::Walk;

/// Ridge of the norm in which weights are rounded, as a part of its mean diagonal.
const RIDGE: f64 = 0.01;
/// Ridge of the regression that fits weights to quantized inputs.
const REFIT_RIDGE: f64 = 1.0;

/// What is done to a float graph beyond calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Biases take up what the mean of a channel is off by, measured with quantized inputs: bias
    /// correction (arXiv 1906.04721, section 4.2).
    pub bias: bool,
    /// 4-bit activations get the bound with the least squared error.
    pub bounds: bool,
    /// Channels are scaled across layers such that a tensor's have like ranges: cross-layer
    /// equalisation (arXiv 1906.04721, section 4.1).
    pub equalize: bool,
    /// How weights become integers.
    pub rounding: Rounding,
    /// Weights are first fitted, by ridge regression, to give the float network's sums from the
    /// quantized twin's inputs, and the second side of an add makes up for the first: the asymmetric
    /// reconstruction of AdaRound (arXiv 2004.10568, section 3.3), over a residual block as in BRECQ
    /// (arXiv 2102.05426).
    pub refit: bool,
}

impl Steps {
    /// Calibration alone.
    pub const NONE: Steps =
        Steps { bias: false, bounds: false, equalize: false, rounding: Rounding::Nearest, refit: false };
    /// Everything.
    pub const ALL: Steps =
        Steps { bias: true, bounds: true, equalize: true, rounding: Rounding::Descent, refit: true };
}

/// The graph that `quantize` makes good integers of, with every one of the [`Steps`].
///
/// Images are NHWC, `pixel / 255`; without any the graph is as `calibrate` gives it. `progress` is called
/// after each node with the number of nodes done and of all. The graph that comes back has no norms.
pub fn quantize(
    float: &Graph,
    bits: &Bits,
    images: &[Vec<f32>],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Graph, QuantizeError> {
    quantize_with(float, bits, images, Steps::ALL, progress)
}

/// As [`quantize`], with some of the steps.
pub fn quantize_with(
    float: &Graph,
    bits: &Bits,
    images: &[Vec<f32>],
    steps: Steps,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Graph, QuantizeError> {
    check::structure(float)?;
    let mut float = folded_graph(float);
    finite(&float)?;
    if steps == Steps::NONE || images.is_empty() {
        return calibrate(&float, bits, images);
    }
    if steps.equalize {
        let reach = reach(&float, images);
        equalize::equalize(&mut float, &reach);
    }
    let mut graph = calibrate(&float, bits, images)?;
    if steps.bounds {
        let bounds = bounds::bounds(&float, &graph, images, &reach(&float, images));
        assign_bits(&mut graph, bits, &bounds);
    }
    let mut walk = Walk::new(&float, images);
    for index in 0..graph.nodes.len() {
        let node = &float.nodes[index];
        if let Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) = &mut graph.nodes[index].op {
            let moments =
                moments::moments(&float, node, conv, &walk.inputs(node.inputs[0]), &walk.targets(node));
            adjust(node, conv, &moments, steps);
        }
        widen(&mut graph, index);
        walk.step(&graph, index);
        progress(index + 1, graph.nodes.len());
    }
    Ok(graph)
}

/// Every weight and bias is a number.
fn finite(graph: &Graph) -> Result<(), QuantizeError> {
    for node in &graph.nodes {
        let (Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) = &node.op else { continue };
        let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
        let bad = |channel: &usize| {
            let mut filter = filter(conv, *channel, depthwise).chain([conv.bias[*channel]]);
            !filter.all(f32::is_finite)
        };
        if let Some(channel) = (0..conv.bias.len()).find(bad) {
            return Err(QuantizeError::NotFinite { node: node.name.clone(), channel });
        }
    }
    Ok(())
}

/// The weights of one output channel, in the order of a patch.
fn filter(conv: &Conv, channel: usize, depthwise: bool) -> impl Iterator<Item = f32> {
    let outputs = conv.bias.len();
    let len = conv.weights.len() / outputs;
    let (first, stride) = if depthwise { (channel, outputs) } else { (channel * len, 1) };
    conv.weights[first..].iter().step_by(stride).take(len).copied()
}

/// The largest magnitude of every tensor's channels.
fn reach(graph: &Graph, images: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut reach: Vec<Vec<f32>> = graph.tensors.iter().map(|tensor| vec![0.0; tensor.shape[2]]).collect();
    for image in images {
        forward(graph, image, |id, values| {
            for row in values.chunks_exact(reach[id].len()) {
                reach[id].iter_mut().zip(row).for_each(|(reach, value)| *reach = reach.max(value.abs()));
            }
        });
    }
    reach
}

/// Sets a linear node's weights and biases from the moments of its quantized inputs and its targets.
fn adjust(node: &Node, conv: &mut Conv, moments: &[Moments], steps: Steps) {
    let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
    let norms = |ridge| -> Vec<Norm> {
        moments.par_iter().map(|moments| Norm::new(&moments.inputs, moments.columns, ridge)).collect()
    };
    let rounding = norms(RIDGE);
    let refit = if steps.refit { norms(REFIT_RIDGE) } else { Vec::new() };
    let bits = conv.weight_bits.unwrap_or(8);
    let adjusted = |channel: usize| {
        let (group, output) = if depthwise { (channel, 0) } else { (0, channel) };
        let moments = &moments[group];
        let mut weights: Vec<f64> = filter(conv, channel, depthwise).map(f64::from).collect();
        if weights.iter().all(|&weight| weight == 0.0) {
            return (vec![0.0; weights.len()], conv.bias[channel]);
        }
        if let Some(norm) = refit.get(group) {
            fit(&mut weights, norm, moments, output);
        }
        let weights = round::round(&rounding[group], &weights, bits, steps.rounding);
        let given: f64 = weights.iter().zip(&moments.input_mean).map(|(&w, x)| f64::from(w) * x).sum();
        let bias = if steps.bias { (moments.target_mean[output] - given) as f32 } else { conv.bias[channel] };
        (weights, bias)
    };
    let outputs = conv.bias.len();
    let filters: Vec<(Vec<f32>, f32)> = (0..outputs).into_par_iter().map(adjusted).collect();
    for (channel, (weights, bias)) in filters.into_iter().enumerate() {
        let (first, stride) = if depthwise { (channel, outputs) } else { (channel * weights.len(), 1) };
        let to = conv.weights[first..].iter_mut().step_by(stride);
        to.zip(weights).for_each(|(to, weight)| *to = weight);
        conv.bias[channel] = bias;
    }
}

/// Moves weights to those of the ridge regression of an output's targets on the inputs.
fn fit(weights: &mut [f64], norm: &Norm, moments: &Moments, output: usize) {
    let columns = moments.columns;
    let rest: Vec<f64> = (0..columns)
        .map(|i| {
            let row = &moments.inputs[i * columns..(i + 1) * columns];
            moments.cross[output * columns + i] - norm::dot(row, weights)
        })
        .collect();
    weights.iter_mut().zip(norm.solve(&rest)).for_each(|(weight, step)| *weight += step);
}
