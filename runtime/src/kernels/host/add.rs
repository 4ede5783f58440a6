//! Residual add by tables: the rescale of every value that a side can have, computed once.

use core::ops::Range;

use crate::kernels::args::{Add, Addend, TensorMut};
use crate::kernels::{Kernels, Reference};

/// Elementwise where all values fill their bytes and an addend in the output has its bits; otherwise
/// the reference does it.
pub(super) fn add(op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    let bits = out.dtype.bits();
    let sides = [op.a, op.b].map(|side| side.dtype.bits());
    let same = sides == [bits; 2];
    let whole = (same && bits == 8) || out.shape.channels.is_multiple_of(2);
    let apart = op.a.data.is_some() && op.b.data.is_some();
    if !whole || !(same || apart) {
        return Reference.add(op, rows, out);
    }
    let (a, b) = (table(&op.a), table(&op.b));
    let (min, max) = (i32::from(op.min), i32::from(op.max));
    let zero_point = out.zero_point;
    let sum = |x: u8, y: u8| {
        let sum = a[usize::from(x)].wrapping_add(b[usize::from(y)]);
        op.out.apply(sum).saturating_add(zero_point).max(min).min(max) as u8
    };
    for y in rows {
        if !same {
            mixed(op, y, out, sum);
        } else if bits == 8 {
            each(op, y, out, sum);
        } else {
            each(op, y, out, |x, y| sum(x & 0x0F, y & 0x0F) & 0x0F | sum(x >> 4, y >> 4) << 4);
        }
    }
}

/// The rescaled value of every byte or nibble.
fn table(addend: &Addend<'_>) -> [i32; 256] {
    std::array::from_fn(|stored| {
        let row = [stored as u8];
        // Above 15 a nibble's table is never read.
        let value = addend.dtype.get(&row, 0) - addend.zero_point;
        addend.rescale.apply(value)
    })
}

/// `y = sum(a, b)` for every byte of a row; an addend without data lies in `y`.
fn each(op: &Add<'_>, row: usize, out: &mut TensorMut<'_>, sum: impl Fn(u8, u8) -> u8) {
    let (a, b) = (op.a.row(out.shape, row), op.b.row(out.shape, row));
    let out = out.row(row);
    match (op.a.data, op.b.data) {
        (Some(_), Some(_)) => {
            for ((y, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *y = sum(a, b);
            }
        }
        (None, Some(_)) => {
            for (y, &b) in out.iter_mut().zip(b) {
                *y = sum(*y, b);
            }
        }
        (_, None) => {
            for (y, &a) in out.iter_mut().zip(a) {
                *y = sum(a, *y);
            }
        }
    }
}

/// `y = sum(a, b)` for every value of a row, of sides that lie apart and have bits of their own.
fn mixed(op: &Add<'_>, row: usize, out: &mut TensorMut<'_>, sum: impl Fn(u8, u8) -> u8) {
    let (a, b) = (op.a.row(out.shape, row), op.b.row(out.shape, row));
    let packed = [op.a.dtype, op.b.dtype].map(|dtype| dtype.bits() == 4);
    let value = |side: &[u8], packed: bool, i: usize| match packed {
        true => side[i / 2] >> (4 * (i % 2)) & 0x0F,
        false => side[i],
    };
    let at = |i: usize| sum(value(a, packed[0], i), value(b, packed[1], i));
    let bits = out.dtype.bits();
    for (i, y) in out.row(row).iter_mut().enumerate() {
        *y = if bits == 8 { at(i) } else { at(2 * i) & 0x0F | at(2 * i + 1) << 4 };
    }
}
