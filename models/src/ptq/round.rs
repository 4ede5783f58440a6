//! One filter to integers and a scale, with the least error in a [`Norm`].
//!
//! Takes real weights, gives weights that are a scale times integers of which one has the largest
//! magnitude there is: `quantize` finds that very scale and those very integers.

use super::norm::{Norm, dot};
use crate::scheme::{signed_max, weight_scale};

/// How weights become integers; each way tries what the ways before it give, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rounding {
    /// Each to its nearest, the largest weight being the largest integer.
    Nearest,
    /// The scale with the least error: smaller ones cut the largest weights off.
    Scaled,
    /// The error of each weight goes on to the next ones: GPTQ (arXiv 2210.17323), in the form of
    /// Babai's nearest plane (arXiv 2507.18553).
    Feedback,
    /// From there single integers and the scale move as long as the error falls: what AdaRound (arXiv
    /// 2004.10568) seeks by gradient descent on a relaxation, by descent on the integers.
    Descent,
}

/// Scales tried, evenly apart from the one of the largest weight down to a part of it.
const SCALES: usize = 24;
const LEAST_PART: f64 = 0.45;
/// Scales whose integers are moved.
const POLISHED: usize = 4;
/// Most passes over a filter's integers.
const PASSES: usize = 50;

/// Integers, as reals, with their scale.
#[derive(Clone, Debug)]
struct Candidate {
    scale: f64,
    integers: Vec<f64>,
    /// The square of the norm of what is wrong.
    error: f64,
}

/// A filter's problem.
struct Filter<'a> {
    norm: &'a Norm,
    weights: &'a [f64],
    /// Norm times weights.
    image: Vec<f64>,
    /// Largest integer.
    max: f64,
    /// The largest weight, which gets the largest integer.
    largest: usize,
}

/// The weights of a filter that `quantize` keeps as they are, near to given ones.
pub(super) fn round(norm: &Norm, weights: &[f64], bits: u8, rounding: Rounding) -> Vec<f32> {
    let larger = |a: &usize, b: &usize| weights[*a].abs().total_cmp(&weights[*b].abs());
    let largest = (0..weights.len()).max_by(larger).unwrap_or(0);
    let max = f64::from(signed_max(bits));
    let filter = Filter { norm, weights, image: norm.product(weights), max, largest };
    let whole = f64::from(weight_scale(weights[largest].abs() as f32, bits));
    let Candidate { scale, integers, .. } = filter.best(whole, rounding);
    integers.iter().map(|integer| (integer * scale) as f32).collect()
}

impl Filter<'_> {
    fn best(&self, whole: f64, rounding: Rounding) -> Candidate {
        let scales = if rounding == Rounding::Nearest { 1 } else { SCALES };
        let mut candidates = Vec::new();
        for step in 0..scales {
            let scale = whole * (1.0 - (1.0 - LEAST_PART) * step as f64 / SCALES as f64);
            candidates.push(self.candidate(scale, self.nearest(scale)));
            if rounding >= Rounding::Feedback {
                candidates.push(self.candidate(scale, self.nearest_plane(scale)));
            }
        }
        candidates.sort_by(|a, b| a.error.total_cmp(&b.error));
        if rounding == Rounding::Descent {
            candidates.truncate(POLISHED);
            candidates.iter_mut().for_each(|candidate| self.descend(candidate));
            candidates.sort_by(|a, b| a.error.total_cmp(&b.error));
        }
        candidates.swap_remove(0)
    }

    fn candidate(&self, scale: f64, integers: Vec<f64>) -> Candidate {
        let off: Vec<f64> = integers.iter().zip(self.weights).map(|(q, w)| q * scale - w).collect();
        let error = dot(&self.norm.product(&off), &off);
        Candidate { scale, integers, error }
    }

    fn integer(&self, value: f64) -> f64 {
        value.round_ties_even().clamp(-self.max, self.max)
    }

    fn nearest(&self, scale: f64) -> Vec<f64> {
        self.weights.iter().map(|weight| self.integer(weight / scale)).collect()
    }

    /// From the last column to the first, each rounded where the errors so far are best made up for.
    fn nearest_plane(&self, scale: f64) -> Vec<f64> {
        let mut integers = vec![0.0; self.weights.len()];
        let mut off = integers.clone();
        for (i, &weight) in self.weights.iter().enumerate().rev() {
            let row = self.norm.factor_row(i);
            let target = weight - dot(&row[1..], &off[i + 1..]) / row[0];
            let pinned = i == self.largest;
            integers[i] = if pinned { self.max.copysign(weight) } else { self.integer(target / scale) };
            off[i] = integers[i] * scale - weight;
        }
        integers
    }

    /// Moves one integer at a time to where the error is least, and the scale after every pass.
    fn descend(&self, candidate: &mut Candidate) {
        let Candidate { scale, integers, error } = candidate;
        let mut product = self.norm.product(integers);
        for _ in 0..PASSES {
            let (square, along) = (dot(integers, &product), dot(integers, &self.image));
            if square > 0.0 && along > 0.0 {
                *scale = along / square;
            }
            let mut moved = false;
            for i in (0..integers.len()).filter(|&i| i != self.largest) {
                let row = self.norm.row(i);
                let slope = product[i] - self.image[i] / *scale;
                let step = self.integer(integers[i] - slope / row[i]) - integers[i];
                if step * (2.0 * slope + step * row[i]) < 0.0 {
                    integers[i] += step;
                    product.iter_mut().zip(row).for_each(|(product, x)| *product += step * x);
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        *error = self.candidate(*scale, integers.clone()).error;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::scheme::quantize_weight;

    fn error(norm: &Norm, weights: &[f64], rounded: &[f32]) -> f64 {
        let off: Vec<f64> = rounded.iter().zip(weights).map(|(&q, w)| f64::from(q) - w).collect();
        dot(&norm.product(&off), &off)
    }

    #[test]
    fn feedback_by_hand() {
        // Two inputs that are almost one: 3.4 + 3.4 is 7 beside 6.8, and apart both are 3.
        let norm = Norm::new(&[1.0, 0.99, 0.0, 0.99, 1.0, 0.0, 0.0, 0.0, 1.0], 3, 0.0);
        let weights = [3.4, 3.4, 7.0];
        assert_eq!(round(&norm, &weights, 4, Rounding::Nearest), [3.0, 3.0, 7.0]);
        let filter =
            Filter { norm: &norm, weights: &weights, image: norm.product(&weights), max: 7.0, largest: 2 };
        assert_eq!(filter.nearest_plane(1.0), [4.0, 3.0, 7.0]);
    }

    #[test]
    fn a_scale_that_cuts_off_by_hand() {
        // The large weight reads an input that hardly moves.
        let norm = Norm::new(&[1.0, 0.0, 0.0, 1e-6], 2, 0.0);
        let rounded = round(&norm, &[0.5, 7.0], 4, Rounding::Scaled);
        assert!(rounded[1] < 6.0 && (rounded[0] - 0.5).abs() < 0.1, "{rounded:?}");
    }

    #[test]
    fn each_way_is_no_worse_than_the_one_before() {
        let mut rng = Rng::new(7);
        for size in [1, 2, 9, 40] {
            for bits in [4, 8] {
                let samples: Vec<f64> =
                    (0..2 * size * size).map(|_| f64::from(rng.uniform(-0.5, 1.0))).collect();
                let moment = |i, j| samples.chunks(size).map(|x| x[i] * x[j]).sum::<f64>();
                let matrix: Vec<f64> = (0..size * size).map(|at| moment(at / size, at % size)).collect();
                let norm = Norm::new(&matrix, size, 0.01);
                let weights: Vec<f64> = (0..size).map(|_| f64::from(rng.uniform(-1.0, 1.0))).collect();
                let ways = [Rounding::Nearest, Rounding::Scaled, Rounding::Feedback, Rounding::Descent];
                let errors = ways.map(|way| error(&norm, &weights, &round(&norm, &weights, bits, way)));
                assert!(errors.is_sorted_by(|a, b| a + 1e-12 >= *b), "{size} {bits} {errors:?}");
            }
        }
    }

    #[test]
    fn quantize_keeps_what_was_rounded() {
        let mut rng = Rng::new(3);
        let norm = Norm::new(&[2.0, 1.0, 0.5, 1.0, 2.0, 1.0, 0.5, 1.0, 2.0], 3, 0.01);
        for _ in 0..200 {
            let weights: Vec<f64> = (0..3).map(|_| f64::from(rng.uniform(-0.3, 0.3))).collect();
            let rounded = round(&norm, &weights, 4, Rounding::Descent);
            let scale = weight_scale(rounded.iter().fold(0.0, |max: f32, w| max.max(w.abs())), 4);
            for &weight in &rounded {
                let kept = f32::from(quantize_weight(weight, scale, 4)) * scale;
                assert!((kept - weight).abs() <= 1e-6 * scale, "{rounded:?}");
            }
        }
    }
}
