//! Dot products of a few patches with a few rows of weights: the innermost loop of the simulator.

use super::Vectors;

/// Patches multiplied together.
pub(super) const PATCHES: usize = 2;
/// Rows of weights multiplied together.
pub(super) const ROWS: usize = 4;

/// A dot product per patch and row; slices of different lengths are read to the shortest.
pub(super) type Tile = fn([&[i16]; PATCHES], [&[i16]; ROWS]) -> [[i32; ROWS]; PATCHES];

/// That of vectors which this processor has.
pub(super) fn of(vectors: Vectors) -> Tile {
    #[cfg(target_arch = "x86_64")]
    if vectors >= Vectors::Avx2 {
        return avx2::tile;
    }
    plain
}

/// One product after the other.
fn plain(patches: [&[i16]; PATCHES], rows: [&[i16]; ROWS]) -> [[i32; ROWS]; PATCHES] {
    patches.map(|patch| rows.map(|row| dot(patch, row)))
}

fn dot(patch: &[i16], row: &[i16]) -> i32 {
    patch.iter().zip(row).map(|(&x, &w)| i32::from(x) * i32::from(w)).fold(0, i32::wrapping_add)
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_add_epi32, _mm_extract_epi32, _mm256_add_epi32, _mm256_and_si256,
        _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_hadd_epi32, _mm256_loadu_si256,
        _mm256_madd_epi16, _mm256_setzero_si256,
    };

    use super::{PATCHES, ROWS, dot};

    /// Values in a vector.
    const LANES: usize = 16;

    /// From place n on, the last n lanes of a vector.
    const MASKS: [i16; 2 * LANES] = {
        let mut masks = [0; 2 * LANES];
        let mut lane = LANES;
        while lane < 2 * LANES {
            masks[lane] = -1;
            lane += 1;
        }
        masks
    };

    /// Only [`super::of`] gives this function away.
    pub(super) fn tile(patches: [&[i16]; PATCHES], rows: [&[i16]; ROWS]) -> [[i32; ROWS]; PATCHES] {
        // SAFETY: `of` gives it away where the processor has AVX2, which is all that the function asks for.
        unsafe { vectors(patches, rows) }
    }

    /// Sixteen products at a time in `vpmaddwd`; what is left of rows shorter than that one by one.
    #[target_feature(enable = "avx2")]
    fn vectors(patches: [&[i16]; PATCHES], rows: [&[i16]; ROWS]) -> [[i32; ROWS]; PATCHES] {
        let [(a, a_rest), (b, b_rest)] = patches.map(|patch| patch.as_chunks::<LANES>());
        let [(p, p_rest), (q, q_rest), (r, r_rest), (s, s_rest)] = rows.map(|row| row.as_chunks::<LANES>());
        let mut sums = [[_mm256_setzero_si256(); ROWS]; PATCHES];
        for (((((a, b), p), q), r), s) in a.iter().zip(b).zip(p).zip(q).zip(r).zip(s) {
            let (a, b) = (load(a), load(b));
            for (i, w) in [p, q, r, s].into_iter().enumerate() {
                let w = load(w);
                sums[0][i] = _mm256_add_epi32(sums[0][i], _mm256_madd_epi16(a, w));
                sums[1][i] = _mm256_add_epi32(sums[1][i], _mm256_madd_epi16(b, w));
            }
        }
        let mut tile = [[0; ROWS]; PATCHES];
        let rest = patches[0].len() % LANES;
        let same = patches.iter().chain(&rows).all(|values| values.len() == patches[0].len());
        match patches.map(|patch| patch.last_chunk()) {
            _ if same && rest == 0 => {}
            // The last vector again, without what was counted.
            [Some(a), Some(b)] if same => {
                let keep = load(MASKS[rest..].first_chunk().unwrap_or(&[0; LANES]));
                let (a, b) = (_mm256_and_si256(load(a), keep), _mm256_and_si256(load(b), keep));
                for (i, row) in rows.iter().enumerate() {
                    let w = load(row.last_chunk().unwrap_or(&[0; LANES]));
                    sums[0][i] = _mm256_add_epi32(sums[0][i], _mm256_madd_epi16(a, w));
                    sums[1][i] = _mm256_add_epi32(sums[1][i], _mm256_madd_epi16(b, w));
                }
            }
            _ => tile = [a_rest, b_rest].map(|x| [p_rest, q_rest, r_rest, s_rest].map(|w| dot(x, w))),
        }
        for (tile, sums) in tile.iter_mut().zip(sums) {
            for (tile, sum) in tile.iter_mut().zip(totals(sums)) {
                *tile = tile.wrapping_add(sum);
            }
        }
        tile
    }

    #[target_feature(enable = "avx2")]
    fn load(values: &[i16; LANES]) -> __m256i {
        // SAFETY: the array has the 32 bytes that are read, at any alignment.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }

    /// The sum of each vector's eight lanes.
    #[target_feature(enable = "avx2")]
    fn totals([a, b, c, d]: [__m256i; ROWS]) -> [i32; ROWS] {
        let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let sums = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256::<1>(pairs));
        [
            _mm_extract_epi32::<0>(sums),
            _mm_extract_epi32::<1>(sums),
            _mm_extract_epi32::<2>(sums),
            _mm_extract_epi32::<3>(sums),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_equals_the_plain() {
        let values = |seed: i32, n: i32| -> Vec<i16> {
            (0..n).map(|i| ((i * 7919 + seed * 104_729) % 511 - 255) as i16).collect()
        };
        for n in [0, 1, 15, 16, 17, 27, 31, 144, 147] {
            let patches = [values(1, n), values(2, n)];
            let rows = [values(3, n), values(4, n), values(5, n), values(6, n)];
            let (patches, rows) = (patches.each_ref().map(|v| &v[..]), rows.each_ref().map(|v| &v[..]));
            assert_eq!(of(Vectors::best())(patches, rows), plain(patches, rows), "{n}");
        }
    }
}
