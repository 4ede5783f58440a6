//! Integer operations out of the scales and zero points that a file brings along.
//!
//! Takes weights (symmetric, a scale per output), biases in steps of the accumulator and the steps
//! of both sides, gives the runtime's constants: a rescale is the quotient of the scales in fixed
//! point, rounded once, and no accumulator overflows.

use fourbit::layout::{FilterShape, WeightBits};
use fourbit::requant::Rescale;

use crate::graph::Window;
use crate::import::ImportError;
use crate::quantize::{QLinear, QuantizeError, rescale};

/// Relative difference of two scales that are meant to be one.
const SAME: f64 = 1e-5;
/// Factors below this give 0 for every accumulator of 32 bits.
const VANISHING: f64 = 1.0 / (1u64 << 32) as f64;

/// Scale and zero point of an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) scale: f32,
    pub(super) zero_point: i8,
}

/// The constants of a linear operation as the file means them.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    /// Outputs, taps, inputs; one input for a depthwise filter.
    pub(super) shape: FilterShape,
    /// `[output][tap][input]`.
    pub(super) weights: Vec<i8>,
    /// Value of a weight's step, for each output.
    pub(super) scales: Vec<f32>,
    /// In steps of the accumulator, for each output.
    pub(super) bias: Vec<i32>,
}

impl Steps {
    /// `None` where the scale is not positive and normal, or the zero point is no int8.
    pub(super) fn new(scale: f32, zero_point: i64) -> Option<Self> {
        let zero_point = i8::try_from(zero_point).ok()?;
        (scale.is_normal() && scale > 0.0).then_some(Self { scale, zero_point })
    }

    /// Largest distance of a stored value from the zero point.
    pub(super) fn magnitude(self) -> u64 {
        let zero = i32::from(self.zero_point);
        u64::from((i32::from(i8::MAX) - zero).max(zero - i32::from(i8::MIN)).unsigned_abs())
    }

    /// Whether both stand for the same values, so that integers can be kept.
    pub(super) fn same(self, other: Self) -> bool {
        self.zero_point == other.zero_point && same(f64::from(self.scale), f64::from(other.scale))
    }
}

/// Whether two scales are meant to be one.
pub(super) fn same(scale: f64, other: f64) -> bool {
    (scale / other - 1.0).abs() <= SAME
}

/// Asks that pixels enter as `pixel - 128`, with a real value of 0 for black.
pub(super) fn image(scale: f32, zero_point: i64) -> Result<(), ImportError> {
    let known = [1.0, 1.0 / 255.0].iter().any(|one: &f32| (scale / one - 1.0).abs() < 1e-3);
    if known && zero_point == -128 { Ok(()) } else { Err(ImportError::Image { scale, zero_point }) }
}

/// The integer constants of a linear operation from the steps of its input to those of its output.
pub(super) fn linear(
    node: &str,
    sums: Sums,
    (from, to): (Steps, Steps),
    (min, max): (i8, i8),
) -> Result<QLinear, QuantizeError> {
    let Sums { shape, weights, scales, bias } = sums;
    let per_output = shape.taps * shape.inputs;
    let bits = WeightBits::Eight;
    let mut linear = QLinear { shape, bits, weights, bias: Vec::new(), rescale: Vec::new(), min, max };
    for (channel, (&scale, &bias)) in scales.iter().zip(&bias).enumerate() {
        let factor = f64::from(from.scale) * f64::from(scale) / f64::from(to.scale);
        let weights = &mut linear.weights[channel * per_output..][..per_output];
        let (factor, bias) = if factor < VANISHING {
            weights.fill(0);
            (0.25, 0)
        } else {
            (factor, bias)
        };
        let sum: u64 = weights.iter().map(|weight| u64::from(weight.unsigned_abs())).sum();
        let bound = sum * from.magnitude() + u64::from(bias.unsigned_abs());
        linear.rescale.push(proven(node, channel, factor, bound)?);
        linear.bias.push(bias);
    }
    Ok(linear)
}

/// Where a mean that lies between two integers goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ties {
    Rise,
    Fall,
}

/// A mean as the sum of each channel's window, rescaled once; the window has no padding.
pub(super) fn mean(
    node: &str,
    window: &Window,
    channels: usize,
    (from, to): (Steps, Steps),
    ties: Ties,
) -> Result<QLinear, QuantizeError> {
    let taps: usize = window.kernel.iter().product();
    // Half of the sum's step less than twice the sum moves nothing but a tie.
    let (weight, bias) = if ties == Ties::Fall { (2i8, -1) } else { (1, 0) };
    let divisor = f64::from(weight) * taps as f64;
    let factor = f64::from(from.scale) / (f64::from(to.scale) * divisor);
    let bound = weight as u64 * taps as u64 * from.magnitude() + 1;
    let rescale = proven(node, 0, factor, bound)?;
    Ok(QLinear {
        shape: FilterShape { outputs: channels, taps, inputs: 1 },
        bits: WeightBits::Eight,
        weights: vec![weight; channels * taps],
        bias: vec![bias; channels],
        rescale: vec![rescale; channels],
        min: i8::MIN,
        max: i8::MAX,
    })
}

/// The rescale of a channel whose accumulator stays within `bound`.
fn proven(node: &str, channel: usize, factor: f64, bound: u64) -> Result<Rescale, QuantizeError> {
    let node = || node.to_owned();
    let rescale = rescale(factor).ok_or_else(|| QuantizeError::Factor { node: node(), factor })?;
    if bound > i32::MAX as u64 {
        return Err(QuantizeError::Accumulator { node: node(), channel, bound });
    }
    if !rescale.admits(bound) {
        return Err(QuantizeError::Rescale { node: node(), channel, bound, shift: rescale.shift });
    }
    Ok(rescale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_int8() {
        let steps = Steps::new(0.5, -128).expect("usable");
        // From -128 to 127.
        assert_eq!(steps.magnitude(), 255);
        assert_eq!(Steps::new(0.5, 3).map(Steps::magnitude), Some(131));
        assert!(steps.same(Steps { scale: 0.500_001, ..steps }));
        assert!(
            !steps.same(Steps { scale: 0.5001, ..steps }) && !steps.same(Steps { zero_point: 0, ..steps })
        );
        for (scale, zero_point) in [(0.0, 0), (-1.0, 0), (f32::NAN, 0), (f32::INFINITY, 0), (1.0, 128)] {
            assert_eq!(Steps::new(scale, zero_point), None);
        }
    }

    #[test]
    fn rescales_are_quotients_of_scales() {
        let shape = FilterShape { outputs: 2, taps: 1, inputs: 1 };
        let sums = Sums { shape, weights: vec![3, 100], scales: vec![0.5, 1e-30], bias: vec![7, 9] };
        let (from, to) = (Steps { scale: 0.25, zero_point: 0 }, Steps { scale: 1.0, zero_point: 0 });
        let linear = linear("conv1", sums, (from, to), (-128, 127)).expect("fits");
        // 0.125 = 2^30 / 2^33; the other channel is 0 whatever it reads.
        assert_eq!(linear.rescale[0], Rescale { multiplier: 1 << 30, shift: 33 });
        assert_eq!((&linear.weights[..], &linear.bias[..]), (&[3, 0][..], &[7, 0][..]));
    }
}
