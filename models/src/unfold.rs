//! Batch norms put back into a quantized network, so that training has them to hold it.
//!
//! Takes the graph that quantization without training made, which has no norms, and the float graph that it
//! came from; gives the same function with a norm wherever the float graph has one. A filter's scale follows
//! its weights, so a factor per output channel changes no integer: a norm stands beside quantized weights as
//! it does beside float ones, and folds back into scale and bias ([`crate::fold`]). Filters get the lengths
//! that they have in the float network, because a norm makes a learning rate one per squared length.

use rayon::prelude::*;

use crate::float_forward::{finish, sums};
use crate::graph::{BatchNorm, Graph, Op};
use crate::ptq::rounded;

/// The graph with norms whose statistics are those of its sums on these images.
pub fn with_norms(graph: &Graph, float: &Graph, images: &[Vec<f32>]) -> Graph {
    let mut graph = graph.clone();
    let mut activations: Vec<Vec<Vec<f32>>> = images
        .iter()
        .map(|image| {
            let mut tensors = vec![Vec::new(); graph.tensors.len()];
            tensors[graph.input].clone_from(image);
            tensors
        })
        .collect();
    for index in 0..graph.nodes.len() {
        let node = &graph.nodes[index];
        let (output, range) = (node.output, graph.tensors[node.output].range);
        let values: Vec<Vec<f32>> =
            activations.par_iter().map(|activations| sums(&graph, node, activations)).collect();
        let channels = graph.tensors[output].shape[2];
        let statistics = (0..channels).into_par_iter().map(|channel| moments(&values, channel, channels));
        let statistics: Vec<(f32, f32)> = statistics.collect();
        activations.par_iter_mut().zip(values).for_each(|(activations, mut values)| {
            finish(&graph, node, &mut values);
            if let Some(range) = range {
                values.iter_mut().for_each(|value| *value = rounded(range, *value));
            }
            activations[output] = values;
        });
        if let (Op::Conv2d(conv), Op::Conv2d(from)) = (&mut graph.nodes[index].op, &float.nodes[index].op)
            && let Some(norm) = &from.norm
        {
            let filters = from.weights.chunks_exact(from.weights.len() / channels);
            let lengths: Vec<f32> = filters.map(length).collect();
            let filter = conv.weights.len() / channels;
            let mut unfolded = BatchNorm {
                gamma: vec![0.0; channels],
                beta: vec![0.0; channels],
                mean: vec![0.0; channels],
                var: vec![0.0; channels],
                eps: norm.eps,
            };
            for (channel, weights) in conv.weights.chunks_exact_mut(filter).enumerate() {
                let (mean, var) = statistics[channel];
                let factor = match (lengths[channel], length(weights)) {
                    (wanted, found) if wanted > 0.0 && found > 0.0 => wanted / found,
                    _ => 1.0,
                };
                weights.iter_mut().for_each(|weight| *weight *= factor);
                unfolded.beta[channel] = mean;
                unfolded.mean[channel] = (mean - conv.bias[channel]) * factor;
                unfolded.var[channel] = var * factor * factor;
                unfolded.gamma[channel] = (unfolded.var[channel] + norm.eps).sqrt() / factor;
            }
            conv.bias.fill(0.0);
            conv.norm = Some(unfolded);
        }
    }
    graph
}

/// Mean and variance of a channel over all images and positions.
fn moments(images: &[Vec<f32>], channel: usize, channels: usize) -> (f32, f32) {
    let values = || images.iter().flat_map(|image| image.iter().skip(channel).step_by(channels));
    let count = values().count().max(1) as f64;
    let mean = values().map(|&value| f64::from(value)).sum::<f64>() / count;
    let var = values().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, var as f32)
}

fn length(filter: &[f32]) -> f32 {
    filter.iter().map(|weight| weight * weight).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::folded_graph;
    use crate::ptq;
    use crate::quantize::quantize;
    use crate::scheme::{Bits, Setting};
    use crate::zoo;

    #[test]
    fn folded_again_it_is_the_same_network() {
        let float = zoo::resnet8(7, Setting::W8a8).expect("calibrates");
        let images: Vec<Vec<f32>> = (0..4).map(|seed| zoo::real(&zoo::image([32, 32, 3], seed))).collect();
        for setting in Setting::ALL {
            let bits = Bits { setting, eight: Default::default() };
            let given = ptq::quantize(&float, &bits, &images, &mut |_, _| {}).expect("quantizes");
            let unfolded = with_norms(&given, &float, &images);
            let again = folded_graph(&unfolded);
            for ((node, before), after) in unfolded.nodes.iter().zip(&given.nodes).zip(&again.nodes) {
                let (Op::Conv2d(conv), Op::Conv2d(before), Op::Conv2d(after)) =
                    (&node.op, &before.op, &after.op)
                else {
                    continue;
                };
                assert!(conv.norm.is_some() && conv.bias.iter().all(|&bias| bias == 0.0));
                let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
                assert!(close(&before.weights, &after.weights) && close(&before.bias, &after.bias));
            }
            // The integers are the same ones.
            let integers = |graph: &Graph| {
                let graph = quantize(graph).expect("quantizes");
                graph
                    .nodes
                    .iter()
                    .filter_map(|node| Some(node.op.linear()?.weights.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(integers(&given), integers(&again), "{setting}");
        }
    }
}
