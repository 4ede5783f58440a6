//! Cross-layer equalisation: channels of unlike ranges are brought closer, and the function stays.
//!
//! After *Data-Free Quantization Through Weight Equalization and Bias Correction* (arXiv 1906.04721,
//! section 4.1): a ReLU, an add and a pool commute with a positive factor per channel, so what writes a
//! channel is divided by a factor and what reads it multiplied. Scales of weights are per output channel
//! here, which undoes any factor on the writing side; so the factor weighs what an activation reaches
//! against the weights that read it, as in SmoothQuant (arXiv 2211.10438, equation 4).

use crate::graph::{Graph, Op, TensorId};

/// Part of the inequality that goes to the weights which read a channel.
const MIGRATION: f32 = 0.5;
/// Largest factor and the inverse of the smallest one.
const MOST: f32 = 20.0;
/// Below it a channel is taken for unused.
const LEAST: f32 = 1e-6;

/// Scales the channels of every tensor between linear nodes; norms must be folded.
///
/// `reach[tensor][channel]` is the largest magnitude of a channel. The factor of one is
/// `sqrt(reach / weight)` over the geometric mean of the tensor's channels, where `weight` is the
/// largest part that a weight on the channel has of its filter's largest weight.
pub(super) fn equalize(graph: &mut Graph, reach: &[Vec<f32>]) {
    let streams = streams(graph);
    for stream in 0..graph.tensors.len() {
        let members: Vec<TensorId> = (0..streams.len()).filter(|&id| streams[id] == stream).collect();
        if members.is_empty() || members.contains(&graph.input) || members.contains(&graph.output) {
            continue;
        }
        let channels = graph.tensors[stream].shape[2];
        let reach = (0..channels).map(|i| members.iter().map(|&id| reach[id][i]).fold(0.0, f32::max));
        let factors = factors(reach.zip(reading(graph, &members)));
        scale(graph, &members, &factors);
    }
}

/// For each tensor the last of those that adds and pools tie to one factor per channel.
fn streams(graph: &Graph) -> Vec<TensorId> {
    let mut streams: Vec<TensorId> = (0..graph.tensors.len()).collect();
    for node in graph.nodes.iter().filter(|node| filters(&node.op).is_none()) {
        for &input in &node.inputs {
            let (from, to) = (streams[input], streams[node.output]);
            streams.iter_mut().filter(|stream| **stream == from).for_each(|stream| *stream = to);
        }
    }
    streams
}

/// The weights of a linear node.
fn filters(op: &Op) -> Option<&[f32]> {
    match op {
        Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) => Some(&conv.weights),
        Op::Add { .. } | Op::AvgPool(_) | Op::MaxPool(_) => None,
    }
}

/// For each channel the largest part that a weight on it has of its filter's largest; 1 for all of
/// them where no filter reads across channels.
fn reading(graph: &Graph, members: &[TensorId]) -> Vec<f32> {
    let channels = graph.tensors[members[0]].shape[2];
    let mut parts = vec![0.0f32; channels];
    for node in graph.nodes.iter().filter(|node| members.contains(&node.inputs[0])) {
        let (Op::Conv2d(conv) | Op::Dense(conv)) = &node.op else { continue };
        for filter in conv.weights.chunks_exact(conv.weights.len() / graph.tensors[node.output].shape[2]) {
            let largest = filter.iter().fold(f32::MIN_POSITIVE, |max, w| max.max(w.abs()));
            for (index, weight) in filter.iter().enumerate() {
                let part = &mut parts[index % channels];
                *part = part.max(weight.abs() / largest);
            }
        }
    }
    if parts.iter().all(|&part| part == 0.0) {
        parts.fill(1.0);
    }
    parts
}

/// The factors of channels from pairs of reach and reading weight, 1 for an unused one.
fn factors(channels: impl Iterator<Item = (f32, f32)>) -> Vec<f32> {
    let logs: Vec<Option<f32>> = channels
        .map(|(reach, weight)| {
            let used = reach > LEAST && weight > LEAST;
            used.then(|| MIGRATION * reach.ln() - (1.0 - MIGRATION) * weight.ln())
        })
        .collect();
    let used = logs.iter().flatten().count().max(1) as f32;
    let mean = logs.iter().flatten().sum::<f32>() / used;
    logs.iter().map(|log| log.map_or(1.0, |log| (log - mean).exp().clamp(MOST.recip(), MOST))).collect()
}

/// Divides the channels of some tensors by factors, in the weights that write and read them.
fn scale(graph: &mut Graph, members: &[TensorId], factors: &[f32]) {
    let channels = factors.len();
    for node in &mut graph.nodes {
        let (writes, reads) = (members.contains(&node.output), members.contains(&node.inputs[0]));
        let across = !matches!(node.op, Op::DepthwiseConv2d(_));
        let (Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) = &mut node.op else { continue };
        if writes {
            let filter = if across { conv.weights.len() / channels } else { 1 };
            let rows = conv.weights.chunks_exact_mut(filter).zip(factors.iter().cycle());
            rows.for_each(|(row, factor)| row.iter_mut().for_each(|weight| *weight /= factor));
            conv.bias.iter_mut().zip(factors).for_each(|(bias, factor)| *bias /= factor);
        }
        if reads {
            conv.weights
                .iter_mut()
                .zip(factors.iter().cycle())
                .for_each(|(weight, factor)| *weight *= factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_by_hand() {
        // Alike in the weights: 4 and 1 over their geometric mean of 2. What is unused stays.
        let found = factors([(16.0, 0.5), (1.0, 0.5), (0.0, 0.5), (1.0, 0.0)].into_iter());
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&found, &[2.0, 0.5, 1.0, 1.0]), "{found:?}");
        // A channel that small weights read may be made larger in them.
        let found = factors([(1.0, 0.0625), (1.0, 1.0)].into_iter());
        assert!(near(&found, &[2.0, 0.5]), "{found:?}");
    }
}
