//! Whether the simulator predicts a board's instructions for networks that it was not fitted on.

use anyhow::{Context, ensure};
use fourbit_models::compile::compile_within;
use fourbit_models::graph::Graph;
use fourbit_models::nets::resnet::ResNet;
use fourbit_models::quantize::{QuantizeError, quantize};
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;

use super::Tally;
use crate::board::Board;
use crate::model::Model;
use crate::place::Place;
use crate::{eval, fit, paths};

/// A name and what builds it.
type Network = (&'static str, fn() -> Result<Graph, QuantizeError>);

/// What the prediction may be off by.
const TOLERANCE: f64 = 0.10;
/// Bytes of arena that the networks are planned for.
const ARENA_BYTES: usize = 64_000;
/// The board of which it is asked.
const BOARD: &str = "mps2-an386";
/// Networks of random weights; none of them is among those that the cost model is fitted on.
const NETWORKS: &[Network] = &[
    ("resnet20-half-w4a8", || zoo::resnet(ResNet { blocks: 3, width: 0.5 }, 1, Setting::W4a8)),
    ("mobilenet-w4a8", || zoo::mobilenet(1, Setting::W4a8)),
    ("resnet8-wide-w4a8", || zoo::resnet(ResNet { blocks: 1, width: 1.5 }, 1, Setting::W4a8)),
];

/// Counts each network once and compares.
pub(super) fn check() -> anyhow::Result<Tally> {
    let place = Place::Board(Board::load(BOARD)?);
    let mut tally = Tally::default();
    for (name, graph) in NETWORKS {
        let close = || {
            let model = compiled(name, graph()?)?;
            let (cost, _) = place.cost(&model)?;
            let counted = cost.instructions.context("the emulator counts instructions")?;
            let predicted = eval::instructions(&model, BOARD)?;
            let compared = fit::compared(counted, predicted);
            eprintln!("{name} on {BOARD}: {compared}");
            let off = predicted as f64 / counted as f64 - 1.0;
            ensure!(off.abs() <= TOLERANCE, "{name}: {compared}; `cargo xtask fit` fits the model anew");
            Ok(())
        };
        tally += Tally::one(close());
    }
    Ok(tally)
}

/// A graph as an artefact beside the build's other results.
fn compiled(name: &str, graph: Graph) -> anyhow::Result<Model> {
    let graph = quantize(&graph)?;
    let path = paths::out(None, "predicted").join(format!("{name}.fourbit"));
    let file = compile_within(&graph, &graph.labels, "random weights", Some(ARENA_BYTES))?;
    paths::write(&path, &file)?;
    Model::read(&path)
}
