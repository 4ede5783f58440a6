//! Where a network runs, and what it costs there: the simulator or a board.

use anyhow::Context;
use fourbit::kernels::Family;
use fourbit_models::simulate::{Backend, Simulator};
use serde::Serialize;

use crate::agree;
use crate::board::{Board, OpBench};
use crate::elf::Flash;
use crate::model::Model;

/// What a model needs and takes. Bytes; none where nothing measures them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Cost {
    /// The artefact, in flash.
    pub(crate) artefact_bytes: usize,
    /// Everything else of a product in flash.
    pub(crate) code_bytes: Option<usize>,
    /// What that is.
    #[serde(skip)]
    pub(crate) flash: Option<Flash>,
    /// Activations.
    pub(crate) arena_bytes: usize,
    /// High-water mark.
    pub(crate) stack_bytes: Option<usize>,
    /// Per image; none in the simulator and on a chip.
    pub(crate) instructions: Option<u64>,
    /// Per image; on a chip only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cycles: Option<u64>,
}

/// What one operation takes; nothing is counted in the simulator.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OpCost {
    /// Its name in the artefact.
    pub(crate) name: String,
    /// For one image; none on a chip.
    pub(crate) instructions: Option<u64>,
    /// For one image, on a chip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cycles: Option<u64>,
}

/// Where a network runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// The runtime on this machine.
    Simulator,
    /// Firmware on a board.
    Board(Board),
}

impl Place {
    /// The place that `--board` names; a board behind a debug probe must be connected.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        if name == "sim" {
            return Ok(Self::Simulator);
        }
        let board = Board::load(name)?;
        if !board.is_emulated() {
            board.probe()?.find()?;
        }
        Ok(Self::Board(board))
    }

    /// What one image costs, and each operation in the order of execution. A board must compute
    /// what the reference kernels compute here.
    pub(crate) fn cost(&self, model: &Model) -> anyhow::Result<(Cost, Vec<OpCost>)> {
        let artefact = model.artefact()?;
        let artefact_bytes = model.bytes().len();
        match self {
            Self::Simulator => {
                let names = (0..artefact.op_count()).map(|index| artefact.name(index));
                let ops =
                    names.map(|name| OpCost { name: name.to_owned(), instructions: None, cycles: None });
                let arena_bytes = artefact.header().arena_bytes(Family::Host);
                Ok((Cost { artefact_bytes, arena_bytes, ..Cost::default() }, ops.collect()))
            }
            Self::Board(board) => {
                let bench = board.bench(model)?;
                agree::check(model, &bench).with_context(|| board.name.clone())?;
                let counted =
                    |count| if board.is_emulated() { (Some(count), None) } else { (None, Some(count)) };
                let (instructions, cycles) = counted(bench.count);
                let cost = Cost {
                    artefact_bytes,
                    code_bytes: Some(bench.flash.bytes()),
                    flash: Some(bench.flash),
                    arena_bytes: bench.arena_bytes,
                    stack_bytes: Some(bench.stack_bytes),
                    instructions,
                    cycles,
                };
                let op = |op: OpBench| {
                    let (instructions, cycles) = counted(op.count);
                    let name = op.fused.map_or(op.name.clone(), |add| format!("{} + {add}", op.name));
                    OpCost { name, instructions, cycles }
                };
                Ok((cost, bench.ops.into_iter().map(op).collect()))
            }
        }
    }

    /// The logits of one image after the other.
    pub(crate) fn logits(&self, model: &Model, images: &[i8]) -> anyhow::Result<Vec<i8>> {
        match self {
            Self::Simulator => simulate(model, images),
            Self::Board(board) => board.logits(model, images),
        }
    }
}

/// The logits of one image after the other, through the runtime on all cores.
pub(crate) fn simulate(model: &Model, images: &[i8]) -> anyhow::Result<Vec<i8>> {
    Ok(Simulator::new(model.artefact()?, Backend::Host).logits(images)?)
}
