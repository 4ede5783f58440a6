//! The quantization scheme: which tensor has how many bits, and the scales that follow.
//!
//! Takes bounds and bit widths, gives scales and integers. Fake quantization in training and
//! `quantize` both call these functions, so the two cannot differ. After AQT (arXiv 2105.03536):
//! weights symmetric per output channel, activations static per tensor.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::graph::Range;

/// Bit widths of a whole network, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// 8-bit weights and activations.
    W8a8,
    /// Mostly 4-bit: 4-bit weights but in the first convolution and the last layer, 8-bit activations.
    W4a8,
    /// Mostly 4-bit: as `w4a8`, with 4-bit inner activations; the input of the last layer has 8 bits, and
    /// so has the branch that a residual add takes from a convolution, which is never stored.
    W4a4,
    /// Every weight and every inner activation has 4 bits.
    All4,
}

/// Bits of a network layer by layer: those of a setting, but for linear nodes that keep 8-bit weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Of everything else.
    pub setting: Setting,
    /// Names of nodes whose weights have 8 bits whatever the setting says.
    pub eight: BTreeSet<String>,
}

impl From<Setting> for Bits {
    fn from(setting: Setting) -> Self {
        Self { setting, eight: BTreeSet::new() }
    }
}

impl Bits {
    /// Bits of the weights of a node in this place.
    pub fn weight_bits(&self, name: &str, role: Role) -> u8 {
        if self.eight.contains(name) { 8 } else { self.setting.weight_bits(role) }
    }
}

/// Where a layer stands, as far as bits are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The convolution that reads the image.
    First,
    /// Everything between.
    Inner,
    /// The layer that gives the logits.
    Last,
}

impl Setting {
    /// Every setting, from most to fewest bits.
    pub const ALL: [Setting; 4] = [Setting::W8a8, Setting::W4a8, Setting::W4a4, Setting::All4];

    /// Bits of the weights of a layer in this place.
    pub fn weight_bits(self, role: Role) -> u8 {
        match (self, role) {
            (Setting::W8a8, _) => 8,
            (Setting::All4, _) | (_, Role::Inner) => 4,
            (Setting::W4a8 | Setting::W4a4, Role::First | Role::Last) => 8,
        }
    }

    /// Bits of an inner activation. The image and the logits have 8 always.
    pub fn activation_bits(self) -> u8 {
        match self {
            Setting::W8a8 | Setting::W4a8 => 8,
            Setting::W4a4 | Setting::All4 => 4,
        }
    }

    /// Bits of a convolution's output that goes into a residual add alone. It is the input of no product,
    /// which is what AQT quantizes, and lives in registers only.
    pub fn branch_bits(self) -> u8 {
        match self {
            Setting::W8a8 | Setting::W4a8 | Setting::W4a4 => 8,
            Setting::All4 => 4,
        }
    }

    /// Bits of the last layer's input: `w4a4` widens it, exactly, in the pool before it.
    pub fn last_input_bits(self) -> u8 {
        if self == Setting::All4 { 4 } else { 8 }
    }

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Setting::W8a8 => "w8a8",
            Setting::W4a8 => "w4a8",
            Setting::W4a4 => "w4a4",
            Setting::All4 => "all4",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        Setting::ALL
            .into_iter()
            .find(|b| b.name() == s)
            .ok_or_else(|| format!("unknown bit setting `{s}`: it is one of w8a8, w4a8, w4a4, all4"))
    }
}

/// Largest integer of a symmetric signed value: 7 or 127.
pub fn signed_max(bits: u8) -> f32 {
    ((1u32 << (bits - 1)) - 1) as f32
}

/// Largest integer of an unsigned value, above its zero: 15 or 255.
pub fn unsigned_max(bits: u8) -> f32 {
    ((1u32 << bits) - 1) as f32
}

/// Scale of an output channel's weights from their largest magnitude. A channel of zeros gets 1.
pub fn weight_scale(max_abs: f32, bits: u8) -> f32 {
    let scale = max_abs / signed_max(bits);
    if scale > 0.0 { scale } else { 1.0 }
}

/// Largest magnitude of some weights; 0 of none.
pub fn largest_magnitude(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |max, w| max.max(w.abs()))
}

/// A weight as an integer: `w / scale`, ties to even, clamped to the symmetric range.
pub fn quantize_weight(w: f32, scale: f32, bits: u8) -> i8 {
    let max = signed_max(bits);
    (w / scale).round_ties_even().clamp(-max, max) as i8
}

/// The least bound of the 8-bit output of a linear node with 4-bit inputs, 0 for others: a step of the
/// output is four of the finest accumulator's or more. Then every rescale shifts by 33 bits at least, which
/// kernels do in one instruction, and the four steps are below what 4-bit inputs resolve.
///
/// `largest` is the largest magnitude of the node's weights, norms being folded.
pub fn least_bound(input: Range, largest: f32, weight_bits: u8, output: Range) -> f32 {
    if input.bits != 4 || output.bits != 8 {
        return 0.0;
    }
    // A little more, so that no rounding of the factor brings it back to a quarter.
    4.001 * input.scale() * weight_scale(largest, weight_bits) * output.levels().1
}

impl Range {
    /// The image: pixels 0..=255 stored as `pixel - 128`, networks see `pixel / 255`.
    pub const IMAGE: Range = Range { bits: 8, signed: false, bound: 1.0 };

    /// Value of one integer step.
    pub fn scale(self) -> f32 {
        self.bound / self.levels().1
    }

    /// Smallest and largest integer, zero being the real zero: (0, 255), (0, 15), (-127, 127), (-7, 7).
    pub fn levels(self) -> (f32, f32) {
        if self.signed {
            (-signed_max(self.bits), signed_max(self.bits))
        } else {
            (0.0, unsigned_max(self.bits))
        }
    }

    /// The integer stored for the real zero: -128 for unsigned 8-bit values, else 0.
    pub fn zero_point(self) -> i32 {
        if !self.signed && self.bits == 8 { -128 } else { 0 }
    }
}
