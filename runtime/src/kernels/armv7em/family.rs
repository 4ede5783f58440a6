//! The family's type: which form each operation takes, and what the reference does.
#![allow(unsafe_code)]

use core::ops::Range;

use super::{add, conv2d, depthwise, max_pool, pool, winograd};
use crate::kernels::args::{Add, Conv2d, ConvAdd, MatMul, Pool, TensorMut, TensorRef, Window};
use crate::kernels::{Family, Kernel, Kernels, Reference, Ring};
use crate::shape::Shape;

/// Kernels of Armv7E-M.
#[derive(Clone, Copy, Debug, Default)]
pub struct Armv7em;

impl Kernels for Armv7em {
    const FAMILY: Family = Family::Armv7em;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if !convolve(op, None, rows.clone(), scratch, out) {
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
        if !convolve(op, Some(add), rows.clone(), scratch, out) {
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
        if !depthwise::conv2d(op, rows.clone(), scratch, out) {
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
        if !pool::average(op, rows.clone(), out) {
            Reference.avg_pool2d(op, rows, out);
        }
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        if !max_pool::max_pool2d(op, rows.clone(), out) {
            Reference.max_pool2d(op, rows, out);
        }
    }
}

/// The kernel that the plan chose, or the direct one; false where the scratch suffices for neither.
fn convolve(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    op.kernel == Kernel::Winograd && winograd::conv2d(op, add, rows.clone(), scratch, out)
        || conv2d::conv2d(op, add, rows, scratch, out)
}

/// The whole words of scratch.
pub(super) fn words(scratch: &mut [u8]) -> &mut [u32] {
    // SAFETY: any four bytes are a `u32`, and any `u32` is four bytes.
    unsafe { scratch.align_to_mut() }.1
}
