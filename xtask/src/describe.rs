//! An artefact as plain data: sections, tensors, operations, plans.
//!
//! Takes a checked artefact, gives what `inspect` prints and serialises.

use fourbit::artefact::header::kind;
use fourbit::artefact::{Fusion, Linear, Op, OpRecord, Section, Sections, TensorInfo};
use fourbit::kernels::{Family, Kernel, Window};
use fourbit::layout::{Layout, WeightBits};
use fourbit::shape::{DType, Shape};
use fourbit::{Artefact, artefact::Plan};
use serde::Serialize;

/// A section of the file.
#[derive(Debug, Serialize)]
pub(crate) struct SectionView {
    pub(crate) name: String,
    pub(crate) offset: usize,
    pub(crate) bytes: u32,
    pub(crate) crc32: String,
}

/// An activation.
#[derive(Debug, Serialize)]
pub(crate) struct TensorView {
    /// The operation that writes it; `image` for the input.
    pub(crate) name: String,
    pub(crate) shape: String,
    pub(crate) dtype: &'static str,
    pub(crate) zero_point: i8,
    pub(crate) scale: f32,
    pub(crate) bytes: usize,
}

/// An operation.
#[derive(Debug, Serialize)]
pub(crate) struct OpView {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
    /// Kernel, stride and padding; empty where the operation has none.
    pub(crate) window: String,
    /// 8 or 4; none without weights.
    pub(crate) weight_bits: Option<u8>,
    pub(crate) layout: Option<&'static str>,
    pub(crate) weight_bytes: usize,
    pub(crate) macs: u64,
}

/// Where the tensors of one plan lie.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    pub(crate) family: &'static str,
    pub(crate) arena_bytes: usize,
    /// What any schedule of whole tensors in this order needs.
    pub(crate) lower_bound_bytes: usize,
    pub(crate) tensors: Vec<PlacementView>,
    pub(crate) ops: Vec<ChoiceView>,
}

/// How an operation is executed.
#[derive(Debug, Serialize)]
pub(crate) struct ChoiceView {
    pub(crate) name: String,
    /// `direct`, `winograd`; `+ add` where the next operation is computed with it, `done` for that.
    pub(crate) kernel: String,
    /// Counted from 1: operations of one group take turns.
    pub(crate) group: usize,
    /// Rows at a time; none for all.
    pub(crate) rows: Option<u8>,
    pub(crate) scratch_bytes: u32,
}

/// A tensor's bytes and lifetime.
#[derive(Debug, Serialize)]
pub(crate) struct PlacementView {
    pub(crate) name: String,
    pub(crate) offset: u32,
    pub(crate) bytes: usize,
    /// Rows that these bytes hold, of how many.
    pub(crate) lines: u16,
    pub(crate) height: usize,
    pub(crate) first_op: usize,
    pub(crate) last_op: usize,
}

/// The sections in the order of the file.
pub(crate) fn sections(file: &[u8], artefact: &Artefact<'_>) -> Vec<SectionView> {
    Sections::new(file, artefact.header().sections)
        .map(|section| SectionView {
            name: section_name(&section),
            offset: section.offset,
            bytes: section.bytes,
            crc32: format!("{:08x}", section.crc),
        })
        .collect()
}

fn section_name(section: &Section) -> String {
    match section.kind {
        kind::TENSORS => "tensors".to_owned(),
        kind::OPS => "ops".to_owned(),
        kind::WEIGHTS => "weights".to_owned(),
        kind::CHANNELS => "channels".to_owned(),
        kind::PLAN => {
            format!("plan {}", Family::from_code(section.tag).map_or("of an unknown family", family_name))
        }
        kind::NAMES => "names".to_owned(),
        kind::LABELS => "labels".to_owned(),
        kind::CARD => "card".to_owned(),
        other => format!("kind 0x{other:04x}"),
    }
}

/// Every tensor, in the order of the file.
pub(crate) fn tensors(artefact: &Artefact<'_>) -> Vec<TensorView> {
    let described = (0..artefact.tensor_count() as u16).filter_map(|i| Some((i, artefact.tensor(i)?)));
    described
        .map(|(index, tensor)| TensorView {
            name: tensor_name(artefact, index),
            shape: shape(tensor.shape),
            dtype: dtype(tensor.dtype),
            zero_point: tensor.zero_point,
            scale: tensor.scale.to_f32(),
            bytes: tensor.bytes(),
        })
        .collect()
}

/// Every operation, in the order of execution.
pub(crate) fn ops(artefact: &Artefact<'_>) -> Vec<OpView> {
    (0..artefact.op_count()).filter_map(|index| op(artefact, index)).collect()
}

fn op(artefact: &Artefact<'_>, index: usize) -> Option<OpView> {
    let record = artefact.op(index)?;
    let (input, output) = (artefact.tensor(record.input)?, artefact.tensor(record.output)?);
    let (window, linear, macs_per_output) = match &record.op {
        Op::Conv2d(w, l) => (Some(w), Some(l), w.kernel[0] * w.kernel[1] * input.shape.channels),
        Op::DepthwiseConv2d(w, l) => (Some(w), Some(l), w.kernel[0] * w.kernel[1]),
        Op::MatMul(l) => (None, Some(l), columns(&input, &output)),
        Op::Add(_) => (None, None, 0),
        Op::AvgPool2d(w) | Op::MaxPool2d(w) => (Some(w), None, 0),
    };
    let outputs = output.shape.channels;
    Some(OpView {
        name: artefact.name(index).to_owned(),
        kind: record.op.kind(),
        inputs: record.inputs().map(usize::from).collect(),
        output: usize::from(record.output),
        window: window.map(window_text).unwrap_or_default(),
        weight_bits: linear.map(|l| l.bits as u8),
        layout: linear.map(|l| layout(l.layout)),
        weight_bytes: linear.map_or(0, |l| weight_bytes(l, outputs, macs_per_output)),
        macs: (output.shape.elements() * macs_per_output) as u64,
    })
}

/// Inputs of one output of a matrix product.
fn columns(input: &TensorInfo, output: &TensorInfo) -> usize {
    if input.shape.pixels() == output.shape.pixels() { input.shape.channels } else { input.shape.elements() }
}

fn weight_bytes(linear: &Linear, outputs: usize, per_output: usize) -> usize {
    match (linear.bits, linear.layout) {
        (WeightBits::Eight, _) => outputs * per_output,
        (WeightBits::Four, Layout::OutputMajor) => outputs * per_output.div_ceil(2),
        (WeightBits::Four, Layout::TapMajor) => per_output * outputs.div_ceil(2),
    }
}

/// The plan of a family, where the file has one.
pub(crate) fn plan(artefact: &Artefact<'_>, family: Family) -> Option<PlanView> {
    let plan = artefact.plan(family)?;
    let placed = (0..artefact.tensor_count() as u16).filter_map(|i| Some((i, artefact.tensor(i)?)));
    let tensors = placed.map(|(index, tensor)| {
        let place = plan.placement(usize::from(index));
        let (first_op, last_op) = artefact.lifetime(index);
        PlacementView {
            name: tensor_name(artefact, index),
            offset: place.offset,
            bytes: place_bytes(&tensor, place.lines),
            lines: place.lines,
            height: tensor.shape.height,
            first_op,
            last_op,
        }
    });
    Some(PlanView {
        family: family_name(family),
        arena_bytes: plan.arena_bytes(),
        lower_bound_bytes: lower_bound(artefact),
        tensors: tensors.collect(),
        ops: choices(artefact, plan),
    })
}

/// Bytes of so many lines of a tensor.
pub(crate) fn place_bytes(tensor: &TensorInfo, lines: u16) -> usize {
    usize::from(lines) * tensor.shape.row_bytes(tensor.dtype)
}

fn choices(artefact: &Artefact<'_>, plan: Plan<'_>) -> Vec<ChoiceView> {
    let (mut group, mut views) = (1, Vec::new());
    for (index, choice) in (0..plan.ops()).filter_map(|index| Some((index, plan.choice(index)?))) {
        let kernel = match (choice.fusion, choice.kernel) {
            (Fusion::Done, _) => "done".to_owned(),
            (Fusion::WithNext, kernel) => format!("{} + add", kernel_name(kernel)),
            (Fusion::None, kernel) => kernel_name(kernel).to_owned(),
        };
        views.push(ChoiceView {
            name: artefact.name(index).to_owned(),
            kernel,
            group,
            rows: (choice.rows != 0).then_some(choice.rows),
            scratch_bytes: choice.scratch_bytes,
        });
        group += usize::from(!choice.streamed);
    }
    views
}

fn kernel_name(kernel: Kernel) -> &'static str {
    match kernel {
        Kernel::Direct => "direct",
        Kernel::Winograd => "winograd",
        Kernel::Winograd4x4 => "winograd 4x4",
    }
}

/// The largest sum of the whole tensors that live at one operation; the sum of an add that may take
/// the place of an input is not counted.
pub(crate) fn lower_bound(artefact: &Artefact<'_>) -> usize {
    let info = |tensor: u16| artefact.tensor(tensor);
    let lifetimes: Vec<_> =
        (0..artefact.tensor_count()).map(|tensor| artefact.lifetime(tensor as u16)).collect();
    let live_at = |(index, record): (usize, OpRecord)| {
        let living = (0..lifetimes.len()).filter(|&t| lifetimes[t].0 <= index && index <= lifetimes[t].1);
        let all: usize = living.filter_map(|t| Some(info(t as u16)?.bytes())).sum();
        let sum = info(record.output)?;
        let ends = |tensor: u16| {
            let bits = info(tensor).map(|info| info.dtype.bits());
            lifetimes[usize::from(tensor)].1 == index && bits == Some(sum.dtype.bits())
        };
        let in_place = match record.op {
            Op::Add(add) => add.other != record.input && record.inputs().any(ends),
            _ => false,
        };
        Some(all - if in_place { sum.bytes() } else { 0 })
    };
    let ops = (0..artefact.op_count()).filter_map(|index| Some((index, artefact.op(index)?)));
    ops.filter_map(live_at).max().unwrap_or(0)
}

/// The name of the operation that writes a tensor; `image` for the input.
pub(crate) fn tensor_name(artefact: &Artefact<'_>, tensor: u16) -> String {
    usize::from(tensor).checked_sub(1).map_or("image", |writer| artefact.name(writer)).to_owned()
}

/// A family's name in files and on the command line.
pub(crate) fn family_name(family: Family) -> &'static str {
    match family {
        Family::Portable => "portable",
        Family::Host => "host",
        Family::Armv7em => "armv7em",
        Family::Mve => "mve",
    }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::OutputMajor => "output major",
        Layout::TapMajor => "tap major",
    }
}

/// `32x32x3`.
pub(crate) fn shape(shape: Shape) -> String {
    format!("{}x{}x{}", shape.height, shape.width, shape.channels)
}

fn dtype(dtype: DType) -> &'static str {
    match dtype {
        DType::I8 => "i8",
        DType::U4 => "u4",
        DType::S4 => "s4",
    }
}

/// `3x3 /2 +0,1,0,1`: kernel, stride, padding (top, bottom, left, right) where there is any.
pub(crate) fn window_text(window: &Window) -> String {
    let [height, width] = window.kernel;
    let stride = match window.stride {
        [1, 1] => String::new(),
        [v, h] if v == h => format!(" /{v}"),
        [v, h] => format!(" /{v},{h}"),
    };
    let padding = match window.padding {
        [0, 0, 0, 0] => String::new(),
        [t, b, l, r] => format!(" +{t},{b},{l},{r}"),
    };
    format!("{height}x{width}{stride}{padding}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_read_like_a_sentence() {
        let plain = Window { kernel: [1, 1], stride: [1, 1], padding: [0; 4] };
        let strided = Window { kernel: [3, 3], stride: [2, 2], padding: [0, 1, 0, 1] };
        assert_eq!(window_text(&plain), "1x1");
        assert_eq!(window_text(&strided), "3x3 /2 +0,1,0,1");
    }

    #[test]
    fn odd_rows_of_nibbles_round_up() {
        let linear = |bits, layout| Linear { bits, layout, min: 0, max: 0, weights: 0, channels: 0 };
        assert_eq!(weight_bytes(&linear(WeightBits::Four, Layout::OutputMajor), 2, 27), 28);
        assert_eq!(weight_bytes(&linear(WeightBits::Four, Layout::TapMajor), 5, 9), 27);
        assert_eq!(weight_bytes(&linear(WeightBits::Eight, Layout::OutputMajor), 2, 27), 54);
    }
}
