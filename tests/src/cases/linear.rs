//! Weights and per-channel constants of a linear operation.

use fourbit::kernels::{Epilogue, Filter};
use fourbit::layout::{FilterShape, Layout, WeightBits};
use fourbit::requant::Rescale;
use fourbit::shape::DType;

use super::{FILTER_BYTES, OUTPUTS, Style, bit_length, clamp, multiplier, reach, scale_to, span};
use crate::rng::Rng;

/// Memory for the constants of one operation.
#[repr(C, align(16))]
pub(super) struct Constants {
    weights: [u8; FILTER_BYTES],
    bias: [u8; 4 * OUTPUTS],
    multiplier: [u8; 4 * OUTPUTS],
    shift: [u8; OUTPUTS],
}

/// What the constants must suit.
pub(super) struct Spec {
    pub(super) style: Style,
    pub(super) shape: FilterShape,
    pub(super) bits: WeightBits,
    pub(super) layout: Layout,
    /// Type and zero point.
    pub(super) input: (DType, i32),
    pub(super) output: (DType, i32),
}

/// Bits of a weight, and a style.
pub(super) fn choose(rng: &mut Rng) -> (WeightBits, Style) {
    let bits = rng.pick([WeightBits::Four, WeightBits::Eight]);
    use Style::{Extreme, Limit, Shifts, Ties, Typical};
    (bits, rng.pick([Typical, Typical, Ties, Ties, Extreme, Shifts, Limit]))
}

/// As many output channels as the memory holds for rows of `columns` weights, of a random number.
pub(super) fn outputs(rng: &mut Rng, columns: usize) -> usize {
    let most = rng.size(1, OUTPUTS);
    most.min(FILTER_BYTES / columns.max(1)).max(1)
}

impl Constants {
    pub(super) const fn new() -> Self {
        Self { weights: [0; _], bias: [0; _], multiplier: [0; _], shift: [0; _] }
    }

    /// Fills the memory: no sum leaves i32 and every rescale admits its sums.
    pub(super) fn fill(&mut self, rng: &mut Rng, spec: &Spec) -> (Filter<'_>, Epilogue<'_>) {
        let (low, high) = clamp(rng, spec.output.0, spec.output.1);
        let bytes = spec.layout.bytes(spec.shape, spec.bits);
        self.weights.fill(0);
        // Mostly shifts that kernels make in one instruction, in every channel.
        let least = rng.pick([2, 33, 33]);
        for output in 0..spec.shape.outputs {
            let (bias, rescale) = self.channel(rng, spec, output, least);
            put(&mut self.bias, output, bias);
            put(&mut self.multiplier, output, rescale.multiplier);
            if let Some(to) = self.shift.get_mut(output) {
                *to = rescale.shift;
            }
        }
        let Spec { shape, bits, layout, .. } = *spec;
        let data = self.weights.get(..bytes).unwrap_or(&[]);
        let filter = Filter { data, shape, bits, layout, offset: 0 };
        let words = 4 * shape.outputs;
        let epilogue = Epilogue {
            bias: self.bias.get(..words).unwrap_or(&[]),
            multiplier: self.multiplier.get(..words).unwrap_or(&[]),
            shift: self.shift.get(..shape.outputs).unwrap_or(&[]),
            min: low,
            max: high,
        };
        (filter, epilogue)
    }

    /// Writes a channel's weights; gives its bias and rescale, which shifts by `least` or more where the
    /// style leaves the choice.
    fn channel(&mut self, rng: &mut Rng, spec: &Spec, output: usize, least: i32) -> (i32, Rescale) {
        const MAX: i64 = i32::MAX as i64;
        let reach = reach(spec.input.0, spec.input.1);
        let shift = rng.range(least, 62);
        let budget = match spec.style {
            Style::Shifts => ((1i64 << (shift - 1)) - 1).min(MAX),
            _ => MAX,
        };
        let most = self.weights(rng, spec, output, budget / 2 / reach) * reach;
        let room = budget - most;
        let bound_with = |bias: i32| most + i64::from(bias).abs();
        match spec.style {
            Style::Shifts => {
                let bias = rng.range(-room as i32, room as i32);
                (bias, Rescale { multiplier: multiplier(rng), shift: shift as u8 })
            }
            Style::Limit => {
                let bias = (room as i32 - rng.range(0, 2)) * rng.pick([-1, 1]);
                (bias, Rescale { multiplier: multiplier(rng), shift: rng.pick([32, 33, 53, 54, 55, 62]) })
            }
            Style::Ties => {
                let bias = rng.range(-8, 8);
                let shift = rng.range(30, 34).max(least).max(bit_length(bound_with(bias)) + 1);
                (bias, Rescale { multiplier: rng.pick([1 << 30, 3 << 29, 5 << 28]), shift: shift as u8 })
            }
            Style::Typical | Style::Extreme => {
                let quarter = (most / 4).max(1) as i32;
                let bias = rng.range(-quarter, quarter);
                (bias, scale_to(rng, bound_with(bias), span(spec.output.0)))
            }
        }
    }

    /// Writes a channel's weights, zeros once the sum of magnitudes would pass `budget`; gives
    /// that sum.
    fn weights(&mut self, rng: &mut Rng, spec: &Spec, output: usize, budget: i64) -> i64 {
        let largest = if spec.bits == WeightBits::Four { 7 } else { 127 };
        let (_, n) = spec.layout.rows(spec.shape);
        let row_bytes = spec.bits.row_bytes(n);
        let sign = rng.pick([-1, 1]);
        let (mixed, mut sum) = (rng.one_in(3), 0);
        for tap in 0..spec.shape.taps {
            for input in 0..spec.shape.inputs {
                let weight = match spec.style {
                    Style::Extreme if mixed => largest * rng.pick([-1, 1]),
                    Style::Extreme => largest * sign,
                    Style::Ties => rng.range(-2, 2) * rng.range(0, 1),
                    _ => rng.range(-largest, largest),
                };
                if sum + i64::from(weight.abs()) > budget {
                    continue;
                }
                sum += i64::from(weight.abs());
                let (row, at) = spec.layout.position(spec.shape, output, tap, input);
                let row = self.weights.get_mut(row * row_bytes..(row + 1) * row_bytes).unwrap_or(&mut []);
                spec.bits.set(row, at, weight as i8);
            }
        }
        sum
    }
}

fn put(bytes: &mut [u8], i: usize, value: i32) {
    if let Some(to) = bytes.get_mut(4 * i..).and_then(|b| b.first_chunk_mut()) {
        *to = value.to_le_bytes();
    }
}
