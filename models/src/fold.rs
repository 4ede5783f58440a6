//! Batch norm folded into the linear operation before it.
//!
//! Takes a [`Conv`], gives the weights and biases of the same function without a norm. This is
//! the one implementation: training and `quantize` both call it, so both round the same numbers.

use crate::graph::{Conv, Graph, Op, Range};
use crate::scheme::{largest_magnitude, weight_scale};

/// Where the output channel stands among the weights' dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelAxis {
    /// `[out][...]`: convolutions and dense layers.
    First,
    /// `[...][out]`: depthwise convolutions.
    Last,
}

/// Weights in their own order, and one bias per output channel.
///
/// With a norm: `w * f` and `beta + (bias - mean) * f` where `f = gamma / sqrt(var + eps)`, in
/// `f32`. Without one: as they are.
pub fn folded(conv: &Conv, out_channels: usize, axis: ChannelAxis) -> (Vec<f32>, Vec<f32>) {
    let mut weights = conv.weights.clone();
    let mut bias = conv.bias.clone();
    bias.resize(out_channels, 0.0);
    let Some(norm) = &conv.norm else { return (weights, bias) };
    let factors: Vec<f32> =
        norm.gamma.iter().zip(&norm.var).map(|(&gamma, &var)| factor(gamma, var, norm.eps)).collect();
    match axis {
        ChannelAxis::First => {
            let filter = weights.len() / out_channels.max(1);
            for (filter, factor) in weights.chunks_exact_mut(filter.max(1)).zip(&factors) {
                filter.iter_mut().for_each(|w| *w *= factor);
            }
        }
        ChannelAxis::Last => {
            for row in weights.chunks_exact_mut(out_channels.max(1)) {
                row.iter_mut().zip(&factors).for_each(|(w, factor)| *w *= factor);
            }
        }
    }
    for (((bias, factor), beta), mean) in bias.iter_mut().zip(&factors).zip(&norm.beta).zip(&norm.mean) {
        *bias = beta + (*bias - mean) * factor;
    }
    (weights, bias)
}

/// What a norm multiplies its channel by.
pub fn factor(gamma: f32, var: f32, eps: f32) -> f32 {
    gamma / (var + eps).sqrt()
}

/// The same network without any batch norm.
pub fn folded_graph(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    for node in &mut graph.nodes {
        let channels = graph.tensors[node.output].shape[2];
        let (conv, axis) = match &mut node.op {
            Op::Conv2d(conv) | Op::Dense(conv) => (conv, ChannelAxis::First),
            Op::DepthwiseConv2d(conv) => (conv, ChannelAxis::Last),
            Op::Add { .. } | Op::AvgPool(_) | Op::MaxPool(_) => continue,
        };
        (conv.weights, conv.bias) = folded(conv, channels, axis);
        conv.norm = None;
    }
    graph
}

/// Calls `visit(weights, bias, weight bits, [input's range, output's range])` for each filter of the convolutions
/// and dense layers of a folded graph whose bits and ranges are set.
pub fn for_each_filter(graph: &mut Graph, mut visit: impl FnMut(&mut [f32], &mut f32, u8, [Range; 2])) {
    for node in &mut graph.nodes {
        let channels = graph.tensors[node.output].shape[2];
        let ranges = [node.inputs[0], node.output].map(|id| graph.tensors[id].range);
        let (Op::Conv2d(conv) | Op::Dense(conv)) = &mut node.op else { continue };
        let (Some(bits), [Some(input), Some(output)]) = (conv.weight_bits, ranges) else { continue };
        let filter = (conv.weights.len() / channels.max(1)).max(1);
        for (weights, bias) in conv.weights.chunks_exact_mut(filter).zip(&mut conv.bias) {
            visit(weights, bias, bits, [input, output]);
        }
    }
}

/// Puts every bias of a quantized network without norms on the multiple of its accumulator's step that
/// training rounds it to, so that `quantize`, which is more exact, rounds it to no other.
pub fn round_biases(graph: &mut Graph) {
    for_each_filter(graph, |filter, bias, bits, [input, _]| {
        let step = input.scale() * weight_scale(largest_magnitude(filter), bits);
        *bias = (*bias / step).round() * step;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{BatchNorm, Window};
    use crate::quantize::quantize;
    use crate::scheme::Setting;
    use crate::zoo;

    #[test]
    fn rounded_biases_are_those_of_both_sides() {
        let mut graph = folded_graph(&zoo::resnet8(7, Setting::W4a8).expect("calibrates"));
        round_biases(&mut graph);
        let integers = quantize(&graph).expect("quantizes");
        for (node, quantized) in graph.nodes.iter().zip(&integers.nodes) {
            let (Op::Conv2d(conv) | Op::Dense(conv), Some(linear)) = (&node.op, quantized.op.linear()) else {
                continue;
            };
            let input = graph.tensors[node.inputs[0]].range.expect("a range");
            for ((bias, filter), integer) in conv
                .bias
                .iter()
                .zip(conv.weights.chunks_exact(conv.weights.len() / conv.bias.len()))
                .zip(&linear.bias)
            {
                let scale = weight_scale(largest_magnitude(filter), conv.weight_bits.expect("bits"));
                let steps = bias / (input.scale() * scale);
                assert!((steps - *integer as f32).abs() < 0.01, "{}: {steps}, not {integer}", node.name);
            }
        }
    }

    fn conv() -> Conv {
        Conv {
            window: Window::default(),
            weights: vec![1.0, 2.0, 3.0, 4.0],
            bias: vec![1.0, 0.0],
            norm: Some(BatchNorm {
                gamma: vec![4.0, 3.0],
                beta: vec![0.5, -1.0],
                mean: vec![3.0, 2.0],
                var: vec![3.0, 8.0],
                eps: 1.0,
            }),
            relu: false,
            weight_bits: None,
        }
    }

    #[test]
    fn by_hand() {
        // Factors 4 / sqrt(4) = 2 and 3 / sqrt(9) = 1.
        let (weights, bias) = folded(&conv(), 2, ChannelAxis::First);
        assert_eq!(weights, [2.0, 4.0, 3.0, 4.0]);
        assert_eq!(bias, [0.5 + (1.0 - 3.0) * 2.0, -1.0 - 2.0]);
        let (weights, _) = folded(&conv(), 2, ChannelAxis::Last);
        assert_eq!(weights, [2.0, 2.0, 6.0, 4.0]);
    }

    #[test]
    fn without_a_norm_nothing_changes() {
        let plain = Conv { norm: None, ..conv() };
        assert_eq!(folded(&plain, 2, ChannelAxis::First), (plain.weights.clone(), plain.bias.clone()));
    }
}
