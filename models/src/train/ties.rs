//! Accumulators that training rounds up and the runtime down, or the other way round.
//!
//! Training multiplies an accumulator by its step in `f32`, the runtime by a multiplier of 31 bits. Next to a tie
//! the two may round apart, and where that accumulator is a common one, a layer differs in many values. Takes a
//! folded graph whose bits and ranges are set, and moves the scale of each filter that has such accumulators by
//! some millionths, to where it has the fewest. Integer weights and biases stay.

use fourbit::requant::Rescale;

use crate::fold::for_each_filter;
use crate::graph::{Graph, Range};
use crate::qat::fake_quant::{Rounded, activation_integer, quantize_channels};
use crate::quantize::{magnitude, rescale};

/// Moves to either side that are tried.
const MOVES: i32 = 8;
/// One move, as a part of the scale: more than `f32` rounds by, and 8 of them move an output of 255 by 1/500 of a step.
const MOVE: f32 = 1.0 / (1 << 20) as f32;

/// Moves the scales of filters that have accumulators which round apart.
pub fn avoid(graph: &mut Graph) {
    for_each_filter(graph, |weights, bias, bits, ranges| {
        if let Some((moved, moved_bias)) = better(weights, *bias, bits, ranges) {
            weights.copy_from_slice(&moved);
            *bias = moved_bias;
        }
    });
}

/// A filter's weights and bias moved to where fewest accumulators round apart, if fewer than now.
fn better(weights: &[f32], bias: f32, bits: u8, ranges: [Range; 2]) -> Option<(Vec<f32>, f32)> {
    let own = Filter::new(weights, bias, bits, ranges);
    let apart = own.apart();
    if apart == 0 {
        return None;
    }
    let moves = (1..=MOVES).flat_map(|count| [count, -count]).map(|count| 1.0 + count as f32 * MOVE);
    let moved = moves.map(|by| (weights.iter().map(|w| w * by).collect::<Vec<_>>(), bias * by));
    let others = moved.filter_map(|(weights, bias)| {
        let filter = Filter::new(&weights, bias, bits, ranges);
        filter.has_integers_of(&own).then(|| (filter.apart(), weights, bias))
    });
    let (least, weights, bias) = others.min_by_key(|(apart, ..)| *apart)?;
    (least < apart).then_some((weights, bias))
}

/// An output channel in integers, with the ranges around it.
struct Filter {
    weights: Rounded,
    bias: f32,
    input: Range,
    output: Range,
}

impl Filter {
    fn new(weights: &[f32], bias: f32, bits: u8, [input, output]: [Range; 2]) -> Self {
        let weights = quantize_channels(weights, 1, bits);
        let bias = (bias / (input.scale() * weights.scales[0])).round();
        Self { weights, bias, input, output }
    }

    fn has_integers_of(&self, other: &Self) -> bool {
        self.weights.integers == other.weights.integers && self.bias == other.bias
    }

    /// How many of its accumulators training and runtime round to different integers.
    fn apart(&self) -> usize {
        let scale = self.weights.scales[0];
        let factor = f64::from(self.input.scale()) * f64::from(scale) / f64::from(self.output.scale());
        let Some(rescale) = rescale(factor) else { return 0 };
        let step = self.input.scale() * scale;
        self.beside_ties(factor)
            .filter(|&accumulator| {
                let training = activation_integer(accumulator as f32 * step, self.output);
                training != self.rescaled(rescale, accumulator)
            })
            .count()
    }

    /// The accumulators on both sides of each tie of the output.
    fn beside_ties(&self, factor: f64) -> impl Iterator<Item = i32> {
        let sum: f64 = self.weights.integers.iter().map(|w| f64::from(w.abs())).sum();
        let bound = sum * magnitude(self.input) as f64 + f64::from(self.bias.abs());
        let bound = bound.min(f64::from(i32::MAX));
        let (low, high) = self.output.levels();
        (low as i32..high as i32)
            .map(move |below| (f64::from(below) + 0.5) / factor)
            .flat_map(|tie| [tie.floor(), tie.floor() + 1.0])
            .filter(move |accumulator| accumulator.abs() <= bound)
            .map(|accumulator| accumulator as i32)
    }

    /// The integer, relative to the real zero, that the runtime makes of an accumulator.
    fn rescaled(&self, rescale: Rescale, accumulator: i32) -> f32 {
        let (low, high) = self.output.levels();
        (rescale.apply(accumulator) as f32).clamp(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::{folded_graph, round_biases};
    use crate::quantize::quantize;
    use crate::scheme::Setting;
    use crate::zoo;

    /// For each filter of the graph, how many accumulators round apart.
    fn apart(graph: &Graph) -> Vec<usize> {
        let mut counts = Vec::new();
        for_each_filter(&mut graph.clone(), |weights, bias, bits, ranges| {
            counts.push(Filter::new(weights, *bias, bits, ranges).apart());
        });
        counts
    }

    #[test]
    fn fewer_round_apart_and_no_integer_changes() {
        for (seed, setting) in (0..).zip(Setting::ALL) {
            let mut graph = folded_graph(&zoo::resnet8(seed, setting).expect("calibrates"));
            round_biases(&mut graph);
            let (before, integers) = (apart(&graph), quantize(&graph).expect("quantizes"));
            avoid(&mut graph);
            let (after, moved) = (apart(&graph), quantize(&graph).expect("quantizes"));
            assert!(before.iter().zip(&after).all(|(before, after)| after <= before), "{setting}");
            let [before, after] = [before, after].map(|filters| filters.iter().sum::<usize>());
            assert!(after <= before / 100, "{setting}: {after} of {before}");
            assert!(setting != Setting::W8a8 || before > 100, "{before}");
            for (one, other) in integers.nodes.iter().zip(&moved.nodes) {
                let (Some(one), Some(other)) = (one.op.linear(), other.op.linear()) else { continue };
                assert_eq!((&one.weights, &one.bias), (&other.weights, &other.bias));
            }
        }
    }
}
