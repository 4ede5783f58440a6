//! What QuantizeLinear and DequantizeLinear say of the values between them.
//!
//! Each pair gives a tensor its scale and zero point, and changes nothing else: uint8 is int8 with a
//! zero point 128 lower. A quantized network computes only with values that come out of such pairs.

use super::{Stop, Value, Walk};
use crate::import::Reason;
use crate::import::integer::Steps;
use crate::import::onnx::constant::Data;
use crate::import::onnx::proto::{INT8, NodeProto, UINT8, ValueInfoProto, text, type_name};

/// What an affine operation lacks.
const INTEGERS: Reason = Reason::Needs(
    "integers: have it folded into the operation before it, as onnxruntime's `quant_pre_process` does, and quantize the network again",
);
/// What a scaled dense layer lacks.
const PLAIN: Reason = Reason::Needs("an alpha and beta of 1");
/// What QuantizeLinear and Cast lack.
const REAL: Reason = Reason::Needs("real values, and reads integers");

/// How the file holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Real numbers that nothing has quantized yet.
    Real,
    /// Integers of this element type.
    Integers(i32),
    /// The real numbers that integers stand for.
    Dequantized,
}

impl Form {
    /// An image may arrive in integers.
    pub(super) fn of_image(image: &ValueInfoProto) -> Option<Self> {
        let element = image.r#type.as_ref()?.tensor_type.as_ref()?.elem_type;
        matches!(element, INT8 | UINT8).then_some(Form::Integers(element))
    }
}

impl<'a> Walk<'a> {
    /// Refuses what a quantized network computes outside its integers.
    pub(super) fn quantized(&self, node: &NodeProto) -> Result<(), Stop> {
        if self.white.is_some() {
            return Ok(());
        }
        let mut values = node.input.iter().filter_map(|name| Some((name, self.values.get(name.as_str())?)));
        if values.clone().any(|(_, value)| value.is_none()) {
            return Err(Stop::Unknown);
        }
        let kind = node.op_type.as_str();
        let computed = values.clone().count();
        let unfit = |form: Form| match kind {
            "Conv" | "Gemm" | "MatMul" | "Add" | "AveragePool" | "MaxPool" | "GlobalAveragePool"
            | "GlobalMaxPool" | "ReduceMean" => form != Form::Dequantized,
            "Relu" | "Clip" => matches!(form, Form::Integers(_)),
            _ => false,
        };
        match kind {
            "Sub" | "Mul" | "Div" | "BatchNormalization" => return Err(INTEGERS.into()),
            "Add" if computed == 1 => return Err(INTEGERS.into()),
            "Gemm" if node.float("alpha", 1.0) != 1.0 || node.float("beta", 1.0) != 1.0 => {
                return Err(PLAIN.into());
            }
            _ => {}
        }
        let unfit = values.find(|(_, value)| value.as_ref().is_some_and(|v| !v.ended && unfit(v.form)));
        unfit.map_or(Ok(()), |(name, _)| Err(Reason::Undequantized(text(name)).into()))
    }

    /// `x / scale + zero_point`, rounded: the tensor is held in these steps.
    pub(super) fn quantize(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let value = self.any(node, 0)?;
        if value.ended {
            return Ok(value);
        }
        if matches!(value.form, Form::Integers(_)) {
            return Err(REAL.into());
        }
        let (steps, element) = self.steps_of(node, None)?;
        match self.steps[value.id] {
            Some(known) if known != steps => {
                return Err(Reason::Requantized { input: known.scale, output: steps.scale }.into());
            }
            _ => self.steps[value.id] = Some(steps),
        }
        Ok(Value { form: Form::Integers(element), ..value })
    }

    /// `(x - zero_point) * scale`, as the tensor was quantized.
    pub(super) fn dequantize(&mut self, node: &'a NodeProto) -> Result<Value, Stop> {
        let value = self.any(node, 0)?;
        if value.ended {
            return Ok(value);
        }
        let Form::Integers(element) = value.form else {
            return Err(Reason::Needs("integers, and reads real values").into());
        };
        let (steps, found) = self.steps_of(node, Some(element))?;
        let known = *self.steps[value.id].get_or_insert(steps);
        if known != steps || found != element {
            return Err(Reason::Dequantized(text(node.input(0).unwrap_or_default())).into());
        }
        Ok(Value { form: Form::Dequantized, ..value })
    }

    /// A change of types to float32: pixels stay as they are.
    pub(super) fn cast(&self, node: &'a NodeProto) -> Result<Value, Stop> {
        let value = self.any(node, 0)?;
        match value.form {
            Form::Integers(UINT8) if self.steps[value.id].is_none() => {
                Ok(Value { form: Form::Real, ..value })
            }
            Form::Integers(_) => Err(REAL.into()),
            _ => Ok(value),
        }
    }

    /// Scale and zero point, as of int8, and the element type: `element` or, as in the standard, uint8
    /// where there is no zero point.
    fn steps_of(&self, node: &NodeProto, element: Option<i32>) -> Result<(Steps, i32), Stop> {
        let name = text(node.input(0).unwrap_or_default());
        let &[scale] = self.constant(node, 1)?.floats()? else {
            return Err(Reason::Quantization(name).into());
        };
        let asked = i32::try_from(node.int("output_dtype", 0)).ok().filter(|&code| code != 0);
        let (element, zero) = match self.optional(node, 2)?.map(|zero| &zero.data) {
            None => (element.or(asked).unwrap_or(UINT8), 0),
            Some(Data::Bytes(element, values)) if values.len() == 1 => (*element, i64::from(values[0])),
            Some(Data::Other(element)) => (*element, 0),
            Some(_) => return Err(Reason::Quantization(name).into()),
        };
        let shift = match element {
            INT8 => 0,
            UINT8 => 128,
            _ => return Err(Reason::Type { name, found: type_name(element), network: "an int8" }.into()),
        };
        let steps = Steps::new(scale, zero - shift).ok_or(Reason::Quantization(name))?;
        Ok((steps, element))
    }
}
