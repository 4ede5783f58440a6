//! The order in which the ops of a group make their rows.
//!
//! Takes a plan's group, gives one call after the other: an op and the rows of output that it makes
//! next. The last op leads; whatever lacks rows that it reads asks the op that makes them. Depends
//! on extents only, so the compiler sizes rings, the check proves them and the session executes
//! them from this one order.

use core::ops::Range;

use super::{Artefact, Choice, Fusion, Op, Plan};
use crate::kernels::Window;

/// Most ops of a group: a session has each one's [`Stage`] on its stack.
pub const MAX_GROUP: usize = 14;

/// The rows of a tensor that an op reads for a row of its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// The tensor.
    pub tensor: u16,
    /// Height of the window.
    pub kernel: u8,
    /// Rows that the window moves per row of output; 0 where every row is read.
    pub stride: u8,
    /// Rows of padding above the tensor.
    pub top: u8,
    /// The stage of the group that makes it; [`NO_STAGE`](Self::NO_STAGE) for none.
    pub producer: u8,
}

/// An op in a group, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The tensor that it stores: an add's for a convolution that computes that too.
    pub writes: u16,
    /// Rows of that tensor; 0 for an op that the one before has computed.
    pub height: u16,
    /// Rows made so far.
    pub done: u16,
    /// Rows made at a time; 0 for all.
    pub rows: u8,
    /// Whether the first call may make fewer.
    pub short_start: bool,
    /// What it reads: an add's inputs, or the other addend (none: the same read twice) and the
    /// convolution's input, or one input twice.
    pub reads: [Read; 2],
}

/// An op and the rows of its output that it makes now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place in its group.
    pub stage: usize,
    /// Rows of output.
    pub rows: Range<usize>,
}

/// The stages of a group.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    stages: [Stage; MAX_GROUP],
    count: usize,
}

impl Read {
    /// Nothing.
    const NONE: Self = Self { tensor: 0, kernel: 0, stride: 0, top: 0, producer: Self::NO_STAGE };
    /// Stands for no stage.
    pub const NO_STAGE: u8 = u8::MAX;

    /// Reads the row that is made.
    pub const fn same(tensor: u16) -> Self {
        Self { tensor, kernel: 1, stride: 1, ..Self::NONE }
    }

    /// Reads a window's rows. The parts of a window are at most 255, as an artefact's are.
    pub fn window(tensor: u16, window: &Window) -> Self {
        let [kernel, stride, top] = [window.kernel[0], window.stride[0], window.padding[0]];
        Self { kernel: kernel as u8, stride: stride as u8, top: top as u8, ..Self::same(tensor) }
    }

    /// Reads every row.
    pub const fn all(tensor: u16) -> Self {
        Self { tensor, ..Self::NONE }
    }

    /// The row behind the last that is read for output rows up to `end`, of a tensor of `height` rows.
    pub fn end(&self, end: usize, height: u16) -> usize {
        if self.stride == 0 {
            return height.into();
        }
        let last = end.saturating_sub(1) * usize::from(self.stride) + usize::from(self.kernel);
        last.saturating_sub(self.top.into()).min(height.into())
    }

    /// The first row that is read for output rows from `start` on.
    pub fn start(&self, start: usize) -> usize {
        (start * usize::from(self.stride)).saturating_sub(self.top.into())
    }
}

impl Stage {
    /// Of an op that the one before has computed.
    pub const NONE: Self =
        Self { writes: 0, height: 0, done: 0, rows: 0, short_start: false, reads: [Read::NONE; 2] };

    /// The rows that it makes next, for a reader that lacks those below `end`, 0 for none; no rows when all
    /// are made.
    ///
    /// A short start is as long as it must be for a later call to end where the reader needs it to.
    pub fn next_rows(&self, end: usize) -> Range<usize> {
        let [done, height] = [self.done, self.height].map(usize::from);
        let step = if self.rows == 0 { height } else { self.rows.into() };
        let rows = match end.checked_sub(1).and_then(|last| last.checked_rem(step)) {
            Some(before) if self.short_start && done == 0 => before + 1,
            _ => step,
        };
        done..(done + rows).min(height)
    }
}

impl Schedule {
    /// No stage.
    pub const EMPTY: Self = Self { stages: [Stage::NONE; MAX_GROUP], count: 0 };

    /// The schedule of stages whose reads name tensors; finds who makes them.
    pub fn new(stages: impl Iterator<Item = Stage>) -> Option<Self> {
        let mut schedule = Self::EMPTY;
        for stage in stages {
            schedule.push(stage)?;
        }
        Some(schedule)
    }

    /// Becomes the schedule of the group that starts with op `first`; `None` where that is too long or not
    /// well-formed.
    #[inline(never)]
    pub fn load(&mut self, artefact: &Artefact<'_>, plan: &Plan<'_>, first: usize) -> Option<()> {
        self.count = 0;
        for index in group(plan, first)? {
            self.push(stage(artefact, &plan.choice(index)?, index)?)?;
        }
        Some(())
    }

    /// Puts a stage behind the others; `None` where there is no room.
    fn push(&mut self, mut stage: Stage) -> Option<()> {
        let earlier = self.stages.get(..self.count)?;
        for read in &mut stage.reads {
            let maker = earlier.iter().position(|s| s.height > 0 && s.writes == read.tensor);
            read.producer = maker.map_or(Read::NO_STAGE, |index| index as u8);
        }
        *self.stages.get_mut(self.count)? = stage;
        self.count += 1;
        Some(())
    }

    /// The stages, in the order of the ops.
    pub fn stages(&self) -> &[Stage] {
        self.stages.get(..self.count).unwrap_or(&[])
    }

    /// What runs next; `None` when every row is made.
    #[inline(never)]
    pub fn next_call(&self) -> Option<Call> {
        let unfinished = |stage: &Stage| stage.done < stage.height;
        let mut at = self.stages().iter().rposition(unfinished)?;
        let mut lacking = 0;
        loop {
            let stage = self.stages.get(at)?;
            let rows = stage.next_rows(lacking);
            let lacks = |read: &Read| {
                let producer = usize::from(read.producer);
                let made = self.stages.get(producer)?;
                let end = read.end(rows.end, made.height);
                (usize::from(made.done) < end).then_some((producer, end))
            };
            match stage.reads.iter().find_map(lacks) {
                // Producers come earlier, so this ends.
                Some((producer, end)) => (at, lacking) = (producer, end),
                None => return Some(Call { stage: at, rows }),
            }
        }
    }

    /// Notes that a call has run.
    pub fn finish(&mut self, call: &Call) {
        if let Some(stage) = self.stages.get_mut(call.stage) {
            stage.done = call.rows.end as u16;
        }
    }

    /// The first row of a tensor that the group has still to read; the largest number for none.
    pub fn oldest(&self, tensor: u16) -> usize {
        self.oldest_after(tensor, None)
    }

    /// The same, as if a call had run.
    pub(super) fn oldest_after(&self, tensor: u16, call: Option<&Call>) -> usize {
        let mut oldest = usize::MAX;
        for (index, stage) in self.stages().iter().enumerate() {
            let done = match call {
                Some(call) if call.stage == index => call.rows.end,
                _ => usize::from(stage.done),
            };
            if done >= usize::from(stage.height) {
                continue;
            }
            for read in stage.reads.iter().filter(|read| read.tensor == tensor) {
                oldest = oldest.min(read.start(done));
            }
        }
        oldest
    }
}

/// The ops of the group that starts with op `first`.
pub(super) fn group(plan: &Plan<'_>, first: usize) -> Option<Range<usize>> {
    let mut last = first;
    while plan.choice(last)?.streamed {
        last += 1;
        if last - first >= MAX_GROUP || last >= plan.ops() {
            return None;
        }
    }
    Some(first..last + 1)
}

/// An op's stage, its producers yet to be found.
fn stage(artefact: &Artefact<'_>, choice: &Choice, index: usize) -> Option<Stage> {
    if choice.fusion == Fusion::Done {
        return Some(Stage::NONE);
    }
    let record = artefact.op(index)?;
    let height = |tensor| artefact.tensor(tensor).map(|info| info.shape.height as u16);
    let mut writes = record.output;
    let reads = match record.op {
        Op::Conv2d(ref window, _)
        | Op::DepthwiseConv2d(ref window, _)
        | Op::AvgPool2d(ref window)
        | Op::MaxPool2d(ref window) => {
            let input = Read::window(record.input, window);
            match choice.fusion {
                Fusion::WithNext => {
                    let add = artefact.op(index + 1)?;
                    let other = add.inputs().find(|&tensor| tensor != record.output)?;
                    writes = add.output;
                    // The addend first: so a shortcut's rows are made before its input moves on.
                    [Read::same(other), input]
                }
                _ => [input, input],
            }
        }
        Op::MatMul(_) => [Read::all(record.input); 2],
        Op::Add(add) => [Read::same(record.input), Read::same(add.other)],
    };
    let Choice { rows, short_start, .. } = *choice;
    Some(Stage { writes, height: height(writes)?, done: 0, rows, short_start, reads })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(tensor: u16, stride: u8) -> [Read; 2] {
        [Read { kernel: 3, stride, top: 1, ..Read::same(tensor) }; 2]
    }

    fn stage(writes: u16, height: u16, reads: [Read; 2]) -> Stage {
        Stage { writes, height, done: 0, rows: 1, short_start: false, reads }
    }

    fn calls(mut schedule: Schedule) -> Vec<(usize, Range<usize>)> {
        let mut calls = Vec::new();
        while let Some(call) = schedule.next_call() {
            schedule.finish(&call);
            calls.push((call.stage, call.rows));
        }
        calls
    }

    #[test]
    fn rows_are_made_when_they_are_read() {
        // 3x3 over 3x3, four rows: the second has a row as soon as the first has two.
        let stages = [stage(1, 4, window(0, 1)), stage(2, 4, window(1, 1))];
        let schedule = Schedule::new(stages.into_iter()).expect("a schedule");
        let order = [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (0, 3), (1, 2), (1, 3)];
        assert_eq!(calls(schedule), order.map(|(stage, row)| (stage, row..row + 1)));
    }

    #[test]
    fn after_a_short_start_calls_end_in_time() {
        // Two rows at a time of the second need one row more of the first.
        let two = |stage| Stage { rows: 2, short_start: true, ..stage };
        let stages = [two(stage(1, 6, window(0, 1))), two(stage(2, 6, window(1, 1)))];
        let schedule = Schedule::new(stages.into_iter()).expect("a schedule");
        let order = [(0, 0..1), (0, 1..3), (1, 0..2), (0, 3..5), (1, 2..4), (0, 5..6), (1, 4..6)];
        assert_eq!(calls(schedule), order);
    }

    #[test]
    fn rows_that_nobody_reads_are_made_at_the_end() {
        let valid = Read { kernel: 1, stride: 2, ..Read::same(1) };
        let stages = [stage(1, 4, window(0, 1)), stage(2, 2, [valid; 2])];
        let schedule = Schedule::new(stages.into_iter()).expect("a schedule");
        let order = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3)];
        assert_eq!(calls(schedule), order.map(|(stage, row)| (stage, row..row + 1)));
    }

    #[test]
    fn the_oldest_row_that_is_still_read() {
        let stages = [stage(1, 4, window(0, 1)), stage(2, 4, window(1, 1))];
        let mut schedule = Schedule::new(stages.into_iter()).expect("a schedule");
        assert_eq!([0, 1, 2].map(|tensor| schedule.oldest(tensor)), [0, 0, usize::MAX]);
        for _ in 0..5 {
            let call = schedule.next_call().expect("a call");
            schedule.finish(&call);
        }
        // Three rows of the first, two of the second.
        assert_eq!([0, 1].map(|tensor| schedule.oldest(tensor)), [2, 1]);
    }

    #[test]
    fn a_group_has_an_end() {
        let stages = (0..MAX_GROUP as u16).map(|i| stage(i + 1, 2, window(i, 1)));
        assert!(Schedule::new(stages.clone()).is_some());
        assert!(Schedule::new(stages.chain([stage(99, 2, window(0, 1))])).is_none());
    }
}
