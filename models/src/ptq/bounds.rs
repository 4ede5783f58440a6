//! Bounds of 4-bit activations with the least squared error.
//!
//! A bound below the largest magnitude cuts a few values off and makes the steps of all others finer;
//! the best one is found among parts of the largest magnitude (ACIQ, arXiv 1810.05723, solves the same
//! problem for given densities; here it is the density of the calibration images).

use rayon::prelude::*;

use crate::float_forward::forward;
use crate::graph::{Graph, Range};

/// Bins of a histogram of magnitudes.
const BINS: usize = 4096;
/// Bounds tried: so many parts of the largest magnitude.
const TRIED: usize = 64;
/// Smallest bound.
const MIN_BOUND: f32 = 1e-3;

/// The bound of every tensor: of those with 4 bits the best one, of the others the one they have.
///
/// `float` gives the activations, `calibrated` is the same graph with ranges.
pub(super) fn bounds(float: &Graph, calibrated: &Graph, images: &[Vec<f32>], reach: &[Vec<f32>]) -> Vec<f32> {
    let largest: Vec<f32> = reach.iter().map(|tensor| tensor.iter().copied().fold(0.0, f32::max)).collect();
    let mut counts = vec![vec![0u64; BINS]; float.tensors.len()];
    for image in images {
        forward(float, image, |id, values| {
            let width = largest[id] / BINS as f32;
            for value in values {
                // A value of zero has no error with any bound.
                counts[id][((value.abs() / width) as usize).min(BINS - 1)] += u64::from(*value != 0.0);
            }
        });
    }
    let ranges = calibrated.tensors.par_iter().zip(&counts).zip(&largest);
    ranges
        .map(|((tensor, counts), &largest)| match tensor.range {
            Some(range) if range.bits == 4 => best(range, counts, largest).max(MIN_BOUND),
            range => range.map_or(largest, |range| range.bound),
        })
        .collect()
}

/// The best bound for magnitudes that were counted in equal bins up to the largest one.
fn best(range: Range, counts: &[u64], largest: f32) -> f32 {
    let middle = |bin: usize| largest * (bin as f32 + 0.5) / counts.len() as f32;
    let error = |bound: f32| -> f64 {
        let range = Range { bound, ..range };
        let square = |(bin, &count): (usize, &u64)| {
            let value = middle(bin);
            count as f64 * f64::from(rounded(range, value) - value).powi(2)
        };
        counts.iter().enumerate().map(square).sum()
    };
    let tried = (1..=TRIED).map(|part| largest * part as f32 / TRIED as f32);
    tried.min_by(|&a, &b| error(a).total_cmp(&error(b))).unwrap_or(largest)
}

/// A value as a range keeps it.
pub(crate) fn rounded(range: Range, value: f32) -> f32 {
    let ((low, high), scale) = (range.levels(), range.scale());
    (value / scale).round().clamp(low, high) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSIGNED: Range = Range { bits: 4, signed: false, bound: 1.0 };

    #[test]
    fn values_on_the_grid_keep_their_largest() {
        let mut counts = vec![0; BINS];
        // 15 values, the middles of whose bins are almost multiples of a fifteenth.
        for level in 1..=15 {
            counts[level * BINS / 15 - 1] = 10;
        }
        assert_eq!(best(UNSIGNED, &counts, 3.0), 3.0);
    }

    #[test]
    fn a_rare_large_value_is_cut_off() {
        let mut counts = vec![0; BINS];
        counts[..BINS / 8].fill(1000);
        counts[BINS - 1] = 1;
        // Evenly spread up to 1 of 8: steps of 1/15 beside the 15/8 of the largest bound's half step.
        let bound = best(UNSIGNED, &counts, 8.0);
        assert!((0.875..=1.25).contains(&bound), "{bound}");
        let signed = best(Range { signed: true, ..UNSIGNED }, &counts, 8.0);
        assert!((0.875..=1.25).contains(&signed), "{signed}");
    }

    #[test]
    fn rounding_by_hand() {
        let range = Range { bound: 3.0, ..UNSIGNED };
        assert_eq!(
            [-1.0, 0.1, 0.31, 9.0].map(|x| rounded(range, x)),
            [0.0, 0.2, 0.4, 3.0].map(|x| {
                // Steps of 0.2: 0.1 is half a step up.
                (x / 0.2f32).round() * range.scale()
            })
        );
    }
}
