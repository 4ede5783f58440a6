//! The specification: each operation as plain loops over its definition.
//!
//! Written to be read; every fast kernel equals these bit for bit.

mod add;
mod conv2d;
mod pool;

use core::ops::Range;

use conv2d::Inputs;

use super::{Add, Conv2d, ConvAdd, Family, Kernels, MatMul, Pool, TensorMut, needs};

/// The reference kernels. They need no scratch and run on any core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

impl Kernels for Reference {
    const FAMILY: Family = Family::Portable;
    const NEEDS: u32 = needs::ALL;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, _scratch: &mut [u8], out: &mut TensorMut<'_>) {
        conv2d::conv2d(op, None, Inputs::All, rows, out);
    }

    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        _scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        conv2d::conv2d(op, Some(add), Inputs::All, rows, out);
    }

    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        _scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        conv2d::conv2d(op, None, Inputs::Own, rows, out);
    }

    fn matmul(&mut self, op: &MatMul<'_>, _scratch: &mut [u8], out: &mut TensorMut<'_>) {
        conv2d::conv2d(&op.as_conv2d(), None, Inputs::All, 0..1, &mut op.line(out));
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        add::add(op, rows, out);
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        pool::avg_pool2d(op, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        pool::max_pool2d(op, rows, out);
    }
}
