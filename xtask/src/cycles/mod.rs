//! Cycles of a Cortex-M4 and a Cortex-M7, estimated from what an emulator executed.
//!
//! Takes a board's bench firmware, runs it once more with the emulator's log of executed blocks,
//! decodes the blocks from the firmware's file, and weighs each class of instructions by the cores'
//! documented timings ([`mix`]). The firmware calls its timer around every operation, which cuts the
//! log into operations. Deterministic; a chip takes more.

mod mix;
mod thumb;
mod trace;

use anyhow::{Context, ensure};
use fourbit::kernels::{Family, Reference};
use fourbit::{Event, Observer, Session};
use fourbit_models::file::AlignedBytes;
use serde::Serialize;

use crate::board::{Board, Program};
use crate::elf;
use crate::model::Model;
pub(crate) use mix::{Cycles, Mix};
use trace::{Part, Trace};

/// Part by which the log and the instruction counter may differ: what reading the counter takes.
const TOLERANCE: f64 = 0.001;

/// Estimated cycles of a network.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Estimate {
    /// From the int8 image to the logits.
    pub(crate) network: Cycles,
    /// The same estimate for an int8 kernel of 26 instructions for 16 products, nothing else counted.
    pub(crate) int8_kernel: Cycles,
    /// What was executed.
    pub(crate) mix: Mix,
    /// Of each operation, in the order in which they end.
    pub(crate) ops: Vec<Cycles>,
}

/// Whether the estimate knows a family's instructions.
pub(crate) fn covers(family: Family) -> bool {
    match family {
        Family::Portable | Family::Armv7em => true,
        Family::Host | Family::Mve => false,
    }
}

/// The estimate for one image on an emulated board that has counted `instructions` for it.
pub(crate) fn estimate(
    model: &Model,
    board: &Board,
    instructions: u64,
    macs: u64,
) -> anyhow::Result<Estimate> {
    let calls = calls(model, board.family())?;
    let firmware = board.firmware(Program::Bench, Some(model))?;
    let image = elf::Image::read(&firmware.elf)?;
    let mark = image.function("systick5ticks").context("the bench firmware does not read its timer")?;
    let mut trace = Trace::new(&image.flash, mark);
    board.trace(&firmware, |line| trace.line(line))?;
    let (whole, parts) =
        cut(trace.finish(), calls.len()).context("the log has too few calls of the timer")?;
    let (counted, logged) = (instructions as f64, whole.mix.instructions() as f64);
    ensure!(
        (logged - counted).abs() <= TOLERANCE * counted,
        "the log has {logged} instructions and the counter {counted}"
    );
    let mut ops = Vec::new();
    let mut running = vec![Cycles::default(); calls.iter().map(|call| call.op + 1).max().unwrap_or(0)];
    for (call, part) in calls.iter().zip(parts) {
        running[call.op] += part.cycles;
        if call.last {
            ops.push(running[call.op]);
        }
    }
    let int8_kernel = Cycles::int8(macs);
    Ok(Estimate { network: whole.cycles, int8_kernel, mix: whole.mix, ops })
}

/// The part that ran the whole network, and the part of each call, of a trace that was cut at every
/// reading of the timer: the firmware reads it around the whole and then around every call, last.
fn cut(parts: Vec<Part>, calls: usize) -> Option<(Part, Vec<Part>)> {
    let first = parts.len().checked_sub(2 * calls)?;
    let whole = *parts.get(first.checked_sub(2)?)?;
    Some((whole, parts[first..].iter().step_by(2).copied().collect()))
}

/// A call of a kernel.
#[derive(Clone, Copy, Debug)]
struct Call {
    op: usize,
    last: bool,
}

struct Calls(Vec<Call>);

impl Observer for Calls {
    fn begin(&mut self, _event: &Event<'_>) {}

    fn end(&mut self, event: &Event<'_>) {
        self.0.push(Call { op: event.index, last: event.is_last() });
    }
}

/// The calls that a family's plan makes for an image, in order.
fn calls(model: &Model, family: Family) -> anyhow::Result<Vec<Call>> {
    let artefact = model.artefact()?;
    let header = artefact.header();
    let image = vec![0; header.input_shape.elements()];
    let mut logits = vec![0; header.logits.into()];
    let mut arena = AlignedBytes::zeroed(header.arena_bytes(family));
    let mut calls = Calls(Vec::new());
    let mut session = Session::planned(&artefact, family, Reference, arena.bytes_mut())?;
    session.run_observed(&image, &mut logits, &mut calls)?;
    Ok(calls.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(simple: u64) -> Part {
        let mix = Mix { simple, ..Mix::default() };
        Part { mix, cycles: mix.cycles() }
    }

    #[test]
    fn calls_are_found_from_the_end() {
        // Before the first reading; between readings; the whole; its report; a call, between, a call, rest.
        let parts: Vec<_> = [9, 1, 70, 5, 30, 2, 40, 8].map(part).into();
        let (whole, calls) = cut(parts.clone(), 2).unwrap();
        assert_eq!((whole, calls), (part(70), vec![part(30), part(40)]));
        assert!(cut(parts, 4).is_none());
    }

    #[test]
    fn every_operation_ends_once() {
        let calls = calls(&Model::open("resnet8-shapes-w4a8").unwrap(), Family::Armv7em).unwrap();
        let mut ends: Vec<_> = calls.iter().filter(|call| call.last).map(|call| call.op).collect();
        ends.sort_unstable();
        let count = ends.len();
        ends.dedup();
        assert!(count > 1 && ends.len() == count);
    }
}
