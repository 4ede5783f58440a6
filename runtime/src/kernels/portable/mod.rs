//! Kernels for cores without SIMD instructions: plain Rust that multiplies in 32-bit words.
//!
//! Two 4-bit weights share a word, so that one multiplication makes two products; a rescale takes four
//! multiplications and no 64-bit value. Same bits as the reference, to which what has no form here is
//! delegated.

mod add;
mod constants;
mod conv2d;
mod depthwise;
mod dot;
pub mod scratch;
mod unpack;

use core::ops::Range;

use super::needs::{self, REFERENCE, has};
use super::{Add, Conv2d, ConvAdd, Family, Kernels, MatMul, Pool, Reference, TensorMut};

/// Kernels for any core.
#[derive(Clone, Copy, Debug, Default)]
pub struct Portable<const NEEDS: u32 = { needs::ALL }>;

impl<const NEEDS: u32> Kernels for Portable<NEEDS> {
    const FAMILY: Family = Family::Portable;
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
        if !depthwise::conv2d(op, rows.clone(), out) {
            Reference.depthwise_conv2d(op, rows, scratch, out);
        }
    }

    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        if !conv2d::conv2d(&op.as_conv2d(), None, 0..1, scratch, &mut op.line(out)) && has(NEEDS, REFERENCE) {
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
