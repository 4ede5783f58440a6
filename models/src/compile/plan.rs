//! Arena offsets from lifetimes.
//!
//! Takes an integer graph, gives every tensor a place such that no two that live at once overlap.
//! The sum of an add takes the place of an input that ends there. The nodes' order is kept, and
//! tensors are whole; for such schedules [`Plan::lower_bound_bytes`] cannot be undercut.

mod place;

use fourbit::artefact::Placement;

use crate::graph::TensorId;
use crate::quantize::{QGraph, QOp};
use place::{Block, place};

/// Where every tensor lies, and what bounds the arena.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One per tensor.
    pub placements: Vec<Placement>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// Largest sum of the tensors that live at one node, a sum in place counted once.
    pub lower_bound_bytes: usize,
    /// The node at which that many bytes live, the first of several.
    pub peak: usize,
}

/// First and last node at which a tensor must keep its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    first: usize,
    last: usize,
}

impl Plan {
    /// A plan of a graph in its order.
    pub fn new(graph: &QGraph) -> Self {
        let lifetimes = lifetimes(graph);
        let (peak, lower_bound_bytes) = peak(graph, &lifetimes);
        // Which of two inputs an add replaces matters for what lies beside it later.
        let first = arrange(graph, &lifetimes, lower_bound_bytes, false);
        let second = arrange(graph, &lifetimes, lower_bound_bytes, true);
        let (arena_bytes, offsets) = if second.0 < first.0 { second } else { first };
        let tensors = offsets.iter().zip(&lifetimes).zip(&graph.tensors);
        let placements = tensors.map(|((&offset, lifetime), tensor)| Placement {
            // The compiler refuses graphs whose arena or number of nodes does not fit.
            offset: offset as u32,
            first: lifetime.first as u16,
            last: lifetime.last as u16,
            lines: tensor.info.shape.height as u16,
        });
        Self { placements: placements.collect(), arena_bytes, lower_bound_bytes, peak }
    }
}

/// Bytes of a tensor.
fn bytes(graph: &QGraph, id: TensorId) -> usize {
    graph.tensors[id].info.bytes()
}

fn lifetimes(graph: &QGraph) -> Vec<Lifetime> {
    let mut lifetimes = vec![Lifetime { first: 0, last: 0 }; graph.tensors.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        lifetimes[node.output] = Lifetime { first: index, last: index };
        for &id in &node.inputs {
            lifetimes[id].last = index;
        }
    }
    lifetimes[graph.output].last = graph.nodes.len() - 1;
    lifetimes
}

/// The inputs of a node whose bytes its output may take: of an add, each that ends there, has the
/// output's bits, and is not both inputs.
fn replaceable(graph: &QGraph, lifetimes: &[Lifetime], index: usize) -> Vec<TensorId> {
    let node = &graph.nodes[index];
    let (QOp::Add(_), &[a, b]) = (&node.op, &node.inputs[..]) else { return Vec::new() };
    let bits = |id: TensorId| graph.tensors[id].info.dtype.bits();
    let ends = |id: &TensorId| a != b && lifetimes[*id].last == index && bits(*id) == bits(node.output);
    [a, b].into_iter().filter(ends).collect()
}

/// The node with most live bytes, and those bytes.
fn peak(graph: &QGraph, lifetimes: &[Lifetime]) -> (usize, usize) {
    let live = |index: usize| {
        let alive = (0..lifetimes.len()).filter(|&id| lifetimes[id].contains(index));
        let all: usize = alive.map(|id| bytes(graph, id)).sum();
        let in_place = !replaceable(graph, lifetimes, index).is_empty();
        all - if in_place { bytes(graph, graph.nodes[index].output) } else { 0 }
    };
    let mut peak = (0, 0);
    for index in 0..graph.nodes.len() {
        if live(index) > peak.1 {
            peak = (index, live(index));
        }
    }
    peak
}

/// Arena bytes and an offset per tensor; adds replace their second input where they may and
/// `second` says so, otherwise their first.
fn arrange(graph: &QGraph, lifetimes: &[Lifetime], goal: usize, second: bool) -> (usize, Vec<usize>) {
    let mut block_of: Vec<usize> = (0..lifetimes.len()).collect();
    let mut blocks: Vec<Block> = (0..lifetimes.len())
        .map(|id| Block { bytes: bytes(graph, id), first: lifetimes[id].first, last: lifetimes[id].last })
        .collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        let choices = replaceable(graph, lifetimes, index);
        let Some(&input) = (if second { choices.last() } else { choices.first() }) else { continue };
        // Nodes come in order, so the input's block is final but for this end.
        block_of[node.output] = block_of[input];
        blocks[block_of[input]].last = lifetimes[node.output].last;
        blocks[node.output].bytes = 0;
    }
    let (arena, offsets) = place(&blocks, goal);
    (arena, block_of.iter().map(|&block| offsets[block]).collect())
}

impl Lifetime {
    fn contains(&self, index: usize) -> bool {
        self.first <= index && index <= self.last
    }
}
