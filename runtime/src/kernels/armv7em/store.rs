//! Rescaled sums to stored values: the clamp and the residual add, two neighbouring channels at a
//! time.
#![allow(unsafe_code)]

use super::channels::smmla;
use super::dot::Sums;
use super::dsp::{
    multiply_high_add, multiply_round, multiply_round_add, saturate_u4, saturate8, shift_left, shift_right,
};
#[cfg(target_arch = "arm")]
use super::put;
use crate::kernels::args::{Addend, Conv2d, ConvAdd, TensorMut};
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
pub(super) enum Store {
    /// Int8 over its whole range, or a ReLU's.
    Bytes,
    /// Int8, clamped.
    Clamped(Clamp),
    /// Int8 over its whole range, after a residual add of such.
    AddBytes(Sum),
    /// 4 bits.
    Nibbles(Clamp),
    /// 4 bits, after a residual add of 4 bits; whether the other addend has a sign.
    AddNibbles(Clamp, bool, Sum),
}

/// The smallest and the largest result, or all of 0..=15.
#[derive(Clone, Copy)]
pub(super) struct Clamp {
    min: i32,
    max: i32,
    relu: bool,
}

/// A residual add by SMMULR and SMMLA: each addend is shifted up so that its rescale ends at bit 32.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Sum {
    zero: i32,
    up: u32,
    multiplier: i32,
    other_zero: i32,
    other_up: u32,
    other_multiplier: i32,
    out_multiplier: i32,
    addend: i32,
    shift: u32,
    /// The convolution's own clamp.
    clamp: Clamp,
}

/// A way to store two neighbouring channels.
trait Put: Copy {
    /// Bytes that the two take.
    const BYTES: usize;
    /// Stores two values; `before` are the first and the last byte of the other addend.
    fn put(&self, to: &mut [u8], before: [u8; 2], one: i32, two: i32);
}

impl Store {
    /// What suits an operation; `None` where nothing here does.
    pub(super) fn new(op: &Conv2d<'_>, add: Option<&ConvAdd<'_>>, out: &TensorMut<'_>) -> Option<Self> {
        let clamp = Clamp::new(op.epilogue.min, op.epilogue.max);
        let bytes = out.dtype == DType::I8;
        if !op.filter.shape.outputs.is_multiple_of(2) {
            return None;
        }
        let Some(add) = add else {
            return Some(match bytes {
                true if clamp.is_int8() => Store::Bytes,
                true => Store::Clamped(clamp),
                false => Store::Nibbles(clamp),
            });
        };
        let (last, other) = (Clamp::new(add.min, add.max), &add.other);
        let sum = Sum::new(clamp, add.zero_point, add.rescale, other, add.out, out.zero_point)?;
        match other.dtype {
            DType::I8 if bytes && clamp.is_int8() && last.is_int8() => Some(Store::AddBytes(sum)),
            DType::U4 | DType::S4 if !bytes => Some(Store::AddNibbles(last, other.dtype == DType::S4, sum)),
            _ => None,
        }
    }

    /// Stores channels `2 * first` and on of two pixels. `to` are the pixels' bytes, `other` those
    /// of the other addend: empty where it lies in `to`.
    pub(super) fn pixels(&self, values: &[Sums], first: usize, to: [&mut [u8]; 2], other: [&[u8]; 2]) {
        match self {
            #[cfg(target_arch = "arm")]
            Store::Bytes => {
                put::pixels(values, to.map(|to| to.get_mut(2 * first..).unwrap_or_default()));
            }
            #[cfg(not(target_arch = "arm"))]
            Store::Bytes => pixels(Int8, values, first, to, other),
            Store::Clamped(clamp) => pixels(Clamped(*clamp), values, first, to, other),
            Store::AddBytes(sum) => pixels(AddInt8(*sum), values, first, to, other),
            Store::Nibbles(clamp) => pixels(Int4(*clamp), values, first, to, other),
            Store::AddNibbles(clamp, signed, sum) => {
                pixels(AddInt4(*clamp, *signed, *sum), values, first, to, other);
            }
        }
    }

    /// Stores channels `2 * index` and the next of eight pixels where `places` says.
    ///
    /// # Safety
    ///
    /// Every pixel at a place but `NOWHERE` lies inside `out`, its other addend inside `other`.
    pub(super) unsafe fn tiles(
        &self,
        values: &[Sums; 4],
        index: usize,
        places: &[Places; 2],
        out: &mut [u8],
        other: Option<&[u8]>,
    ) {
        match self {
            #[cfg(target_arch = "arm")]
            // SAFETY: the caller's promise; a pixel has two bytes for every pair of channels.
            Store::Bytes => unsafe { put::tiles(values, places, 2 * index, out) },
            #[cfg(target_arch = "arm")]
            // SAFETY: as above.
            Store::AddBytes(sum) => unsafe {
                put::tiles_add(values, places, 2 * index, sum, out, other);
            },
            #[cfg(not(target_arch = "arm"))]
            Store::Bytes => tiles(Int8, values, index, places, out, other),
            Store::Clamped(clamp) => tiles(Clamped(*clamp), values, index, places, out, other),
            #[cfg(not(target_arch = "arm"))]
            Store::AddBytes(sum) => tiles(AddInt8(*sum), values, index, places, out, other),
            Store::Nibbles(clamp) => tiles(Int4(*clamp), values, index, places, out, other),
            Store::AddNibbles(clamp, signed, sum) => {
                tiles(AddInt4(*clamp, *signed, *sum), values, index, places, out, other);
            }
        }
    }
}

fn pixels<P: Put>(put: P, values: &[Sums], first: usize, to: [&mut [u8]; 2], other: [&[u8]; 2]) {
    let skip = first * P::BYTES;
    let [to0, to1] = to;
    let to0 = to0.get_mut(skip..).unwrap_or_default().chunks_exact_mut(P::BYTES);
    let to1 = to1.get_mut(skip..).unwrap_or_default().chunks_exact_mut(P::BYTES);
    let other = [other[0].get(skip..).unwrap_or_default(), other[1].get(skip..).unwrap_or_default()];
    for (i, ((values, a), b)) in values.iter().zip(to0).zip(to1).enumerate() {
        let before = [before::<P>(other[0], i, a), before::<P>(other[1], i, b)];
        put.put(a, before[0], values[0] as i32, values[1] as i32);
        put.put(b, before[1], values[2] as i32, values[3] as i32);
    }
}

fn tiles<P: Put>(
    put: P,
    values: &[Sums; 4],
    index: usize,
    places: &[Places; 2],
    out: &mut [u8],
    other: Option<&[u8]>,
) {
    let skip = index * P::BYTES;
    let values = values.as_flattened().as_chunks::<2>().0;
    for (value, [to, from]) in values.iter().zip(places.as_flattened()) {
        if *to == NOWHERE {
            continue;
        }
        let start = *to as usize + skip;
        let Some(to) = out.get_mut(start..start + P::BYTES) else { continue };
        let beside = other.and_then(|other| other.get(*from as usize + skip..)).unwrap_or_default();
        put.put(to, before::<P>(beside, 0, to), value[0] as i32, value[1] as i32);
    }
}

/// The bytes of pair `i` of the other addend, which lies in `to` where it has none of its own.
#[inline(always)]
fn before<P: Put>(other: &[u8], i: usize, to: &[u8]) -> [u8; 2] {
    let at = i * P::BYTES;
    let from = other.get(at..at + P::BYTES).unwrap_or(to);
    [from.first().copied().unwrap_or(0), from.last().copied().unwrap_or(0)]
}

/// [`Store::Bytes`].
#[derive(Clone, Copy)]
struct Int8;
/// [`Store::Clamped`].
#[derive(Clone, Copy)]
struct Clamped(Clamp);
/// [`Store::AddBytes`].
#[derive(Clone, Copy)]
struct AddInt8(Sum);
/// [`Store::Nibbles`].
#[derive(Clone, Copy)]
struct Int4(Clamp);
/// [`Store::AddNibbles`].
#[derive(Clone, Copy)]
struct AddInt4(Clamp, bool, Sum);

impl Put for Int8 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn put(&self, to: &mut [u8], _before: [u8; 2], one: i32, two: i32) {
        write(to, [saturate8(one) as u8, saturate8(two) as u8]);
    }
}

impl Put for Clamped {
    const BYTES: usize = 2;

    #[inline(always)]
    fn put(&self, to: &mut [u8], _before: [u8; 2], one: i32, two: i32) {
        write(to, [self.0.apply8(one), self.0.apply8(two)]);
    }
}

impl Put for AddInt8 {
    const BYTES: usize = 2;

    #[inline(always)]
    fn put(&self, to: &mut [u8], before: [u8; 2], one: i32, two: i32) {
        let one = self.0.apply(saturate8(one), i32::from(before[0] as i8));
        let two = self.0.apply(saturate8(two), i32::from(before[1] as i8));
        write(to, [saturate8(one) as u8, saturate8(two) as u8]);
    }
}

impl Put for Int4 {
    const BYTES: usize = 1;

    #[inline(always)]
    fn put(&self, to: &mut [u8], _before: [u8; 2], one: i32, two: i32) {
        let (low, high) = (self.0.apply(one) as u8, self.0.apply(two) as u8);
        write(to, [(low & 0x0F) | (high << 4)]);
    }
}

impl Put for AddInt4 {
    const BYTES: usize = 1;

    #[inline(always)]
    fn put(&self, to: &mut [u8], before: [u8; 2], one: i32, two: i32) {
        let Self(clamp, signed, sum) = self;
        let byte = i32::from(before[0]);
        let sign = if *signed { 8 } else { 0 };
        let (b0, b1) = (((byte & 0x0F) ^ sign) - sign, ((byte >> 4) ^ sign) - sign);
        let low = clamp.apply(sum.apply(sum.clamp.apply(one), b0)) as u8;
        let high = clamp.apply(sum.apply(sum.clamp.apply(two), b1)) as u8;
        write(to, [(low & 0x0F) | (high << 4)]);
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

    fn is_int8(self) -> bool {
        (self.min, self.max) == (-128, 127)
    }

    #[inline(always)]
    pub(super) fn apply(self, value: i32) -> i32 {
        if self.relu { saturate_u4(value) } else { value.max(self.min).min(self.max) }
    }

    /// For results of 8 bits.
    #[inline(always)]
    pub(super) fn apply8(self, value: i32) -> u8 {
        saturate8(value).max(self.min).min(self.max) as u8
    }
}

impl Sum {
    /// `None` where a rescale does not suit SMMULR or SMMLA.
    pub(super) fn new(
        clamp: Clamp,
        zero: i32,
        rescale: Rescale,
        other: &Addend<'_>,
        out: Rescale,
        zero_point: i32,
    ) -> Option<Self> {
        let (addend, shift) = smmla(out, zero_point)?;
        Some(Self {
            zero,
            up: 32u32.checked_sub(rescale.shift.into())?,
            multiplier: rescale.multiplier,
            other_zero: other.zero_point,
            other_up: 32u32.checked_sub(other.rescale.shift.into())?,
            other_multiplier: other.rescale.multiplier,
            out_multiplier: out.multiplier,
            addend,
            shift,
            clamp,
        })
    }

    /// The sum of two stored values, not clamped yet. `|value - zero| < 2^(shift-1)`, the
    /// precondition of a rescale, keeps the shifted values in a word.
    #[inline(always)]
    pub(super) fn apply(&self, value: i32, other: i32) -> i32 {
        let value = shift_left(value - self.zero, self.up);
        let other = shift_left(other - self.other_zero, self.other_up);
        let sum = multiply_round(value, self.multiplier);
        let sum = multiply_round_add(other, self.other_multiplier, sum);
        shift_right(multiply_high_add(sum, self.out_multiplier, self.addend), self.shift)
    }
}
