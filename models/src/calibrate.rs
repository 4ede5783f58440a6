//! Ranges and bits for a float graph, from a few images.
//!
//! [`calibrate`] takes a graph and images, gives the graph with a range on every tensor and bits
//! on every filter: for `quantize` at once, or for training to go on from. [`calibration_images`]
//! is the sample that training takes.

use crate::dataset::Images;
use crate::float_forward::forward;
use crate::fold::{ChannelAxis, folded};
use crate::graph::{Graph, Node, Op, Range, TensorId};
use crate::quantize::{QuantizeError, check};
use crate::rng::Rng;
use crate::scheme::{Bits, Role, largest_magnitude, least_bound};

/// Images in the sample.
const SAMPLE: usize = 512;

/// Part of the magnitudes of an inner activation that its bound covers, by bits.
const QUANTILE_8: f64 = 0.9999;
const QUANTILE_4: f64 = 0.999;
/// Smallest bound.
const MIN_BOUND: f32 = 1e-3;

/// A fixed sample of the training images, as networks see them.
pub fn calibration_images(train: &Images, seed: u64) -> Vec<Vec<f32>> {
    let mut order: Vec<usize> = (0..train.len()).collect();
    Rng::fork(seed, 0xca11).shuffle(&mut order);
    order.truncate(SAMPLE);
    order.into_iter().map(|index| train.scaled(index..index + 1)).collect()
}

/// The graph with the ranges that its activations have on these images (NHWC, `pixel / 255`).
pub fn calibrate(graph: &Graph, bits: &Bits, images: &[Vec<f32>]) -> Result<Graph, QuantizeError> {
    check::structure(graph)?;
    let mut magnitudes = vec![Vec::new(); graph.tensors.len()];
    for image in images {
        forward(graph, image, |id, values| magnitudes[id].extend(values.iter().map(|x| x.abs())));
    }
    let mut graph = graph.clone();
    let unknown = vec![MIN_BOUND; graph.tensors.len()];
    assign_bits(&mut graph, bits, &unknown);
    let parts = graph.tensors.iter().enumerate().map(|(id, tensor)| match tensor.range {
        _ if id == graph.output => 1.0,
        Some(Range { bits: 4, .. }) => QUANTILE_4,
        _ => QUANTILE_8,
    });
    let bounds: Vec<f32> =
        magnitudes.iter_mut().zip(parts).map(|(values, part)| bound(values, part)).collect();
    assign_bits(&mut graph, bits, &bounds);
    (0..graph.nodes.len()).for_each(|index| widen(&mut graph, index));
    Ok(graph)
}

/// Gives the output of a linear node at least its [`least_bound`], norms being folded.
pub(crate) fn widen(graph: &mut Graph, index: usize) {
    let node = &graph.nodes[index];
    let (conv, axis) = match &node.op {
        Op::Conv2d(conv) | Op::Dense(conv) => (conv, ChannelAxis::First),
        Op::DepthwiseConv2d(conv) => (conv, ChannelAxis::Last),
        Op::Add { .. } | Op::AvgPool(_) | Op::MaxPool(_) => return,
    };
    let ranges = graph.tensors[node.inputs[0]].range.zip(graph.tensors[node.output].range);
    if let (Some((input, output)), Some(bits)) = (ranges, conv.weight_bits) {
        let (weights, _) = folded(conv, graph.tensors[node.output].shape[2], axis);
        let bound = output.bound.max(least_bound(input, largest_magnitude(&weights), bits, output));
        graph.tensors[node.output].range = Some(Range { bound, ..output });
    }
}

/// The magnitude that `part` of them do not exceed, and at least a thousandth.
fn bound(magnitudes: &mut [f32], part: f64) -> f32 {
    let last = magnitudes.len().saturating_sub(1);
    let rank = ((magnitudes.len() as f64 * part) as usize).min(last);
    if magnitudes.is_empty() {
        return MIN_BOUND;
    }
    let (_, bound, _) = magnitudes.select_nth_unstable_by(rank, f32::total_cmp);
    bound.max(MIN_BOUND)
}

/// Sets the bits of every filter and the range of every tensor from its bound.
///
/// The image and the logits have 8 bits; a pool keeps its input's bound; what the last linear
/// node reads, and the branch that a residual add takes, have the bits that the setting gives to them.
/// The graph must be consistent.
pub fn assign_bits(graph: &mut Graph, by_layer: &Bits, bounds: &[f32]) {
    let setting = by_layer.setting;
    let last = graph.nodes.iter().rposition(Node::is_linear);
    let feeds_last = last.map(|index| graph.nodes[index].inputs[0]);
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (input, output) = (node.inputs[0], node.output);
        let bits = match () {
            () if output == graph.output => 8,
            () if Some(output) == feeds_last => setting.last_input_bits().max(setting.activation_bits()),
            () if is_branch(graph, index) => setting.branch_bits(),
            () => setting.activation_bits(),
        };
        let before = if input == graph.input { Some(Range::IMAGE) } else { graph.tensors[input].range };
        graph.tensors[output].range = Some(match (&node.op, before) {
            (Op::AvgPool(_) | Op::MaxPool(_), Some(range)) => pooled(range, bits),
            _ => Range { bits, signed: !is_unsigned(graph, output), bound: bounds[output] },
        });
        let role = match (input == graph.input, Some(index) == last) {
            (_, true) => Role::Last,
            (true, false) => Role::First,
            (false, false) => Role::Inner,
        };
        let node = &mut graph.nodes[index];
        if let Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) = &mut node.op {
            conv.weight_bits = Some(by_layer.weight_bits(&node.name, role));
        }
    }
    graph.tensors[graph.input].range = Some(Range::IMAGE);
}

/// The range of a pool's output, with at least so many bits.
fn pooled(range: Range, bits: u8) -> Range {
    let bits = bits.max(range.bits);
    // Widened signed values reach 7 * 18 = 126 of 127 steps.
    let exact = if range.signed && bits > range.bits { 127.0 / 126.0 } else { 1.0 };
    Range { bits, bound: range.bound * exact, ..range }
}

/// Whether node `index` is a convolution that can be computed together with an add, so that what comes
/// out of it is never stored: only the add reads it, and of two such convolutions it has more weights.
fn is_branch(graph: &Graph, index: usize) -> bool {
    let alone = |id: TensorId| {
        let node = graph.nodes.iter().find(|node| node.output == id)?;
        let Op::Conv2d(conv) = &node.op else { return None };
        let readers = graph.nodes.iter().flat_map(|node| &node.inputs).filter(|&&input| input == id).count();
        (readers == 1 && !conv.relu && id != graph.output).then_some(conv.weights.len())
    };
    let output = graph.nodes[index].output;
    let Some(weights) = alone(output) else { return false };
    let smaller = |&other: &TensorId| alone(other).is_none_or(|of| of < weights);
    graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op, Op::Add { .. }))
        .any(|add| add.inputs.contains(&output) && add.inputs.iter().filter(|&&id| id != output).all(smaller))
}

/// Whether a tensor comes out of a ReLU, or out of a pool of one.
fn is_unsigned(graph: &Graph, id: TensorId) -> bool {
    let Some(node) = graph.nodes.iter().find(|node| node.output == id) else { return true };
    match &node.op {
        Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) => conv.relu,
        Op::Add { relu } => *relu,
        Op::AvgPool(_) | Op::MaxPool(_) => is_unsigned(graph, node.inputs[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::IMAGE_BYTES;
    use crate::scheme::Setting;

    #[test]
    fn bounds_by_hand() {
        let mut values: Vec<f32> = (0..100).map(|i| i as f32).collect();
        assert_eq!(bound(&mut values, 0.5), 50.0);
        assert_eq!(bound(&mut values, 1.0), 99.0);
        assert_eq!(bound(&mut [0.0; 3], 1.0), MIN_BOUND);
        assert_eq!(bound(&mut [], 1.0), MIN_BOUND);
    }

    #[test]
    fn the_sample_is_fixed() {
        let labels = vec![0; 600];
        let pixels = (0..600).flat_map(|i| vec![(i % 256) as u8; IMAGE_BYTES]).collect();
        let train = Images { pixels, labels };
        let sample = calibration_images(&train, 3);
        assert_eq!((sample.len(), sample[0].len()), (SAMPLE, IMAGE_BYTES));
        assert!(sample.iter().flatten().all(|value| (0.0..=1.0).contains(value)));
        assert_eq!(sample, calibration_images(&train, 3));
        assert_ne!(sample, calibration_images(&train, 4));
        assert_eq!(calibration_images(&train.first(5), 3).len(), 5);
    }

    #[test]
    fn bits_by_place() {
        let weights = |graph: &Graph, name: &str| {
            let node = graph.nodes.iter().find(|node| node.name == name).expect("the node");
            match &node.op {
                Op::Conv2d(conv) | Op::Dense(conv) => conv.weight_bits,
                _ => None,
            }
        };
        for (setting, expected, [inner, branch, pool]) in [
            (Setting::W8a8, [8, 8, 8], [8, 8, 8]),
            (Setting::W4a8, [8, 4, 8], [8, 8, 8]),
            (Setting::W4a4, [8, 4, 8], [4, 8, 8]),
            (Setting::All4, [4, 4, 4], [4, 4, 4]),
        ] {
            let graph = crate::zoo::resnet8(1, setting).expect("calibrates");
            let found = ["stem", "stack2.conv1", "dense"].map(|name| weights(&graph, name));
            assert_eq!(found, expected.map(Some), "{setting}");
            let range = |name: &str| {
                let tensor = graph.tensors.iter().find(|tensor| tensor.name == name);
                tensor.and_then(|tensor| tensor.range).expect("a range")
            };
            assert_eq!(range("image"), Range::IMAGE);
            assert_eq!((range("stem").bits, range("stem").signed), (inner, false));
            assert_eq!((range("stack2.conv2").bits, range("stack2.conv2").signed), (branch, true));
            assert_eq!((range("stack2.shortcut").bits, range("stack2.shortcut").signed), (inner, true));
            assert_eq!((range("stack2.add").bits, range("stack2.add").signed), (inner, false));
            assert_eq!(range("pool"), Range { bits: pool, ..range("stack3.add") });
            assert_eq!((range("dense").bits, range("dense").signed), (8, true));
        }
    }

    #[test]
    fn rescales_shift_by_what_kernels_do_in_one_instruction() {
        for setting in Setting::ALL {
            let graph = crate::zoo::resnet8(1, setting).expect("calibrates");
            let graph = crate::quantize::quantize(&graph).expect("quantizes");
            for (node, linear) in graph.nodes.iter().filter_map(|node| Some((node, node.op.linear()?))) {
                assert!(linear.rescale.iter().all(|rescale| rescale.shift >= 33), "{setting}: {}", node.name);
            }
        }
    }
}
