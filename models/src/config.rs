//! Experiment files: one TOML for each training run.
//!
//! Unknown or missing fields are errors, so a run's recipe is all in its file.
//!
//! ```
//! let text = r#"
//!     dataset = "shapes"
//!     arch = "resnet8"
//!     width = 0.5
//!     setting = "float"
//!     epochs = 10
//!     lr = 0.2
//!     seed = 1
//! "#;
//! let config = fourbit_models::config::Config::parse(text).expect("a valid configuration");
//! assert_eq!((config.batch, config.shards), (128, 2));
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dataset::{Kind, SIDE, Split};
use crate::graph::Graph;
use crate::nets::resnet::ResNet;
use crate::scheme::Setting;

/// A training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Data set.
    pub dataset: Kind,
    /// Which training images are used.
    #[serde(default = "defaults::split")]
    pub split: Split,
    /// `resnet8`, `resnet20`, `resnet32`, `resnet56`.
    pub arch: String,
    /// Factor of every channel count.
    pub width: f32,
    /// `float` or a bit setting.
    pub setting: Precision,
    /// Float graph to start from; a quantized run needs one. Of another set of classes a float run takes all
    /// but the last layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Linear nodes whose weights keep 8 bits in a 4-bit setting; `cargo xtask bits` proposes some.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub eight: BTreeSet<String>,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per update.
    #[serde(default = "defaults::batch")]
    pub batch: usize,
    /// Parts of a batch, each on a thread and with its own batch statistics.
    #[serde(default = "defaults::shards")]
    pub shards: usize,
    /// Stages before the images are whole: a size in pixels and the part of the run at which it ends. `[[16, 0.3],
    /// [24, 0.6]]` is 16x16 for three tenths of the epochs and 24x24 for as many (low-frequency cropping of
    /// EfficientTrain, arXiv 2211.09703).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curriculum: Vec<(usize, f32)>,
    /// Peak learning rate.
    pub lr: f32,
    /// Part of the run in which the learning rate rises to its peak, then it falls to 0.
    #[serde(default = "defaults::warmup")]
    pub warmup: f32,
    /// On weights only.
    #[serde(default = "defaults::weight_decay")]
    pub weight_decay: f32,
    /// Largest norm of a gradient, over all parameters; a longer one is shortened to it. 0: no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clip: f32,
    /// Whether a quantized run trains with batch norms where the float network has them. They are folded at its
    /// end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub norms: bool,
    /// Part of the target that is a teacher's probabilities instead of the label (knowledge
    /// distillation, arXiv 1503.02531, at temperature 1). 0: labels alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub distill: f32,
    /// Float graph of the teacher, which knows the same classes; the network at `init` where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<PathBuf>,
    /// Part of each label that is spread evenly over all classes (arXiv 1512.00567). 0: labels as they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f32,
    /// Decay per update of the averaged weights, which are what is exported.
    #[serde(default = "defaults::ema")]
    pub ema: f32,
    /// Pixels by which a training image is moved at most, the border being reflected.
    #[serde(default = "defaults::crop")]
    pub crop: usize,
    /// Whether training images are mirrored at random.
    #[serde(default = "defaults::flip")]
    pub flip: bool,
    /// Of initial weights, order and augmentation.
    pub seed: u64,
}

/// Float, or a bit setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Precision {
    /// 32-bit floats.
    Float,
    /// Fake-quantized.
    Quantized(Setting),
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is not a TOML of this form.
    #[error("the configuration does not parse: {0}")]
    Parse(String),
    /// A field's value makes no sense.
    #[error("the configuration's `{field}` must be {must}")]
    Value {
        /// The field.
        field: &'static str,
        /// What it must be.
        must: &'static str,
    },
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

fn is_false(value: &bool) -> bool {
    !value
}

mod defaults {
    use crate::dataset::Split;

    pub(super) fn split() -> Split {
        Split::All
    }
    pub(super) fn batch() -> usize {
        128
    }
    pub(super) fn shards() -> usize {
        2
    }
    pub(super) fn warmup() -> f32 {
        0.15
    }
    pub(super) fn weight_decay() -> f32 {
        5e-4
    }
    pub(super) fn ema() -> f32 {
        0.998
    }
    pub(super) fn crop() -> usize {
        4
    }
    pub(super) fn flip() -> bool {
        true
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Parses and checks a text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text)
            .map_err(|error| ConfigError::Parse(error.to_string().trim().replace('\n', "; ")))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let fraction = |value: f32| (0.0..1.0).contains(&value);
        let checks = [
            (self.net().is_some(), "arch", "resnet8, resnet20, resnet32 or resnet56 with a width in (0, 16]"),
            ((1..=10_000).contains(&self.epochs), "epochs", "between 1 and 10000"),
            ((1..=4096).contains(&self.batch), "batch", "between 1 and 4096"),
            (self.shards > 0 && self.batch.is_multiple_of(self.shards), "shards", "a divisor of the batch"),
            (
                self.has_stages(),
                "curriculum",
                "pairs of a size of 8, 12, ... 28 pixels and the part of the run, in (0, 1), at which it ends, rising, \
                 with an epoch left for whole images",
            ),
            (self.lr > 0.0 && self.lr <= 10.0, "lr", "in (0, 10]"),
            (fraction(self.warmup), "warmup", "in [0, 1)"),
            (fraction(self.weight_decay), "weight_decay", "in [0, 1)"),
            (self.clip >= 0.0 && self.clip.is_finite(), "clip", "a positive number, or 0 for none"),
            ((0.0..=1.0).contains(&self.distill), "distill", "in [0, 1]"),
            (self.teacher.is_none() || self.distill > 0.0, "distill", "more than 0 where a teacher is named"),
            (fraction(self.label_smoothing), "label_smoothing", "in [0, 1)"),
            (fraction(self.ema), "ema", "in [0, 1)"),
            (self.crop <= 16, "crop", "at most 16"),
            (self.has_eight(), "eight", "names of the network's linear nodes"),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, must)) => Err(ConfigError::Value { field, must }),
            None => Ok(()),
        }
    }

    /// Whether every node that keeps 8 bits is there.
    fn has_eight(&self) -> bool {
        let mut names = self.eight.iter();
        let graph =
            self.net().filter(|_| !self.eight.is_empty()).map(|net| net.graph(vec![String::new()], 0));
        names.all(|name| {
            graph.iter().flat_map(|graph| &graph.nodes).any(|node| node.is_linear() && node.name == *name)
        })
    }

    /// Whether the curriculum's stages follow one another and leave epochs of whole images.
    fn has_stages(&self) -> bool {
        let ends = self.curriculum.iter().map(|&(_, end)| end);
        let rising = ends.clone().zip(ends.skip(1).chain([1.0])).all(|(end, next)| end > 0.0 && end < next);
        let whole = self.side(self.epochs.max(1)) == SIDE;
        rising
            && whole
            && self.curriculum.iter().all(|&(side, _)| side.is_multiple_of(4) && (8..SIDE).contains(&side))
    }

    /// Pixels on a side of the images of an epoch, counted from 1.
    pub fn side(&self, epoch: usize) -> usize {
        let begun = (epoch - 1) as f32 / self.epochs as f32;
        self.curriculum.iter().find(|&&(_, end)| begun < end).map_or(SIDE, |&(side, _)| side)
    }

    fn net(&self) -> Option<ResNet> {
        ResNet::with_depth(self.arch.strip_prefix("resnet")?.parse().ok()?, self.width)
    }

    /// The network with its initial weights.
    pub fn graph(&self, classes: Vec<String>) -> Result<Graph, ConfigError> {
        let unknown = ConfigError::Value { field: "arch", must: "resnet8, resnet20, resnet32 or resnet56" };
        Ok(self.net().ok_or(unknown)?.graph(classes, self.seed))
    }
}

impl Precision {
    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Float => "float",
            Precision::Quantized(setting) => setting.name(),
        }
    }
}

impl TryFrom<String> for Precision {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        match name.as_str() {
            "float" => Ok(Precision::Float),
            other => other.parse().map(Precision::Quantized),
        }
    }
}

impl From<Precision> for String {
    fn from(precision: Precision) -> String {
        precision.name().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "dataset = 'cifar10'\narch = 'resnet8'\nwidth = 1.0\nsetting = 'w4a8'\nepochs = 3\nlr = 0.01\nseed = 1\n";

    #[test]
    fn defaults_and_round_trip() {
        let config = Config::parse(GOOD).expect("parses");
        assert_eq!(config.setting, Precision::Quantized(Setting::W4a8));
        assert_eq!(config.split, Split::All);
        let text = toml::to_string(&config).expect("writes");
        // What is off is not written, so that digests of recipes stay as they are.
        assert!(!text.contains("label_smoothing") && !text.contains("distill"), "{text}");
        assert_eq!(Config::parse(&text).expect("parses"), config);
    }

    #[test]
    fn stages_by_hand() {
        let staged = GOOD.replace("epochs = 3", "epochs = 10\ncurriculum = [[16, 0.3], [24, 0.55]]");
        let config = Config::parse(&staged).expect("parses");
        let sides: Vec<usize> = (1..=10).map(|epoch| config.side(epoch)).collect();
        assert_eq!(sides, [16, 16, 16, 24, 24, 24, 32, 32, 32, 32]);
        assert_eq!(Config::parse(&toml::to_string(&config).expect("writes")).expect("parses"), config);
        assert_eq!(Config::parse(GOOD).expect("parses").side(1), 32);
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, expected) in [
            ("epochs = 3", "epochs = 0", "`epochs`"),
            ("resnet8", "resnet9", "`arch`"),
            ("'w4a8'", "'w2a2'", "w2a2"),
            ("seed = 1", "seeds = 1", "seeds"),
            ("lr = 0.01", "lr = 0.01\nbatch = 3", "`shards`"),
            ("lr = 0.01", "lr = 0.01\nteacher = 'a.graph'", "`distill`"),
            ("lr = 0.01", "lr = 0.01\nlabel_smoothing = 1.0", "`label_smoothing`"),
            ("lr = 0.01", "lr = 0.01\ncurriculum = [[18, 0.5]]", "`curriculum`"),
            ("lr = 0.01", "lr = 0.01\ncurriculum = [[16, 0.5], [24, 0.5]]", "`curriculum`"),
            ("lr = 0.01", "lr = 0.01\ncurriculum = [[16, 1.0]]", "`curriculum`"),
            ("lr = 0.01", "lr = 0.01\ncurriculum = [[16, 0.9]]", "`curriculum`"),
            ("lr = 0.01", "lr = 0.01\neight = ['stack9.conv1']", "`eight`"),
        ] {
            let message = Config::parse(&GOOD.replace(from, to)).expect_err("refused").to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }
}
