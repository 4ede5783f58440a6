//! The family's type: which form each operation takes, and what the reference does.

use core::ops::Range;

use super::pool::Reduction;
use super::{add, conv2d, depthwise, pool, winograd};
use crate::kernels::args::{Add, Conv2d, ConvAdd, MatMul, Pool, TensorMut};
use crate::kernels::needs::{self, MAX_POOL, REFERENCE, has};
use crate::kernels::{Family, Kernels, Reference};

/// Kernels of Armv7E-M.
#[derive(Clone, Copy, Debug, Default)]
pub struct Armv7em<const NEEDS: u32 = { needs::ALL }>;

impl<const NEEDS: u32> Kernels for Armv7em<NEEDS> {
    const FAMILY: Family = Family::Armv7em;
    const NEEDS: u32 = NEEDS;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if !convolve::<NEEDS>(op, None, rows.clone(), scratch, out) && has(NEEDS, REFERENCE) {
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
        if !convolve::<NEEDS>(op, Some(add), rows.clone(), scratch, out) && has(NEEDS, REFERENCE) {
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
        self.conv2d(&op.as_conv2d(), 0..1, scratch, &mut op.line(out));
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        if !add::add(op, rows.clone(), out) {
            Reference.add(op, rows, out);
        }
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        pool::pool::<NEEDS>(op, Reduction::Mean, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        if has(NEEDS, MAX_POOL) {
            pool::pool::<NEEDS>(op, Reduction::Maximum, rows, out);
        }
    }
}

/// The kernel that the plan chose, or the direct one; false where the scratch suffices for neither.
#[inline(always)]
fn convolve<const NEEDS: u32>(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    winograd::conv2d::<NEEDS>(op, add, rows.clone(), scratch, out)
        || conv2d::conv2d::<NEEDS>(op, add, rows, scratch, out)
}

/// Whether a convolution is made here and not by the reference, with so many bytes of scratch.
pub fn suits(op: &Conv2d<'_>, add: Option<&ConvAdd<'_>>, out: &TensorMut<'_>, scratch: usize) -> bool {
    winograd::suits(op, add, out, scratch) || conv2d::suits(op, add, out, scratch)
}
