//! What a run measured: a line for each epoch, and the final accuracies, as JSON.

use serde::{Deserialize, Serialize};

use crate::agreement::Agreement;
use crate::config::Config;

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss.
    pub loss: f32,
    /// Accuracy on the augmented training images, with the weights of the moment.
    pub train_accuracy: f64,
    /// Accuracy of the averaged weights on held-out images, where there are some.
    pub held_out_accuracy: Option<f64>,
    /// Wall clock.
    pub seconds: f64,
    /// Training images per second.
    pub images_per_second: f64,
}

/// A finished run, for `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The recipe.
    pub config: Config,
    /// Data set as it is to be quoted.
    pub dataset: String,
    /// SHA-256 of its pixels and labels.
    pub dataset_sha256: String,
    /// Parts of a batch, which the result depends on.
    pub shards: usize,
    /// Every epoch.
    pub epochs: Vec<Epoch>,
    /// Of the exported network on training images, not augmented; at most 10,000 of them.
    pub train_accuracy: f64,
    /// Of the exported network on the held-out images, where there are some.
    pub held_out_accuracy: Option<f64>,
    /// Of the exported network on all test images.
    pub test_accuracy: f64,
    /// Test images.
    pub test_images: usize,
    /// Wall clock of all epochs.
    pub seconds: f64,
    /// The exported network beside its artefact, where the run was quantized.
    #[serde(default)]
    pub agreement: Option<Agreement>,
}
