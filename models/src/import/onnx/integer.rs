//! A quantized network to the integer graph that `compile` takes, with the file's scales and zero points.
//!
//! Takes what the walk found between QuantizeLinear and DequantizeLinear, gives a [`QGraph`]. Weights
//! and biases are the file's integers; a bias in float32, or in other steps than the accumulator's,
//! is rounded to those.

use fourbit::artefact::TensorInfo;
use fourbit::kernels;
use fourbit::layout::FilterShape;
use fourbit::shape::{DType, Shape};
use half::f16;

use super::constant::{Constant, Data, Stored};
use super::proto::{GraphProto, NodeProto};
use super::walk::Network;
use crate::graph::{Conv, Node, Op, Window};
use crate::import::integer::{self, Steps, Sums, Ties};
use crate::import::{ImportError, Problem, Reason};
use crate::quantize::add::{self, Side};
use crate::quantize::{QGraph, QLinear, QNode, QOp, QTensor};

/// The integer graph of a quantized network.
pub(super) fn graph(network: &Network<'_>, file: &GraphProto, name: &str) -> Result<QGraph, ImportError> {
    let Network { graph, steps, operations, .. } = network;
    if let Some(Steps { scale, zero_point }) = steps[0] {
        integer::image(scale, i64::from(zero_point))?;
    }
    let mut problems = network.problems.clone();
    let mut nodes = Vec::new();
    for (node, &operation) in graph.nodes.iter().zip(operations) {
        let written = &file.node[operation];
        match op(network, node, written) {
            Ok(op) => {
                let (name, inputs) = (node.name.clone(), node.inputs.clone());
                nodes.push(QNode { name, op, inputs, output: node.output });
            }
            // What is not quantized was said already where there is a problem.
            Err(None) if !network.problems.is_empty() => {}
            Err(reason) => {
                let unquantized = || Reason::Quantization(node.name.clone());
                let reason = reason.unwrap_or_else(unquantized);
                problems.push(Problem { operation, kind: written.kind(), reason });
            }
        }
    }
    problems.sort_by_key(|problem| problem.operation);
    if !problems.is_empty() {
        return Err(super::unsupported(problems));
    }
    let tensors = graph.tensors.iter().zip(steps).enumerate().filter_map(|(id, (tensor, steps))| {
        let Steps { scale, zero_point } = (*steps)?;
        // Whatever the file's scale, a step of the image is a step of a pixel.
        let scale = f16::from_f32(if id == 0 { 1.0 / 255.0 } else { scale });
        let [height, width, channels] = tensor.shape;
        let shape = Shape::new(height, width, channels);
        Some(QTensor {
            name: tensor.name.clone(),
            info: TensorInfo { shape, dtype: DType::I8, zero_point, scale },
        })
    });
    Ok(QGraph::imported(name, tensors.collect(), nodes, graph.output))
}

/// An operation in integers; no reason where a tensor at one of its ends has no steps.
fn op(network: &Network<'_>, node: &Node, written: &NodeProto) -> Result<QOp, Option<Reason>> {
    let steps = |id: usize| network.steps[id].ok_or(None);
    let (from, to) = (steps(node.inputs[0])?, steps(node.output)?);
    let clamp = |relu: bool| (if relu { to.zero_point } else { i8::MIN }, i8::MAX);
    let linear = |conv: &Conv, depthwise: bool| {
        let constant = |index| written.input(index).and_then(|name| network.constants.get(name));
        let weights = constant(1).ok_or(Reason::Arity)?;
        // Inputs come first in a matrix that is not transposed.
        let axis = usize::from(matches!(node.op, Op::Dense(_)) && written.int("transB", 0) == 0);
        let sums = sums(conv, depthwise, (weights, axis), constant(2), from)?;
        Ok::<_, Reason>(integer::linear(&node.name, sums, (from, to), clamp(conv.relu))?)
    };
    Ok(match &node.op {
        Op::Conv2d(conv) => QOp::Conv2d(window(&conv.window), linear(conv, false)?),
        Op::DepthwiseConv2d(conv) => QOp::DepthwiseConv2d(window(&conv.window), linear(conv, true)?),
        Op::Dense(conv) => QOp::MatMul(linear(conv, false)?),
        Op::Add { relu } => {
            let sides = [from, steps(node.inputs[1])?];
            let sides = sides.map(|side| Side { scale: side.scale, magnitude: side.magnitude() });
            let add = add::constants(&node.name, sides, to.scale, clamp(*relu));
            QOp::Add(add.map_err(Reason::from)?)
        }
        Op::AvgPool(pool) if from.same(to) => QOp::AvgPool2d(window(pool)),
        Op::MaxPool(pool) if from.same(to) => QOp::MaxPool2d(window(pool)),
        Op::AvgPool(pool) if pool.padding == [0; 4] => {
            let channels = network.graph.tensors[node.output].shape[2];
            QOp::DepthwiseConv2d(window(pool), mean(&node.name, pool, channels, (from, to))?)
        }
        Op::AvgPool(_) | Op::MaxPool(_) => {
            return Err(Some(Reason::Pool { input: from.scale, output: to.scale }));
        }
    })
}

fn window(window: &Window) -> kernels::Window {
    kernels::Window { kernel: window.kernel, stride: window.stride, padding: window.padding }
}

fn mean(node: &str, pool: &Window, channels: usize, steps: (Steps, Steps)) -> Result<QLinear, Reason> {
    Ok(integer::mean(node, pool, channels, steps, Ties::Rise)?)
}

/// The integers of a linear operation; the scales of its weights may lie along `axis`.
fn sums(
    conv: &Conv,
    depthwise: bool,
    (weights, axis): (&Constant, usize),
    bias: Option<&Constant>,
    from: Steps,
) -> Result<Sums, Reason> {
    let outputs = conv.bias.len();
    let taps = conv.window.kernel.iter().product();
    let unusable = || Reason::Quantization(weights.name.clone());
    let Data::Stored(Stored { scales, axis: found, .. }) = &weights.data else { return Err(unusable()) };
    let scales = match scales[..] {
        [scale] => vec![scale; outputs],
        _ if scales.len() == outputs && *found == axis => scales.clone(),
        _ => return Err(unusable()),
    };
    let count = conv.weights.len();
    // By tap in the float graph, by output here.
    let at = |i: usize| if depthwise { i % taps * outputs + i / taps } else { i };
    // Integers of other types than int8 reach further.
    let stored = (0..count).map(|i| conv.weights[at(i)]).map(|weight| i8_of(weight).ok_or_else(unusable));
    let stored = stored.collect::<Result<Vec<i8>, _>>()?;
    if stored.contains(&i8::MIN) {
        return Err(Reason::Weight(weights.name.clone()));
    }
    let steps: Vec<f64> = scales.iter().map(|&scale| f64::from(from.scale) * f64::from(scale)).collect();
    let bias = bias.map_or_else(|| Ok(vec![0; outputs]), |bias| biases(bias, &steps))?;
    let shape = FilterShape { outputs, taps, inputs: count / outputs / taps };
    Ok(Sums { shape, weights: stored, scales, bias })
}

/// A whole number of int8.
fn i8_of(value: f32) -> Option<i8> {
    (-128.0..=127.0).contains(&value).then_some(value as i8)
}

/// Biases in steps of the accumulator, one for each output.
fn biases(bias: &Constant, steps: &[f64]) -> Result<Vec<i32>, Reason> {
    let unusable = || Reason::Quantization(bias.name.clone());
    let rounded = |value: f64, step: f64| {
        let steps = (value / step).round_ties_even();
        (steps.abs() <= f64::from(i32::MAX)).then_some(steps as i32).ok_or_else(unusable)
    };
    // One for all, or one for each: the walk has counted them.
    let values = steps.iter().enumerate();
    match &bias.data {
        Data::Floats(floats) => {
            values.map(|(i, &step)| rounded(f64::from(floats[i % floats.len()]), step)).collect()
        }
        Data::Stored(Stored { integers, scales, .. }) => {
            let each = values.map(|(i, &step)| {
                let (integer, scale) = (integers[i % integers.len()], f64::from(scales[i % scales.len()]));
                if integer == 0 || integer::same(scale, step) {
                    return Ok(integer);
                }
                rounded(f64::from(integer) * scale, step)
            });
            each.collect()
        }
        _ => Err(unusable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn biases_in_steps_of_the_accumulator() {
        let floats = Constant { name: "b".into(), dims: vec![2], data: Data::Floats(vec![1.0, -0.3]) };
        assert_eq!(biases(&floats, &[0.25, 0.125]), Ok(vec![4, -2]));
        assert_eq!(biases(&floats, &[1e-12, 0.125]), Err(Reason::Quantization("b".into())));
        // 2^24 + 1 has no float32; its steps are the accumulator's, so it stays.
        let ints = Constant { data: Data::Ints(vec![16_777_217, 3]), ..floats };
        let scales = Constant { name: "s".into(), dims: vec![2], data: Data::Floats(vec![0.5, 0.25]) };
        let stored = ints.stored(&scales, None, 0).expect("symmetric");
        let bias = Constant { data: Data::Stored(stored), ..ints };
        assert_eq!(biases(&bias, &[0.5, 0.125]), Ok(vec![16_777_217, 6]));
    }
}
