//! The family's type: which form each operation takes, and what the reference does.
#![allow(unsafe_code)]

use core::ops::Range;

use super::sum::{Side, Sum};
use super::{conv2d, depthwise, pool};
use crate::kernels::args::{Add, Conv2d, ConvAdd, MatMul, Pool, TensorMut, TensorRef, Window};
use crate::kernels::{Family, Kernel, Kernels, Reference, Ring};
use crate::shape::{DType, Shape};

/// Kernels of Armv8.1-M with Helium.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mve;

impl Kernels for Mve {
    const FAMILY: Family = Family::Mve;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if !conv2d::conv2d(op, None, rows.clone(), scratch, out) {
            Reference.conv2d(op, rows, scratch, out);
        }
    }

    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        if !conv2d::conv2d(op, Some(add), rows.clone(), scratch, out) {
            Reference.conv2d_add(op, add, rows, scratch, out);
        }
    }

    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        if !depthwise::depthwise(op, rows.clone(), scratch, out) {
            Reference.depthwise_conv2d(op, rows, scratch, out);
        }
    }

    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        // Rows are the pixels of an image of one line.
        let line = |channels| Shape::new(1, op.rows, channels);
        let ring = Ring::whole(1);
        let (dtype, zero_point) = (op.dtype, op.zero_point);
        let input =
            TensorRef { data: op.input, ring, shape: line(op.filter.shape.inputs), dtype, zero_point };
        let window = Window { kernel: [1; 2], stride: [1; 2], padding: [0; 4] };
        let conv = Conv2d { input, filter: op.filter, epilogue: op.epilogue, window, kernel: Kernel::Direct };
        let (shape, dtype, zero_point) = (line(op.filter.shape.outputs), out.dtype, out.zero_point);
        let image = &mut TensorMut { data: out.data, ring, shape, dtype, zero_point };
        if !conv2d::conv2d(&conv, None, 0..1, scratch, image) {
            Reference.matmul(op, scratch, out);
        }
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        if !add(op, rows.clone(), out) {
            Reference.add(op, rows, out);
        }
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        if !pool::average(op, rows.clone(), out) {
            Reference.avg_pool2d(op, rows, out);
        }
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.max_pool2d(op, rows, out);
    }
}

/// A residual add of int8 values; false, and nothing done, for other types and where a rescale does
/// not suit.
fn add(op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let shape = out.shape;
    let bytes = [op.a.dtype, op.b.dtype, out.dtype].iter().all(|dtype| *dtype == DType::I8);
    // An addend without data of its own is the second.
    let (a, b) = if op.a.data.is_some() { (&op.a, &op.b) } else { (&op.b, &op.a) };
    let sum = Sum::new(Side::of(a), Side::of(b), op.out, out.zero_point, [op.min, op.max]);
    let Some(sum) = sum.filter(|_| bytes) else { return false };
    for y in rows {
        sum.run(a.row(shape, y), b.data.map(|_| b.row(shape, y)), out.row(y));
    }
    true
}

/// The whole words of scratch.
pub(super) fn words(scratch: &mut [u8]) -> &mut [i32] {
    // SAFETY: any four bytes are an `i32`, and any `i32` is four bytes.
    unsafe { scratch.align_to_mut() }.1
}

/// The bytes of words.
pub(super) fn bytes(words: &mut [i32]) -> &mut [u8] {
    // SAFETY: any `i32` is four bytes, at any address.
    unsafe { words.align_to_mut() }.1
}
