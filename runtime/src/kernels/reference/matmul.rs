//! Product of activation rows with a constant matrix: TOSA's 1x1 CONV2D over rows.

use crate::kernels::args::{MatMul, TensorMut};

/// Every row of the input against every row of the weights.
pub(super) fn matmul(op: &MatMul<'_>, out: &mut TensorMut<'_>) {
    let columns = op.filter.shape.inputs;
    let outputs = op.filter.shape.outputs;
    let (in_bytes, out_bytes) = (op.dtype.row_bytes(columns), out.dtype.row_bytes(outputs));
    for row in 0..op.rows {
        let x = op.input.get(row * in_bytes..).unwrap_or(&[]);
        let y = out.data.get_mut(row * out_bytes..(row + 1) * out_bytes).unwrap_or(&mut []);
        y.fill(0);
        for output in 0..outputs {
            let mut acc = op.epilogue.bias(output);
            for i in 0..columns {
                acc += (op.dtype.get(x, i) - op.zero_point) * op.filter.get(output, 0, i);
            }
            out.dtype.set(y, output, op.epilogue.finish(output, acc, out.zero_point));
        }
    }
}
