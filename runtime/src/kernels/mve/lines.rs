//! Runs of stored values to int8 and back.

use crate::shape::DType;

/// Widens the first values of a run that starts at a byte.
pub(super) fn widen(from: &[u8], dtype: DType, to: &mut [u8]) {
    match dtype {
        DType::I8 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        DType::U4 => nibbles(from, to, |nibble| nibble),
        DType::S4 => nibbles(from, to, |nibble| (nibble ^ 8).wrapping_sub(8)),
    }
}

#[inline(always)]
fn nibbles(from: &[u8], to: &mut [u8], value: impl Fn(u8) -> u8) {
    for (to, from) in to.chunks_mut(2).zip(from) {
        for (to, nibble) in to.iter_mut().zip([from & 0x0F, from >> 4]) {
            *to = value(nibble);
        }
    }
}

/// Stores a run of values, which fit, from a byte on; an unused nibble becomes zero.
pub(super) fn store(from: &[u8], dtype: DType, to: &mut [u8]) {
    if dtype == DType::I8 {
        return to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    let (pairs, last) = from.as_chunks::<2>();
    for (to, [low, high]) in to.iter_mut().zip(pairs) {
        *to = low & 0x0F | high << 4;
    }
    if let (Some(to), [last]) = (to.get_mut(pairs.len()), last) {
        *to = last & 0x0F;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_round_trip() {
        let values = [1, 0xF9, 7, 0xF8, 5];
        let (mut packed, mut back) = ([0xFF; 4], [0; 5]);
        store(&values, DType::S4, &mut packed);
        assert_eq!(packed, [0x91, 0x87, 0x05, 0xFF]);
        widen(&packed, DType::S4, &mut back);
        assert_eq!(back, values);
        widen(&packed, DType::U4, &mut back);
        assert_eq!(back, [1, 9, 7, 8, 5]);
        store(&values, DType::I8, &mut back);
        assert_eq!(back, values);
    }
}
