//! The simulator's kernels: weights unpacked once to 16 bits, dot products that vectorise.
//!
//! Same bits as the reference. Several sessions, one per thread, share the unpacked weights and
//! have a patch buffer each; the caller owns both. On x86-64 the same loops are compiled a second
//! time for AVX2 and chosen at run time.
#![allow(unsafe_code)]

mod add;
mod finish;
mod linear;
mod patch;
mod tile;

use core::ops::Range;

use super::{Add, Conv2d, ConvAdd, Family, Filter, Kernels, MatMul, Pool, Reference, TensorMut, needs};
use crate::artefact::{Artefact, Op};
use crate::layout::{Layout, WeightBits};
use linear::{Dense, Depthwise};
use patch::Source;

/// The host's kernels over memory that the caller gave.
#[derive(Debug)]
pub struct Host<'m> {
    weights: &'m [i16],
    patch: &'m mut [i16],
}

impl<'m> Host<'m> {
    /// Values that [`unpack`](Self::unpack) fills.
    pub fn weights_len(artefact: &Artefact<'_>) -> usize {
        Self::unpacked_len(artefact.weights().len())
    }

    /// Values of a weights section of so many bytes, unpacked: two per byte, whatever the width.
    pub fn unpacked_len(section_bytes: usize) -> usize {
        2 * section_bytes
    }

    /// Values of the patch buffer that each session needs.
    pub fn patch_len(artefact: &Artefact<'_>) -> usize {
        let ops = (0..artefact.op_count()).filter_map(|i| artefact.op(i));
        let columns = ops.map(|record| {
            let input = artefact.tensor(record.input).map(|t| t.shape);
            let (channels, elements) = input.map_or((0, 0), |s| (s.channels, s.elements()));
            match record.op {
                Op::Conv2d(w, _) | Op::DepthwiseConv2d(w, _) => w.kernel[0] * w.kernel[1] * channels,
                Op::MatMul(_) => elements,
                Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => 0,
            }
        });
        linear::PIXELS * columns.max().unwrap_or(0)
    }

    /// Unpacks every filter of an artefact into `memory`, to be shared by sessions.
    pub fn unpack(artefact: &Artefact<'_>, memory: &mut [i16]) {
        for index in 0..artefact.op_count() {
            if let Some(Op::Conv2d(_, linear) | Op::DepthwiseConv2d(_, linear) | Op::MatMul(linear)) =
                artefact.op(index).map(|record| record.op)
            {
                let offset = linear.weights as usize;
                let end = artefact.filter_end(index).unwrap_or(offset);
                let packed = artefact.weights().get(offset..end).unwrap_or(&[]);
                Self::unpack_filter(packed, linear.bits, memory.get_mut(2 * offset..).unwrap_or(&mut []));
            }
        }
    }

    /// Unpacks one filter's bytes to the start of `memory`.
    pub fn unpack_filter(packed: &[u8], bits: WeightBits, memory: &mut [i16]) {
        match bits {
            WeightBits::Eight => {
                for (to, &byte) in memory.iter_mut().zip(packed) {
                    *to = i16::from(byte as i8);
                }
            }
            WeightBits::Four => {
                for (pair, &byte) in memory.chunks_exact_mut(2).zip(packed) {
                    pair.copy_from_slice(&[i16::from((byte << 4) as i8 >> 4), i16::from(byte as i8 >> 4)]);
                }
            }
        }
    }

    /// Kernels over unpacked weights and a patch buffer of the lengths above.
    pub fn new(weights: &'m [i16], patch: &'m mut [i16]) -> Self {
        Self { weights, patch }
    }

    /// A filter's rows, unpacked, and the distance between them.
    fn rows(&self, filter: &Filter<'_>) -> (&'m [i16], usize) {
        let (rows, n) = filter.layout.rows(filter.shape);
        let stride = match filter.bits {
            WeightBits::Four => n + n % 2,
            WeightBits::Eight => n,
        };
        let start = 2 * filter.offset;
        (self.weights.get(start..start + rows * stride).unwrap_or(&[]), stride)
    }
}

impl Kernels for Host<'_> {
    const FAMILY: Family = Family::Host;
    const NEEDS: u32 = needs::ALL;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if op.filter.layout != Layout::OutputMajor {
            return Reference.conv2d(op, rows, scratch, out);
        }
        let (weights, stride) = self.rows(&op.filter);
        let columns = op.filter.shape.taps * op.filter.shape.inputs;
        let dense = Dense { weights, stride, columns, epilogue: op.epilogue, tile: tile::fastest() };
        dispatch(&dense, &Source::Window(*op), self.patch, rows, out);
    }

    /// The host has memory for every tensor: its plans keep the two apart.
    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        Reference.conv2d_add(op, add, rows, scratch, out);
    }

    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        if op.filter.layout != Layout::TapMajor {
            return Reference.depthwise_conv2d(op, rows, scratch, out);
        }
        let (weights, stride) = self.rows(&op.filter);
        let depthwise = Depthwise { weights, stride, taps: op.filter.shape.taps, epilogue: op.epilogue };
        dispatch(&depthwise, &Source::Window(*op), self.patch, rows, out);
    }

    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if op.filter.layout != Layout::OutputMajor {
            return Reference.matmul(op, scratch, out);
        }
        let (weights, stride) = self.rows(&op.filter);
        let columns = op.filter.shape.inputs;
        let dense = Dense { weights, stride, columns, epilogue: op.epilogue, tile: tile::fastest() };
        dispatch(&dense, &Source::Rows(*op), self.patch, 0..out.shape.height, out);
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        add::add(op, rows, out);
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.avg_pool2d(op, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.max_pool2d(op, rows, out);
    }
}

/// Runs a linear kernel with the widest vectors that this processor has.
fn dispatch(
    kernel: &impl linear::Kernel,
    source: &Source<'_>,
    patch: &mut [i16],
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { with_avx2(kernel, source, patch, rows, out) };
    }
    linear::run(kernel, source, patch, rows, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2(
    kernel: &impl linear::Kernel,
    source: &Source<'_>,
    patch: &mut [i16],
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    linear::run(kernel, source, patch, rows, out);
}
