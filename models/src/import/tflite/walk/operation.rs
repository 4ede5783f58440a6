//! What each kind of operation reads from its options, and the shape that follows.

use super::{Filter, Fused, MAX_WINDOW, Parts, StepOp, Stop, Walk};
use crate::graph::Window;
use crate::import::Reason;
use crate::import::tflite::schema::{INT32, Operator, Tensor};

impl<'a> Walk<'_, 'a> {
    /// The filter and the bias, if there is one.
    fn constants(&self, operator: &Operator<'a>) -> Result<(i32, Tensor<'a>, Option<Tensor<'a>>), Stop> {
        let (input, weights, bias) = match operator.inputs[..] {
            [input, weights] | [input, weights, -1] => (input, weights, None),
            [input, weights, bias] => (input, weights, Some(bias)),
            _ => return Err(Reason::Arity.into()),
        };
        let constant = |tensor: i32| -> Result<Tensor<'a>, Stop> {
            let tensor = self.model.tensor(tensor)?;
            let missing = tensor.data.is_empty();
            if missing { Err(Reason::NoConstant(tensor.name).into()) } else { Ok(tensor) }
        };
        Ok((input, constant(weights)?, bias.map(constant).transpose()?))
    }

    pub(super) fn conv(&self, operator: &Operator<'a>) -> Result<Parts<'a>, Stop> {
        let (input, weights, bias) = self.constants(operator)?;
        let input = self.spatial(input)?;
        let shape = self.network.activations[input].shape;
        let &[outputs, height, width, inputs] = &weights.shape[..] else {
            return Err(Reason::Filter(weights.shape).into());
        };
        if usize::try_from(inputs) != Ok(shape[2]) {
            return Err(Reason::Filter(weights.shape).into());
        }
        dilation(operator, [4, 5])?;
        let (window, [rows, columns]) = slide(operator, [height, width], shape)?;
        let outputs = channels(outputs, bias.as_ref(), &weights)?;
        let fused = fused(operator.byte(3)?)?;
        Ok((
            StepOp::Conv(Filter { window, outputs, weights, bias }),
            vec![input],
            fused,
            [rows, columns, outputs],
        ))
    }

    pub(super) fn depthwise(&self, operator: &Operator<'a>) -> Result<Parts<'a>, Stop> {
        let (input, weights, bias) = self.constants(operator)?;
        let input = self.spatial(input)?;
        let shape = self.network.activations[input].shape;
        let &[1, height, width, outputs] = &weights.shape[..] else {
            return Err(Reason::Filter(weights.shape).into());
        };
        dilation(operator, [5, 6])?;
        let (window, [rows, columns]) = slide(operator, [height, width], shape)?;
        let outputs = channels(outputs, bias.as_ref(), &weights)?;
        if outputs != shape[2] && shape[2] != 1 {
            return Err(Reason::Multiplier(operator.int(3, 0)?).into());
        }
        let fused = fused(operator.byte(4)?)?;
        let filter = Filter { window, outputs, weights, bias };
        Ok((StepOp::Depthwise(filter), vec![input], fused, [rows, columns, outputs]))
    }

    pub(super) fn dense(&self, operator: &Operator<'a>) -> Result<Parts<'a>, Stop> {
        let (input, weights, bias) = self.constants(operator)?;
        let input = self.flat(input)?;
        let elements: usize = self.network.activations[input].shape.iter().product();
        let &[outputs, inputs] = &weights.shape[..] else {
            return Err(Reason::Filter(weights.shape).into());
        };
        // Byte 1 of the options is the order of the weights, 0 the plain one.
        if usize::try_from(inputs) != Ok(elements) || operator.byte(1)? != 0 {
            return Err(Reason::Filter(weights.shape).into());
        }
        let outputs = channels(outputs, bias.as_ref(), &weights)?;
        let fused = fused(operator.byte(0)?)?;
        let filter = Filter { window: Window::default(), outputs, weights, bias };
        Ok((StepOp::Dense(filter), vec![input], fused, [1, 1, outputs]))
    }

    pub(super) fn add(&self, operator: &Operator<'a>) -> Result<Parts<'a>, Stop> {
        let [a, b] = inputs(operator)?;
        let (a, b) = (self.spatial(a)?, self.spatial(b)?);
        let [found, expected] = [b, a].map(|id| self.network.activations[id].shape);
        if found != expected {
            return Err(Reason::Shape { found, expected }.into());
        }
        Ok((StepOp::Add, vec![a, b], fused(operator.byte(0)?)?, expected))
    }

    pub(super) fn pool(&self, operator: &Operator<'a>) -> Result<Parts<'a>, Stop> {
        let [input] = inputs(operator)?;
        let input = self.spatial(input)?;
        let shape = self.network.activations[input].shape;
        let kernel = [operator.int(4, 0)?, operator.int(3, 0)?];
        let (window, [rows, columns]) = slide(operator, kernel, shape)?;
        let op =
            if operator.kind == "MAX_POOL_2D" { StepOp::MaxPool(window) } else { StepOp::AvgPool(window) };
        Ok((op, vec![input], fused(operator.byte(5)?)?, [rows, columns, shape[2]]))
    }

    pub(super) fn mean(&self, operator: &Operator<'a>) -> Result<Parts<'a>, Stop> {
        let [input, axes] = inputs(operator)?;
        let dimensions = self.model.tensor(input)?.shape.len() as i32;
        let input = self.spatial(input)?;
        let axes = self.model.tensor(axes)?;
        let Some(values) = axes.constants(INT32) else { return Err(Reason::NoConstant(axes.name).into()) };
        let values: Vec<i32> = values.into_iter().map(i32::from_le_bytes).collect();
        let mut positive: Vec<i32> = values
            .iter()
            .map(|&axis| if axis < 0 { axis.saturating_add(dimensions) } else { axis })
            .collect();
        positive.sort_unstable();
        let [height, width, channels] = self.network.activations[input].shape;
        if dimensions != 4 || positive != [1, 2] {
            return Err(Reason::Axes(values).into());
        }
        if height.max(width) > MAX_WINDOW as usize {
            return Err(Reason::Window.into());
        }
        let window = Window { kernel: [height, width], ..Window::default() };
        Ok((StepOp::AvgPool(window), vec![input], Fused::None, [1, 1, channels]))
    }
}

fn inputs<const N: usize>(operator: &Operator<'_>) -> Result<[i32; N], Reason> {
    operator.inputs[..].try_into().map_err(|_| Reason::Arity)
}

/// Output channels, of which the filter and the bias have the same number.
fn channels(outputs: i32, bias: Option<&Tensor<'_>>, weights: &Tensor<'_>) -> Result<usize, Reason> {
    if bias.is_some_and(|bias| bias.shape != [outputs]) {
        return Err(Reason::Filter(weights.shape.clone()));
    }
    usize::try_from(outputs).map_err(|_| Reason::Filter(weights.shape.clone()))
}

fn dilation(operator: &Operator<'_>, slots: [usize; 2]) -> Result<(), Stop> {
    let [across, down] = slots.map(|slot| operator.int(slot, 1));
    if (across?, down?) == (1, 1) { Ok(()) } else { Err(Reason::Dilation.into()) }
}

fn fused(code: u8) -> Result<Fused, Reason> {
    let other = |name| Reason::Activation(name, "the runtime clamps and does nothing else");
    match code {
        0 => Ok(Fused::None),
        1 => Ok(Fused::Relu),
        3 => Ok(Fused::Relu6),
        2 => Err(other("RELU_N1_TO_1")),
        4 => Err(other("TANH")),
        5 => Err(other("SIGN_BIT")),
        _ => Err(other("of an unknown number")),
    }
}

/// The window of an operation whose padding and strides are its first three options, and the
/// extents of its output.
fn slide(operator: &Operator<'_>, kernel: [i32; 2], shape: [usize; 3]) -> Result<(Window, [usize; 2]), Stop> {
    let (padding, across, down) = (operator.byte(0)?, operator.int(1, 0)?, operator.int(2, 0)?);
    let stride = [down, across];
    if padding > 1 || !kernel.iter().chain(&stride).all(|n| (1..=MAX_WINDOW).contains(n)) {
        return Err(Reason::Window.into());
    }
    let [kernel, stride] = [kernel, stride].map(|pair| pair.map(|n| n as usize));
    let mut window = Window { kernel, stride, padding: [0; 4] };
    let mut output = [0; 2];
    for axis in 0..2 {
        let (input, kernel, stride) = (shape[axis], kernel[axis], stride[axis]);
        if padding == 0 {
            output[axis] = input.div_ceil(stride);
            let outside = ((output[axis] - 1) * stride + kernel).saturating_sub(input);
            window.padding[2 * axis] = outside / 2;
            window.padding[2 * axis + 1] = outside - outside / 2;
        } else {
            output[axis] = input.checked_sub(kernel).ok_or(Reason::Window)? / stride + 1;
        }
    }
    Ok((window, output))
}
