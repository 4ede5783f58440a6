//! Residual add by tables, the rescale of every value that a side can have computed once; or sixteen values at
//! a time where the processor has AVX-512.

use core::ops::Range;

use super::Vectors;
use crate::kernels::args::{Add, Addend, TensorMut};
use crate::kernels::{Kernels, Reference};

/// Elementwise where all values fill their bytes and an addend in the output has its bits; otherwise
/// the reference does it.
pub(super) fn add(op: &Add<'_>, vectors: Vectors, rows: Range<usize>, out: &mut TensorMut<'_>) {
    let bits = out.dtype.bits();
    let sides = [op.a, op.b].map(|side| side.dtype.bits());
    let same = sides == [bits; 2];
    let whole = (same && bits == 8) || out.shape.channels.is_multiple_of(2);
    let apart = op.a.data.is_some() && op.b.data.is_some();
    if !whole || !(same || apart) {
        return Reference.add(op, rows, out);
    }
    #[cfg(target_arch = "x86_64")]
    if same && bits == 8 && vectors == Vectors::Avx512 {
        return rows.for_each(|y| sixteen::row(op, y, out));
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

#[cfg(target_arch = "x86_64")]
mod sixteen {
    use std::arch::x86_64::{
        __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm512_add_epi32, _mm512_cvtepi8_epi32,
        _mm512_set1_epi32, _mm512_set1_epi64, _mm512_sub_epi32,
    };

    use super::super::bytes::{rescaled, stored};
    use super::{Add, Addend, TensorMut};
    use crate::requant::Rescale;

    /// Values of a vector.
    const LANES: usize = 16;

    /// A row of int8 values. Only for [`Vectors::Avx512`](super::Vectors), which the processor
    /// has.
    pub(super) fn row(op: &Add<'_>, y: usize, out: &mut TensorMut<'_>) {
        // SAFETY: the caller has found the instructions.
        unsafe { values(op, y, out) }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn values(op: &Add<'_>, y: usize, out: &mut TensorMut<'_>) {
        let (a, b) = (op.a.row(out.shape, y), op.b.row(out.shape, y));
        let (apart, zero_point) = ([op.a.data.is_some(), op.b.data.is_some()], out.zero_point);
        for (at, to) in out.row(y).chunks_mut(LANES).enumerate() {
            let mut sides = [[0; LANES]; 2];
            for ((side, from), apart) in sides.iter_mut().zip([a, b]).zip(apart) {
                let from = if apart { from.get(at * LANES..).unwrap_or_default() } else { &*to };
                let count = to.len().min(from.len());
                side[..count].copy_from_slice(&from[..count]);
            }
            let sums = sums(op, zero_point, &sides);
            to.copy_from_slice(&sums[..to.len()]);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn sums(op: &Add<'_>, zero_point: i32, [a, b]: &[[u8; LANES]; 2]) -> [u8; LANES] {
        let sum = apply(op.out, _mm512_add_epi32(side(&op.a, a), side(&op.b, b)));
        let range = [op.min, op.max].map(|end| _mm512_set1_epi32(i32::from(end) - zero_point));
        let sum = stored(sum, range, _mm512_set1_epi32(zero_point));
        let mut bytes = [0; LANES];
        // SAFETY: sixteen bytes are written.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), sum) };
        bytes
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn side(addend: &Addend<'_>, values: &[u8; LANES]) -> __m512i {
        // SAFETY: sixteen bytes are read.
        let values = _mm512_cvtepi8_epi32(unsafe { _mm_loadu_si128(values.as_ptr().cast()) });
        apply(addend.rescale, _mm512_sub_epi32(values, _mm512_set1_epi32(addend.zero_point)))
    }

    /// [`Rescale::apply`].
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn apply(rescale: Rescale, values: __m512i) -> __m512i {
        let shift = i64::from(rescale.shift & 63);
        let multiplier = _mm512_set1_epi64(rescale.multiplier.into());
        let (round, shift) = (_mm512_set1_epi64((1i64 << shift) >> 1), _mm512_set1_epi64(shift));
        rescaled(values, &[[multiplier, round, shift]; 2])
    }
}
