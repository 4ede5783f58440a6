//! Reads the vectors that TOSA's reference model made (`tests/golden/oracle`) and checks kernels.
//!
//! One file per operation, little-endian, every part padded with zeros to 4 bytes:
//!
//! ```text
//! file    8 magic, u32 operation (`Kind`; 7: rescale), u32 count, then the vectors
//! vector  u32 bytes of the vector, these four included
//!         u8 weight bits (0: none), u8 types of first input, second input, output
//!         i8 zero points of first input, second input, output, u8 layout
//!         i8 min, i8 max, 2 zeros
//!         u16 height, width, channels of the (first) input, then of the output
//!         u8 kernel height, width, stride vertical, horizontal, padding top, bottom, left, right
//!         parts: input, [second input], [weights, bias], [multipliers, shifts], output
//! rescale i32 accumulator, i32 multiplier, i32 shift, i32 result
//! ```
//!
//! Tensors are stored as in an arena, weights as in an artefact, with the layout that the vector
//! names. An operation with one input repeats its type and zero point for the second. The matrix
//! product has its rows in the width. An addition has three multipliers and shifts: first input,
//! second input, sum.

use core::fmt;

use fourbit::kernels::{
    Add, Addend, Conv2d, Epilogue, Filter, Kernel, Kernels, MatMul, Pool, Ring, TensorRef, Window,
};
use fourbit::layout::{FilterShape, Layout, WeightBits};
use fourbit::requant::Rescale;
use fourbit::shape::{DType, Shape};

use crate::case::{Args, Case, Kind};
use crate::mismatch::{Mismatch, compare};

const MAGIC: &[u8; 8] = b"FBTOSA\0\x01";
const RESCALE: u32 = 7;
const HEAD_BYTES: usize = 36;

/// A column of the table of vectors: an operation's combination of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The operation.
    pub kind: Kind,
    /// Bits of a weight, if it has weights.
    pub bits: Option<WeightBits>,
    /// Type of the first input.
    pub input: DType,
    /// Type of an addition's second input.
    pub other: Option<DType>,
    /// Type of the output.
    pub output: DType,
}

/// One case and the bytes that it must give.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a> {
    /// Its place in the file.
    pub index: u32,
    /// Its combination of types.
    pub cell: Cell,
    /// The operation.
    pub case: Case<'a>,
    /// The output.
    pub expected: &'a [u8],
}

/// The vectors of a file.
#[derive(Clone, Copy, Debug)]
pub struct Vectors<'a> {
    kind: Kind,
    count: u32,
    next: u32,
    rest: &'a [u8],
}

/// One value that RESCALE gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RescaleVector {
    /// The accumulator.
    pub acc: i32,
    /// Multiplier and shift.
    pub rescale: Rescale,
    /// The result.
    pub expected: i32,
}

impl Vector<'_> {
    /// Compares the kernels' output with the oracle's; an addition also in place. `buffer` has 32
    /// bytes more than the output.
    pub fn check<K: Kernels>(
        &self,
        kernels: &mut K,
        scratch: &mut [u8],
        buffer: &mut [u8],
    ) -> Result<Cell, Mismatch> {
        let fail = |fault| Mismatch { kind: self.cell.kind, number: u64::from(self.index), fault };
        compare(buffer, self.expected, None, |out| self.case.run(kernels, scratch, out)).map_err(fail)?;
        for (case, initial) in self.case.in_place() {
            compare(buffer, self.expected, Some(initial), |out| case.run(kernels, scratch, out))
                .map_err(fail)?;
        }
        Ok(self.cell)
    }
}

impl<'a> Vectors<'a> {
    /// Opens a file's content; `None` where it is not one of these files.
    pub fn new(file: &'a [u8]) -> Option<Self> {
        let (code, count, rest) = header(file)?;
        let kind = Kind::IN_TOSA.into_iter().find(|&kind| kind as u32 == code)?;
        Some(Self { kind, count, next: 0, rest })
    }

    /// Vectors that the file announces; the iteration ends early where one is malformed.
    pub fn announced(&self) -> u32 {
        self.count
    }
}

impl<'a> Iterator for Vectors<'a> {
    type Item = Vector<'a>;

    fn next(&mut self) -> Option<Vector<'a>> {
        if self.next == self.count {
            return None;
        }
        let bytes = u32::from_le_bytes(*self.rest.first_chunk()?) as usize;
        let (record, rest) = self.rest.split_at_checked(bytes)?;
        let vector = vector(self.kind, self.next, record)?;
        self.next += 1;
        self.rest = rest;
        Some(vector)
    }
}

/// The entries of the rescale file; `None` where it is not that file.
pub fn rescales(file: &[u8]) -> Option<impl ExactSizeIterator<Item = RescaleVector>> {
    let (code, count, rest) = header(file)?;
    let (entries, []) = rest.as_chunks::<16>() else { return None };
    let word = |entry: &[u8; 16], i: usize| {
        entry.get(4 * i..).and_then(|b| b.first_chunk()).map_or(0, |&b| i32::from_le_bytes(b))
    };
    (code == RESCALE && count as usize == entries.len()).then(|| {
        entries.iter().map(move |entry| RescaleVector {
            acc: word(entry, 0),
            rescale: Rescale { multiplier: word(entry, 1), shift: word(entry, 2) as u8 },
            expected: word(entry, 3),
        })
    })
}

fn header(file: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (head, rest) = file.split_first_chunk::<16>()?;
    let [code, count] =
        [8, 12].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    head.starts_with(MAGIC).then_some((code, count, rest))
}

fn vector(kind: Kind, index: u32, record: &[u8]) -> Option<Vector<'_>> {
    let (head, mut rest) = record.split_first_chunk::<HEAD_BYTES>()?;
    let byte = |i: usize| usize::from(head[i]);
    let signed = |i: usize| head[i] as i8;
    let half = |i: usize| usize::from(u16::from_le_bytes([head[i], head[i + 1]]));
    let [input_type, other_type, dtype] =
        [DType::from_code(head[5])?, DType::from_code(head[6])?, DType::from_code(head[7])?];
    let bits = WeightBits::from_code(head[4]);
    let shape = Shape::new(half(16), half(18), half(20));
    let out = Shape::new(half(22), half(24), half(26));
    let window = Window {
        kernel: [byte(28), byte(29)],
        stride: [byte(30), byte(31)],
        padding: [byte(32), byte(33), byte(34), byte(35)],
    };
    let (min, max) = (signed(12), signed(13));
    let mut part = |bytes: usize| {
        let (content, tail) = rest.split_at_checked(bytes)?;
        rest = tail.get(bytes.wrapping_neg() % 4..)?;
        Some(content)
    };
    let zero_point = i32::from(signed(8));
    let ring = Ring::whole(shape.height);
    let data = part(shape.bytes(input_type))?;
    let input = TensorRef { data, ring, shape, dtype: input_type, zero_point };
    let args = match kind {
        Kind::Conv2d | Kind::DepthwiseConv2d | Kind::MatMul => {
            let bits = bits?;
            let inputs = if kind == Kind::DepthwiseConv2d { 1 } else { shape.channels };
            let taps = window.kernel[0] * window.kernel[1];
            let shape = FilterShape { outputs: out.channels, taps, inputs };
            let layout = Layout::from_code(head[11])?;
            let filter = Filter { data: part(layout.bytes(shape, bits))?, shape, bits, layout, offset: 0 };
            let words = 4 * out.channels;
            let [bias, multiplier, shift] = [part(words)?, part(words)?, part(out.channels)?];
            let epilogue = Epilogue { bias, multiplier, shift, min, max };
            let kernel = Kernel::Direct;
            match kind {
                Kind::Conv2d => Args::Conv2d(Conv2d { input, filter, epilogue, window, kernel }),
                Kind::DepthwiseConv2d => {
                    Args::DepthwiseConv2d(Conv2d { input, filter, epilogue, window, kernel })
                }
                _ => {
                    let TensorRef { data: input, dtype, zero_point, .. } = input;
                    Args::MatMul(MatMul {
                        input,
                        dtype,
                        zero_point,
                        rows: out.width,
                        filter,
                        epilogue,
                        kernel,
                    })
                }
            }
        }
        Kind::Add => {
            let other = part(shape.bytes(other_type))?;
            let (multipliers, shifts) = (part(12)?, part(3)?);
            let constants = Epilogue { bias: &[], multiplier: multipliers, shift: shifts, min, max };
            let addend = |side, data, dtype, zero: i8| Addend {
                data: Some(data),
                ring,
                dtype,
                zero_point: i32::from(zero),
                rescale: constants.rescale(side),
            };
            let a = addend(0, input.data, input_type, signed(8));
            let b = addend(1, other, other_type, signed(9));
            Args::Add(Add { a, b, out: constants.rescale(2), min, max })
        }
        Kind::AvgPool2d => Args::AvgPool2d(Pool { input, window }),
        Kind::MaxPool2d => Args::MaxPool2d(Pool { input, window }),
        Kind::Conv2dAdd => return None,
    };
    let case = Case { args, shape: out, dtype, zero_point: i32::from(signed(10)) };
    let other = (kind == Kind::Add).then_some(other_type);
    let cell = Cell { kind, bits, input: input_type, other, output: dtype };
    Some(Vector { index, cell, case, expected: part(case.bytes())? })
}

impl Cell {
    /// Every combination of an operation's types that must have vectors.
    pub fn all(kind: Kind) -> impl Iterator<Item = Cell> {
        use DType::{I8, S4, U4};
        let types = [I8, U4, S4];
        let sides: [Option<WeightBits>; 2] = match kind {
            Kind::Conv2d | Kind::DepthwiseConv2d | Kind::MatMul => {
                [Some(WeightBits::Eight), Some(WeightBits::Four)]
            }
            Kind::Add | Kind::AvgPool2d | Kind::MaxPool2d | Kind::Conv2dAdd => [None, None],
        };
        let widths = sides.into_iter().take(if sides[0].is_some() { 2 } else { 1 });
        widths.flat_map(move |bits| {
            types.into_iter().flat_map(move |input| {
                let others = match kind {
                    Kind::Add => types.map(Some),
                    _ => [None; 3],
                };
                others.into_iter().take(if kind == Kind::Add { 3 } else { 1 }).flat_map(move |other| {
                    let outputs = types.into_iter().filter(move |&output| match kind {
                        Kind::AvgPool2d | Kind::MaxPool2d => output == input || output == I8,
                        _ => true,
                    });
                    outputs.map(move |output| Cell { kind, bits, input, other, output })
                })
            })
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |dtype| match dtype {
            DType::I8 => "i8",
            DType::U4 => "u4",
            DType::S4 => "s4",
        };
        if let Some(bits) = self.bits {
            write!(f, "w{} ", bits as u8)?;
        }
        f.write_str(name(self.input))?;
        if let Some(other) = self.other {
            write!(f, "+{}", name(other))?;
        }
        write!(f, "->{}", name(self.output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_each_operation() {
        let counts = Kind::IN_TOSA.map(|kind| Cell::all(kind).count());
        assert_eq!(counts, [18, 18, 18, 27, 5, 5]);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(Vectors::new(b"FBTOSA\0\x02\x01\0\0\0\0\0\0\0").is_none());
        assert!(Vectors::new(b"FBTOSA\0\x01\x08\0\0\0\0\0\0\0").is_none());
        assert!(rescales(b"FBTOSA\0\x01\x07\0\0\0\x01\0\0\0").is_none());
        assert!(Vectors::new(b"FBTOSA\0\x01\x01\0\0\0\x01\0\0\0").is_some_and(|mut v| v.next().is_none()));
    }
}
