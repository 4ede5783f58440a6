//! A factor and a shift for each channel: norms, biases, and what is done to the pixels.
//!
//! After a convolution or a dense layer they become its batch norm; on the image they go into the
//! weights and biases that read it. A clamp at zero goes into the node before it as well.

use super::{Order, Stop, Value, Walk};
use crate::graph::{BatchNorm, Conv, Op};
use crate::import::Reason;
use crate::import::onnx::constant::Constant;
use crate::import::onnx::proto::NodeProto;

/// `scale[c] * x + shift[c]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

/// What must stand before a norm.
const LINEAR: Reason =
    Reason::Needs("a convolution or a dense layer before it whose result nothing else reads");
/// What must stand before a clamp.
const LINEAR_OR_SUM: Reason =
    Reason::Needs("a convolution, a dense layer or an addition before it whose result nothing else reads");

impl Affine {
    /// Changes nothing.
    pub(super) fn none(channels: usize) -> Self {
        Self { scale: vec![1.0; channels], shift: vec![0.0; channels] }
    }

    fn then(self, scale: &[f32], shift: &[f32]) -> Self {
        let shifts = self.shift.iter().zip(scale).zip(shift).map(|((a, b), c)| a * b + c).collect();
        Self { scale: self.scale.iter().zip(scale).map(|(a, b)| a * b).collect(), shift: shifts }
    }
}

impl<'a> Walk<'a> {
    /// One value, or one for each channel of what the constant is combined with.
    pub(super) fn per_channel(&self, constant: &Constant, value: &Value) -> Result<Vec<f32>, Reason> {
        let [height, width, channels] = self.tensors[value.id].shape;
        let (rank, axis) = match (value.flat, value.order) {
            (true, _) => (2, 1),
            (false, Order::ChannelsFirst) => (4, 1),
            (false, Order::ChannelsLast) => (4, 3),
        };
        let refused = || Reason::PerChannel(constant.name.clone(), constant.dims.clone());
        let values = constant.floats()?;
        let before = rank - constant.dims.len().min(rank);
        let other = |(i, &extent): (usize, &usize)| extent != 1 && before + i != axis;
        if constant.dims.len() > rank || constant.dims.iter().enumerate().any(other) {
            return Err(refused());
        }
        match values {
            &[value] => Ok(vec![value; channels]),
            _ if values.len() == channels && !(value.flat && height * width > 1) => Ok(values.to_vec()),
            _ => Err(refused()),
        }
    }

    /// `scale * x + shift` by channel, in the node before or on the image.
    pub(super) fn affine(&mut self, value: Value, scale: Vec<f32>, shift: Vec<f32>) -> Result<Value, Stop> {
        if let Some(image) = value.image {
            return Ok(Value { image: Some(image.then(&scale, &shift)), ..value });
        }
        let conv = self.before(&value)?;
        match &mut conv.norm {
            Some(norm) => {
                norm.gamma.iter_mut().zip(&scale).for_each(|(gamma, factor)| *gamma *= factor);
                let beta = norm.beta.iter_mut().zip(&scale).zip(&shift);
                beta.for_each(|((beta, factor), shift)| *beta = *beta * factor + shift);
            }
            None if scale.iter().all(|&factor| factor == 1.0) => {
                conv.bias.iter_mut().zip(&shift).for_each(|(bias, shift)| *bias += shift);
            }
            norm => {
                let (mean, var) = (vec![0.0; scale.len()], vec![1.0; scale.len()]);
                *norm = Some(BatchNorm { gamma: scale, beta: shift, mean, var, eps: 0.0 });
            }
        }
        Ok(value)
    }

    /// `(x - mean) / sqrt(var + epsilon) * gamma + beta`; inputs 1 to 4 are gamma, beta, mean, var.
    pub(super) fn batch_norm(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        if node.int("training_mode", 0) != 0 {
            return Err(Reason::Training.into());
        }
        let list = |index| Ok(self.constant(node, index)?.floats()?.to_vec());
        let lists: [Result<Vec<f32>, Stop>; 4] = [1, 2, 3, 4].map(list);
        let [gamma, beta, mean, var] = lists;
        let eps = node.float("epsilon", 1e-5);
        let mut norm = BatchNorm { gamma: gamma?, beta: beta?, mean: mean?, var: var?, eps };
        let value = self.value(node, 0)?;
        let channels = self.tensors[value.id].shape[2];
        let lists = [&norm.gamma, &norm.beta, &norm.mean, &norm.var];
        let first = value.order == Order::ChannelsFirst || value.flat;
        if !first || lists.iter().any(|list| list.len() != channels) {
            let shape = lists.iter().map(|list| i32::try_from(list.len()).unwrap_or(i32::MAX)).collect();
            return Err(Reason::Filter(shape).into());
        }
        if value.image.is_none() {
            let conv = self.before(&value)?;
            if conv.norm.is_none() {
                conv.norm = Some(norm);
                return Ok(value);
            }
        }
        for (channel, gamma) in norm.gamma.iter_mut().enumerate() {
            *gamma /= (norm.var[channel] + norm.eps).sqrt();
            norm.beta[channel] -= norm.mean[channel] * *gamma;
        }
        self.affine(value, norm.gamma, norm.beta)
    }

    /// The linear operation that wrote a value, which may still change.
    fn before(&mut self, value: &Value) -> Result<&mut Conv, Reason> {
        let node = value.id.checked_sub(1).filter(|_| !value.shared).and_then(|at| self.nodes.get_mut(at));
        match node.map(|node| &mut node.op) {
            Some(Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) if !conv.relu => Ok(conv),
            _ => Err(LINEAR),
        }
    }

    /// A clamp at zero.
    pub(super) fn relu(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let value = self.value(node, 0)?;
        let before = value.id.checked_sub(1).and_then(|at| self.nodes.get_mut(at));
        match before.map(|node| &mut node.op) {
            Some(
                Op::Conv2d(Conv { relu, .. })
                | Op::DepthwiseConv2d(Conv { relu, .. })
                | Op::Dense(Conv { relu, .. })
                | Op::Add { relu },
            ) if *relu || !value.shared => *relu = true,
            _ => return Err(LINEAR_OR_SUM.into()),
        }
        Ok(value)
    }

    /// A clamp with two limits, of which the upper one must be left out.
    pub(super) fn clip(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let limit = |index, name: &str, default: f32| match self.optional(node, index)? {
            Some(constant) => Ok(constant.floats()?.first().copied().unwrap_or(default)),
            None => Ok(node.float(name, default)),
        };
        let (low, high): (Result<f32, Stop>, Result<f32, Stop>) =
            (limit(1, "min", f32::MIN), limit(2, "max", f32::MAX));
        match (low?, high?) {
            (0.0, f32::MAX..) => self.relu(node),
            (..=f32::MIN, f32::MAX..) => self.any(node, 0),
            (0.0, 6.0) => Err(Reason::Activation("RELU6", "a float graph has ReLU alone").into()),
            _ => Err(Reason::Activation("of other limits than 0", "a float graph has ReLU alone").into()),
        }
    }

    /// Puts what the file does to the image into what reads it.
    ///
    /// Our graph sees `pixel / 255`, the file's network `white` times that. `columns` is the number
    /// of outputs that follow each other in the weights: the channels of a depthwise filter, or 1.
    pub(super) fn take_image(&self, value: &Value, conv: &mut Conv, columns: usize) -> Result<(), Reason> {
        let Some(Affine { scale, shift }) = &value.image else { return Ok(()) };
        if conv.window.padding != [0; 4] && shift.iter().any(|&shift| shift != 0.0) {
            return Err(Reason::ShiftedPadding);
        }
        let (channels, outputs) = (scale.len(), conv.bias.len());
        let per_output = (conv.weights.len() / outputs.max(1)).max(1);
        let mut sums = vec![0.0; outputs];
        for (i, weight) in conv.weights.iter_mut().enumerate() {
            let output = if columns > 1 { i % columns } else { i / per_output };
            sums[output] += f64::from(*weight) * f64::from(shift[i % channels]);
            *weight *= scale[i % channels] * self.white.unwrap_or(1.0);
        }
        conv.bias.iter_mut().zip(&sums).for_each(|(bias, sum)| *bias = (f64::from(*bias) + sum) as f32);
        Ok(())
    }

    /// Refuses an image that is not `pixel / 255` in an operation without weights.
    pub(super) fn untouched(&self, value: &Value) -> Result<(), Reason> {
        match &value.image {
            Some(image) if *image != Affine::none(image.scale.len()) => {
                Err(Reason::Image(self.white.unwrap_or(1.0)))
            }
            Some(_) => {
                self.white.filter(|&white| white != 1.0).map_or(Ok(()), |white| Err(Reason::Image(white)))
            }
            None => Ok(()),
        }
    }
}
