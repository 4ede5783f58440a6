//! A graph in float, without Burn: what calibration and comparisons need.
//!
//! Takes a consistent graph and an image of real values (NHWC, `pixel / 255`), gives every
//! activation. Ranges and bits are not looked at. All cores work on one image.

mod matmul;

use rayon::prelude::*;

use crate::dataset::Images;
use crate::graph::{Conv, Graph, Node, Op, TensorId, Window};
use matmul::{PATCHES, Panels};

/// Runs the graph; `observe` sees every activation, the image first. Gives the output.
pub fn forward(graph: &Graph, image: &[f32], mut observe: impl FnMut(TensorId, &[f32])) -> Vec<f32> {
    let mut activations = vec![Vec::new(); graph.tensors.len()];
    observe(graph.input, image);
    activations[graph.input] = image.to_vec();
    for node in &graph.nodes {
        let mut values = sums(graph, node, &activations);
        finish(graph, node, &mut values);
        observe(node.output, &values);
        activations[node.output] = values;
    }
    std::mem::take(&mut activations[graph.output])
}

/// Part of the images whose largest logit is that of their label.
pub fn accuracy(graph: &Graph, images: &Images) -> f64 {
    let right = |&index: &usize| predicted(graph, images, index) == Some(usize::from(images.labels[index]));
    (0..images.len()).into_par_iter().filter(right).count() as f64 / images.len().max(1) as f64
}

/// Images of each class, by the class that the graph takes them for: `[truth][predicted]`.
pub fn confusion(graph: &Graph, images: &Images, classes: usize) -> Vec<Vec<usize>> {
    let predictions: Vec<_> =
        (0..images.len()).into_par_iter().map(|index| predicted(graph, images, index)).collect();
    let mut counts = vec![vec![0; classes]; classes];
    for (&truth, predicted) in images.labels.iter().zip(predictions) {
        if let Some(predicted) = predicted {
            counts[usize::from(truth)][predicted] += 1;
        }
    }
    counts
}

/// The first of the largest logits of an image.
fn predicted(graph: &Graph, images: &Images, index: usize) -> Option<usize> {
    let logits = forward(graph, &images.scaled(index..index + 1), |_, _| {});
    (0..logits.len()).reduce(|best, i| if logits[i] > logits[best] { i } else { best })
}

/// A node's result before norm and activation; a linear node's bias is in it.
pub(crate) fn sums(graph: &Graph, node: &Node, activations: &[Vec<f32>]) -> Vec<f32> {
    let input = &activations[node.inputs[0]];
    let shape = graph.tensors[node.inputs[0]].shape;
    let output = graph.tensors[node.output].shape;
    match &node.op {
        Op::Conv2d(conv) => convolve(conv, input, shape, output),
        Op::Dense(conv) => convolve(conv, input, [1, 1, shape.iter().product()], output),
        Op::DepthwiseConv2d(conv) => {
            let weighted = |x: f32, tap: usize, channel| x * conv.weights[tap * shape[2] + channel];
            let mut sums = slide(&conv.window, input, shape, output, 0.0, |sum, x, tap, channel| {
                sum + weighted(x, tap, channel)
            });
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum += conv.bias[index % shape[2]];
            }
            sums
        }
        Op::Add { .. } => input.iter().zip(&activations[node.inputs[1]]).map(|(a, b)| a + b).collect(),
        Op::MaxPool(window) => {
            slide(window, input, shape, output, f32::NEG_INFINITY, |max, x, _, _| max.max(x))
        }
        Op::AvgPool(window) => {
            let sums = slide(window, input, shape, output, 0.0, |sum, x, _, _| sum + x);
            let ones = vec![1.0; input.len()];
            let counts = slide(window, &ones, shape, output, 0.0, |sum, x, _, _| sum + x);
            sums.iter().zip(&counts).map(|(sum, count)| sum / count).collect()
        }
    }
}

/// Norm and activation of a node, in place.
pub(crate) fn finish(graph: &Graph, node: &Node, values: &mut [f32]) {
    let (norm, relu) = match &node.op {
        Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) => (conv.norm.as_ref(), conv.relu),
        Op::Add { relu } => (None, *relu),
        Op::AvgPool(_) | Op::MaxPool(_) => (None, false),
    };
    if let Some(norm) = norm {
        let channels = graph.tensors[node.output].shape[2];
        for row in values.chunks_exact_mut(channels) {
            for (channel, value) in row.iter_mut().enumerate() {
                let deviation = (norm.var[channel] + norm.eps).sqrt();
                *value = (*value - norm.mean[channel]) / deviation * norm.gamma[channel] + norm.beta[channel];
            }
        }
    }
    if relu {
        values.iter_mut().for_each(|value| *value = value.max(0.0));
    }
}

/// The input position that a tap reads along an axis, where it is inside the input.
fn source(window: &Window, axis: usize, out: usize, tap: usize, extent: usize) -> Option<usize> {
    let before = window.padding[2 * axis];
    (out * window.stride[axis] + tap).checked_sub(before).filter(|&at| at < extent)
}

/// A channel-wise reduction over windows: `step(value so far, x, tap, channel)`.
fn slide(
    window: &Window,
    input: &[f32],
    [height, width, channels]: [usize; 3],
    output: [usize; 3],
    start: f32,
    step: impl Fn(f32, f32, usize, usize) -> f32,
) -> Vec<f32> {
    let mut values = vec![start; output.iter().product()];
    for (position, to) in values.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (position / output[1], position % output[1]);
        for tap in 0..window.kernel[0] * window.kernel[1] {
            let row = source(window, 0, y, tap / window.kernel[1], height);
            let column = source(window, 1, x, tap % window.kernel[1], width);
            let (Some(row), Some(column)) = (row, column) else { continue };
            let from = &input[(row * width + column) * channels..][..channels];
            for (channel, (to, &x)) in to.iter_mut().zip(from).enumerate() {
                *to = step(*to, x, tap, channel);
            }
        }
    }
    values
}

/// The inputs that a filter sees at an output position, `[tap][in]`, zeros outside the input.
pub(crate) fn gather(
    window: &Window,
    input: &[f32],
    [height, width, channels]: [usize; 3],
    [y, x]: [usize; 2],
    patch: &mut [f32],
) {
    for (tap, to) in patch.chunks_exact_mut(channels).enumerate() {
        let row = source(window, 0, y, tap / window.kernel[1], height);
        let column = source(window, 1, x, tap % window.kernel[1], width);
        match (row, column) {
            (Some(row), Some(column)) => {
                to.copy_from_slice(&input[(row * width + column) * channels..][..channels]);
            }
            _ => to.fill(0.0),
        }
    }
}

/// A convolution as products of gathered patches with the filters.
fn convolve(conv: &Conv, input: &[f32], shape: [usize; 3], output: [usize; 3]) -> Vec<f32> {
    let channels = shape[2];
    let [rows, columns, outputs] = output;
    let taps = conv.window.kernel[0] * conv.window.kernel[1];
    let panels = Panels::new(&conv.weights, outputs, taps * channels);
    let mut values = vec![0.0; rows * columns * outputs];
    values.par_chunks_mut(PATCHES * outputs).enumerate().for_each_init(
        || vec![0.0; PATCHES * taps * channels],
        |patches, (block, to)| {
            for (i, patch) in patches.chunks_exact_mut(taps * channels).enumerate() {
                // Past the end the last position is gathered again, and its products go nowhere.
                let position = (block * PATCHES + i).min(rows * columns - 1);
                gather(&conv.window, input, shape, [position / columns, position % columns], patch);
            }
            panels.multiply(patches, &conv.bias, to);
        },
    );
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;

    fn graph(op: Op, input: [usize; 3], output: [usize; 3]) -> Graph {
        let tensor = |name: &str, shape| Tensor { name: name.into(), shape, range: None };
        Graph {
            name: "one".into(),
            tensors: vec![tensor("image", input), tensor("out", output)],
            nodes: vec![Node { name: "op".into(), op, inputs: vec![0], output: 1 }],
            input: 0,
            output: 1,
            labels: vec![],
        }
    }

    fn conv(window: Window, weights: Vec<f32>, bias: Vec<f32>) -> Conv {
        Conv { window, weights, bias, norm: None, relu: false, weight_bits: None }
    }

    const PADDED: Window = Window { kernel: [1, 3], stride: [1, 2], padding: [0, 0, 1, 1] };

    #[test]
    fn a_convolution_by_hand() {
        // Two channels, positions 0 and 2 of a row of three, one zero on either side.
        let op = Op::Conv2d(conv(PADDED, vec![1.0, 0.0, 10.0, 1.0, 100.0, 0.0], vec![0.5]));
        let graph = graph(op, [1, 3, 2], [1, 2, 1]);
        let out = forward(&graph, &[1.0, 7.0, 2.0, 8.0, 3.0, 9.0], |_, _| {});
        assert_eq!(out, [0.5 + 10.0 + 7.0 + 200.0, 0.5 + 2.0 + 30.0 + 9.0]);
    }

    #[test]
    fn channels_by_themselves() {
        let image = [1.0, 7.0, 2.0, 8.0, 3.0, 9.0];
        let op = Op::DepthwiseConv2d(conv(PADDED, vec![1.0, 0.0, 10.0, 0.0, 100.0, 1.0], vec![0.0, 0.5]));
        let run = |op| forward(&graph(op, [1, 3, 2], [1, 2, 2]), &image, |_, _| {});
        assert_eq!(run(op), [210.0, 8.5, 32.0, 0.5]);
        assert_eq!(run(Op::MaxPool(PADDED)), [2.0, 8.0, 3.0, 9.0]);
        assert_eq!(run(Op::AvgPool(PADDED)), [1.5, 7.5, 2.5, 8.5]);
    }

    #[test]
    fn many_outputs_and_odd_positions() {
        let weights: Vec<f32> = (0..11 * 4).map(|i| (i % 7) as f32 - 3.0).collect();
        let image: Vec<f32> = (0..7 * 4).map(|i| (i % 5) as f32).collect();
        let bias: Vec<f32> = (0..11).map(|i| i as f32).collect();
        let op = Op::Conv2d(conv(Window::default(), weights.clone(), bias));
        let out = forward(&graph(op, [1, 7, 4], [1, 7, 11]), &image, |_, _| {});
        for position in 0..7 {
            for o in 0..11 {
                let products = (0..4).map(|i| image[position * 4 + i] * weights[o * 4 + i]);
                assert_eq!(out[position * 11 + o], products.sum::<f32>() + o as f32);
            }
        }
    }
}
