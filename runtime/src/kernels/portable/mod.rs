//! Kernels for cores without SIMD instructions: plain Rust that multiplies in 32-bit words.
//!
//! Two 4-bit weights share a word, so that one multiplication makes two products; a rescale takes four
//! multiplications and no 64-bit value. Same bits as the reference, to which what has no form here is
//! delegated.
#![allow(unsafe_code)]

mod add;
mod constants;
mod conv2d;
mod depthwise;
mod dot;
pub mod scratch;
mod unpack;

use core::ops::Range;

use super::{Add, Conv2d, ConvAdd, Family, Kernel, Kernels, MatMul, Pool, Reference, Ring};
use super::{TensorMut, TensorRef, Window};
use crate::shape::Shape;

/// Kernels for any core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable;

impl Kernels for Portable {
    const FAMILY: Family = Family::Portable;

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
        if !depthwise::conv2d(op, rows.clone(), out) {
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
        if !add::add(op, rows.clone(), out) {
            Reference.add(op, rows, out);
        }
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.avg_pool2d(op, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Reference.max_pool2d(op, rows, out);
    }
}

/// The whole words of scratch.
fn words(scratch: &mut [u8]) -> &mut [i32] {
    // SAFETY: any four bytes are an `i32`, and any `i32` is four bytes.
    unsafe { scratch.align_to_mut() }.1
}
