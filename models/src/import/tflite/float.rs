//! A float network to the graph that `quantize` and training take.

use super::schema::{FLOAT32, Tensor};
use super::walk::{Filter, Fused, Network, Step, StepOp};
use crate::graph::{self, Conv, Graph, Node, Op};
use crate::import::{ImportError, Reason};

/// The graph of a network of float32 tensors; the image's pixels are 0 to `white` in the file.
pub(super) fn graph(network: &Network<'_>, name: &str, white: f32) -> Result<Graph, ImportError> {
    let nodes = network.nodes(|step| node(network, step, white))?;
    let tensors = network.activations.iter().zip(network.names());
    let tensors =
        tensors.map(|(activation, name)| graph::Tensor { name, shape: activation.shape, range: None });
    Ok(Graph::imported(name, tensors.collect(), nodes, network.output))
}

fn node(network: &Network<'_>, step: &Step<'_>, white: f32) -> Result<Node, Reason> {
    for &id in step.inputs.iter().chain([&step.output]) {
        typed(&network.activations[id].tensor)?;
    }
    let reads_image = step.inputs.contains(&0);
    let relu = match step.fused {
        Fused::None => false,
        Fused::Relu => true,
        Fused::Relu6 => {
            let advice =
                "a float graph has ReLU alone; import the network quantized to int8, which carries the clamp";
            return Err(Reason::Activation("RELU6", advice));
        }
    };
    let factor = if reads_image { white } else { 1.0 };
    let op = match &step.op {
        StepOp::Conv(filter) => Op::Conv2d(conv(filter, relu, factor)?),
        StepOp::Depthwise(filter) => {
            let mut conv = conv(filter, relu, factor)?;
            if network.activations[step.inputs[0]].shape[2] == filter.outputs {
                Op::DepthwiseConv2d(conv)
            } else {
                // All outputs read the one channel there is.
                conv.weights = by_output(&conv.weights, filter.outputs);
                Op::Conv2d(conv)
            }
        }
        StepOp::Dense(filter) => Op::Dense(conv(filter, relu, factor)?),
        _ if factor != 1.0 => return Err(Reason::Image(white)),
        StepOp::Add => Op::Add { relu },
        StepOp::AvgPool(_) | StepOp::MaxPool(_) if relu => {
            return Err(Reason::Activation("RELU", "a pool has none"));
        }
        StepOp::AvgPool(window) => Op::AvgPool(*window),
        StepOp::MaxPool(window) => Op::MaxPool(*window),
    };
    Ok(Node { name: step.name.clone(), op, inputs: step.inputs.clone(), output: step.output })
}

fn conv(filter: &Filter<'_>, relu: bool, factor: f32) -> Result<Conv, Reason> {
    let weights = floats(&filter.weights)?.into_iter().map(|weight| weight * factor).collect();
    let bias = match &filter.bias {
        Some(bias) => floats(bias)?,
        None => vec![0.0; filter.outputs],
    };
    Ok(Conv { window: filter.window, weights, bias, norm: None, relu, weight_bits: None })
}

/// Weights `[tap][output]` as `[output][tap]`.
fn by_output(weights: &[f32], outputs: usize) -> Vec<f32> {
    (0..outputs).flat_map(|output| weights.iter().skip(output).step_by(outputs.max(1))).copied().collect()
}

fn floats(tensor: &Tensor<'_>) -> Result<Vec<f32>, Reason> {
    typed(tensor)?;
    let values = tensor.constants(FLOAT32).ok_or_else(|| Reason::NoConstant(tensor.name.clone()))?;
    Ok(values.into_iter().map(f32::from_le_bytes).collect())
}

fn typed(tensor: &Tensor<'_>) -> Result<(), Reason> {
    if tensor.element == FLOAT32 {
        return Ok(());
    }
    Err(Reason::Type { name: tensor.name.clone(), found: tensor.type_name(), network: "a float" })
}
