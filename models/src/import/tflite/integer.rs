//! An int8 network to the integer graph that `compile` takes, with the file's scales and zero points.
//!
//! Weights are symmetric per output channel, biases are int32 in steps of the accumulator, as in
//! the runtime; a rescale is the quotient of the scales, in fixed point.

use fourbit::artefact::TensorInfo;
use fourbit::kernels;
use fourbit::layout::FilterShape;
use fourbit::shape::{DType, Shape};
use half::f16;

use super::schema::{INT8, INT32, Tensor};
use super::walk::{Activation, Filter, Fused, Network, Step, StepOp};
use crate::graph::Window;
use crate::import::integer::{self, Steps, Sums, Ties, mean};
use crate::import::{ImportError, Reason};
use crate::quantize::add::{self, Side};
use crate::quantize::{QGraph, QLinear, QNode, QOp, QTensor};

/// Most weights of a filter that stands for a pool; a larger pool stays one, its ties rise.
const MAX_EQUAL_WEIGHTS: usize = 8192;

/// The integer graph of a network of int8 tensors.
pub(super) fn graph(network: &Network<'_>, name: &str) -> Result<QGraph, ImportError> {
    image(&network.activations[0].tensor)?;
    let nodes = network.nodes(|step| node(network, step))?;
    let tensors = network.activations.iter().zip(network.names()).enumerate();
    let tensors = tensors.filter_map(|(id, (activation, name))| {
        let Steps { scale, zero_point } = steps(activation).ok()?;
        // Whatever the file's scale, a step of the image is a step of a pixel.
        let scale = f16::from_f32(if id == 0 { 1.0 / 255.0 } else { scale });
        let [height, width, channels] = activation.shape;
        let shape = Shape::new(height, width, channels);
        Some(QTensor { name, info: TensorInfo { shape, dtype: DType::I8, zero_point, scale } })
    });
    Ok(QGraph::imported(name, tensors.collect(), nodes, network.output))
}

/// Pixels enter as `pixel - 128`, with a real value of 0 for black.
fn image(tensor: &Tensor<'_>) -> Result<(), ImportError> {
    let (scale, zero_point) = match (&tensor.scales[..], &tensor.zero_points[..]) {
        (&[scale], &[zero_point]) => (scale, zero_point),
        _ => (f32::NAN, 0),
    };
    integer::image(scale, zero_point)
}

fn steps(activation: &Activation<'_>) -> Result<Steps, Reason> {
    let tensor = &activation.tensor;
    typed(tensor, INT8)?;
    match (&tensor.scales[..], &tensor.zero_points[..]) {
        (&[scale], &[zero_point]) => Steps::new(scale, zero_point).ok_or_else(|| unusable(tensor)),
        _ => Err(unusable(tensor)),
    }
}

fn unusable(tensor: &Tensor<'_>) -> Reason {
    Reason::Quantization(tensor.name.clone())
}

fn typed(tensor: &Tensor<'_>, element: u8) -> Result<(), Reason> {
    if tensor.element == element {
        return Ok(());
    }
    Err(Reason::Type { name: tensor.name.clone(), found: tensor.type_name(), network: "an int8" })
}

fn node(network: &Network<'_>, step: &Step<'_>) -> Result<QNode, Reason> {
    let read = |index: usize| steps(&network.activations[step.inputs[index]]);
    let (from, to) = (read(0)?, steps(&network.activations[step.output])?);
    let (min, max) = clamp(step.fused, to);
    let channels = network.activations[step.output].shape[2];
    let linear = |filter: &Filter<'_>| linear(&step.name, &step.op, filter, from, to, (min, max));
    let op = match &step.op {
        StepOp::Conv(filter) => QOp::Conv2d(window(&filter.window), linear(filter)?),
        // All outputs read the one channel there is.
        StepOp::Depthwise(filter) if network.activations[step.inputs[0]].shape[2] < filter.outputs => {
            QOp::Conv2d(window(&filter.window), linear(filter)?)
        }
        StepOp::Depthwise(filter) => QOp::DepthwiseConv2d(window(&filter.window), linear(filter)?),
        StepOp::Dense(filter) => QOp::MatMul(linear(filter)?),
        StepOp::Add => {
            let sides = [from, read(1)?];
            let sides = sides.map(|s| Side { scale: s.scale, magnitude: s.magnitude() });
            QOp::Add(add::constants(&step.name, sides, to.scale, (min, max))?)
        }
        StepOp::AvgPool(_) | StepOp::MaxPool(_) if (min, max) != (i8::MIN, i8::MAX) => {
            return Err(Reason::Activation("RELU or RELU6", "a pool has none"));
        }
        StepOp::AvgPool(pool) if from.same(to) && !falls(step, pool, channels, from) => {
            QOp::AvgPool2d(window(pool))
        }
        StepOp::MaxPool(pool) if from.same(to) => QOp::MaxPool2d(window(pool)),
        StepOp::AvgPool(pool) if from.same(to) => {
            QOp::DepthwiseConv2d(window(pool), mean(&step.name, pool, channels, (from, to), Ties::Fall)?)
        }
        // The one pool that changes the scale in TFLite too.
        StepOp::AvgPool(pool) if step.kind == "MEAN" => {
            QOp::DepthwiseConv2d(window(pool), mean(&step.name, pool, channels, (from, to), Ties::Rise)?)
        }
        StepOp::AvgPool(_) | StepOp::MaxPool(_) => {
            return Err(Reason::Pool { input: from.scale, output: to.scale });
        }
    };
    Ok(QNode { name: step.name.clone(), op, inputs: step.inputs.clone(), output: step.output })
}

fn window(window: &Window) -> kernels::Window {
    kernels::Window { kernel: window.kernel, stride: window.stride, padding: window.padding }
}

/// Smallest and largest stored output.
fn clamp(fused: Fused, to: Steps) -> (i8, i8) {
    let zero = to.zero_point;
    // A step so small that 6 is beyond every integer saturates.
    let six = (6.0 / to.scale).round().min(255.0) as i32 + i32::from(zero);
    match fused {
        Fused::None => (i8::MIN, i8::MAX),
        Fused::Relu => (zero, i8::MAX),
        Fused::Relu6 => (zero, six.clamp(i32::from(zero), i32::from(i8::MAX)) as i8),
    }
}

fn linear(
    node: &str,
    op: &StepOp<'_>,
    filter: &Filter<'_>,
    from: Steps,
    to: Steps,
    (min, max): (i8, i8),
) -> Result<QLinear, Reason> {
    let depthwise = matches!(op, StepOp::Depthwise(_));
    let outputs = filter.outputs;
    let taps = filter.window.kernel.iter().product();
    let stored = weights(&filter.weights, outputs)?;
    let per_output = stored.len() / outputs;
    let weights = match depthwise {
        // By tap in the file, by output here.
        true => (0..stored.len()).map(|i| stored[i % taps * outputs + i / taps]).collect(),
        false => stored,
    };
    let scales = scales(&filter.weights, outputs, if depthwise { 3 } else { 0 })?;
    let bias = match &filter.bias {
        Some(tensor) => {
            typed(tensor, INT32)?;
            tensor.constants(INT32).ok_or_else(|| Reason::NoConstant(tensor.name.clone()))?
        }
        None => vec![[0; 4]; outputs],
    };
    let bias = bias.into_iter().map(i32::from_le_bytes).collect();
    let shape = FilterShape { outputs, taps, inputs: per_output / taps };
    Ok(integer::linear(node, Sums { shape, weights, scales, bias }, (from, to), (min, max))?)
}

/// Whether ties of this pool fall: TFLite rounds them away from the stored 0, which is in the
/// middle of what a ReLU leaves, so that all but averages of the upper half fall.
fn falls(step: &Step<'_>, window: &Window, channels: usize, from: Steps) -> bool {
    let taps: usize = window.kernel.iter().product();
    let small = channels * taps <= MAX_EQUAL_WEIGHTS;
    step.kind == "AVERAGE_POOL_2D" && window.padding == [0; 4] && from.zero_point == i8::MIN && small
}

/// The filter's integers in the order of the file.
fn weights(tensor: &Tensor<'_>, outputs: usize) -> Result<Vec<i8>, Reason> {
    typed(tensor, INT8)?;
    let values = tensor.constants(INT8).ok_or_else(|| Reason::NoConstant(tensor.name.clone()))?;
    let values: Vec<i8> = values.into_iter().map(i8::from_le_bytes).collect();
    if outputs == 0 || !values.len().is_multiple_of(outputs) {
        return Err(Reason::Filter(tensor.shape.clone()));
    }
    if values.contains(&i8::MIN) { Err(Reason::Weight(tensor.name.clone())) } else { Ok(values) }
}

/// A scale per output; the zero points are 0.
fn scales(tensor: &Tensor<'_>, outputs: usize, axis: i32) -> Result<Vec<f32>, Reason> {
    let symmetric = tensor.zero_points.iter().all(|&zero_point| zero_point == 0);
    let usable = tensor.scales.iter().all(|scale| scale.is_finite() && *scale > 0.0);
    let counts = tensor.zero_points.len() == tensor.scales.len();
    match tensor.scales[..] {
        _ if !symmetric || !usable || !counts => Err(unusable(tensor)),
        [scale] => Ok(vec![scale; outputs]),
        _ if tensor.scales.len() == outputs && tensor.axis == axis => Ok(tensor.scales.clone()),
        _ => Err(unusable(tensor)),
    }
}
