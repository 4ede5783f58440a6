//! Kernels that the host's tests run: the simulator's, and a plain one with errors to plant.

pub(crate) mod plain;

use std::ops::Range;

use fourbit::kernels::{
    Add, Conv2d, ConvAdd, Family, Filter, Host, Kernels, MatMul, Pool, TensorMut, Vectors, Window,
};
use fourbit::shape::Shape;

/// The simulator's kernels for single operations: unpacks the filter before each.
pub(crate) struct Unpacking {
    vectors: Vectors,
    weights: Vec<i16>,
    patch: Vec<i16>,
}

impl Unpacking {
    pub(crate) fn new(vectors: Vectors) -> Self {
        Self { vectors, weights: Vec::new(), patch: Vec::new() }
    }

    /// Kernels for a filter, a window and an input.
    fn host(&mut self, filter: &Filter<'_>, window: &Window, input: Shape) -> Host<'_> {
        self.weights.clear();
        self.weights.resize(2 * filter.offset + Host::unpacked_len(filter.data.len()), 0);
        Host::unpack_filter(filter, window.kernel[1], self.vectors, &mut self.weights[2 * filter.offset..]);
        self.patch.resize(Host::patch_of(window, input), 0);
        Host::new(self.vectors, &self.weights, &mut self.patch)
    }
}

impl Kernels for Unpacking {
    const FAMILY: Family = Family::Host;
    const NEEDS: u32 = fourbit::kernels::needs::ALL;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        self.host(&op.filter, &op.window, op.input.shape).conv2d(op, rows, scratch, out);
    }

    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        self.host(&op.filter, &op.window, op.input.shape).conv2d_add(op, add, rows, scratch, out);
    }

    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        self.host(&op.filter, &op.window, op.input.shape).depthwise_conv2d(op, rows, scratch, out);
    }

    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        self.host(&op.filter, &Window::ONE, op.as_conv2d().input.shape).matmul(op, scratch, out);
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Host::new(self.vectors, &[], &mut []).add(op, rows, out);
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Host::new(self.vectors, &[], &mut []).avg_pool2d(op, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Host::new(self.vectors, &[], &mut []).max_pool2d(op, rows, out);
    }
}
