//! Whether a graph is consistent: indices, order, shapes, lengths. After it nothing indexes outside.

use std::collections::HashSet;

use fourbit::kernels;

use super::QuantizeError;
use super::error::Malformed;
use crate::graph::{Conv, Graph, Node, Op, Window};

/// Largest kernel, stride and padding, in each direction.
const MAX_WINDOW: usize = 255;
/// Largest height, width and number of channels.
const MAX_EXTENT: usize = 65_535;

/// Checks everything but ranges and values.
pub(crate) fn structure(graph: &Graph) -> Result<(), QuantizeError> {
    let whole = |problem| QuantizeError::Malformed { at: graph.name.clone(), problem };
    let (tensors, nodes) = (graph.tensors.len(), graph.nodes.len());
    if nodes == 0 || tensors != nodes + 1 {
        return Err(whole(Malformed::Counts { tensors, nodes }));
    }
    for tensor in &graph.tensors {
        let [height, width, channels] = tensor.shape;
        let small = tensor.shape.iter().all(|extent| (1..=MAX_EXTENT).contains(extent));
        if !small || height * width * channels >= 1 << 31 {
            return Err(QuantizeError::Malformed { at: tensor.name.clone(), problem: Malformed::Extent });
        }
    }
    if graph.input >= tensors {
        return Err(whole(Malformed::NoTensor(graph.input)));
    }
    let mut written = HashSet::from([graph.input]);
    for node in &graph.nodes {
        let at = |problem| QuantizeError::Malformed { at: node.name.clone(), problem };
        order(graph, node, &mut written).map_err(at)?;
        shapes(graph, node).map_err(at)?;
    }
    if graph.output == graph.input || !written.contains(&graph.output) {
        return Err(whole(Malformed::Interface));
    }
    Ok(())
}

/// Inputs exist and were written, the output was not.
fn order(graph: &Graph, node: &Node, written: &mut HashSet<usize>) -> Result<(), Malformed> {
    let expected = if matches!(node.op, Op::Add { .. }) { 2 } else { 1 };
    if node.inputs.len() != expected {
        return Err(Malformed::Inputs { found: node.inputs.len(), expected });
    }
    for &id in node.inputs.iter().chain([&node.output]) {
        if id >= graph.tensors.len() {
            return Err(Malformed::NoTensor(id));
        }
    }
    if let Some(&early) = node.inputs.iter().find(|id| !written.contains(id)) {
        return Err(Malformed::Order(early));
    }
    if written.insert(node.output) { Ok(()) } else { Err(Malformed::Order(node.output)) }
}

/// The output's shape follows from the inputs', and every list has the length that they ask for.
fn shapes(graph: &Graph, node: &Node) -> Result<(), Malformed> {
    let input = graph.tensors[node.inputs[0]].shape;
    let found = graph.tensors[node.output].shape;
    let channels = found[2];
    let expected = match &node.op {
        Op::Conv2d(conv) => {
            lengths(conv, channels, channels * taps(&conv.window)? * input[2])?;
            slide(&conv.window, input, channels)?
        }
        Op::DepthwiseConv2d(conv) => {
            lengths(conv, channels, taps(&conv.window)? * channels)?;
            slide(&conv.window, input, input[2])?
        }
        Op::Dense(conv) => {
            lengths(conv, channels, channels * input.iter().product::<usize>())?;
            [1, 1, channels]
        }
        Op::Add { .. } => {
            let other = graph.tensors[node.inputs[1]].shape;
            if other != input {
                return Err(Malformed::Shape { found: other, expected: input });
            }
            input
        }
        Op::AvgPool(window) | Op::MaxPool(window) => {
            let [top, bottom, left, right] = window.padding;
            if top.max(bottom) >= window.kernel[0] || left.max(right) >= window.kernel[1] {
                return Err(Malformed::Window);
            }
            slide(window, input, input[2])?
        }
    };
    if found == expected { Ok(()) } else { Err(Malformed::Shape { found, expected }) }
}

fn taps(window: &Window) -> Result<usize, Malformed> {
    let inside = |values: &[usize], low| values.iter().all(|v| (low..=MAX_WINDOW).contains(v));
    let fits = inside(&window.kernel, 1) && inside(&window.stride, 1) && inside(&window.padding, 0);
    if fits { Ok(window.kernel[0] * window.kernel[1]) } else { Err(Malformed::Window) }
}

fn slide(window: &Window, input: [usize; 3], channels: usize) -> Result<[usize; 3], Malformed> {
    taps(window)?;
    let Window { kernel, stride, padding } = *window;
    let window = kernels::Window { kernel, stride, padding };
    match (window.output(0, input[0]), window.output(1, input[1])) {
        (Some(height), Some(width)) => Ok([height, width, channels]),
        _ => Err(Malformed::Window),
    }
}

fn lengths(conv: &Conv, channels: usize, weights: usize) -> Result<(), Malformed> {
    let mut lists = vec![("weights", conv.weights.len(), weights), ("bias", conv.bias.len(), channels)];
    if let Some(norm) = &conv.norm {
        let values = [&norm.gamma, &norm.beta, &norm.mean, &norm.var];
        lists.extend(values.map(|list| ("norm", list.len(), channels)));
    }
    for (what, found, expected) in lists {
        if found != expected {
            return Err(Malformed::Length { what, found, expected });
        }
    }
    Ok(())
}

/// The image holds pixels as the runtime reads them, and the logits have 8 bits.
pub(super) fn interface(graph: &Graph) -> Result<(), QuantizeError> {
    let refused = |id: usize, role, must| {
        Err(QuantizeError::Interface { tensor: graph.tensors[id].name.clone(), role, must })
    };
    let is_image = |range: crate::graph::Range| range.bits == 8 && !range.signed;
    match (super::range(graph, graph.input)?, super::range(graph, graph.output)?) {
        (image, _) if !is_image(image) => refused(graph.input, "image", "8 bits unsigned"),
        (_, logits) if logits.bits != 8 => refused(graph.output, "output", "8 bits"),
        _ => Ok(()),
    }
}
