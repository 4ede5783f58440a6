//! The simulator's kernels: weights unpacked once to 16 bits, dot products that vectorise.
//!
//! Same bits as the reference. Several sessions, one per thread, share the unpacked weights and
//! have a patch buffer each; the caller owns both. On x86-64 the same loops are compiled a second
//! time for AVX2, and processors with AVX-512 VNNI multiply bytes; both are chosen at run time.
#![allow(unsafe_code)]

mod add;
#[cfg(target_arch = "x86_64")]
mod bytes;
mod finish;
mod linear;
mod patch;
mod tile;
mod vectors;

use core::ops::Range;

use super::{
    Add, Conv2d, ConvAdd, Family, Filter, Kernels, MatMul, Pool, Reference, TensorMut, Window, needs,
};
use crate::artefact::{Artefact, Op};
use crate::layout::{Layout, WeightBits};
use crate::shape::Shape;
use linear::{Dense, Depthwise};
use patch::Source;
pub use vectors::Vectors;

/// The host's kernels over memory that the caller gave.
#[derive(Debug)]
pub struct Host<'m> {
    vectors: Vectors,
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
        let lens = ops.map(|record| {
            let input = artefact.tensor(record.input).map_or(Shape::new(0, 0, 0), |tensor| tensor.shape);
            match record.op {
                Op::Conv2d(window, _) | Op::DepthwiseConv2d(window, _) => Self::patch_of(&window, input),
                Op::MatMul(_) => Self::patch_of(&Window::ONE, Shape::new(1, 1, input.elements())),
                Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => 0,
            }
        });
        lens.max().unwrap_or(0)
    }

    /// Values of the patch buffer for an operation with this window and input.
    pub fn patch_of(window: &Window, input: Shape) -> usize {
        let gathered = linear::PIXELS * window.kernel[0] * window.kernel[1] * input.channels;
        #[cfg(target_arch = "x86_64")]
        let gathered = gathered.max(bytes::buffer_bytes(window, input).div_ceil(2));
        gathered
    }

    /// The fastest vectors that this processor has and the artefact admits: filters that several operations
    /// read in different shapes have one form for AVX2 only.
    pub fn vectors(artefact: &Artefact<'_>) -> Vectors {
        let form = |index: usize| {
            let record = artefact.op(index)?;
            let filter = artefact.filter_of(&record)?;
            Some((filter.offset, (filter.shape, across(&record.op))))
        };
        let forms = || (0..artefact.op_count()).filter_map(form);
        let torn = forms().any(|(at, one)| forms().any(|(place, other)| place == at && other != one));
        Vectors::best().min(if torn { Vectors::Avx2 } else { Vectors::Avx512 })
    }

    /// Unpacks every filter of an artefact into `memory`, to be shared by sessions with the same vectors, at
    /// most [`Host::vectors`].
    pub fn unpack(artefact: &Artefact<'_>, vectors: Vectors, memory: &mut [i16]) {
        for index in 0..artefact.op_count() {
            let Some(record) = artefact.op(index) else { continue };
            if let Some(filter) = artefact.filter_of(&record) {
                let memory = memory.get_mut(2 * filter.offset..).unwrap_or(&mut []);
                Self::unpack_filter(&filter, across(&record.op), vectors, memory);
            }
        }
    }

    /// Unpacks a filter with so many taps in a row to the start of `memory`.
    pub fn unpack_filter(filter: &Filter<'_>, across: usize, vectors: Vectors, memory: &mut [i16]) {
        let packed = filter.data;
        #[cfg(target_arch = "x86_64")]
        if let Some(form) = bytes::Form::of(filter, across, present(vectors)) {
            return bytes::pack(form, filter, memory);
        }
        match filter.bits {
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

    /// Kernels over weights that were unpacked for these vectors and a patch buffer, of the lengths above.
    pub fn new(vectors: Vectors, weights: &'m [i16], patch: &'m mut [i16]) -> Self {
        Self { vectors: present(vectors), weights, patch }
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
        #[cfg(target_arch = "x86_64")]
        if let Some(form) = bytes::Form::of(&op.filter, op.window.kernel[1], self.vectors) {
            let weights = self.weights.get(2 * op.filter.offset..).unwrap_or(&[]);
            if !bytes::conv2d(form, op, weights, self.patch, rows.clone(), out) {
                Reference.conv2d(op, rows, scratch, out);
            }
            return;
        }
        let (weights, stride) = self.rows(&op.filter);
        let columns = op.filter.shape.taps * op.filter.shape.inputs;
        let dense = Dense { weights, stride, columns, epilogue: op.epilogue, tile: tile::of(self.vectors) };
        dispatch(self.vectors, &dense, &Source::Window(*op), self.patch, rows, out);
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
        dispatch(self.vectors, &depthwise, &Source::Window(*op), self.patch, rows, out);
    }

    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if op.filter.layout != Layout::OutputMajor {
            return Reference.matmul(op, scratch, out);
        }
        #[cfg(target_arch = "x86_64")]
        if bytes::Form::of(&op.filter, 1, self.vectors).is_some() {
            return self.conv2d(&op.as_conv2d(), 0..1, scratch, &mut op.line(out));
        }
        let (weights, stride) = self.rows(&op.filter);
        let columns = op.filter.shape.inputs;
        let dense = Dense { weights, stride, columns, epilogue: op.epilogue, tile: tile::of(self.vectors) };
        dispatch(self.vectors, &dense, &Source::Rows(*op), self.patch, 0..out.shape.height, out);
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        add::add(op, self.vectors, rows, out);
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.avg_pool2d(op, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.max_pool2d(op, rows, out);
    }
}

/// Taps in a row of an operation's filter.
fn across(op: &Op) -> usize {
    match op {
        Op::Conv2d(window, _) | Op::DepthwiseConv2d(window, _) => window.kernel[1],
        _ => 1,
    }
}

/// These vectors where the processor has them, otherwise its best.
fn present(vectors: Vectors) -> Vectors {
    vectors.min(Vectors::best())
}

/// Runs a linear kernel with vectors that this processor has.
fn dispatch(
    vectors: Vectors,
    kernel: &impl linear::Kernel,
    source: &Source<'_>,
    patch: &mut [i16],
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    #[cfg(target_arch = "x86_64")]
    if vectors >= Vectors::Avx2 {
        // SAFETY: the processor has AVX2, which is all that the function asks for.
        return unsafe { with_avx2(kernel, source, patch, rows, out) };
    }
    linear::run(kernel, finish::of(vectors), source, patch, rows, out);
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
    linear::run(kernel, finish::of(Vectors::Avx2), source, patch, rows, out);
}
