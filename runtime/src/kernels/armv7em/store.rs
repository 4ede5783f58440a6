//! Rescaled sums to stored values: the clamp and the residual add, two neighbouring channels at a
//! time.
#![allow(unsafe_code)]

use super::channels::{self, Pair, smmla};
use super::dot::Sums;
use super::dsp::{multiply_high_add, multiply_round, multiply_round_add, saturate_u4, shift_right};
#[cfg(target_arch = "arm")]
use super::put;
use crate::kernels::args::{Addend, Conv2d, ConvAdd, TensorMut};
use crate::kernels::needs::{NIBBLES, has};
use crate::requant::Rescale;
use crate::shape::DType;

/// Where an output pixel lies in the output, and in the other addend: offsets of its first channel.
pub(super) type Place = [u32; 2];
/// A tile's four pixels, row by row.
pub(super) type Places = [Place; 4];
/// An offset that is in no tensor.
pub(super) const NOWHERE: u32 = u32::MAX;

/// How an operation's values are stored.
#[derive(Clone, Copy)]
pub(super) struct Store<const NEEDS: u32> {
    #[cfg(target_arch = "arm")]
    put: put::Put,
    /// The storage has 8 bits.
    bytes: bool,
    /// The convolution's clamp.
    clamp: Clamp,
    add: Option<After>,
}

/// A residual add of what has the output's bits.
#[derive(Clone, Copy)]
struct After {
    sum: Sum,
    /// The sum's clamp.
    clamp: Clamp,
    /// Whether nibbles of the other addend have a sign.
    signed: bool,
}

/// The smallest and the largest result, or all of 0..=15.
#[derive(Clone, Copy)]
pub(super) struct Clamp {
    min: i32,
    max: i32,
    relu: bool,
}

/// A residual add by MLA, SMMULR and SMMLA.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Sum {
    first: Side,
    /// The smallest value of the first addend, for [`put`](super::put).
    least: i32,
    other: Side,
    multiplier: i32,
    addend: i32,
    shift: u32,
}

/// An addend: less its zero point, shifted up so that its rescale ends at bit 32.
#[derive(Clone, Copy)]
#[repr(C)]
struct Side {
    power: i32,
    offset: i32,
    multiplier: i32,
}

impl Side {
    fn new(zero_point: i32, rescale: Rescale) -> Option<Self> {
        let power = 1i32.wrapping_shl(32u32.checked_sub(rescale.shift.into())?);
        Some(Self {
            power,
            offset: zero_point.wrapping_mul(power).wrapping_neg(),
            multiplier: rescale.multiplier,
        })
    }

    /// `|value - zero point| < 2^(shift-1)`, the precondition of a rescale, keeps it in a word.
    #[inline(always)]
    fn up(&self, value: i32) -> i32 {
        value.wrapping_mul(self.power).wrapping_add(self.offset)
    }
}

impl<const NEEDS: u32> Store<NEEDS> {
    /// What suits an operation; `None` where nothing here does.
    pub(super) fn new(op: &Conv2d<'_>, add: Option<&ConvAdd<'_>>, out: &TensorMut<'_>) -> Option<Self> {
        let clamp = Clamp::new(op.epilogue.min, op.epilogue.max);
        let bytes = !has(NEEDS, NIBBLES) || out.dtype == DType::I8;
        let after = match add {
            None => None,
            Some(add) => {
                let sum =
                    Sum::new(clamp.min, add.zero_point, add.rescale, &add.other, add.out, out.zero_point)?;
                let signed = add.other.dtype == DType::S4;
                Some(After { sum, clamp: Clamp::new(add.min, add.max), signed })
            }
        };
        let bits = add.map_or(out.dtype.bits(), |add| add.other.dtype.bits());
        // Nibbles are not in the needs of kernels for bytes alone.
        let suits = op.filter.shape.outputs.is_multiple_of(2)
            && bits == out.dtype.bits()
            && bytes == (out.dtype == DType::I8);
        #[cfg(target_arch = "arm")]
        let put = {
            let after = after.map(|after| ([after.clamp.min, after.clamp.max], after.signed));
            put::Put::new(bytes, [clamp.min, clamp.max], after)
        };
        suits.then_some(Self {
            #[cfg(target_arch = "arm")]
            put,
            bytes,
            clamp,
            add: after,
        })
    }

    /// Rescales and stores channels `2 * first` and on of two pixels, the first of `table`. `to` are
    /// the pixels' bytes, `other` the other addend's from the first pixel on: empty where it lies in `to`.
    pub(super) fn pixels(
        &self,
        sums: &mut [Sums],
        table: &[Pair],
        first: usize,
        to: [&mut [u8]; 2],
        other: &[u8],
    ) {
        let (skip, pixel) = (first * self.step(), to[0].len());
        let [one, two] = to;
        let (one, two) = (one.get_mut(skip..).unwrap_or_default(), two.get_mut(skip..).unwrap_or_default());
        #[cfg(target_arch = "arm")]
        if self.put.pixels(sums, table, [&mut *one, &mut *two]) {
            return;
        }
        channels::rescale(sums, table);
        let others = [other, other.get(pixel..).unwrap_or_default()];
        for (to, other, at) in [(one, others[0], 0), (two, others[1], 2)] {
            let pairs = to.chunks_exact_mut(self.step().max(1)).zip(&*sums);
            for (i, (to, values)) in pairs.enumerate() {
                self.put(to, other.get(skip + i * self.step()..), values[at & 3], values[(at + 1) & 3]);
            }
        }
    }

    /// Stores two neighbouring channels of eight pixels or a multiple where `places` says, `skip` bytes
    /// behind.
    ///
    /// # Safety
    ///
    /// There are values, and places for all. Every pixel at a place but `NOWHERE` lies inside `out`, every
    /// other addend inside `other`.
    #[inline(always)]
    pub(super) unsafe fn tiles(
        &self,
        values: &[[Sums; 4]],
        skip: usize,
        places: &[[Places; 2]],
        out: &mut [u8],
        other: Option<&[u8]>,
    ) {
        #[cfg(target_arch = "arm")]
        // SAFETY: the caller's promise; a pixel has a step for every pair of channels.
        if unsafe { self.put.tiles(values, places, skip, self.add.as_ref().map(|add| &add.sum), out, other) }
        {
            return;
        }
        self.general(values, skip, places, out, other);
    }

    #[inline(never)]
    fn general(
        &self,
        values: &[[Sums; 4]],
        skip: usize,
        places: &[[Places; 2]],
        out: &mut [u8],
        other: Option<&[u8]>,
    ) {
        let values = values.as_flattened().as_flattened().as_chunks::<2>().0;
        for (value, [to, from]) in values.iter().zip(places.as_flattened().as_flattened()) {
            if *to != NOWHERE
                && let Some(to) = out.get_mut(*to as usize + skip..)
            {
                self.put(to, other.and_then(|other| other.get(*from as usize + skip..)), value[0], value[1]);
            }
        }
    }

    /// Whether the storage has 8 bits.
    fn bytes(&self) -> bool {
        !has(NEEDS, NIBBLES) || self.bytes
    }

    /// Bytes that two neighbouring channels take.
    pub(super) fn step(&self) -> usize {
        if self.bytes() { 2 } else { 1 }
    }

    /// Stores two values; the other addend lies at the start of `other`, or in `to`.
    fn put(&self, to: &mut [u8], other: Option<&[u8]>, one: u32, two: u32) {
        let (mut one, mut two) = (self.clamp.apply(one as i32), self.clamp.apply(two as i32));
        if let Some(add) = &self.add {
            let from = other.filter(|other| !other.is_empty()).unwrap_or(to);
            let first = from.first().copied().unwrap_or(0);
            let (a, b) = if self.bytes() {
                let second = from.get(1).copied().unwrap_or(0);
                (i32::from(first as i8), i32::from(second as i8))
            } else {
                let sign = if add.signed { 8 } else { 0 };
                ((i32::from(first & 0x0F) ^ sign) - sign, (i32::from(first >> 4) ^ sign) - sign)
            };
            one = add.clamp.apply(add.sum.apply(one, a));
            two = add.clamp.apply(add.sum.apply(two, b));
        }
        if self.bytes() {
            write(to, [one as u8, two as u8]);
        } else {
            write(to, [(one & 0x0F) as u8 | (two << 4) as u8]);
        }
    }
}

#[inline(always)]
fn write<const N: usize>(to: &mut [u8], bytes: [u8; N]) {
    if let Some(to) = to.first_chunk_mut() {
        *to = bytes;
    }
}

impl Clamp {
    pub(super) fn new(min: i8, max: i8) -> Self {
        Self { min: i32::from(min), max: i32::from(max), relu: (min, max) == (0, 15) }
    }

    #[inline(always)]
    pub(super) fn apply(self, value: i32) -> i32 {
        if self.relu { saturate_u4(value) } else { value.max(self.min).min(self.max) }
    }
}

impl Sum {
    /// `None` where a rescale does not suit SMMULR or SMMLA.
    pub(super) fn new(
        least: i32,
        zero_point: i32,
        rescale: Rescale,
        other: &Addend<'_>,
        out: Rescale,
        out_zero_point: i32,
    ) -> Option<Self> {
        let (addend, shift) = smmla(out, out_zero_point)?;
        let first = Side::new(zero_point, rescale)?;
        let other = Side::new(other.zero_point, other.rescale)?;
        Some(Self { first, least, other, multiplier: out.multiplier, addend, shift })
    }

    /// The sum of two stored values, not clamped yet.
    #[inline(always)]
    pub(super) fn apply(&self, value: i32, other: i32) -> i32 {
        let sum = multiply_round(self.first.up(value), self.first.multiplier);
        let sum = multiply_round_add(self.other.up(other), self.other.multiplier, sum);
        shift_right(multiply_high_add(sum, self.multiplier, self.addend), self.shift)
    }
}
