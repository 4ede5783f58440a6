//! The check of a plan: that a session which follows it reads what was written.
//!
//! Every group is walked through in the order of its [`Schedule`], row by row: a row that is
//! written may lie over no row of another tensor that is still to be read. With that, slices that
//! a session takes out of the arena for one call are disjoint.

use core::ops::Range;

use super::schedule::{Call, Schedule, group};
use super::{Artefact, Fusion, Op, Plan, PlanProblem};
use crate::kernels::{Family, Kernel};

pub(super) fn follow(artefact: &Artefact<'_>, plan: &Plan<'_>, family: Family) -> Result<(), PlanProblem> {
    let ops = artefact.op_count();
    for tensor in 0..artefact.tensor_count() as u16 {
        place(artefact, plan, tensor)?;
    }
    for index in 0..ops {
        choice(artefact, plan, family, index)?;
    }
    groups(artefact, plan)
}

/// Every group is walked through.
#[inline(never)]
fn groups(artefact: &Artefact<'_>, plan: &Plan<'_>) -> Result<(), PlanProblem> {
    let (mut first, mut schedule) = (0, Schedule::EMPTY);
    while first < artefact.op_count() {
        let fault = PlanProblem::Group { op: first as u16 };
        let range = group(plan, first).ok_or(fault)?;
        schedule.load(artefact, plan, first).ok_or(fault)?;
        Walk { artefact, plan, group: range.clone(), schedule: &mut schedule }.run()?;
        first = range.end;
    }
    Ok(())
}

/// A tensor lies in the arena.
fn place(artefact: &Artefact<'_>, plan: &Plan<'_>, tensor: u16) -> Result<(), PlanProblem> {
    let place = plan.placement(usize::from(tensor));
    let Some(info) = artefact.tensor(tensor) else { return Err(PlanProblem::Place { tensor }) };
    let (lines, height) = (usize::from(place.lines), info.shape.height);
    let bytes = lines as u64 * info.shape.row_bytes(info.dtype) as u64;
    let outside = u64::from(place.offset) + bytes > plan.arena_bytes() as u64;
    let whole = tensor == 0 || tensor == artefact.output();
    if outside || lines > height || (whole && lines != height) {
        return Err(PlanProblem::Place { tensor });
    }
    Ok(())
}

/// An operation's kernel exists, its fusion is one, its tensors are whole where they must be, its
/// scratch lies apart.
#[inline(never)]
fn choice(artefact: &Artefact<'_>, plan: &Plan<'_>, family: Family, index: usize) -> Result<(), PlanProblem> {
    let op = index as u16;
    let Some(record) = artefact.op(index) else { return Err(PlanProblem::Kernel { op }) };
    let choice = plan.choice(index).ok_or(PlanProblem::Kernel { op })?;
    let group = own_group(plan, index).ok_or(PlanProblem::Group { op })?;
    for tensor in record.inputs() {
        let place = plan.placement(usize::from(tensor));
        let height = artefact.tensor(tensor).map_or(0, |info| info.shape.height);
        let ring = usize::from(place.lines) != height;
        // A ring is empty when its group has ended, and a dense layer takes its input as it lies.
        let inside = usize::from(tensor) > group.start;
        if ring && (!inside || matches!(record.op, Op::MatMul(_))) {
            return Err(PlanProblem::Ring { tensor });
        }
    }
    fusion(artefact, plan, index)?;
    let fused = choice.fusion == Fusion::WithNext;
    let stored =
        if fused { artefact.op(index + 1).map_or(record.output, |add| add.output) } else { record.output };
    let stored_place = plan.placement(usize::from(stored));
    let height = artefact.tensor(stored).map_or(0, |info| info.shape.height);
    if matches!(record.op, Op::MatMul(_)) && (choice.rows != 0 || usize::from(stored_place.lines) != height) {
        return Err(PlanProblem::Ring { tensor: stored });
    }
    let known = match artefact.linear_spec(&record, stored) {
        Some(spec) => family.scratch_bytes(choice.kernel, &spec).is_some(),
        None => choice.kernel == Kernel::Direct,
    };
    if !known {
        return Err(PlanProblem::Kernel { op });
    }
    let scratch = choice.scratch_range();
    let outside = scratch.end > plan.arena_bytes();
    let over =
        living(artefact, &group).any(|(tensor, _)| meet(&all(artefact, plan, tensor), &bytes(&scratch)));
    if choice.scratch_bytes != 0 && (outside || over) {
        return Err(PlanProblem::Scratch { op });
    }
    Ok(())
}

/// A convolution that computes the add behind it is the only one to see its own output, which has
/// no place; no other tensor has none.
fn fusion(artefact: &Artefact<'_>, plan: &Plan<'_>, index: usize) -> Result<(), PlanProblem> {
    let fault = PlanProblem::Fusion { op: index as u16 };
    let (Some(record), Some(choice)) = (artefact.op(index), plan.choice(index)) else { return Err(fault) };
    let before = index.checked_sub(1).and_then(|before| plan.choice(before)).map(|choice| choice.fusion);
    let lines = plan.placement(usize::from(record.output)).lines;
    let done = choice.fusion == Fusion::Done;
    if done != (before == Some(Fusion::WithNext)) || (lines == 0) != (choice.fusion == Fusion::WithNext) {
        return Err(fault);
    }
    if choice.fusion != Fusion::WithNext {
        return Ok(());
    }
    let own = record.output;
    let Some(add) = artefact.op(index + 1) else { return Err(fault) };
    let Op::Add(_) = add.op else { return Err(fault) };
    let other = add.inputs().find(|&tensor| tensor != own);
    let once = add.inputs().filter(|&tensor| tensor == own).count() == 1 && other != Some(record.input);
    let alone = readers(artefact, index + 2).all(|(_, read)| read != own);
    let conv = matches!(record.op, Op::Conv2d(..)) && choice.streamed;
    if once && alone && conv { Ok(()) } else { Err(fault) }
}

/// The group that an op belongs to.
fn own_group(plan: &Plan<'_>, index: usize) -> Option<Range<usize>> {
    let mut first = index;
    while first > 0 && plan.choice(first - 1)?.streamed {
        first -= 1;
    }
    group(plan, first)
}

/// Operations from `first` on, each with every tensor that it reads.
fn readers(artefact: &Artefact<'_>, first: usize) -> impl Iterator<Item = (usize, u16)> {
    let ops = (first..artefact.op_count()).filter_map(|index| Some((index, artefact.op(index)?)));
    ops.flat_map(|(index, record)| record.inputs().map(move |tensor| (index, tensor)))
}

/// The tensors that keep or get content while a group runs, some more than once, and whether they are needed
/// when it has ended.
fn living(artefact: &Artefact<'_>, group: &Range<usize>) -> impl Iterator<Item = (u16, bool)> {
    let (end, output) = (group.end, artefact.output());
    let read = readers(artefact, group.start).map(move |(reader, tensor)| (tensor, reader >= end));
    // Operation i writes tensor i + 1.
    let made = (group.start + 1..=end).map(move |tensor| (tensor as u16, tensor == usize::from(output)));
    read.filter(move |(tensor, _)| usize::from(*tensor) <= end).chain(made)
}

/// All bytes of a tensor's place.
fn all(artefact: &Artefact<'_>, plan: &Plan<'_>, tensor: u16) -> Range<u64> {
    let lines = plan.placement(usize::from(tensor)).lines;
    rows(artefact, plan, tensor, 0..usize::from(lines))
}

/// The bytes of some rows of a tensor; all of them for a ring.
fn rows(artefact: &Artefact<'_>, plan: &Plan<'_>, tensor: u16, rows: Range<usize>) -> Range<u64> {
    let place = plan.placement(usize::from(tensor));
    let Some(info) = artefact.tensor(tensor) else { return 0..0 };
    let lines = usize::from(place.lines);
    let rows = if lines == info.shape.height || rows.is_empty() { rows } else { 0..lines };
    let at = |row: usize| u64::from(place.offset) + row as u64 * info.shape.row_bytes(info.dtype) as u64;
    at(rows.start)..at(rows.end)
}

fn bytes(range: &Range<usize>) -> Range<u64> {
    range.start as u64..range.end as u64
}

fn meet(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// A group on its way.
struct Walk<'w, 'a> {
    artefact: &'w Artefact<'a>,
    plan: &'w Plan<'a>,
    group: Range<usize>,
    schedule: &'w mut Schedule,
}

impl Walk<'_, '_> {
    fn run(self) -> Result<(), PlanProblem> {
        while let Some(call) = self.schedule.next_call() {
            self.writes(&call)?;
            self.schedule.finish(&call);
        }
        Ok(())
    }

    /// What a call writes lies over nothing that is still to be read.
    fn writes(&self, call: &Call) -> Result<(), PlanProblem> {
        let Some(stage) = self.schedule.stages().get(call.stage) else { return Ok(()) };
        let tensor = stage.writes;
        let (lines, height) =
            (usize::from(self.plan.placement(usize::from(tensor)).lines), usize::from(stage.height));
        let kept = self.schedule.oldest(tensor).min(call.rows.start);
        if lines != height && call.rows.end - kept > lines {
            return Err(PlanProblem::Ring { tensor });
        }
        let written = rows(self.artefact, self.plan, tensor, call.rows.clone());
        for (other, kept) in living(self.artefact, &self.group).filter(|&(other, _)| other != tensor) {
            let live = self.live(call, other, kept);
            let over = match self.lines_of_both(tensor, other) {
                Some(lines) => crowded(&call.rows, &live, lines),
                None => meet(&written, &rows(self.artefact, self.plan, other, live)),
            };
            if over {
                return Err(PlanProblem::Overlap { tensor, other });
            }
        }
        Ok(())
    }

    /// The lines of a ring that two tensors have in common, row by row; `None` where they have none.
    fn lines_of_both(&self, one: u16, other: u16) -> Option<usize> {
        let [a, b] = [one, other].map(|tensor| self.plan.placement(usize::from(tensor)));
        let (one, other) = (self.artefact.tensor(one)?, self.artefact.tensor(other)?);
        let lines = usize::from(a.lines);
        let ring = lines > 0 && lines != one.shape.height && lines != other.shape.height;
        let alike = one.shape.row_bytes(one.dtype) == other.shape.row_bytes(other.dtype);
        (ring && alike && (a.offset, a.lines) == (b.offset, b.lines)).then_some(lines)
    }

    /// The rows of a tensor that are made and still to be read, all of them where it is `kept`, while a call
    /// runs that may replace its addend row by row.
    fn live(&self, call: &Call, tensor: u16, kept: bool) -> Range<usize> {
        let height = self.artefact.tensor(tensor).map_or(0, |info| info.shape.height);
        let maker = self.schedule.stages().iter().find(|stage| stage.height > 0 && stage.writes == tensor);
        let made = if usize::from(tensor) <= self.group.start {
            height
        } else {
            maker.map_or(0, |stage| usize::from(stage.done))
        };
        let start = if kept {
            0
        } else if replaces(self.artefact, self.plan, self.group.start + call.stage, tensor) {
            self.schedule.oldest_after(tensor, Some(call))
        } else {
            self.schedule.oldest(tensor)
        };
        start.min(made)..made
    }
}

/// Whether rows to be written and live ones of another tensor cannot be in one ring of so many lines.
fn crowded(written: &Range<usize>, live: &Range<usize>, lines: usize) -> bool {
    let both = written.end.max(live.end).saturating_sub(written.start.min(live.start));
    let apart = written.end <= live.start || live.end <= written.start;
    !live.is_empty() && (!apart || both > lines)
}

/// Whether the op stores a sum over its addend `input`, at the same bytes, both whole or both in the lines
/// of one ring.
pub(crate) fn replaces(artefact: &Artefact<'_>, plan: &Plan<'_>, index: usize, input: u16) -> bool {
    let fused = plan.choice(index).is_some_and(|choice| choice.fusion == Fusion::WithNext);
    let Some(record) = artefact.op(index + usize::from(fused)) else { return false };
    let Op::Add(add) = record.op else { return false };
    let (to, from) = (plan.placement(usize::from(record.output)), plan.placement(usize::from(input)));
    let (Some(sum), Some(addend)) = (artefact.tensor(record.output), artefact.tensor(input)) else {
        return false;
    };
    (record.input == input) != (add.other == input)
        && (from.offset, from.lines) == (to.offset, to.lines)
        && sum.dtype.bits() == addend.dtype.bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_two_tensors_in_one_ring() {
        // Rows 4 and 5 beside 6 to 7, or 1 to 3, or one of them, or none.
        let crowded = |live, lines| crowded(&(4..6), &live, lines);
        assert_eq!([3, 4].map(|lines| crowded(6..8, lines)), [true, false]);
        assert_eq!([4, 5].map(|lines| crowded(1..4, lines)), [true, false]);
        assert_eq!([5..7, 9..9].map(|live| crowded(live, 8)), [true, false]);
    }
}
