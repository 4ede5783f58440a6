//! Sums to outputs: bias, rescale, zero point and clamp, four channels at a time.

use super::Vectors;
use crate::kernels::args::Epilogue;
use crate::requant::Rescale;

/// Channels finished together.
pub(super) const CHANNELS: usize = 4;

/// The int8 outputs of four sums from channel `first` on; `None` where not all four have constants.
pub(super) type Finish = fn(&Epilogue<'_>, i32, usize, [i32; CHANNELS]) -> Option<[u8; CHANNELS]>;

/// That of vectors which this processor has.
pub(super) fn of(vectors: Vectors) -> Finish {
    #[cfg(target_arch = "x86_64")]
    if vectors >= Vectors::Avx2 {
        return avx2::finish;
    }
    plain
}

/// The constants of four channels.
struct Constants {
    bias: [i32; CHANNELS],
    multiplier: [i32; CHANNELS],
    shift: [u8; CHANNELS],
}

impl Constants {
    #[inline(always)]
    fn of(epilogue: &Epilogue<'_>, first: usize) -> Option<Self> {
        let words = |bytes: &[u8]| {
            let words: &[[u8; 4]; CHANNELS] = bytes.as_chunks().0.get(first..)?.first_chunk()?;
            Some(words.map(i32::from_le_bytes))
        };
        let shift = *epilogue.shift.get(first..)?.first_chunk()?;
        Some(Self { bias: words(epilogue.bias)?, multiplier: words(epilogue.multiplier)?, shift })
    }
}

/// One channel after the other.
fn plain(
    epilogue: &Epilogue<'_>,
    zero_point: i32,
    first: usize,
    sums: [i32; CHANNELS],
) -> Option<[u8; CHANNELS]> {
    let Constants { bias, multiplier, shift } = Constants::of(epilogue, first)?;
    let (min, max) = (i32::from(epilogue.min), i32::from(epilogue.max));
    Some(core::array::from_fn(|i| {
        let rescale = Rescale { multiplier: multiplier[i], shift: shift[i] };
        rescale.apply(sums[i].wrapping_add(bias[i])).saturating_add(zero_point).max(min).min(max) as u8
    }))
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_cvtsi32_si128, _mm_extract_epi32, _mm_max_epi32, _mm_min_epi32,
        _mm_set_epi32, _mm_set1_epi32, _mm256_add_epi64, _mm256_castsi256_si128, _mm256_cvtepi32_epi64,
        _mm256_cvtepu8_epi64, _mm256_mul_epi32, _mm256_permutevar8x32_epi32, _mm256_set_epi32,
        _mm256_set1_epi64x, _mm256_sllv_epi64, _mm256_srlv_epi64, _mm256_sub_epi64, _mm256_xor_si256,
    };

    use super::{CHANNELS, Constants, Epilogue};

    /// Only [`super::of`] gives this function away.
    pub(super) fn finish(
        epilogue: &Epilogue<'_>,
        zero_point: i32,
        first: usize,
        sums: [i32; CHANNELS],
    ) -> Option<[u8; CHANNELS]> {
        let constants = Constants::of(epilogue, first)?;
        let (min, max) = (i32::from(epilogue.min), i32::from(epilogue.max));
        // SAFETY: `of` gives it away where the processor has AVX2, which is all that the function asks for.
        Some(unsafe { vectors(&constants, [min, max], zero_point, sums) })
    }

    /// Four products of 64 bits. There is no arithmetic shift of 64 bits: the sign is made an offset of
    /// 2^63, which the logical shift turns into 2^(63 - s).
    #[target_feature(enable = "avx2")]
    fn vectors(
        constants: &Constants,
        [min, max]: [i32; 2],
        zero_point: i32,
        sums: [i32; CHANNELS],
    ) -> [u8; CHANNELS] {
        let (one, offset) = (_mm256_set1_epi64x(1), _mm256_set1_epi64x(i64::MIN));
        let shift = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(i32::from_le_bytes(constants.shift)));
        let half = _mm256_sllv_epi64(one, _mm256_sub_epi64(shift, one));
        let acc = _mm_add_epi32(four(sums), four(constants.bias));
        let acc = _mm256_cvtepi32_epi64(acc);
        let product = _mm256_mul_epi32(acc, _mm256_cvtepi32_epi64(four(constants.multiplier)));
        let moved = _mm256_xor_si256(_mm256_add_epi64(product, half), offset);
        let back = _mm256_srlv_epi64(offset, shift);
        let scaled = _mm256_sub_epi64(_mm256_srlv_epi64(moved, shift), back);
        let low = _mm256_permutevar8x32_epi32(scaled, _mm256_set_epi32(0, 0, 0, 0, 6, 4, 2, 0));
        let value = _mm256_castsi256_si128(low);
        // Clamped before the zero point is added, which then cannot overflow.
        let value = _mm_max_epi32(value, _mm_set1_epi32(min - zero_point));
        let value = _mm_min_epi32(value, _mm_set1_epi32(max - zero_point));
        let value = _mm_add_epi32(value, _mm_set1_epi32(zero_point));
        [
            _mm_extract_epi32::<0>(value) as u8,
            _mm_extract_epi32::<1>(value) as u8,
            _mm_extract_epi32::<2>(value) as u8,
            _mm_extract_epi32::<3>(value) as u8,
        ]
    }

    #[target_feature(enable = "avx2")]
    fn four([a, b, c, d]: [i32; CHANNELS]) -> __m128i {
        _mm_set_epi32(d, c, b, a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_equals_the_plain() {
        let bytes = |words: [i32; 5]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let bias = bytes([0, -7, 100_000, i32::MIN, 5]);
        let multiplier = bytes([1 << 30, i32::MAX, (1 << 30) + 12_345, 1_999_999_999, 1 << 30]);
        let shift = [31, 33, 40, 62, 2];
        for (min, max, zero_point) in [(-128, 127, -128), (-7, 7, 0), (-128, 127, 127), (0, 15, 0)] {
            let epilogue = Epilogue { bias: &bias, multiplier: &multiplier, shift: &shift, min, max };
            for sum in [0, 1, -1, 2, -2, 3, 1000, -1000, 123_456, -123_457, 1 << 29, -(1 << 29), i32::MAX] {
                for first in 0..3 {
                    let sums = [sum, sum ^ 1, -(sum >> 1), sum >> 3];
                    let (fast, slow) = (of(Vectors::best()), plain);
                    assert_eq!(
                        fast(&epilogue, zero_point, first, sums),
                        slow(&epilogue, zero_point, first, sums),
                        "{sums:?} from {first}"
                    );
                }
            }
            assert_eq!(plain(&epilogue, zero_point, 2, [0; 4]), None);
        }
    }
}
