//! Where every tensor lies, and how every operation is executed, for one family of kernels.
//!
//! Takes an integer graph in the order of `order`, gives the fastest plan that a limit admits:
//! whole tensors where there is room, otherwise groups of operations that take turns over a few
//! lines. Sums lie in the place of an addend that ends there, and an output may grow over what was
//! read. For schedules of whole tensors [`Plan::lower_bound_bytes`] cannot be undercut.

mod group;
mod place;
mod search;

use std::ops::Range;

use fourbit::artefact::{Choice, Fusion, Placement};
use fourbit::kernels::{Family, Kernel};

use super::cost::Turns;
use super::target::{Unit, units};
use crate::graph::TensorId;
use crate::quantize::{QGraph, QOp};
use group::Group;
use place::{Block, Distances, place};
use search::Groups;

/// Orders that the placement tries.
const TRIALS: usize = 1000;
/// Units of a network of which every group is looked at, whatever the limit, and with rows of its own
/// for each unit.
const FEW: usize = 40;

/// Cuts that are placed before a limit is given up, in networks of few units and in others.
const TRIED: [usize; 2] = [64, 12];

/// Where every tensor lies, how every node is executed, and what that takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// One per tensor.
    pub placements: Vec<Placement>,
    /// One per node.
    pub choices: Vec<Choice>,
    /// Bytes of the arena.
    pub arena_bytes: usize,
    /// An estimate.
    pub instructions: u64,
    /// The nodes that run when most of the arena is in use, the first of several.
    pub crowded: Range<usize>,
    /// Largest sum of the tensors that live at one node, a sum in place counted once.
    pub lower_bound_bytes: usize,
    /// The node at which that many bytes live, the first of several.
    pub peak: usize,
}

/// First and last node at which a tensor must keep its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lifetime {
    first: usize,
    last: usize,
}

/// A graph as a family sees it.
#[derive(Debug)]
struct Network<'g> {
    graph: &'g QGraph,
    family: Family,
    units: Vec<Unit>,
    lifetimes: Vec<Lifetime>,
    /// Whether a tensor is stored at all.
    stored: Vec<bool>,
    /// The unit that makes a tensor.
    maker: Vec<Option<usize>>,
    /// Whether an add that may replace either input replaces its second.
    second: bool,
}

impl Plan {
    /// The fastest plan whose arena has at most `limit` bytes, the smallest such; `None` where there
    /// is none.
    pub fn within(graph: &QGraph, family: Family, limit: usize) -> Option<Self> {
        let plans = Network::all(graph, family).into_iter().filter_map(|net| net.within(limit));
        plans.min_by_key(|plan| (plan.instructions, plan.arena_bytes))
    }

    /// The fastest plan.
    pub fn fastest(graph: &QGraph, family: Family) -> Option<Self> {
        Self::within(graph, family, usize::MAX)
    }

    /// Plans that no other undercuts in both bytes and instructions, from the smallest on.
    pub fn curve(graph: &QGraph, family: Family) -> Vec<Self> {
        let mut plans: Vec<Self> =
            Network::all(graph, family).into_iter().flat_map(|net| net.curve()).collect();
        plans.sort_by_key(|plan| (plan.arena_bytes, plan.instructions));
        let mut curve: Vec<Self> = Vec::new();
        for plan in plans {
            if curve.last().is_none_or(|last| plan.instructions < last.instructions) {
                curve.push(plan);
            }
        }
        curve
    }
}

impl<'g> Network<'g> {
    /// With one size of tiles or the other, so that a firmware needs the code of one; with the first and, where
    /// that differs, with the second input of adds replaced.
    fn all(graph: &'g QGraph, family: Family) -> Vec<Self> {
        let units = units(graph, family);
        let has = |kernel| units.iter().any(|unit| unit.kernels.iter().any(|&(own, _)| own == kernel));
        let without: &[Option<Kernel>] = match (has(Kernel::Winograd), has(Kernel::Winograd4x4)) {
            (true, true) => &[Some(Kernel::Winograd4x4), Some(Kernel::Winograd)],
            _ => &[None],
        };
        let seconds: &[bool] =
            if units.iter().any(|unit| unit.addends.len() > 1) { &[false, true] } else { &[false] };
        without
            .iter()
            .flat_map(|&without| seconds.iter().map(move |&second| (without, second)))
            .map(|(without, second)| {
                let mut units = units.clone();
                for unit in &mut units {
                    unit.kernels.retain(|&(kernel, _)| Some(kernel) != without);
                }
                Self::new(graph, family, units, second)
            })
            .collect()
    }

    fn new(graph: &'g QGraph, family: Family, units: Vec<Unit>, second: bool) -> Self {
        let (mut stored, mut maker) = (vec![true; graph.tensors.len()], vec![None; graph.tensors.len()]);
        for (index, unit) in units.iter().enumerate() {
            for node in unit.nodes.clone() {
                stored[graph.nodes[node].output] = graph.nodes[node].output == unit.writes;
            }
            maker[unit.writes] = Some(index);
        }
        Self { graph, family, units, lifetimes: lifetimes(graph), stored, maker, second }
    }

    fn height(&self, id: TensorId) -> usize {
        self.graph.tensors[id].info.shape.height
    }

    /// Instructions of a unit that makes its rows in `calls` calls; 0 rows at a time are all.
    fn cost(&self, unit: usize, kernel: (Kernel, usize), rows: usize, calls: Option<u64>) -> u64 {
        let unit = &self.units[unit];
        let even = Turns::even(self.height(unit.writes), rows);
        unit.cost(self.graph, self.family, kernel, Turns { calls: calls.unwrap_or(even.calls), ..even })
    }

    fn within(&self, limit: usize) -> Option<Plan> {
        let few = self.units.len() <= FEW;
        let groups = Groups::new(self, if few && limit < usize::MAX { 0 } else { limit });
        let limits = groups.limits();
        // What a group needs by itself is an estimate: a plan may need a little less.
        let most = limit.saturating_add(limit / 16);
        let mut at = limits.partition_point(|&bytes| bytes <= most);
        for _ in 0..TRIED[usize::from(!few)] {
            at = at.checked_sub(1)?;
            let (cost, _) = groups.cut(limits[at])?;
            // As fast with less.
            at = limits.partition_point(|&bytes| groups.cut(bytes).is_none_or(|(other, _)| other > cost));
            let plan = self.plan(&groups.cut(limits[at])?.1);
            if plan.arena_bytes <= limit {
                return Some(plan);
            }
        }
        None
    }

    fn curve(&self) -> Vec<Plan> {
        let groups = Groups::new(self, 0);
        let mut plans: Vec<Plan> = Vec::new();
        for limit in groups.limits() {
            let Some((cost, cut)) = groups.cut(limit) else { continue };
            if plans.last().is_none_or(|last| cost < last.instructions) {
                plans.push(self.plan(&cut));
            }
        }
        plans
    }

    /// The plan of a cut.
    fn plan(&self, groups: &[&Group]) -> Plan {
        let graph = self.graph;
        let nodes = |group: &Group| {
            self.units[group.units.start].nodes.start..self.units[group.units.end - 1].nodes.end
        };
        let own = |group: &&&Group, node: usize| nodes(group).contains(&node);
        let group_of = |node: usize| groups.iter().find(|group| own(group, node)).copied();
        let span = |id: TensorId| {
            let Lifetime { first, last } = self.lifetimes[id];
            let first = group_of(first).map_or(first, |group| nodes(group).start);
            (first, group_of(last).map_or(last, |group| nodes(group).end - 1))
        };
        // A ring has few lines in its own group, and lives in no other.
        let bytes = |id: TensorId| {
            let group = groups.iter().find(|group| group.turns.rings.contains_key(&id));
            group.or(groups.first()).map_or(0, |group| group.turns.tensor_bytes(self, id))
        };
        let mut block_of: Vec<usize> = (0..graph.tensors.len()).collect();
        let mut blocks: Vec<Block> = (0..graph.tensors.len())
            .map(|id| {
                let (first, last) = span(id);
                Block { bytes: if self.stored[id] { bytes(id) } else { 0 }, first, last }
            })
            .collect();
        for &(sum, addend) in groups.iter().flat_map(|group| &group.turns.replaced) {
            // Groups come in order, so the addend's block is final but for this end.
            block_of[sum] = block_of[addend];
            let last = blocks[sum].last;
            let block = &mut blocks[block_of[addend]];
            (block.last, block.bytes) = (block.last.max(last), block.bytes.max(bytes(sum)));
            blocks[sum].bytes = 0;
        }
        let scratch = graph.tensors.len();
        blocks.extend(groups.iter().map(|group| Block {
            bytes: group.scratch,
            first: nodes(group).start,
            last: nodes(group).end - 1,
        }));
        let known = groups.iter().flat_map(|group| group.turns.distances.iter());
        let distances = Distances::new(&blocks, &block_of, known);
        let crowded = groups.iter().rev().max_by_key(|group| group.bytes);
        let (peak, lower_bound_bytes) = peak(graph, &self.lifetimes);
        let goal = crowded.map_or(0, |group| group.bytes);
        let (arena_bytes, offsets) = place(&blocks, &distances, goal, TRIALS);
        let placements = (0..graph.tensors.len()).map(|id| {
            let ring = groups.iter().find_map(|group| group.turns.rings.get(&id)).copied();
            let lines = ring.unwrap_or(self.height(id));
            // The compiler refuses graphs whose arena or tensors do not fit.
            match self.stored[id] {
                true => Placement { offset: offsets[block_of[id]] as u32, lines: lines as u16 },
                false => Placement { offset: 0, lines: 0 },
            }
        });
        let choices = groups.iter().zip(&offsets[scratch..]).flat_map(|(group, &at)| self.choices(group, at));
        Plan {
            placements: placements.collect(),
            choices: choices.collect(),
            arena_bytes,
            instructions: groups.iter().map(|group| group.cost).sum(),
            crowded: crowded.map_or(0..0, |group| nodes(group)),
            lower_bound_bytes,
            peak,
        }
    }

    /// How the nodes of a group run, with scratch at an offset.
    fn choices(&self, group: &Group, scratch: usize) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (unit, way) in self.units[group.units.clone()].iter().zip(&group.ways) {
            let fused = unit.nodes.len() == 2;
            choices.push(Choice {
                kernel: way.kernel,
                fusion: if fused { Fusion::WithNext } else { Fusion::None },
                streamed: true,
                rows: way.pace.rows as u8,
                short_start: way.pace.short_start,
                scratch: if way.scratch == 0 { 0 } else { scratch as u32 },
                scratch_bytes: way.scratch as u32,
            });
            if fused {
                choices.push(Choice { fusion: Fusion::Done, streamed: true, ..Choice::default() });
            }
        }
        if let Some(last) = choices.last_mut() {
            last.streamed = false;
        }
        choices
    }
}

/// Bytes of a whole tensor.
fn bytes(graph: &QGraph, id: TensorId) -> usize {
    graph.tensors[id].info.bytes()
}

fn lifetimes(graph: &QGraph) -> Vec<Lifetime> {
    let mut lifetimes = vec![Lifetime { first: 0, last: 0 }; graph.tensors.len()];
    for (index, node) in graph.nodes.iter().enumerate() {
        lifetimes[node.output] = Lifetime { first: index, last: index };
        for &id in &node.inputs {
            lifetimes[id].last = index;
        }
    }
    lifetimes[graph.output].last = graph.nodes.len() - 1;
    lifetimes
}

/// Whether an add has an input whose bytes its output may take: one that ends there, has the
/// output's bits, and is not both inputs.
fn in_place(graph: &QGraph, lifetimes: &[Lifetime], index: usize) -> bool {
    let node = &graph.nodes[index];
    let (QOp::Add(_), &[a, b]) = (&node.op, &node.inputs[..]) else { return false };
    let bits = |id: TensorId| graph.tensors[id].info.dtype.bits();
    let ends = |id: TensorId| a != b && lifetimes[id].last == index && bits(id) == bits(node.output);
    ends(a) || ends(b)
}

/// The node with most live bytes, and those bytes.
fn peak(graph: &QGraph, lifetimes: &[Lifetime]) -> (usize, usize) {
    let live = |index: usize| {
        let alive = (0..lifetimes.len()).filter(|&id| lifetimes[id].meets(&(index..index + 1)));
        let all: usize = alive.map(|id| bytes(graph, id)).sum();
        all - if in_place(graph, lifetimes, index) { bytes(graph, graph.nodes[index].output) } else { 0 }
    };
    let mut peak = (0, 0);
    for index in 0..graph.nodes.len() {
        if live(index) > peak.1 {
            peak = (index, live(index));
        }
    }
    peak
}

impl Lifetime {
    /// Whether the tensor lives while some of these nodes run.
    fn meets(&self, nodes: &Range<usize>) -> bool {
        self.first < nodes.end && self.last >= nodes.start
    }
}
