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
    let [a_sign, b_sign] = [op.a.dtype, op.b.dtype].map(|dtype| if dtype == DType::S4 { 8 } else { 0 });
    for y in rows {
        let to = out.row(y);
        let [a, b] = [op.a, op.b].map(|side| side.data.map(|_| side.row(shape, y)));
        if bits == 8 {
            let byte = |a: u8, b: u8| clamp.apply8(sum.apply((a as i8).into(), (b as i8).into()));
            each(a, b, to, byte);
        } else {
            let nibble = |a: u8, b: u8| {
                let [a, b] = [(a, a_sign), (b, b_sign)].map(|(v, sign)| (i32::from(v & 0x0F) ^ sign) - sign);
                clamp.apply(sum.apply(a, b)) as u8 & 0x0F
            };
            each(a, b, to, |a, b| nibble(a, b) | nibble(a >> 4, b >> 4) << 4);
        }
    }
    true
}

/// `y = sum(a, b)` for every byte; a side without data lies in `y`.
#[inline(always)]
fn each(a: Option<&[u8]>, b: Option<&[u8]>, to: &mut [u8], sum: impl Fn(u8, u8) -> u8) {
    match (a, b) {
        (Some(a), Some(b)) => {
            for ((y, &a), &b) in to.iter_mut().zip(a).zip(b) {
                *y = sum(a, b);
            }
        }
        (None, Some(b)) => {
            for (y, &b) in to.iter_mut().zip(b) {
                *y = sum(*y, b);
            }
        }
        (a, None) => {
            for (y, a) in to.iter_mut().zip(a.into_iter().flatten()) {
                *y = sum(*a, *y);
            }
        }
    }
}
