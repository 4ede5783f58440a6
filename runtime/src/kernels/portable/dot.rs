//! Products of two patches with one vector of weights: every product of the dense operations is made here.
//!
//! A packed word is the sum of one channel's weight and 2^16 times the next one's, each of 4 bits: so
//! many products add up in both halves of a word before the lower one leaves 16 bits.

use crate::shape::DType;

/// Sums of two positions, of two channels each; words that are not packed use the first.
pub(super) type Sums = [[i32; 2]; 2];

/// Packed products of 8-bit values in a word: 28 times 8 times 128 stays below 2^15.
const BYTES: usize = 28;
/// Bytes of two 4-bit values each: 256 times 8 times 15 stays below 2^15.
const NIBBLES: usize = 128;

/// Adds the products of stored values, as they are, with a word for each: as many as all slices have.
pub(super) fn add<const PACKED: bool>(dtype: DType, weights: &[i32], patches: [&[u8]; 2], sums: &mut Sums) {
    match dtype {
        DType::I8 => bytes::<PACKED>(weights, patches, sums),
        DType::U4 => nibbles::<PACKED>(weights, patches, sums, |byte| [byte & 0x0F, byte >> 4]),
        DType::S4 => nibbles::<PACKED>(weights, patches, sums, |byte| [byte << 28 >> 28, byte << 24 >> 28]),
    }
}

/// Sums of the words themselves, as of values of one.
pub(super) fn total<const PACKED: bool>(weights: &[i32]) -> [i32; 2] {
    let (mut sum, mut rest) = ([0; 2], weights);
    while !rest.is_empty() {
        let part = head(&mut rest, if PACKED { NIBBLES } else { usize::MAX });
        spill::<PACKED>(part.iter().fold(0, |sum: i32, &weight| sum.wrapping_add(weight)), &mut sum);
    }
    sum
}

#[inline(never)]
fn bytes<const PACKED: bool>(mut weights: &[i32], [mut a, mut b]: [&[u8]; 2], sums: &mut Sums) {
    let size = if PACKED { BYTES } else { usize::MAX };
    while !weights.is_empty() {
        let (weights, a, b) = (head(&mut weights, size), head(&mut a, size), head(&mut b, size));
        let (mut one, mut two) = (0i32, 0i32);
        let (weights, more_weights) = weights.as_chunks::<4>();
        let ((a, more_a), (b, more_b)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
        for ((&[w0, w1, w2, w3], &[a0, a1, a2, a3]), &[b0, b1, b2, b3]) in weights.iter().zip(a).zip(b) {
            (one, two) = (plus(one, a0, w0), plus(two, b0, w0));
            (one, two) = (plus(one, a1, w1), plus(two, b1, w1));
            (one, two) = (plus(one, a2, w2), plus(two, b2, w2));
            (one, two) = (plus(one, a3, w3), plus(two, b3, w3));
        }
        for ((&weight, &a), &b) in more_weights.iter().zip(more_a).zip(more_b) {
            (one, two) = (plus(one, a, weight), plus(two, b, weight));
        }
        let parts = [one, two];
        spill::<PACKED>(parts[0], &mut sums[0]);
        spill::<PACKED>(parts[1], &mut sums[1]);
    }
}

#[inline(always)]
fn nibbles<const PACKED: bool>(
    weights: &[i32],
    [mut a, mut b]: [&[u8]; 2],
    sums: &mut Sums,
    values: impl Fn(i32) -> [i32; 2],
) {
    let size = if PACKED { NIBBLES } else { usize::MAX / 2 };
    let mut weights = weights.as_chunks::<2>().0;
    while !weights.is_empty() {
        let (weights, a, b) = (head(&mut weights, size), head(&mut a, size), head(&mut b, size));
        let mut parts = [0; 2];
        for ((&[even, odd], &a), &b) in weights.iter().zip(a).zip(b) {
            let [a, b] = [a, b].map(|byte| values(i32::from(byte)));
            step(&mut parts, even, [a[0], b[0]]);
            step(&mut parts, odd, [a[1], b[1]]);
        }
        spill::<PACKED>(parts[0], &mut sums[0]);
        spill::<PACKED>(parts[1], &mut sums[1]);
    }
}

#[inline(always)]
fn plus(sum: i32, byte: u8, weight: i32) -> i32 {
    sum.wrapping_add(i32::from(byte as i8).wrapping_mul(weight))
}

/// Takes at most `size` elements from the front: no division, as `chunks` would need.
#[inline(always)]
fn head<'a, T>(rest: &mut &'a [T], size: usize) -> &'a [T] {
    let (head, tail) = rest.split_at_checked(size).unwrap_or((*rest, &[]));
    *rest = tail;
    head
}

#[inline(always)]
fn step(parts: &mut [i32; 2], weight: i32, [a, b]: [i32; 2]) {
    *parts = [parts[0].wrapping_add(a.wrapping_mul(weight)), parts[1].wrapping_add(b.wrapping_mul(weight))];
}

/// Adds both halves of a word of products to their sums.
#[inline(always)]
fn spill<const PACKED: bool>(part: i32, sums: &mut [i32; 2]) {
    if PACKED {
        let low = i32::from(part as i16);
        *sums = [sums[0].wrapping_add(low), sums[1].wrapping_add(part.wrapping_sub(low) >> 16)];
    } else {
        sums[0] = sums[0].wrapping_add(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(a: i32, b: i32) -> i32 {
        a + (b << 16)
    }

    #[test]
    fn halves_do_not_meet() {
        // The largest products of either sign, more of them than a word holds.
        let weights: Vec<i32> = (0..100).map(|i| packed(-8, if i < 50 { 7 } else { -8 })).collect();
        let mut sums = [[1, 2], [0; 2]];
        add::<true>(DType::I8, &weights, [&[0x80; 100], &[0x7F; 100]], &mut sums);
        assert_eq!(sums, [[1 + 100 * 1024, 2 + 50 * 128], [-100 * 1016, -50 * 127]]);
        assert_eq!(total::<true>(&weights), [-800, -50]);
    }

    #[test]
    fn nibbles_come_in_pairs() {
        let weights = [packed(1, -1), packed(2, 3)];
        let mut sums = [[0; 2]; 2];
        add::<true>(DType::U4, &weights, [&[0xF1], &[0x2F]], &mut sums);
        assert_eq!(sums, [[1 + 30, -1 + 45], [15 + 4, -15 + 6]]);
        let mut sums = [[0; 2]; 2];
        add::<false>(DType::S4, &[1, 100], [&[0xF1], &[0x28]], &mut sums);
        assert_eq!(sums, [[1 - 100, 0], [-8 + 200, 0]]);
    }
}
