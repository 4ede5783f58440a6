//! Convolutions, dense layers, pools and sums: what each reads from its attributes and constants.

use super::{Order, Stop, Value, Walk};
use crate::graph::{Conv, Op, Window};
use crate::import::Reason;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::proto::{NodeProto, text};
use crate::import::onnx::window;

/// What `Sub`, `Mul` and `Div` lack where both sides are computed.
const CONSTANT: Reason = Reason::Needs("a constant: both of its inputs are computed");
/// What `Div` lacks where the constant is divided.
const DIVISOR: Reason = Reason::Needs("a constant to divide by");

impl<'a> Walk<'a> {
    /// A convolution of all channels (filter `[out, in, height, width]`) or of each by itself.
    pub(super) fn conv(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let weights = self.constant(node, 1)?;
        let &[outputs, inputs, height, width] = &weights.dims[..] else { return Err(filter(weights).into()) };
        let values = floats(weights)?;
        let bias = self.bias(node, 2, outputs)?;
        let kernel = window::kernel(node)?.unwrap_or([height, width]);
        if kernel != [height, width] {
            return Err(filter(weights).into());
        }
        window::undilated(node)?;
        let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
        let depthwise = groups > 1 && groups == outputs && inputs == 1;
        if groups != 1 && !depthwise {
            return Err(Reason::Groups(node.int("group", 1)).into());
        }
        let (value, [rows, columns, channels]) = self.map(node)?;
        if channels != if depthwise { groups } else { inputs } {
            return Err(filter(weights).into());
        }
        let (window, [rows, columns]) = window::slide(node, kernel, [rows, columns])?;
        let taps = height * width;
        // Depthwise `[tap][channel]`, otherwise `[output][tap][input]`.
        let at = |i: usize| match depthwise {
            true => i % channels * taps + i / channels,
            false => (i / (taps * inputs) * inputs + i % inputs) * taps + i / inputs % taps,
        };
        let weights = (0..values.len()).map(|i| values[at(i)]).collect();
        let mut conv = Conv { window, weights, bias, norm: None, relu: false, weight_bits: None };
        self.take_image(&value, &mut conv, if depthwise { channels } else { 1 })?;
        let op = if depthwise { Op::DepthwiseConv2d(conv) } else { Op::Conv2d(conv) };
        self.node(op, &value, vec![value.id], [rows, columns, outputs])
    }

    /// `alpha A B + beta C`, A being computed.
    pub(super) fn gemm(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        if node.int("transA", 0) != 0 {
            return Err(filter(self.constant(node, 1)?).into());
        }
        let beta = node.float("beta", 1.0);
        let transposed = node.int("transB", 0) != 0;
        let outputs = outputs(self.constant(node, 1)?, transposed)?;
        let bias = self.bias(node, 2, outputs)?.into_iter().map(|value| value * beta).collect();
        self.dense(node, transposed, node.float("alpha", 1.0), bias)
    }

    /// `A B`, A being computed.
    pub(super) fn matmul(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let outputs = outputs(self.constant(node, 1)?, false)?;
        self.dense(node, false, 1.0, vec![0.0; outputs])
    }

    fn dense(
        &mut self,
        node: &'a NodeProto,
        transposed: bool,
        alpha: f32,
        bias: Vec<f32>,
    ) -> Result<Value, Stop> {
        let weights = self.constant(node, 1)?;
        let stored = floats(weights)?;
        let value = self.value(node, 0)?;
        let [height, width, channels] = self.tensors[value.id].shape;
        let (inputs, outputs) = (height * width * channels, bias.len());
        if !value.flat || stored.len() != inputs * outputs {
            return Err(filter(weights).into());
        }
        // Where an input of ours, channels last, stands in the file.
        let column = |i: usize| match value.order {
            Order::ChannelsFirst => i % channels * (height * width) + i / channels,
            Order::ChannelsLast => i,
        };
        let at = |output: usize, input: usize| match transposed {
            true => output * inputs + column(input),
            false => column(input) * outputs + output,
        };
        let weights = (0..outputs).flat_map(|output| (0..inputs).map(move |input| (output, input)));
        let weights = weights.map(|(output, input)| stored[at(output, input)] * alpha).collect();
        let window = Window::default();
        let mut conv = Conv { window, weights, bias, norm: None, relu: false, weight_bits: None };
        self.take_image(&value, &mut conv, 1)?;
        self.node(Op::Dense(conv), &value, vec![value.id], [1, 1, outputs])
    }

    pub(super) fn pool(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let kernel = window::kernel(node)?.ok_or(Reason::Window)?;
        window::undilated(node)?;
        let (value, shape) = self.map(node)?;
        let (window, [rows, columns]) = window::slide(node, kernel, [shape[0], shape[1]])?;
        let mean = node.op_type == "AveragePool";
        if mean && window.padding != [0; 4] && node.int("count_include_pad", 0) != 0 {
            return Err(Reason::CountedPadding.into());
        }
        self.untouched(&value)?;
        let op = if mean { Op::AvgPool(window) } else { Op::MaxPool(window) };
        self.node(op, &value, vec![value.id], [rows, columns, shape[2]])
    }

    pub(super) fn global_pool(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let (value, shape) = self.map(node)?;
        self.whole(&value, shape, node.op_type == "GlobalAveragePool")
    }

    /// A mean over height and width.
    pub(super) fn mean(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let axes = self.axes(node)?;
        let value = self.value(node, 0)?;
        let mut positive: Vec<i64> =
            axes.iter().map(|&axis| if axis < 0 { axis.saturating_add(4) } else { axis }).collect();
        positive.sort_unstable();
        let spatial = match value.order {
            Order::ChannelsFirst => [2, 3],
            Order::ChannelsLast => [1, 2],
        };
        if value.flat || positive != spatial {
            return Err(Reason::Axes(axes.iter().map(|&axis| axis as i32).collect()).into());
        }
        let shape = self.tensors[value.id].shape;
        let mean = self.whole(&value, shape, true)?;
        Ok(Value { flat: node.int("keepdims", 1) == 0, ..mean })
    }

    /// The axes of an operation: an attribute, and later in the standard an input.
    pub(super) fn axes(&self, node: &NodeProto) -> Result<Vec<i64>, Stop> {
        match (node.ints("axes"), self.optional(node, 1)?) {
            (Some(axes), None) => Ok(axes.to_vec()),
            (None, Some(constant)) => Ok(constant.ints()?.to_vec()),
            _ => Ok(Vec::new()),
        }
    }

    /// One window over all of a map.
    fn whole(&mut self, value: &Value, shape: [usize; 3], mean: bool) -> Result<Value, Stop> {
        let [height, width, channels] = shape;
        if height.max(width) > window::MAX {
            return Err(Reason::Window.into());
        }
        self.untouched(value)?;
        let window = Window { kernel: [height, width], ..Window::default() };
        let op = if mean { Op::AvgPool(window) } else { Op::MaxPool(window) };
        self.node(op, value, vec![value.id], [1, 1, channels])
    }

    /// A sum of two values, or of one and a constant for each channel.
    pub(super) fn add(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        if self.reads_constant(node) {
            return self.arithmetic(node);
        }
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        let [expected, found] = [&a, &b].map(|value| self.tensors[value.id].shape);
        if found != expected {
            return Err(Reason::Shape { found, expected }.into());
        }
        if (a.order, a.flat) != (b.order, b.flat) {
            return Err(Reason::Reshaped(text(node.input(1).unwrap_or_default())).into());
        }
        self.untouched(&a)?;
        self.untouched(&b)?;
        self.node(Op::Add { relu: false }, &a, vec![a.id, b.id], expected)
    }

    /// A sum, difference, product or quotient with a constant for each channel.
    pub(super) fn arithmetic(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        if !self.reads_constant(node) {
            // A problem before this one goes first.
            self.value(node, 0).and(self.value(node, 1))?;
            return Err(CONSTANT.into());
        }
        let swapped = node.input(0).is_some_and(|name| self.constants.contains_key(name));
        let value = self.value(node, usize::from(swapped))?;
        let constant = self.constant(node, usize::from(!swapped))?;
        let constants = self.per_channel(constant, &value)?;
        let pair = |c: f32| match (node.op_type.as_str(), swapped) {
            ("Add", _) => Some((1.0, c)),
            ("Sub", false) => Some((1.0, -c)),
            ("Sub", true) => Some((-1.0, c)),
            ("Mul", _) => Some((c, 0.0)),
            ("Div", false) => Some((1.0 / c, 0.0)),
            _ => None,
        };
        let pairs = constants.into_iter().map(pair).collect::<Option<Vec<_>>>();
        let Some(pairs) = pairs else {
            return Err(DIVISOR.into());
        };
        let (scale, shift) = pairs.into_iter().unzip();
        self.affine(value, scale, shift)
    }

    fn reads_constant(&self, node: &NodeProto) -> bool {
        node.input.iter().any(|name| self.constants.contains_key(name.as_str()))
    }

    /// A bias for each output; zeros where it is left out.
    fn bias(&self, node: &NodeProto, index: usize, outputs: usize) -> Result<Vec<f32>, Stop> {
        let Some(bias) = self.optional(node, index)? else { return Ok(vec![0.0; outputs]) };
        match bias.floats()? {
            values if values.len() == outputs => Ok(values.to_vec()),
            &[value] => Ok(vec![value; outputs]),
            _ => Err(filter(bias).into()),
        }
    }
}

/// Outputs of a matrix `[in, out]`, or `[out, in]`.
fn outputs(weights: &Constant, transposed: bool) -> Result<usize, Reason> {
    floats(weights)?;
    match (&weights.dims[..], transposed) {
        (&[outputs, _], true) | (&[_, outputs], false) => Ok(outputs),
        _ => Err(filter(weights)),
    }
}

/// The values of a filter, of which there is at least one.
fn floats(weights: &Constant) -> Result<&[f32], Reason> {
    weights.floats().and_then(|values| if values.is_empty() { Err(filter(weights)) } else { Ok(values) })
}

fn filter(weights: &Constant) -> Reason {
    Reason::Filter(weights.dims.iter().map(|&extent| i32::try_from(extent).unwrap_or(i32::MAX)).collect())
}
