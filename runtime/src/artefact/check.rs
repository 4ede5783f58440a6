//! The one check of an artefact's content: shapes, order, constants, bounds; plans are in `follow`.
//!
//! Takes sections already found; promises that a session over them stays inside its arena, that
//! no sum leaves 32 bits, and that every rescale meets TOSA's precondition.

use super::header::kind;
use super::{Artefact, Linear, Op, OpProblem, OpRecord, ParseError, PlanProblem, TensorInfo};
use crate::artefact::follow::follow;
use crate::artefact::op::AddRecord;
use crate::bytes::is_utf8;
use crate::kernels::{Epilogue, Family, Filter, Window};
use crate::shape::DType;

/// Most operations of a network.
pub(super) const MAX_OPS: usize = 4096;

#[inline(never)]
pub(super) fn check(artefact: &Artefact<'_>) -> Result<(), ParseError> {
    sections(artefact)?;
    let (tensors, ops) = (artefact.tensor_count(), artefact.op_count());
    let whole = |kind, record: usize| artefact.section(kind, 0).unwrap_or(&[]).len().is_multiple_of(record);
    if !whole(kind::TENSORS, super::TENSOR_BYTES)
        || !whole(kind::OPS, super::OP_BYTES)
        || ops == 0
        || tensors != ops + 1
        || ops > MAX_OPS
    {
        return Err(ParseError::Counts { tensors: tensors as u32, ops: ops as u32 });
    }
    for index in 0..tensors as u16 {
        artefact.tensor(index).ok_or(ParseError::Tensor { index })?;
    }
    interface(artefact)?;
    for index in 0..ops {
        let at = |problem| ParseError::Op { index: index as u16, problem };
        let record = artefact.op(index).ok_or(at(OpProblem::Unknown))?;
        order(&record).map_err(at)?;
        operation(artefact, &record).map_err(at)?;
        sharing(artefact, index, &record).map_err(at)?;
    }
    for family in Family::ALL {
        let arena = artefact.header.arena_bytes(family);
        let fault = |problem| ParseError::Plan { family, problem };
        let planned = artefact.section(kind::PLAN, family as u16).is_some();
        if planned != (arena != 0) {
            return Err(fault(PlanProblem::Arena));
        }
        if !planned {
            continue;
        }
        let plan = artefact.plan(family).ok_or(fault(PlanProblem::Length))?;
        follow(artefact, &plan, family).map_err(fault)?;
    }
    Ok(())
}

/// Every section that must be understood is known, and texts are UTF-8.
fn sections(artefact: &Artefact<'_>) -> Result<(), ParseError> {
    for section in artefact.sections() {
        match (section.kind, section.tag) {
            (kind::TENSORS | kind::OPS | kind::WEIGHTS | kind::CHANNELS, 0) | (kind::PLAN, _) => {}
            (kind @ (kind::LABELS | kind::CARD), 0) if !is_utf8(section.content(artefact.bytes)) => {
                return Err(ParseError::Text { kind });
            }
            (kind, _) if kind >= 0x8000 => {}
            (kind, _) => return Err(ParseError::UnknownSection { kind }),
        }
    }
    Ok(())
}

fn interface(artefact: &Artefact<'_>) -> Result<(), ParseError> {
    let header = &artefact.header;
    let image = artefact.tensor(0).ok_or(ParseError::Interface)?;
    let logits = artefact.tensor(artefact.output()).ok_or(ParseError::Interface)?;
    let int8 = image.dtype == DType::I8 && logits.dtype == DType::I8;
    if !int8 || image.shape != header.input_shape || logits.shape.elements() != usize::from(header.logits) {
        return Err(ParseError::Interface);
    }
    let labels = artefact.section(kind::LABELS, 0).unwrap_or(&[]);
    let ends = labels.iter().filter(|&&byte| byte == b'\n').count();
    let labels = ends + usize::from(labels.last().is_some_and(|&byte| byte != b'\n'));
    if labels != 0 && labels != usize::from(header.logits) {
        return Err(ParseError::Text { kind: kind::LABELS });
    }
    Ok(())
}

/// Inputs are written before.
fn order(record: &OpRecord) -> Result<(), OpProblem> {
    if record.inputs().all(|tensor| tensor < record.output) { Ok(()) } else { Err(OpProblem::Order) }
}

/// Filters of two operations are one, from one place on with one width, or share no byte: kernels
/// may unpack each weight once.
fn sharing(artefact: &Artefact<'_>, index: usize, record: &OpRecord) -> Result<(), OpProblem> {
    let Some(filter) = artefact.filter_of(record) else { return Ok(()) };
    let earlier = (0..index).filter_map(|i| artefact.filter_of(&artefact.op(i)?));
    let end = |filter: &Filter<'_>| filter.offset + filter.data.len();
    for other in earlier {
        let apart = end(&filter) <= other.offset || end(&other) <= filter.offset;
        if !apart && (filter.offset, filter.bits) != (other.offset, other.bits) {
            return Err(OpProblem::Constants);
        }
    }
    Ok(())
}

#[inline(never)]
fn operation(artefact: &Artefact<'_>, record: &OpRecord) -> Result<(), OpProblem> {
    let input = artefact.tensor(record.input).ok_or(OpProblem::Order)?;
    let output = artefact.tensor(record.output).ok_or(OpProblem::Order)?;
    let filter = || artefact.filter_of(record).ok_or(OpProblem::Constants);
    let epilogue = || artefact.epilogue_of(record).ok_or(OpProblem::Constants);
    match record.op {
        Op::Conv2d(window, linear) | Op::DepthwiseConv2d(window, linear) => {
            slides(&window, &input, &output)?;
            let depthwise = matches!(record.op, Op::DepthwiseConv2d(..));
            if depthwise && input.shape.channels != output.shape.channels {
                return Err(OpProblem::Shape);
            }
            constants(&linear, &filter()?, &epilogue()?, &input, &output)
        }
        Op::MatMul(linear) => {
            let flat = input.shape.pixels() == output.shape.pixels() || output.shape.pixels() == 1;
            let packed = input.dtype.bits() == 4 && !input.shape.channels.is_multiple_of(2);
            if !flat || (packed && input.shape.pixels() != output.shape.pixels()) {
                return Err(OpProblem::Shape);
            }
            constants(&linear, &filter()?, &epilogue()?, &input, &output)
        }
        Op::Add(add) => {
            let other = artefact.tensor(add.other).ok_or(OpProblem::Order)?;
            if input.shape != output.shape || other.shape != output.shape {
                return Err(OpProblem::Shape);
            }
            clamp(add.min, add.max, &output)?;
            sum(&add, &input, &other)
        }
        Op::AvgPool2d(window) | Op::MaxPool2d(window) => {
            slides(&window, &input, &output)?;
            let [top, bottom, left, right] = window.padding;
            let inside = top.max(bottom) < window.kernel[0] && left.max(right) < window.kernel[1];
            if !inside || input.shape.channels != output.shape.channels {
                return Err(OpProblem::Shape);
            }
            match (input.dtype, output.dtype, output.zero_point) {
                (DType::U4, DType::I8, -128) | (DType::S4, DType::I8, 0) => Ok(()),
                (from, to, zero) if from == to && zero == input.zero_point => Ok(()),
                _ => Err(OpProblem::Type),
            }
        }
    }
}

/// The output has the extents that the window gives.
fn slides(window: &Window, input: &TensorInfo, output: &TensorInfo) -> Result<(), OpProblem> {
    let fits = window.kernel.iter().chain(&window.stride).all(|&extent| extent > 0)
        && window.output(0, input.shape.height) == Some(output.shape.height)
        && window.output(1, input.shape.width) == Some(output.shape.width);
    if fits { Ok(()) } else { Err(OpProblem::Shape) }
}

fn clamp(min: i8, max: i8, output: &TensorInfo) -> Result<(), OpProblem> {
    let (low, high) = output.dtype.limits();
    if min > max || i32::from(min) < low || i32::from(max) > high {
        return Err(OpProblem::Clamp);
    }
    Ok(())
}

/// Alignment, clamp, and for every output channel: the sum fits 32 bits and its rescale admits it.
fn constants(
    linear: &Linear,
    filter: &Filter<'_>,
    epilogue: &Epilogue<'_>,
    input: &TensorInfo,
    output: &TensorInfo,
) -> Result<(), OpProblem> {
    if !linear.weights.is_multiple_of(4) || !linear.channels.is_multiple_of(4) {
        return Err(OpProblem::Constants);
    }
    clamp(linear.min, linear.max, output)?;
    let terms = (filter.shape.taps * filter.shape.inputs) as u64;
    let largest = magnitude(input);
    let loose = terms * filter.bits.max_abs() * largest;
    for output in 0..filter.shape.outputs {
        let channel = output as u32;
        let rescale = epilogue.rescale(output);
        let bias = u64::from(epilogue.bias(output).unsigned_abs());
        let mut bound = loose + bias;
        if bound > i32::MAX as u64 || !rescale.admits(bound) {
            bound = weight_sum(filter, output) * largest + bias;
        }
        if bound > i32::MAX as u64 {
            return Err(OpProblem::Accumulator { channel });
        }
        if !rescale.admits(bound) {
            return Err(OpProblem::Rescale { channel });
        }
    }
    Ok(())
}

/// Sum of the magnitudes of an output channel's weights.
fn weight_sum(filter: &Filter<'_>, output: usize) -> u64 {
    let (taps, inputs) = (filter.shape.taps, filter.shape.inputs);
    let pairs = (0..taps).flat_map(|tap| (0..inputs).map(move |input| (tap, input)));
    pairs.map(|(tap, input)| u64::from(filter.get(output, tap, input).unsigned_abs())).sum()
}

/// Largest distance of a stored value from the zero point.
fn magnitude(tensor: &TensorInfo) -> u64 {
    let (low, high) = tensor.dtype.limits();
    let zero = i32::from(tensor.zero_point);
    u64::from((low - zero).unsigned_abs().max((high - zero).unsigned_abs()))
}

fn sum(add: &AddRecord, a: &TensorInfo, b: &TensorInfo) -> Result<(), OpProblem> {
    let mut total = 0;
    for (channel, rescale, tensor) in [(0, add.a, a), (1, add.b, b)] {
        let bound = magnitude(tensor);
        if !rescale.admits(bound) {
            return Err(OpProblem::Rescale { channel });
        }
        total += ((bound * rescale.multiplier as u64) >> rescale.shift) + 1;
    }
    if total > i32::MAX as u64 {
        return Err(OpProblem::Accumulator { channel: 2 });
    }
    if add.out.admits(total) { Ok(()) } else { Err(OpProblem::Rescale { channel: 2 }) }
}
