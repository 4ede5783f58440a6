//! The family's type: which form each operation takes, and what the reference does.

use core::ops::Range;

use super::sum::{Side, Sum};
use super::{conv2d, depthwise, pool};
use crate::kernels::args::{Add, Conv2d, ConvAdd, MatMul, Pool, TensorMut};
use crate::kernels::needs::{self, REFERENCE, has};
use crate::kernels::{Family, Kernels, Reference};
use crate::shape::DType;

/// Kernels of Armv8.1-M with Helium.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mve<const NEEDS: u32 = { needs::ALL }>;

impl<const NEEDS: u32> Kernels for Mve<NEEDS> {
    const FAMILY: Family = Family::Mve;
    const NEEDS: u32 = NEEDS;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if !conv2d::conv2d(op, None, rows.clone(), scratch, out) && has(NEEDS, REFERENCE) {
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
        if !conv2d::conv2d(op, Some(add), rows.clone(), scratch, out) && has(NEEDS, REFERENCE) {
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
        self.conv2d(&op.as_conv2d(), 0..1, scratch, &mut op.line(out));
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
