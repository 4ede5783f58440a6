//! Residual add: both sides by SMMULR, their sum by SMMLA.

use core::ops::Range;

use super::store::{Clamp, Sum};
use crate::kernels::args::{Add, TensorMut};
use crate::shape::DType;

/// Fills the rows of `out`; false, and nothing done, where the types differ in their bits or a
/// rescale does not suit.
pub(super) fn add(op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let clamp = Clamp::new(op.min, op.max);
    let bits = out.dtype.bits();
    let even = bits == 8 || out.shape.channels.is_multiple_of(2);
    let same = op.a.dtype.bits() == bits && op.b.dtype.bits() == bits;
    let Some(sum) = Sum::new(op.min.into(), op.a.zero_point, op.a.rescale, &op.b, op.out, out.zero_point)
    else {
        return false;
    };
    if !even || !same {
        return false;
    }
    let shape = out.shape;
    // A value is `((byte >> shift & mask) ^ sign) - sign`.
    let (mask, shifts): (i32, &[u32]) = if bits == 8 { (0xFF, &[0]) } else { (0x0F, &[0, 4]) };
    let signs = [op.a.dtype, op.b.dtype].map(|dtype| if dtype == DType::U4 { 0 } else { (mask + 1) / 2 });
    for y in rows {
        let sides = [op.a, op.b].map(|side| side.data.map(|_| side.row(shape, y)));
        for (i, to) in out.row(y).iter_mut().enumerate() {
            let stored = sides.map(|side| side.map_or(*to, |side| side.get(i).copied().unwrap_or(0)));
            let mut packed = 0;
            for shift in shifts {
                let value = |byte: u8, sign: i32| ((i32::from(byte) >> shift & mask) ^ sign) - sign;
                let value = clamp.apply(sum.apply(value(stored[0], signs[0]), value(stored[1], signs[1])));
                packed |= (value & mask) << shift;
            }
            *to = packed as u8;
        }
    }
    true
}
