//! The order of nodes and tensors in an artefact: a convolution whose output an add takes comes right before it,
//! and node i writes tensor i + 1.
//!
//! Takes a graph, gives the same graph with its nodes in another order: what the add reads besides
//! (a shortcut's convolution) is computed first, so that the two can be one. Nodes that the logits do
//! not depend on are left out.

use crate::graph::TensorId;
use crate::quantize::{QGraph, QOp};

/// The graph in an order in which [`fused`] finds as many pairs as may be.
pub(super) fn for_fusion(graph: &QGraph) -> QGraph {
    let mut graph = needed(graph);
    let mut index = 0;
    while index < graph.nodes.len() {
        if let Some(conv) = partner(&graph, index) {
            // Nothing between the two reads the convolution: its output has one reader.
            graph.nodes[conv..index].rotate_left(1);
        }
        index += 1;
    }
    numbered(graph)
}

/// Without the nodes that the output does not depend on: it comes last then.
fn needed(graph: &QGraph) -> QGraph {
    let mut graph = graph.clone();
    let mut needed = vec![graph.output];
    for node in graph.nodes.iter().rev() {
        if needed.contains(&node.output) {
            needed.extend(&node.inputs);
        }
    }
    graph.nodes.retain(|node| needed.contains(&node.output));
    graph
}

/// With tensors in the order of the nodes that write them, behind the image.
fn numbered(mut graph: QGraph) -> QGraph {
    let order: Vec<TensorId> =
        [graph.input].into_iter().chain(graph.nodes.iter().map(|node| node.output)).collect();
    let mut number = vec![0; graph.tensors.len()];
    for (index, &id) in order.iter().enumerate() {
        number[id] = index;
    }
    graph.tensors = order.iter().map(|&id| graph.tensors[id].clone()).collect();
    for node in &mut graph.nodes {
        node.output = number[node.output];
        node.inputs.iter_mut().for_each(|id| *id = number[*id]);
    }
    (graph.input, graph.output) = (number[graph.input], number[graph.output]);
    graph
}

/// Whether node `index` is a convolution that can compute the add behind it: no one else sees its
/// output, and the add's other input is not the convolution's own.
pub(super) fn fused(graph: &QGraph, index: usize) -> bool {
    index + 1 < graph.nodes.len() && candidates(graph, index + 1).contains(&index)
}

/// The convolution that an add should follow: of two the one with more weights, which is not the
/// shortcut's.
fn partner(graph: &QGraph, add: usize) -> Option<usize> {
    let weights = |&node: &usize| graph.nodes[node].op.linear().map(|linear| linear.weights.len());
    candidates(graph, add).into_iter().max_by_key(weights)
}

/// Convolutions whose only reader is this add.
fn candidates(graph: &QGraph, add: usize) -> Vec<usize> {
    let (QOp::Add(_), &[a, b]) = (&graph.nodes[add].op, &graph.nodes[add].inputs[..]) else {
        return Vec::new();
    };
    let reads = |id: TensorId| graph.nodes.iter().flat_map(|node| &node.inputs).filter(|&&r| r == id).count();
    let alone = |own: TensorId, other: TensorId| {
        let maker = graph.nodes.iter().position(|node| node.output == own)?;
        let conv = matches!(graph.nodes[maker].op, QOp::Conv2d(..)) && graph.nodes[maker].inputs[0] != other;
        (conv && own != other && own != graph.output && reads(own) == 1).then_some(maker)
    };
    [alone(a, b), alone(b, a)].into_iter().flatten().collect()
}
