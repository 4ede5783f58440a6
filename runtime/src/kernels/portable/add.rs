//! Residual add: both sides and their sum rescaled in 32-bit arithmetic.

use core::ops::Range;

use super::constants::apply;
use crate::kernels::args::{Add, TensorMut};

/// Fills the rows of `out`; false, and nothing done, where the types differ in their bits.
pub(super) fn add(op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    if [op.a.dtype, op.b.dtype].iter().any(|side| side.bits() != dtype.bits()) {
        return false;
    }
    let (min, max) = (i32::from(op.min), i32::from(op.max));
    // Of the values in a byte, the second of which may be none.
    let last = if dtype.bits() == 8 { 1 } else { 2 };
    let pixel = dtype.row_bytes(shape.channels);
    for y in rows {
        let row = out.row(y);
        let [a, b] = [&op.a, &op.b].map(|side| side.data.map(|_| side.row(shape, y)));
        for x in 0..shape.width {
            let Some(to) = row.get_mut(x * pixel..(x + 1) * pixel) else { break };
            for (i, to) in to.iter_mut().enumerate() {
                let [a, b] = [a, b].map(|side| match side {
                    Some(row) => row.get(x * pixel + i).copied().unwrap_or(0),
                    None => *to,
                });
                let mut stored = 0;
                for nibble in 0..last.min(shape.channels - last * i) {
                    let a = apply(op.a.rescale, op.a.dtype.get(&[a], nibble) - op.a.zero_point);
                    let b = apply(op.b.rescale, op.b.dtype.get(&[b], nibble) - op.b.zero_point);
                    let sum = apply(op.out, a.wrapping_add(b)).saturating_add(zero_point);
                    dtype.set(core::slice::from_mut(&mut stored), nibble, sum.max(min).min(max));
                }
                *to = stored;
            }
        }
    }
    true
}
