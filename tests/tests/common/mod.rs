//! Kernels that the host's tests run: the simulator's, and a plain one with errors to plant.

pub(crate) mod plain;

use std::ops::Range;

use fourbit::kernels::{Add, Conv2d, ConvAdd, Family, Filter, Host, Kernels, MatMul, Pool, TensorMut};

/// The simulator's kernels for single operations: unpacks the filter before each.
#[derive(Default)]
pub(crate) struct Unpacking {
    weights: Vec<i16>,
    patch: Vec<i16>,
}

impl Unpacking {
    /// Kernels for a filter and patches of so many values.
    fn host(&mut self, filter: &Filter<'_>, columns: usize) -> Host<'_> {
        self.weights.clear();
        self.weights.resize(2 * filter.offset + Host::unpacked_len(filter.data.len()), 0);
        Host::unpack_filter(filter.data, filter.bits, &mut self.weights[2 * filter.offset..]);
        self.patch.resize(2 * columns, 0);
        Host::new(&self.weights, &mut self.patch)
    }
}

impl Kernels for Unpacking {
    const FAMILY: Family = Family::Host;
    const NEEDS: u32 = fourbit::kernels::needs::ALL;

    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        self.host(&op.filter, op.filter.shape.taps * op.input.shape.channels).conv2d(op, rows, scratch, out);
    }

    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        self.host(&op.filter, op.filter.shape.taps * op.input.shape.channels)
            .conv2d_add(op, add, rows, scratch, out);
    }

    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    ) {
        self.host(&op.filter, op.filter.shape.taps * op.input.shape.channels)
            .depthwise_conv2d(op, rows, scratch, out);
    }

    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>) {
        self.host(&op.filter, op.filter.shape.inputs).matmul(op, scratch, out);
    }

    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Host::new(&[], &mut []).add(op, rows, out);
    }

    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Host::new(&[], &mut []).avg_pool2d(op, rows, out);
    }

    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
        Host::new(&[], &mut []).max_pool2d(op, rows, out);
    }
}
