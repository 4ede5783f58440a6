//! Convolutions and dense layers: folded, rounded, proven.

use fourbit::layout::{FilterShape, WeightBits};
use fourbit::requant::Rescale;

use super::{QLinear, QuantizeError, clamp, dtype, magnitude, range, rescale};
use crate::fold::{ChannelAxis, folded};
use crate::graph::{Conv, Graph, Node, Op, Range};
use crate::scheme::{largest_magnitude, quantize_weight, weight_scale};

/// Largest magnitude of a rounded bias: it leaves half of the accumulator to the products.
const MAX_BIAS: f64 = (1u32 << 30) as f64;
/// 2^-22: with it rescales shift by 52 at most, and kernels make them in one instruction, those whose sums are
/// four times too large too. One channel that shifts by more would leave its whole layer to the reference.
const LEAST_FACTOR: f64 = 1.0 / (1u32 << 22) as f64;

/// The integer constants of a linear node.
pub(super) fn linear(graph: &Graph, node: &Node, conv: &Conv) -> Result<QLinear, QuantizeError> {
    let name = || node.name.clone();
    let (input, output) = (range(graph, node.inputs[0])?, range(graph, node.output)?);
    let outputs = graph.tensors[node.output].shape[2];
    let [height, width, channels] = graph.tensors[node.inputs[0]].shape;
    if matches!(node.op, Op::Dense(_))
        && height * width > 1
        && dtype(input).bits() == 4
        && !channels.is_multiple_of(2)
    {
        return Err(QuantizeError::OddRows { node: name(), channels });
    }
    let bits = conv.weight_bits.ok_or_else(|| QuantizeError::NoWeightBits { node: name() })?;
    let bits = WeightBits::from_code(bits).ok_or_else(|| QuantizeError::WeightBits { node: name(), bits })?;
    let filters = Filters::new(node, conv, outputs);
    let filter_len = filters.weights.len() / outputs;
    let taps = if matches!(node.op, Op::Dense(_)) { 1 } else { conv.window.kernel.iter().product() };
    let shape = FilterShape { outputs, taps, inputs: filter_len / taps };
    let (min, max) = clamp(output, conv.relu);
    let mut linear =
        QLinear { shape, bits, weights: Vec::new(), bias: Vec::new(), rescale: Vec::new(), min, max };
    for (channel, (filter, &bias)) in filters.weights.chunks_exact(filter_len).zip(&filters.bias).enumerate()
    {
        let rounded = Channel::new(filter, bias, bits, input, output);
        let rounded = rounded.map_err(|problem| problem.at(node, channel))?;
        linear.weights.extend(rounded.weights);
        linear.bias.push(rounded.bias);
        linear.rescale.push(rounded.rescale);
    }
    Ok(linear)
}

/// Folded weights, `[output][tap][input]`, and biases.
struct Filters {
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Filters {
    fn new(node: &Node, conv: &Conv, outputs: usize) -> Self {
        if !matches!(node.op, Op::DepthwiseConv2d(_)) {
            let (weights, bias) = folded(conv, outputs, ChannelAxis::First);
            return Self { weights, bias };
        }
        let (by_tap, bias) = folded(conv, outputs, ChannelAxis::Last);
        let taps = by_tap.len() / outputs;
        let weights = (0..outputs).flat_map(|o| (0..taps).map(move |tap| (tap, o)));
        Self { weights: weights.map(|(tap, o)| by_tap[tap * outputs + o]).collect(), bias }
    }
}

/// One output channel in integers.
#[derive(Debug)]
struct Channel {
    weights: Vec<i8>,
    bias: i32,
    rescale: Rescale,
}

/// What keeps a channel from being an integer one.
#[derive(Debug)]
enum Problem {
    NotFinite,
    Factor { factor: f64 },
    Accumulator { bound: u64 },
    Rescale { bound: u64, shift: u8 },
}

impl Channel {
    fn new(
        filter: &[f32],
        bias: f32,
        bits: WeightBits,
        input: Range,
        output: Range,
    ) -> Result<Self, Problem> {
        let width = bits as u8;
        if !filter.iter().all(|w| w.is_finite()) || !bias.is_finite() {
            return Err(Problem::NotFinite);
        }
        let scale = scale(filter, bias, width, input, output);
        let step = f64::from(input.scale()) * f64::from(scale);
        let weights: Vec<i8> = filter.iter().map(|&w| quantize_weight(w, scale, width)).collect();
        let bias = (f64::from(bias) / step).round();
        let factor = step / f64::from(output.scale());
        let rescale = rescale(factor).ok_or(Problem::Factor { factor })?;
        let sum: u64 = weights.iter().map(|w| u64::from(w.unsigned_abs())).sum();
        let bound = sum * magnitude(input) + bias.abs() as u64;
        if bound > i32::MAX as u64 {
            return Err(Problem::Accumulator { bound });
        }
        if !rescale.admits(bound) {
            return Err(Problem::Rescale { bound, shift: rescale.shift });
        }
        Ok(Self { weights, bias: bias as i32, rescale })
    }
}

/// The weights' scale: that of training, but larger where a channel's weights are so small beside
/// its bias or the output's step that the bias would leave its range or the factor [`LEAST_FACTOR`], if an
/// output then moves by no more than 1/50 of a step.
fn scale(filter: &[f32], bias: f32, bits: u8, input: Range, output: Range) -> f32 {
    let for_bias = f64::from(bias.abs()) / (MAX_BIAS * f64::from(input.scale()));
    // Each rounded weight is off by half at most, each input by its magnitude from its zero point.
    let harmless = 1.0 / (25.0 * filter.len() as f64 * magnitude(input) as f64);
    let factor = LEAST_FACTOR.min(harmless).max(2f64.powi(-31));
    let for_factor = factor * f64::from(output.scale()) / f64::from(input.scale());
    let least = for_bias.max(for_factor);
    let scale = weight_scale(largest_magnitude(filter), bits);
    if f64::from(scale) < least { least as f32 * (1.0 + f32::EPSILON) } else { scale }
}

impl Problem {
    fn at(self, node: &Node, channel: usize) -> QuantizeError {
        let node = node.name.clone();
        match self {
            Problem::NotFinite => QuantizeError::NotFinite { node, channel },
            Problem::Factor { factor } => QuantizeError::Factor { node, factor },
            Problem::Accumulator { bound } => QuantizeError::Accumulator { node, channel, bound },
            Problem::Rescale { bound, shift } => QuantizeError::Rescale { node, channel, bound, shift },
        }
    }
}
