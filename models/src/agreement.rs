//! How well training and runtime agree: what was counted, and the limits.
//!
//! [`Agreement`] compares the fake-quantized network with the artefact that is made of it, layer
//! by layer on the runtime's own inputs and end to end on test images. Plain data; `train`
//! measures it, and whoever shows it needs no Burn. In a set of fewer than [`SMALL_SET`] images, where
//! single values exceed the limits by chance, [`FEW`] values of a layer and one image may differ.
//!
//! ```
//! use fourbit_models::agreement::{Agreement, LayerAgreement};
//!
//! let stem = LayerAgreement { name: "stem".into(), values: 1_000_000, differing: 12, largest_step: 1 };
//! let (training_accuracy, runtime_accuracy) = (0.9012, 0.9013);
//! let agreement =
//!     Agreement { layers: vec![stem], images: 10_000, same_top1: 9_997, training_accuracy, runtime_accuracy };
//! assert!(agreement.complaints().is_empty());
//! assert_eq!(
//!     agreement.to_string(),
//!     "99.97 % same top-1, at most 0.0012 % of a layer's values differ, by 1 step"
//! );
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest difference of a value, in steps of its tensor.
pub const MAX_STEP: u32 = 1;
/// Largest part of a layer's values that differ.
pub const MAX_DIFFERING: f64 = 1e-4;
/// Smallest part of the images with the same top-1.
pub const MIN_SAME_TOP1: f64 = 0.998;
/// Largest difference of the two accuracies.
pub const MAX_ACCURACY_GAP: f64 = 0.001;
/// Images below which a set is small.
pub const SMALL_SET: usize = 1_000;
/// Values of a layer that may differ in a small set.
pub const FEW: usize = 4;
/// What two accuracies may be apart by their own rounding.
const ROUNDING: f64 = 1e-9;

/// The fake-quantized network beside its artefact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Every operation in the order of execution, fed what the runtime fed to it.
    pub layers: Vec<LayerAgreement>,
    /// Images that both ran end to end.
    pub images: usize,
    /// Images for which both have the same first largest logit.
    pub same_top1: usize,
    /// Of the fake-quantized network on these images, a fraction.
    pub training_accuracy: f64,
    /// Of the artefact in the runtime, a fraction.
    pub runtime_accuracy: f64,
}

/// One operation's outputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerAgreement {
    /// Name of its node.
    pub name: String,
    /// Values compared.
    pub values: usize,
    /// Values that are not the same integer.
    pub differing: usize,
    /// Largest difference.
    pub largest_step: u32,
}

impl LayerAgreement {
    /// Part of the values that differ.
    pub fn part(&self) -> f64 {
        self.differing as f64 / self.values.max(1) as f64
    }
}

impl Agreement {
    /// Part of the images with the same top-1.
    pub fn same_part(&self) -> f64 {
        self.same_top1 as f64 / self.images.max(1) as f64
    }

    /// What exceeds a limit, a sentence each.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let (few, one) = if self.images < SMALL_SET { (FEW, 1) } else { (0, 0) };
        for layer in &self.layers {
            let LayerAgreement { name, largest_step, .. } = layer;
            if *largest_step > MAX_STEP {
                complaints.push(format!(
                    "{name}: training and runtime differ by {largest_step} steps, the limit is {MAX_STEP}"
                ));
            }
            if layer.differing > few && layer.part() > MAX_DIFFERING {
                complaints.push(format!(
                    "{name}: {:.4} % of the values differ between training and runtime, the limit is {:.4} %",
                    100.0 * layer.part(),
                    100.0 * MAX_DIFFERING
                ));
            }
        }
        if self.same_top1 + one < self.images && self.same_part() < MIN_SAME_TOP1 {
            complaints.push(format!(
                "training and runtime have the same top-1 on {} of {} images, the limit is {:.2} %",
                self.same_top1,
                self.images,
                100.0 * MIN_SAME_TOP1
            ));
        }
        let (training, runtime) = (self.training_accuracy, self.runtime_accuracy);
        let gap = (training - runtime).abs();
        let limit = MAX_ACCURACY_GAP.max(one as f64 / self.images.max(1) as f64);
        if gap.is_nan() || gap > limit + ROUNDING {
            complaints.push(format!(
                "accuracy is {:.2} % in training and {:.2} % in the runtime, the limit is {:.2} points apart",
                100.0 * training,
                100.0 * runtime,
                100.0 * limit
            ));
        }
        complaints
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} % same top-1, ", 100.0 * self.same_part())?;
        let step = self.layers.iter().map(|layer| layer.largest_step).max().unwrap_or(0);
        if step == 0 {
            return f.write_str("every layer's values are equal");
        }
        let part = self.layers.iter().map(LayerAgreement::part).fold(0.0, f64::max);
        let steps = if step == 1 { "step" } else { "steps" };
        write!(f, "at most {:.4} % of a layer's values differ, by {step} {steps}", 100.0 * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement(differing: usize, step: u32, same: usize, runtime: f64) -> Agreement {
        let layer = |name: &str, differing, largest_step| LayerAgreement {
            name: name.into(),
            values: 100_000,
            differing,
            largest_step,
        };
        Agreement {
            layers: vec![layer("stem", 0, 0), layer("conv", differing, step)],
            images: 10_000,
            same_top1: same,
            training_accuracy: 0.9,
            runtime_accuracy: runtime,
        }
    }

    #[test]
    fn each_limit_holds_by_itself() {
        assert!(agreement(10, 1, 9_980, 0.901).complaints().is_empty());
        for (agreement, start) in [
            (agreement(1, 2, 10_000, 0.9), "conv: training and runtime differ by 2 steps"),
            (agreement(11, 1, 10_000, 0.9), "conv: 0.0110 % of the values differ"),
            (agreement(0, 0, 9_979, 0.9), "training and runtime have the same top-1 on 9979 of 10000"),
            (agreement(0, 0, 10_000, 0.8989), "accuracy is 90.00 % in training and 89.89 %"),
            (agreement(0, 0, 10_000, f64::NAN), "accuracy is 90.00 %"),
        ] {
            let complaints = agreement.complaints();
            assert_eq!(complaints.len(), 1, "{complaints:?}");
            assert!(complaints[0].starts_with(start), "{complaints:?}");
        }
        assert_eq!(agreement(50, 3, 0, 0.0).complaints().len(), 4);
    }

    #[test]
    fn few_values_and_one_image_may_differ_in_a_small_set() {
        let small = |differing, same, runtime| Agreement {
            layers: vec![LayerAgreement { name: "dense".into(), values: 400, differing, largest_step: 1 }],
            images: 80,
            ..agreement(0, 0, same, runtime)
        };
        assert!(small(4, 79, 0.9 - 1.0 / 80.0).complaints().is_empty());
        assert_eq!(small(5, 78, 0.9 - 2.0 / 80.0).complaints().len(), 3);
    }

    #[test]
    fn in_one_line() {
        assert_eq!(
            agreement(0, 0, 10_000, 0.9).to_string(),
            "100.00 % same top-1, every layer's values are equal"
        );
        assert!(
            agreement(5, 2, 9_999, 0.9)
                .to_string()
                .ends_with("0.0050 % of a layer's values differ, by 2 steps")
        );
    }
}
