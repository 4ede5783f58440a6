//! Op records: the closed set of operations and their encoding. Knows no kernels.

use crate::bytes::{put, u8_at, u16_at, u32_at};
use crate::kernels::Window;
use crate::layout::{Layout, WeightBits};
use crate::requant::Rescale;

/// Bytes of an op record.
pub const OP_BYTES: usize = 22;

const CONV2D: u8 = 1;
const DEPTHWISE_CONV2D: u8 = 2;
const MATMUL: u8 = 3;
const ADD: u8 = 4;
const AVG_POOL2D: u8 = 5;
const MAX_POOL2D: u8 = 6;

/// An operation, as the artefact describes it; tensors are indices of tensor records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpRecord {
    /// First tensor read.
    pub input: u16,
    /// Tensor written: operation i writes tensor i + 1.
    pub output: u16,
    /// What it computes.
    pub op: Op,
}

/// What an operation computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Convolution over all input channels.
    Conv2d(Window, Linear),
    /// Convolution of each channel by itself.
    DepthwiseConv2d(Window, Linear),
    /// Dense layer over the flattened input, or over its channels at every position.
    MatMul(Linear),
    /// Sum of the first input and another.
    Add(AddRecord),
    /// Mean over windows.
    AvgPool2d(Window),
    /// Maximum over windows.
    MaxPool2d(Window),
}

/// Where a linear operation's constants lie, and its clamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Bits of a weight.
    pub bits: WeightBits,
    /// Order of the weights.
    pub layout: Layout,
    /// Smallest output.
    pub min: i8,
    /// Largest output.
    pub max: i8,
    /// In the weights section.
    pub weights: u32,
    /// In the channels section: bias, multiplier (i32 each) and shift (u8) per output channel.
    pub channels: u32,
}

/// Constants of a residual add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddRecord {
    /// The second tensor read.
    pub other: u16,
    /// Smallest output.
    pub min: i8,
    /// Largest output.
    pub max: i8,
    /// First input to the common scale.
    pub a: Rescale,
    /// Second input to the common scale.
    pub b: Rescale,
    /// Common scale to the output.
    pub out: Rescale,
}

impl Op {
    /// The operation's name in the field's terms.
    pub const fn kind(&self) -> &'static str {
        match self {
            Op::Conv2d(..) => "conv2d",
            Op::DepthwiseConv2d(..) => "depthwise_conv2d",
            Op::MatMul(_) => "matmul",
            Op::Add(_) => "add",
            Op::AvgPool2d(_) => "avg_pool2d",
            Op::MaxPool2d(_) => "max_pool2d",
        }
    }
}

impl Op {
    /// The constants of an operation with weights.
    pub const fn linear(&self) -> Option<&Linear> {
        match self {
            Op::Conv2d(_, linear) | Op::DepthwiseConv2d(_, linear) | Op::MatMul(linear) => Some(linear),
            Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => None,
        }
    }
}

impl OpRecord {
    /// Tensors read, in order.
    pub fn inputs(&self) -> impl Iterator<Item = u16> + use<> {
        let other = match self.op {
            Op::Add(add) => Some(add.other),
            _ => None,
        };
        core::iter::once(self.input).chain(other)
    }

    /// Reads the record of operation `index`; `None` for an unknown operation, width or layout.
    pub(super) fn decode(record: &[u8; OP_BYTES], index: usize) -> Option<Self> {
        let (window, linear) = (window(record), linear(record));
        let op = match u8_at(record, 0) {
            CONV2D => Op::Conv2d(window, linear?),
            DEPTHWISE_CONV2D => Op::DepthwiseConv2d(window, linear?),
            MATMUL => Op::MatMul(linear?),
            ADD => Op::Add(AddRecord {
                min: u8_at(record, 3) as i8,
                max: u8_at(record, 4) as i8,
                other: u16_at(record, 5),
                a: rescale(record, 0),
                b: rescale(record, 1),
                out: rescale(record, 2),
            }),
            AVG_POOL2D => Op::AvgPool2d(window),
            MAX_POOL2D => Op::MaxPool2d(window),
            _ => return None,
        };
        Some(Self { input: u16_at(record, 1), output: index as u16 + 1, op })
    }

    /// The record's bytes; the parts of a window are at most 255.
    pub fn encode(&self) -> [u8; OP_BYTES] {
        let mut record = [0; OP_BYTES];
        let code = match &self.op {
            Op::Conv2d(w, l) => put_window(&mut record, w, Some(l), CONV2D),
            Op::DepthwiseConv2d(w, l) => put_window(&mut record, w, Some(l), DEPTHWISE_CONV2D),
            Op::MatMul(l) => {
                put_linear(&mut record, l);
                MATMUL
            }
            Op::Add(add) => {
                put(&mut record, 3, [add.min as u8, add.max as u8]);
                put(&mut record, 5, add.other.to_le_bytes());
                for (i, rescale) in [add.a, add.b, add.out].iter().enumerate() {
                    put(&mut record, 7 + i, [rescale.shift]);
                    put(&mut record, 10 + 4 * i, rescale.multiplier.to_le_bytes());
                }
                ADD
            }
            Op::AvgPool2d(w) => put_window(&mut record, w, None, AVG_POOL2D),
            Op::MaxPool2d(w) => put_window(&mut record, w, None, MAX_POOL2D),
        };
        put(&mut record, 0, [code]);
        put(&mut record, 1, self.input.to_le_bytes());
        record
    }
}

fn window(record: &[u8; OP_BYTES]) -> Window {
    let field = |i: usize| usize::from(u8_at(record, 6 + i));
    Window {
        kernel: [field(0), field(1)],
        stride: [field(2), field(3)],
        padding: [field(4), field(5), field(6), field(7)],
    }
}

fn put_window(record: &mut [u8], window: &Window, constants: Option<&Linear>, code: u8) -> u8 {
    let fields = window.kernel.iter().chain(&window.stride).chain(&window.padding);
    for (i, &field) in fields.enumerate() {
        put(record, 6 + i, [field as u8]);
    }
    if let Some(constants) = constants {
        put_linear(record, constants);
    }
    code
}

fn linear(record: &[u8; OP_BYTES]) -> Option<Linear> {
    let storage = u8_at(record, 5);
    Some(Linear {
        bits: WeightBits::from_code(storage & 0xF)?,
        layout: Layout::from_code(storage >> 4)?,
        min: u8_at(record, 3) as i8,
        max: u8_at(record, 4) as i8,
        weights: u32_at(record, 14),
        channels: u32_at(record, 18),
    })
}

fn put_linear(record: &mut [u8], linear: &Linear) {
    put(record, 3, [linear.min as u8, linear.max as u8, linear.bits as u8 | (linear.layout as u8) << 4]);
    put(record, 14, linear.weights.to_le_bytes());
    put(record, 18, linear.channels.to_le_bytes());
}

#[inline(always)]
fn rescale(record: &[u8; OP_BYTES], i: usize) -> Rescale {
    Rescale { multiplier: u32_at(record, 10 + 4 * i) as i32, shift: u8_at(record, 7 + i) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip() {
        let window = Window { kernel: [3, 5], stride: [2, 1], padding: [0, 1, 2, 3] };
        let linear = Linear {
            bits: WeightBits::Four,
            layout: Layout::TapMajor,
            min: -128,
            max: 127,
            weights: 1 << 20,
            channels: 7,
        };
        let rescale = |shift| Rescale { multiplier: i32::MAX, shift };
        let add = AddRecord { other: 9, min: 0, max: 15, a: rescale(9), b: rescale(11), out: rescale(50) };
        for op in [
            Op::Conv2d(window, linear),
            Op::DepthwiseConv2d(window, linear),
            Op::MatMul(linear),
            Op::Add(add),
            Op::AvgPool2d(window),
            Op::MaxPool2d(window),
        ] {
            let record = OpRecord { input: 4, output: 5, op };
            assert_eq!(OpRecord::decode(&record.encode(), 4), Some(record));
        }
        assert_eq!(OpRecord::decode(&[0; OP_BYTES], 0), None);
    }

    #[test]
    fn an_add_reads_two_tensors() {
        let rescale = Rescale { multiplier: 1 << 30, shift: 30 };
        let add = AddRecord { other: 9, min: 0, max: 15, a: rescale, b: rescale, out: rescale };
        let record = OpRecord { input: 4, output: 5, op: Op::Add(add) };
        assert!(record.inputs().eq([4, 9]));
    }
}
