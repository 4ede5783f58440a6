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

mod cost;
mod emit;
mod order;
mod pack;
mod plan;
pub mod predict;
mod read;
mod target;

pub use plan::Plan;
pub use read::read;

use fourbit::kernels::Family;
use rayon::prelude::*;

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
    /// No plan of a family's fits the limit.
    #[error(
        "the network needs at least {smallest} bytes of arena with the kernels for {family:?}, more than {max_ram}: \
         allow that many, or make the network smaller"
    )]
    TooSmall {
        /// The limit.
        max_ram: usize,
        /// The smallest plan.
        smallest: usize,
        /// The family.
        family: Family,
    },
    /// The runtime refuses the artefact.
    #[error("the network cannot be run: {0}")]
    Refused(fourbit::ParseError),
}

/// Bytes of arena that a plan takes at most where nothing else is asked and it can: half of what
/// peers need for the networks of MLPerf Tiny.
pub const ARENA_BYTES: usize = 26_000;

/// The bytes of an artefact: the fastest plans within [`ARENA_BYTES`], or without a limit where the
/// network does not fit there.
pub fn compile(graph: &QGraph, labels: &[String], card: &str) -> Result<Vec<u8>, CompileError> {
    compile_within(graph, labels, card, None)
}

/// [`compile`] with plans of at most `max_ram` bytes of arena, or an error. The simulator's plan
/// keeps tensors whole, whatever the limit.
pub fn compile_within(
    graph: &QGraph,
    labels: &[String],
    card: &str,
    max_ram: Option<usize>,
) -> Result<Vec<u8>, CompileError> {
    let graph = order::for_fusion(graph);
    let planned = |family| Ok((family, plan(&graph, family, max_ram)?));
    // The first family's error, whichever ends first.
    let plans: Vec<_> = Family::ALL.into_par_iter().map(planned).collect();
    let plans = plans.into_iter().collect::<Result<Vec<_>, CompileError>>()?;
    emit::emit(&graph, &plans, labels, card)
}

/// The plans that no other undercuts in both bytes and instructions, from the smallest on, and the
/// names of the nodes in their order.
pub fn curve(graph: &QGraph, family: Family) -> (Vec<Plan>, Vec<String>) {
    let graph = order::for_fusion(graph);
    let names = graph.nodes.iter().map(|node| node.name.clone()).collect();
    (Plan::curve(&graph, family), names)
}

fn plan(graph: &QGraph, family: Family, max_ram: Option<usize>) -> Result<Plan, CompileError> {
    let fastest = || Plan::fastest(graph, family).expect("without a limit there is a plan");
    if family == Family::Host {
        return Ok(fastest());
    }
    let limit = max_ram.unwrap_or(ARENA_BYTES);
    // Without room for the image there is nothing to look for.
    let room = graph.tensors[graph.input].info.bytes() <= limit;
    if let Some(plan) = room.then(|| Plan::within(graph, family, limit)).flatten() {
        return Ok(plan);
    }
    let Some(max_ram) = max_ram else { return Ok(fastest()) };
    let mut curve = Plan::curve(graph, family);
    let smallest = curve.first().map_or(0, |plan| plan.arena_bytes);
    curve.retain(|plan| plan.arena_bytes <= limit);
    curve.pop().ok_or(CompileError::TooSmall { max_ram, smallest, family })
}

#[cfg(test)]
mod tests;
