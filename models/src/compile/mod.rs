//! Integer graph to artefact: a memory plan, packed weights, one file.
//!
//! [`compile`] takes a [`QGraph`], labels and a card, gives the bytes of an artefact that
//! `Artefact::parse` accepts. The same graph gives the same bytes.
//!
//! ```
//! use fourbit_models::file::AlignedBytes;
//! use fourbit_models::scheme::Setting;
//! use fourbit_models::{compile::compile, quantize::quantize, zoo};
//!
//! let graph = quantize(&zoo::resnet8(1, Setting::W4a4)?)?;
//! let file = AlignedBytes::copy(&compile(&graph, &graph.labels, "random weights")?);
//! let artefact = fourbit::Artefact::parse(file.bytes())?;
//! assert_eq!(artefact.header().logits, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod emit;
mod pack;
mod plan;

pub use plan::Plan;

use crate::quantize::QGraph;

/// Why an integer graph has no artefact.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// More of something than the format can count.
    #[error("the network has {found} {what}, and an artefact holds at most {most}: make it smaller")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// In the network.
        found: usize,
        /// In the format.
        most: usize,
    },
    /// Labels that do not fit the logits, or that no text section can hold.
    #[error("{labels} labels for {logits} logits: give one label per logit, each on one line, or none")]
    Labels {
        /// Labels given.
        labels: usize,
        /// Logits of the network.
        logits: usize,
    },
    /// The runtime refuses the artefact.
    #[error("the network cannot be run: {0}")]
    Refused(fourbit::ParseError),
}

/// The bytes of an artefact.
pub fn compile(graph: &QGraph, labels: &[String], card: &str) -> Result<Vec<u8>, CompileError> {
    emit::emit(graph, &Plan::new(graph), labels, card)
}

#[cfg(test)]
mod tests;
