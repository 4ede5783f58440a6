//! Batch norms put back into a quantized network, so that training has them to hold it.
//!
//! Takes the graph that quantization without training made, which has no norms, and the float graph that it
//! came from; gives the same function with a norm wherever the float graph has one. A filter's scale follows
//! its weights, so a factor per output channel changes no integer: a norm stands beside quantized weights as
//! it does beside float ones, and folds back into scale and bias ([`crate::fold`]). Filters get the lengths
//! that they have in the float network, because a norm makes a learning rate one per squared length.

use rayon::prelude::*;

use crate::float_forward::{finish, sums};
use crate::graph::{BatchNorm, Conv, Graph, Op};
use crate::ptq::rounded;

/// The graph with norms whose statistics are those of its sums on these images (NHWC, `pixel / 255`).
pub fn with_norms(graph: &Graph, float: &Graph, images: &[Vec<f32>]) -> Graph {
    let moments = moments(graph, images);
    let mut graph = graph.clone();
    for ((node, from), moments) in graph.nodes.iter_mut().zip(&float.nodes).zip(&moments) {
        if let (Op::Conv2d(conv), Op::Conv2d(from)) = (&mut node.op, &from.op)
            && let Some(norm) = &from.norm
        {
            unfold(conv, &from.weights, norm.eps, moments);
        }
    }
    graph
}

/// Gives a convolution a norm that undoes itself, and its filters the lengths of `from`, in its order.
fn unfold(conv: &mut Conv, from: &[f32], eps: f32, moments: &[Moments]) {
    let filter = conv.weights.len() / moments.len();
    let mut norm = BatchNorm { gamma: vec![], beta: vec![], mean: vec![], var: vec![], eps };
    let filters = conv.weights.chunks_exact_mut(filter).zip(from.chunks_exact(filter));
    for (((weights, from), bias), moments) in filters.zip(&mut conv.bias).zip(moments) {
        let factor = match (length(from), length(weights)) {
            (wanted, found) if wanted > 0.0 && found > 0.0 => wanted / found,
            _ => 1.0,
        };
        weights.iter_mut().for_each(|weight| *weight *= factor);
        let (mean, var) = (moments.mean() as f32, moments.var() as f32 * factor * factor);
        norm.beta.push(mean);
        norm.mean.push((mean - *bias) * factor);
        norm.var.push(var);
        norm.gamma.push((var + eps).sqrt() / factor);
        *bias = 0.0;
    }
    conv.norm = Some(norm);
}

/// Sums over a channel of all images and positions.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn mean(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }

    fn var(&self) -> f64 {
        (self.squares / self.count.max(1.0) - self.mean().powi(2)).max(0.0)
    }
}

/// Of every node's sums, channel by channel, in the network with rounded activations.
fn moments(graph: &Graph, images: &[Vec<f32>]) -> Vec<Vec<Moments>> {
    let none =
        || graph.nodes.iter().map(|node| vec![Moments::default(); graph.tensors[node.output].shape[2]]);
    let mut total: Vec<Vec<Moments>> = none().collect();
    let each: Vec<_> = images.par_iter().map(|image| of_image(graph, image, none().collect())).collect();
    // In their order, so that the sums are the same on any number of threads.
    for image in each {
        for (total, found) in total.iter_mut().flatten().zip(image.iter().flatten()) {
            total.add(found);
        }
    }
    total
}

/// Adds one image's values to `moments`.
fn of_image(graph: &Graph, image: &[f32], mut moments: Vec<Vec<Moments>>) -> Vec<Vec<Moments>> {
    let mut activations = vec![Vec::new(); graph.tensors.len()];
    activations[graph.input] = image.to_vec();
    for (node, moments) in graph.nodes.iter().zip(&mut moments) {
        let mut values = sums(graph, node, &activations);
        for row in values.chunks_exact(moments.len()) {
            for (moments, &value) in moments.iter_mut().zip(row) {
                let value = f64::from(value);
                moments.add(&Moments { count: 1.0, sum: value, squares: value * value });
            }
        }
        finish(graph, node, &mut values);
        if let Some(range) = graph.tensors[node.output].range {
            values.iter_mut().for_each(|value| *value = rounded(range, *value));
        }
        activations[node.output] = values;
    }
    moments
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
