//! Activations of all images, node by node, through the float graph and through its quantized twin.

use rayon::prelude::*;

use super::bounds::rounded;
use crate::float_forward::{finish, sums};
use crate::graph::{Graph, Node, Op, TensorId};

/// What every image is at the tensors that are still to be read, `[image][tensor]`.
pub(super) struct Walk<'a> {
    float: &'a Graph,
    exact: Vec<Vec<Vec<f32>>>,
    rounded: Vec<Vec<Vec<f32>>>,
}

impl<'a> Walk<'a> {
    /// Before the first node.
    pub(super) fn new(float: &'a Graph, images: &[Vec<f32>]) -> Self {
        let start = |image: &Vec<f32>| {
            let mut tensors = vec![Vec::new(); float.tensors.len()];
            tensors[float.input] = image.clone();
            tensors
        };
        let exact: Vec<_> = images.iter().map(start).collect();
        Self { float, rounded: exact.clone(), exact }
    }

    /// A tensor of the quantized twin, for every image.
    pub(super) fn inputs(&self, id: TensorId) -> Vec<&[f32]> {
        self.rounded.iter().map(|tensors| &tensors[id][..]).collect()
    }

    /// What the node's sums should be, for every image: those of the float graph.
    ///
    /// Where the node's output only goes into an add whose other side is there, what that side is
    /// wrong by is made up for.
    pub(super) fn targets(&self, node: &Node) -> Vec<Vec<f32>> {
        let other = self.other_side(node);
        let target = |(exact, rounded): (&Vec<Vec<f32>>, &Vec<Vec<f32>>)| {
            let mut target = sums(self.float, node, exact);
            if let Some(other) = other {
                let sides = exact[other].iter().zip(&rounded[other]);
                target
                    .iter_mut()
                    .zip(sides)
                    .for_each(|(target, (exact, rounded))| *target += exact - rounded);
            }
            target
        };
        self.exact.par_iter().zip(&self.rounded).map(target).collect()
    }

    /// The other side of the add that alone reads a linear node without ReLU, once it is known.
    fn other_side(&self, node: &Node) -> Option<TensorId> {
        let (Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) = &node.op else { return None };
        let mut readers = self.float.nodes.iter().filter(|reader| reader.inputs.contains(&node.output));
        let (Some(add), None) = (readers.next(), readers.next()) else { return None };
        let other = *add.inputs.iter().find(|&&id| id != node.output)?;
        let known = self.rounded.first().is_some_and(|tensors| !tensors[other].is_empty());
        (matches!(add.op, Op::Add { .. }) && !conv.relu && known).then_some(other)
    }

    /// Runs the node in both graphs and forgets what no later node reads.
    pub(super) fn step(&mut self, quantized: &Graph, index: usize) {
        let (float, node) = (self.float, &quantized.nodes[index]);
        let range = quantized.tensors[node.output].range;
        let later = &float.nodes[index + 1..];
        let last = |id: &TensorId| !later.iter().any(|node| node.inputs.contains(id));
        let forgotten: Vec<TensorId> = node.inputs.iter().copied().filter(last).collect();
        self.exact.par_iter_mut().zip(&mut self.rounded).for_each(|(exact, rounded_values)| {
            let mut values = sums(float, &float.nodes[index], exact);
            finish(float, &float.nodes[index], &mut values);
            exact[node.output] = values;
            let mut values = sums(quantized, node, rounded_values);
            finish(quantized, node, &mut values);
            if let Some(range) = range {
                values.iter_mut().for_each(|value| *value = rounded(range, *value));
            }
            rounded_values[node.output] = values;
            for &id in &forgotten {
                (exact[id], rounded_values[id]) = (Vec::new(), Vec::new());
            }
        });
    }
}
