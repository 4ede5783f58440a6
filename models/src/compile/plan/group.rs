//! A run of units that take turns, walked through: lines of its rings, distances, bytes, cost.
//!
//! Takes the units and how many rows each makes at a time; kernels and their scratch change nothing of the
//! walk, so that one serves many groups. What may lie over what is known from
//! the walk: a tensor that grows from its start needs only so much distance below another that is
//! read from its start that no row is written over a row that is still to be read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use fourbit::artefact::MAX_LINES;
use fourbit::artefact::schedule::{Call, Schedule, Stage};
use fourbit::kernels::Kernel;

use super::Network;
use super::place::{Block, Distances, place};
use crate::graph::TensorId;

/// Trials of the placement within a group, which only estimates.
const TRIALS: usize = 40;

/// How a unit is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) kernel: Kernel,
    pub(super) pace: Pace,
    pub(super) scratch: usize,
}

/// How many rows a unit makes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pace {
    /// 0 for all.
    pub(super) rows: usize,
    pub(super) short_start: bool,
}

/// What follows from the rows that each unit makes at a time.
#[derive(Debug)]
pub(super) struct Turns {
    /// Lines of the tensors that are rings.
    pub(super) rings: BTreeMap<TensorId, usize>,
    /// Sums that lie in the place of an addend: the sum, the addend.
    pub(super) replaced: Vec<(TensorId, TensorId)>,
    /// Least distance from the first tensor up to the second, if it is to lie below it.
    pub(super) distances: BTreeMap<(TensorId, TensorId), i64>,
    /// How often each unit makes rows.
    calls: Vec<u64>,
    /// Tensors that live while the group runs.
    alive: Vec<TensorId>,
    /// Bytes of the arena by scratch, as far as they were asked for.
    bytes: RefCell<BTreeMap<usize, usize>>,
}

/// A group that was walked through.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Its units.
    pub(super) units: Range<usize>,
    pub(super) ways: Vec<Way>,
    pub(super) turns: Rc<Turns>,
    /// Scratch that all its units share.
    pub(super) scratch: usize,
    /// Bytes of the arena while it runs, about.
    pub(super) bytes: usize,
    /// Instructions.
    pub(super) cost: u64,
}

/// The units of a group, and what lives while they run.
struct Walk<'w, 'n> {
    net: &'w Network<'n>,
    units: Range<usize>,
    nodes: Range<usize>,
    alive: Vec<TensorId>,
    /// The calls in their order, each with the schedule before it.
    calls: Vec<(Schedule, Call)>,
    stage_of: Vec<usize>,
    rings: BTreeMap<TensorId, usize>,
    replaced: Vec<(TensorId, TensorId)>,
}

impl Turns {
    /// Walks through units with their paces; `None` where they are too many or cannot take turns.
    pub(super) fn new(net: &Network<'_>, units: Range<usize>, paces: &[Pace]) -> Option<Self> {
        let mut walk = Walk::new(net, units, paces)?;
        walk.rings = walk.lines();
        walk.replaced = walk.replaceable();
        walk.share();
        let distances = walk.distances()?;
        let mut calls = vec![0; walk.stage_of.len()];
        for (_, call) in &walk.calls {
            if let Some(unit) = walk.stage_of.iter().position(|&stage| stage == call.stage) {
                calls[unit] += 1;
            }
        }
        let (rings, replaced, alive) = (walk.rings, walk.replaced, walk.alive);
        Some(Self { rings, replaced, distances, calls, alive, bytes: RefCell::default() })
    }

    /// Bytes of a tensor's place.
    pub(super) fn tensor_bytes(&self, net: &Network<'_>, id: TensorId) -> usize {
        let info = net.graph.tensors[id].info;
        let lines = self.rings.get(&id).copied().unwrap_or(info.shape.height);
        lines * info.shape.row_bytes(info.dtype)
    }

    /// The arena that units with so much scratch need by themselves, about.
    fn bytes(&self, net: &Network<'_>, scratch: usize) -> usize {
        let estimate = || self.estimate(net, scratch);
        *self.bytes.borrow_mut().entry(scratch).or_insert_with(estimate)
    }

    fn estimate(&self, net: &Network<'_>, scratch: usize) -> usize {
        let mut block_of: Vec<usize> = (0..net.graph.tensors.len()).collect();
        let mut blocks = vec![Block::at_once(0); block_of.len()];
        for &id in &self.alive {
            blocks[id].bytes = self.tensor_bytes(net, id);
        }
        for &(sum, addend) in &self.replaced {
            block_of[sum] = block_of[addend];
            let bytes = blocks[sum].bytes.max(blocks[block_of[addend]].bytes);
            (blocks[block_of[addend]].bytes, blocks[sum].bytes) = (bytes, 0);
        }
        blocks.push(Block::at_once(scratch));
        let distances = Distances::new(&blocks, &block_of, self.distances.iter());
        place(&blocks, &distances, 0, TRIALS).0
    }
}

impl Group {
    /// Units with these kernels, which take turns as was found for their rows.
    pub(super) fn new(net: &Network<'_>, units: Range<usize>, ways: Vec<Way>, turns: &Rc<Turns>) -> Self {
        let scratch = ways.iter().map(|way| way.scratch).max().unwrap_or(0);
        let costs = units.clone().zip(&ways).zip(&turns.calls);
        let cost = costs
            .map(|((unit, way), &calls)| {
                net.cost(unit, (way.kernel, way.scratch), way.pace.rows, Some(calls))
            })
            .sum();
        Self { units, ways, turns: Rc::clone(turns), scratch, bytes: turns.bytes(net, scratch), cost }
    }
}

impl<'w, 'n> Walk<'w, 'n> {
    fn new(net: &'w Network<'n>, units: Range<usize>, paces: &[Pace]) -> Option<Self> {
        let nodes = net.units[units.start].nodes.start..net.units[units.end - 1].nodes.end;
        let (mut stages, mut stage_of) = (Vec::new(), Vec::new());
        for (unit, &Pace { rows, short_start }) in net.units[units.clone()].iter().zip(paces) {
            let height = net.height(unit.writes) as u16;
            if unit.whole && rows != 0 {
                return None;
            }
            stage_of.push(stages.len());
            let (writes, rows, reads) = (unit.writes as u16, rows as u8, unit.reads);
            stages.push(Stage { writes, height, done: 0, rows, short_start, reads });
            stages.extend((1..unit.nodes.len()).map(|_| Stage::NONE));
        }
        let calls = calls(Schedule::new(stages.into_iter())?);
        let lives = |id: &TensorId| net.stored[*id] && net.lifetimes[*id].meets(&nodes);
        let alive = (0..net.graph.tensors.len()).filter(lives).collect();
        let (rings, replaced) = Default::default();
        Some(Self { net, units, nodes, alive, calls, stage_of, rings, replaced })
    }

    /// Lines of the tensors that are made and read here only, and need not be whole.
    fn lines(&self) -> BTreeMap<TensorId, usize> {
        let mut lines = BTreeMap::new();
        for (schedule, call) in &self.calls {
            let id = usize::from(schedule.stages()[call.stage].writes);
            let kept = schedule.oldest(id as u16).min(call.rows.start);
            let most = lines.entry(id).or_insert(0);
            *most = (*most).max(call.rows.end - kept);
        }
        let units = &self.net.units[self.units.clone()];
        let whole = |id: &TensorId| {
            let flat = |unit: &&super::Unit| {
                unit.whole && (unit.writes == *id || usize::from(unit.reads[0].tensor) == *id)
            };
            self.leaves(*id) || units.iter().any(|unit| flat(&unit))
        };
        lines.retain(|id, lines| !whole(id) && *lines < self.net.height(*id) && *lines <= MAX_LINES);
        // A sum that is whole takes the place of its addend, which is whole for it.
        for unit in units {
            let stored = !lines.contains_key(&unit.writes);
            if let (true, Some(&addend)) =
                (stored, unit.addends.iter().find(|&&id| self.ends_with(id, unit.nodes.end - 1)))
            {
                lines.remove(&addend);
            }
        }
        lines
    }

    /// Whether a tensor is needed after the group.
    fn leaves(&self, id: TensorId) -> bool {
        self.net.lifetimes[id].last >= self.nodes.end || id == self.net.graph.output
    }

    fn ends_with(&self, id: TensorId, node: usize) -> bool {
        self.net.lifetimes[id].last == node && id != self.net.graph.output
    }

    /// Sums that may take the place of an addend.
    fn replaceable(&self) -> Vec<(TensorId, TensorId)> {
        let ring = |id: TensorId| self.rings.contains_key(&id);
        let units = self.net.units[self.units.clone()].iter().filter(|unit| !ring(unit.writes));
        let pairs = units.filter_map(|unit| {
            let ends = |&&id: &&TensorId| self.ends_with(id, unit.nodes.end - 1) && !ring(id);
            let choices: Vec<_> = unit.addends.iter().filter(ends).collect();
            let addend = if self.net.second { choices.last() } else { choices.first() };
            addend.map(|&&addend| (unit.writes, addend))
        });
        pairs.collect()
    }

    /// Rings of sums that go into their addends' rings, where both together need fewer lines so.
    fn share(&mut self) {
        let mut members: Vec<Vec<TensorId>> = Vec::new();
        for unit in &self.net.units[self.units.clone()] {
            let ends = |id: &&TensorId| self.ends_with(**id, unit.nodes.end - 1);
            let (sum, addend) = (unit.writes, unit.addends.iter().find(ends).copied());
            let Some((addend, own)) = addend.zip(self.rings.get(&sum).copied()) else { continue };
            let Some(before) = self.rings.get(&addend).copied() else { continue };
            let known = members.iter().position(|ring| ring.contains(&addend));
            let mut ring = known.map_or_else(|| vec![addend], |at| members[at].clone());
            ring.push(sum);
            self.replaced.push((sum, addend));
            match self.lines_of(&ring).filter(|&lines| lines < before + own) {
                Some(lines) => {
                    self.rings.extend(ring.iter().map(|&id| (id, lines)));
                    if let Some(at) = known {
                        members.swap_remove(at);
                    }
                    members.push(ring);
                }
                None => {
                    self.replaced.pop();
                }
            }
        }
    }

    /// Lines of a ring that several tensors are in; `None` where a row would be written over the same row of
    /// another.
    fn lines_of(&self, ring: &[TensorId]) -> Option<usize> {
        let (mut lines, least) = (0, ring.iter().map(|&id| self.net.height(id)).min()?);
        for (schedule, call) in &self.calls {
            let id = usize::from(schedule.stages()[call.stage].writes);
            if !ring.contains(&id) {
                continue;
            }
            let kept = schedule.oldest(id as u16).min(call.rows.start);
            let mut all = kept..call.rows.end;
            for &other in ring.iter().filter(|&&other| other != id) {
                let live = self.live(schedule, call, (id, other));
                if live.is_empty() {
                    continue;
                }
                if live.start < call.rows.end && call.rows.start < live.end {
                    return None;
                }
                all = all.start.min(live.start)..all.end.max(live.end);
            }
            lines = lines.max(all.len());
        }
        (lines < least && lines <= MAX_LINES).then_some(lines)
    }

    /// Whether both are in one ring.
    fn together(&self, id: TensorId, other: TensorId) -> bool {
        let root = |mut id: TensorId| {
            while let Some(&(_, addend)) = self.replaced.iter().find(|(sum, _)| *sum == id) {
                id = addend;
            }
            id
        };
        self.rings.contains_key(&id) && self.rings.contains_key(&other) && root(id) == root(other)
    }

    /// The least distance of every two tensors that must keep apart, either way up; `None` where a
    /// sum's place would be taken too early.
    fn distances(&self) -> Option<BTreeMap<(TensorId, TensorId), i64>> {
        let mut distances = BTreeMap::new();
        for (schedule, call) in &self.calls {
            let id = usize::from(schedule.stages()[call.stage].writes);
            let written = self.span(id, call.rows.clone());
            for &other in self.alive.iter().filter(|&&other| other != id && !self.together(id, other)) {
                let live = self.live(schedule, call, (id, other));
                if live.is_empty() {
                    continue;
                }
                let live = self.span(other, live);
                for (pair, least) in
                    [((id, other), written.end - live.start), ((other, id), live.end - written.start)]
                {
                    let known = distances.entry(pair).or_insert(i64::MIN);
                    *known = (*known).max(least);
                }
            }
        }
        let meets = |&(sum, addend): &(TensorId, TensorId)| {
            let least = |pair| distances.get(&pair).copied().unwrap_or(i64::MIN);
            least((sum, addend)) > 0 && least((addend, sum)) > 0
        };
        (!self.replaced.iter().any(meets)).then_some(distances)
    }

    /// The bytes of some rows from the tensor's start; all of them for a ring.
    fn span(&self, id: TensorId, rows: Range<usize>) -> Range<i64> {
        let info = self.net.graph.tensors[id].info;
        let row_bytes = info.shape.row_bytes(info.dtype);
        let rows = self.rings.get(&id).map_or(rows, |&lines| 0..lines);
        (rows.start * row_bytes) as i64..(rows.end * row_bytes) as i64
    }

    /// The rows of `other` that are made and still to be read while a call writes `id`.
    fn live(&self, schedule: &Schedule, call: &Call, (id, other): (TensorId, TensorId)) -> Range<usize> {
        let made = match self.net.maker[other] {
            Some(unit) if self.units.contains(&unit) => {
                usize::from(schedule.stages()[self.stage_of[unit - self.units.start]].done)
            }
            _ => self.net.height(other),
        };
        let start = if self.leaves(other) {
            0
        } else if self.replaced.contains(&(id, other)) {
            let mut after = *schedule;
            after.finish(call);
            after.oldest(other as u16)
        } else {
            schedule.oldest(other as u16)
        };
        start.min(made)..made
    }
}

/// The calls of a schedule in their order, each with the schedule before it.
fn calls(mut schedule: Schedule) -> Vec<(Schedule, Call)> {
    let calls = std::iter::from_fn(|| {
        let call = schedule.next_call()?;
        let before = schedule;
        schedule.finish(&call);
        Some((before, call))
    });
    calls.collect()
}
