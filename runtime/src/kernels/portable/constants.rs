//! What finishes sums, in 32-bit arithmetic: rescales, clamps and residual adds.

use crate::kernels::args::{ConvAdd, Epilogue};
use crate::requant::Rescale;

/// [`Rescale::apply`] for values that meet its precondition, without a value of 64 bits.
#[inline]
pub(super) fn apply(rescale: Rescale, value: i32) -> i32 {
    let shift = u32::from(rescale.shift);
    match shift.checked_sub(33) {
        // Half a step is whole in the product's upper word.
        Some(more) => (multiply(value, rescale.multiplier).0 + (1 << (more & 31))) >> ((more + 1) & 31),
        // The precondition leaves room to shift the value instead of the product.
        None => {
            let (high, low) = multiply(value << ((32 - shift) & 31), rescale.multiplier);
            high.wrapping_add((low >> 31) as i32)
        }
    }
}

/// Upper and lower half of a product, by multiplications of 32 bits; `b` is not negative.
#[inline]
fn multiply(a: i32, b: i32) -> (i32, u32) {
    let [a_low, b_low] = [a & 0xFFFF, b & 0xFFFF];
    let [a_high, b_high] = [a >> 16, b >> 16];
    let low = (a_low as u32).wrapping_mul(b_low as u32);
    let middle = a_high.wrapping_mul(b_low).wrapping_add((low >> 16) as i32);
    let other = a_low.wrapping_mul(b_high).wrapping_add(middle & 0xFFFF);
    let high = a_high.wrapping_mul(b_high).wrapping_add(middle >> 16).wrapping_add(other >> 16);
    (high, (a as u32).wrapping_mul(b as u32))
}

/// An output channel's bias, rescale and clamp.
#[derive(Clone, Copy)]
pub(super) struct Channel {
    bias: i32,
    rescale: Rescale,
    zero_point: i32,
    min: i32,
    max: i32,
}

impl Channel {
    /// The constants of a channel; 0 for one behind the last.
    pub(super) fn new(epilogue: &Epilogue<'_>, output: usize, zero_point: i32) -> Self {
        Self {
            bias: epilogue.bias(output),
            rescale: epilogue.rescale(output),
            zero_point,
            min: i32::from(epilogue.min),
            max: i32::from(epilogue.max),
        }
    }

    /// A sum of products to an output value.
    #[inline]
    pub(super) fn finish(&self, sum: i32) -> i32 {
        let value = apply(self.rescale, sum.wrapping_add(self.bias)).saturating_add(self.zero_point);
        value.max(self.min).min(self.max)
    }
}

/// A convolution's value and the other addend's stored one to the sum's.
#[inline]
pub(super) fn add(add: &ConvAdd<'_>, value: i32, other: i32, zero_point: i32) -> i32 {
    let other = apply(add.other.rescale, other - add.other.zero_point);
    let sum = apply(add.rescale, value - add.zero_point).wrapping_add(other);
    let sum = apply(add.out, sum).saturating_add(zero_point);
    sum.max(i32::from(add.min)).min(i32::from(add.max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_halves() {
        for a in [0, 1, -1, 0x7FFF, 0x1_0000, -0x8000, -0x1_0001, 123_456_789, i32::MAX, i32::MIN] {
            for b in [0, 1, 0xFFFF, 0x1_0000, 1 << 30, 0x5A5A_A5A5, i32::MAX] {
                let product = i64::from(a) * i64::from(b);
                assert_eq!(multiply(a, b), ((product >> 32) as i32, product as u32), "{a} {b}");
            }
        }
    }

    #[test]
    fn every_shift_rounds_as_the_definition() {
        for shift in 2..=62u8 {
            let most = ((1i64 << (shift - 1)) - 1).min(i32::MAX.into()) as i32;
            for multiplier in [1 << 30, 3 << 29, 0x5A5A_A5A5, i32::MAX] {
                let rescale = Rescale { multiplier, shift };
                for value in [0, 1, 2, 3, 5, most / 3, most - 1, most].into_iter().flat_map(|v| [v, -v]) {
                    let value = value.clamp(-most, most);
                    assert_eq!(apply(rescale, value), rescale.apply(value), "{value} {rescale:?}");
                }
            }
        }
    }
}
