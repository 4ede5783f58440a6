//! Fake-quantized residual add, as the runtime rounds it.
//!
//! Both sides are rounded to a fine common scale and their sum to the output's, so that training sees
//! the integers that [`crate::quantize`] makes the runtime compute: real sums would land on the other
//! side of a tie where two scales have a simple ratio, and a deep network carries that on. The gradient
//! is that of fake quantization after a real sum.

use fourbit::requant::Rescale;

use crate::graph::Range;
use crate::qat::fake_quant::{FakeQuant, ROUND, bounded};
use crate::qat::tape::SliceOp;
use crate::quantize::add::LEFT_SHIFT;
use crate::quantize::rescale;

/// Sum of two activations: inputs are one side, the other in the same order, and the output's bound.
#[derive(Debug)]
pub struct QuantAdd {
    /// Shape of both sides and of the sum.
    pub shape: [usize; 4],
    /// Ranges of the sides.
    pub sides: [Range; 2],
    /// Range of the sum; an unsigned one is the ReLU.
    pub output: Range,
}

impl QuantAdd {
    /// Fake quantization of the real sum.
    pub(super) fn quantization(&self) -> FakeQuant {
        FakeQuant { shape: self.shape, range: self.output }
    }

    /// What each step of both sides is at the common scale, and the factor from there to the output's.
    fn steps(&self) -> ([Side; 2], f64) {
        let [a, b] = self.sides.map(|side| f64::from(side.scale()));
        let (common, up) = (2.0 * a.max(b), f64::from(1u32 << LEFT_SHIFT));
        let sides = self.sides.map(|side| Side::new(side, f64::from(side.scale()) / common * up));
        let out = nearest(common / (up * f64::from(self.output.scale())));
        // A power of two scales exactly: the factor is the rescale's, to the last bit.
        (sides, f64::from(out.multiplier) / 2f64.powi(i32::from(out.shift)))
    }
}

/// Steps of a side that have a place in its table: more than any range has, a power of two.
const PLACES: usize = 512;

/// A side of the sum.
struct Side {
    scale: f32,
    /// At the common scale, of each step modulo [`PLACES`].
    table: Box<[f64; PLACES]>,
}

impl Side {
    fn new(range: Range, factor: f64) -> Self {
        let (to_common, (low, high)) = (nearest(factor), range.levels());
        let mut table = Box::new([0.0; PLACES]);
        for step in low as i32..=high as i32 {
            table[step as usize % PLACES] = f64::from(to_common.apply(step));
        }
        Self { scale: range.scale(), table }
    }

    /// The step of a fake-quantized value, at the common scale.
    #[inline]
    fn at(&self, value: f32) -> f64 {
        // The sum's last bits are those of the step.
        self.table[(value / self.scale + ROUND).to_bits() as usize % PLACES]
    }
}

/// The integer nearest to `value`, ties upwards; for magnitudes below 2^51.
#[inline]
fn round_half_up(value: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let even = (value + ROUND) - ROUND;
    even + if value - even >= 0.5 { 1.0 } else { 0.0 }
}

/// The rescale of a factor; of one that the runtime cannot take, and that no artefact will have, the
/// nearest that it can.
fn nearest(factor: f64) -> Rescale {
    let factor = factor.clamp(2f64.powi(-32), 2f64.powi(28));
    rescale(factor).unwrap_or(Rescale { multiplier: 1 << 30, shift: 30 })
}

impl SliceOp for QuantAdd {
    fn output_shape(&self) -> Vec<usize> {
        self.shape.to_vec()
    }

    fn forward(&self, [a, b, _]: [&[f32]; 3]) -> Vec<f32> {
        let ([side_a, side_b], factor) = self.steps();
        let (scale, (low, high)) = (self.output.scale(), self.output.levels());
        let mut out = vec![0.0; a.len()];
        for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
            // A product that 53 bits cannot hold is no tie, so rounding it moves no integer.
            let steps = round_half_up((side_a.at(a) + side_b.at(b)) * factor) as f32;
            *out = bounded(steps, low, high) * scale;
        }
        out
    }

    fn backward(&self, [a, b, bound]: [&[f32]; 3], grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let sum: Vec<f32> = a.iter().zip(b).map(|(a, b)| a + b).collect();
        let side = wanted[0] || wanted[1];
        let inner = [side, wanted[2], false];
        let [grad_sum, grad_bound, _] = self.quantization().backward([&sum, bound, &[]], grad, inner);
        let of_b = grad_sum.clone().filter(|_| wanted[1]);
        [grad_sum.filter(|_| wanted[0]), of_b, grad_bound]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qat::fake_quant::integer;
    use crate::quantize::add::{self, constants};

    fn range(bits: u8, signed: bool, bound: f32) -> Range {
        Range { bits, signed, bound }
    }

    #[test]
    fn every_pair_of_steps_is_the_runtimes() {
        let ranges = [
            // Scales whose ratios are simple, so that many sums are ties.
            [range(8, false, 2.55), range(8, true, 1.27), range(8, false, 5.1)],
            [range(8, false, 7.65), range(8, true, 1.27), range(8, false, 5.1)],
            [range(8, true, 0.777), range(8, false, 3.333), range(8, false, 2.911)],
            [range(4, false, 1.5), range(4, true, 1.4), range(4, false, 3.0)],
        ];
        for [a, b, output] in ranges {
            let steps = |range: Range| range.levels().0 as i32..=range.levels().1 as i32;
            let pairs: Vec<(i32, i32)> = steps(a).flat_map(|i| steps(b).map(move |j| (i, j))).collect();
            let real = |value: i32, range: Range| value as f32 * range.scale();
            let values_a: Vec<f32> = pairs.iter().map(|&(i, _)| real(i, a)).collect();
            let values_b: Vec<f32> = pairs.iter().map(|&(_, j)| real(j, b)).collect();
            let op = QuantAdd { shape: [1, 1, 1, pairs.len()], sides: [a, b], output };
            let found = op.forward([&values_a, &values_b, &[output.bound]]);
            let side = |range: Range| add::Side { scale: range.scale(), magnitude: 255 };
            let (low, high) = output.levels();
            let limits = (low as i32, high as i32);
            let add = constants("add", [side(a), side(b)], output.scale(), (-128, 127)).expect("in range");
            for (&(i, j), found) in pairs.iter().zip(found) {
                let expected = add.out.apply(add.a.apply(i) + add.b.apply(j)).clamp(limits.0, limits.1);
                assert_eq!(integer(found, output.scale()) as i32, expected, "{i} of {a:?} and {j} of {b:?}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_the_real_sum() {
        // Scale 1 everywhere: inside, above, below.
        let unit = range(4, false, 15.0);
        let op = QuantAdd { shape: [1, 1, 1, 3], sides: [unit, range(4, true, 7.0)], output: unit };
        let (a, b) = ([2.0, 14.0, 1.0], [3.0, 5.0, -4.0]);
        assert_eq!(op.forward([&a, &b, &[15.0]]), [5.0, 15.0, 0.0]);
        let [ga, gb, bound] = op.backward([&a, &b, &[15.0]], &[1.0, 2.0, 3.0], [true; 3]);
        assert_eq!((ga, gb), (Some(vec![1.0, 0.0, 0.0]), Some(vec![1.0, 0.0, 0.0])));
        let [_, alone, _] =
            op.quantization().backward([&[5.0, 19.0, -3.0], &[15.0], &[]], &[1.0, 2.0, 3.0], [true; 3]);
        assert_eq!(bound, alone);
    }
}
