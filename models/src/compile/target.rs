//! What a family's plan may choose for each unit of a network, and what each choice costs.
//!
//! A unit is a node, or a convolution with the add behind it where the family computes both at once.

use std::ops::Range;

use fourbit::artefact::MAX_SCRATCH;
use fourbit::artefact::schedule::Read;
use fourbit::kernels::{Family, Kernel, LinearSpec, Window};

use super::{cost, order, pack};
use crate::graph::TensorId;
use crate::quantize::{QGraph, QOp};

/// A node, or two that are one.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Its nodes.
    pub(super) nodes: Range<usize>,
    /// The tensor that it stores.
    pub(super) writes: TensorId,
    /// What it reads, as the runtime's schedule has it.
    pub(super) reads: [Read; 2],
    /// The inputs of an add that may lie in the sum's place, if nothing reads them later.
    pub(super) addends: Vec<TensorId>,
    /// Whether it makes all rows at once, of whole tensors.
    pub(super) whole: bool,
    /// The kernels and the scratch of each.
    pub(super) kernels: Vec<(Kernel, usize)>,
    spec: Option<LinearSpec>,
    values: usize,
}

/// The units of a graph, in order.
pub(super) fn units(graph: &QGraph, family: Family) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut index = 0;
    while index < graph.nodes.len() {
        // The simulator looks at every tensor.
        let fuses = family != Family::Host && order::fused(graph, index);
        let nodes = index..index + 1 + usize::from(fuses);
        index = nodes.end;
        units.push(Unit::new(graph, family, nodes));
    }
    units
}

impl Unit {
    fn new(graph: &QGraph, family: Family, nodes: Range<usize>) -> Self {
        let (node, last) = (&graph.nodes[nodes.start], &graph.nodes[nodes.end - 1]);
        let spec = spec(graph, nodes.start, last.output);
        // Without scratch every family computes as the reference does.
        let bare = (Kernel::Direct, 0);
        let kernels = match &spec {
            Some(spec) => {
                let steps = |kernel| {
                    let steps = (0..).map_while(move |step| family.scratch_step(kernel, spec, step));
                    let steps = steps.map(move |bytes| (kernel, bytes.next_multiple_of(4)));
                    steps.filter(|step| *step != bare && step.1 <= MAX_SCRATCH)
                };
                Kernel::ALL.into_iter().flat_map(steps).chain([bare]).collect()
            }
            None => vec![bare],
        };
        let fused = nodes.len() == 2;
        let bits = |id: TensorId| graph.tensors[id].info.dtype.bits();
        let addends = match (&last.op, &last.inputs[..]) {
            (QOp::Add(_), &[a, b]) if a != b => {
                let own = |id: &TensorId| !(fused && *id == node.output) && bits(*id) == bits(last.output);
                [a, b].into_iter().filter(own).collect()
            }
            _ => Vec::new(),
        };
        let input = graph.tensors[node.inputs[0]].info.shape;
        let values = match node.op {
            QOp::AvgPool2d(window) | QOp::MaxPool2d(window) => {
                graph.tensors[node.output].info.shape.elements() * window.kernel[0] * window.kernel[1]
            }
            _ => input.elements(),
        };
        Self {
            writes: last.output,
            reads: reads(graph, &nodes),
            addends,
            whole: matches!(node.op, QOp::MatMul(_)),
            kernels,
            spec,
            values,
            nodes,
        }
    }

    /// Instructions of the unit with a kernel and its scratch.
    pub(super) fn cost(
        &self,
        graph: &QGraph,
        family: Family,
        (kernel, scratch): (Kernel, usize),
        turns: cost::Turns,
    ) -> u64 {
        let values = graph.tensors[self.writes].info.shape.elements();
        let work = match (&self.spec, &graph.nodes[self.nodes.start].op) {
            (Some(spec), _) if self.nodes.len() == 2 => {
                cost::linear(family, (kernel, scratch), spec, turns) + cost::add(family, values, true)
            }
            (Some(spec), _) => cost::linear(family, (kernel, scratch), spec, turns),
            (None, QOp::Add(_)) => cost::add(family, values, false),
            (None, _) => cost::pool(family, self.values),
        };
        work + turns.calls * cost::CALL
    }
}

/// What decides a linear node's kernels; `None` for others.
fn spec(graph: &QGraph, node: usize, output: TensorId) -> Option<LinearSpec> {
    let node = &graph.nodes[node];
    let linear = node.op.linear()?;
    let window = match node.op {
        QOp::Conv2d(window, _) | QOp::DepthwiseConv2d(window, _) => window,
        _ => Window { kernel: [1; 2], stride: [1; 2], padding: [0; 4] },
    };
    let [input, output] = [node.inputs[0], output].map(|id| graph.tensors[id].info);
    Some(LinearSpec {
        depthwise: matches!(node.op, QOp::DepthwiseConv2d(..)),
        window,
        filter: linear.shape,
        bits: linear.bits,
        layout: pack::layout(&node.op),
        input: (input.shape, input.dtype),
        output: (output.shape, output.dtype),
    })
}

/// As `fourbit::artefact::schedule` reads an artefact's operations.
fn reads(graph: &QGraph, nodes: &Range<usize>) -> [Read; 2] {
    let same = |id: TensorId| Read::same(id as u16);
    let node = &graph.nodes[nodes.start];
    let input = node.inputs[0];
    match &node.op {
        QOp::Conv2d(window, _)
        | QOp::DepthwiseConv2d(window, _)
        | QOp::AvgPool2d(window)
        | QOp::MaxPool2d(window) => {
            let input = Read::window(input as u16, window);
            let add = &graph.nodes[nodes.end - 1];
            let other = add.inputs.iter().find(|&&id| id != node.output);
            match other.filter(|_| nodes.len() == 2) {
                Some(&other) => [same(other), input],
                None => [input, input],
            }
        }
        QOp::MatMul(_) => [Read::all(input as u16); 2],
        QOp::Add(_) => [same(input), same(node.inputs[1])],
    }
}
