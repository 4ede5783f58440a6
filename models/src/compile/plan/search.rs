//! The fastest plan within a limit: which units take turns, a few rows at a time, and how.
//!
//! A network is cut into groups. What a group needs and costs depends on nothing outside it but the
//! tensors that live across it, so the best cut for a limit is found unit by unit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use fourbit::artefact::schedule::MAX_GROUP;

use super::group::{Group, Pace, Turns, Way};
use super::{FEW, Network};

/// Rows at a time that are tried, and with a short start; a kernel takes the next multiple of what it likes.
const PACES: [Pace; 9] =
    [even(1), even(2), even(4), even(8), even(16), short(2), short(4), short(8), short(16)];

const fn even(rows: usize) -> Pace {
    Pace { rows, short_start: false }
}

const fn short(rows: usize) -> Pace {
    Pace { rows, short_start: true }
}

/// Every group worth a look, by the unit behind its last.
#[derive(Debug)]
pub(super) struct Groups {
    ending: Vec<Vec<Group>>,
}

impl Groups {
    /// Groups of one unit, and of several around a unit that needs more than `limit` by itself.
    pub(super) fn new(net: &Network<'_>, limit: usize) -> Self {
        let count = net.units.len();
        let singles: Vec<Vec<Group>> = (0..count).map(|unit| ways(net, unit..unit + 1)).collect();
        let heavy = |unit: usize| singles[unit].iter().all(|group| group.bytes > limit);
        let heavy: Vec<bool> = (0..count).map(heavy).collect();
        let mut ending = vec![Vec::new(); count + 1];
        for (unit, groups) in singles.into_iter().enumerate() {
            ending[unit + 1].extend(groups);
        }
        for start in 0..count {
            for end in start + 2..=count {
                let nodes = net.units[end - 1].nodes.end - net.units[start].nodes.start;
                if nodes > MAX_GROUP || net.units[end - 1].whole {
                    break;
                }
                if heavy[start..end].contains(&true) {
                    ending[end].extend(ways(net, start..end));
                }
            }
        }
        Self { ending }
    }

    /// Bytes that make a difference, ascending.
    pub(super) fn limits(&self) -> Vec<usize> {
        let mut limits: Vec<usize> = self.ending.iter().flatten().map(|group| group.bytes).collect();
        limits.sort_unstable();
        limits.dedup();
        limits
    }

    /// The cheapest cut of which no group needs more than `limit`, and its cost.
    pub(super) fn cut(&self, limit: usize) -> Option<(u64, Vec<&Group>)> {
        let mut best: Vec<Option<(u64, &Group)>> = vec![None; self.ending.len()];
        let total = |best: &[Option<(u64, &Group)>], end: usize| match end {
            0 => Some(0),
            _ => best[end].map(|(cost, _)| cost),
        };
        for end in 1..self.ending.len() {
            for group in self.ending[end].iter().filter(|group| group.bytes <= limit) {
                let Some(before) = total(&best, group.units.start) else { continue };
                let cost = before + group.cost;
                if best[end].is_none_or(|(known, _)| cost < known) {
                    best[end] = Some((cost, group));
                }
            }
        }
        let mut end = self.ending.len() - 1;
        let cost = total(&best, end)?;
        let mut groups = Vec::new();
        while end > 0 {
            let (_, group) = best[end]?;
            groups.push(group);
            end = group.units.start;
        }
        groups.reverse();
        Some((cost, groups))
    }
}

/// The ways to run some units as one group, without those that another undercuts in both bytes
/// and cost.
fn ways(net: &Network<'_>, units: Range<usize>) -> Vec<Group> {
    let mut caps: Vec<usize> = net.units[units.clone()]
        .iter()
        .flat_map(|unit| unit.kernels.iter().map(|&(_, bytes)| bytes))
        .collect();
    caps.sort_unstable();
    caps.dedup();
    let single = units.len() == 1;
    // A unit by itself has no reader that waits, and may make all its rows at once.
    let alone = |pace: &Pace| !pace.short_start && !net.units[units.start].whole;
    let paces = PACES.into_iter().filter(|pace| !single || alone(pace));
    let mut found = Found::default();
    for pace in paces.chain(single.then_some(even(0))) {
        for &cap in &caps {
            found.look(net, units.clone(), vec![pace; units.len()], cap);
        }
    }
    if !single && net.units.len() <= FEW {
        found.vary(net, &units);
    }
    found.groups.into_iter().map(|(group, ..)| group).collect()
}

/// Groups of the same units of which none undercuts another in both bytes and cost, each with the paces
/// that its units were asked for and the most scratch that they might take.
#[derive(Default)]
struct Found {
    groups: Vec<(Group, Vec<Pace>, usize)>,
    looked: BTreeSet<Vec<(u8, Pace, usize)>>,
    /// By the paces of the units; `None` where they cannot take turns.
    turns: BTreeMap<Vec<Pace>, Option<Rc<Turns>>>,
}

impl Found {
    /// Looks at units with these paces, and keeps what no other undercuts.
    fn look(&mut self, net: &Network<'_>, units: Range<usize>, paces: Vec<Pace>, cap: usize) {
        let ways = units.clone().zip(&paces).map(|(unit, &pace)| way(net, unit, pace, cap));
        let Some(ways) = ways.collect::<Option<Vec<Way>>>() else { return };
        if !self.looked.insert(ways.iter().map(|way| (way.kernel as u8, way.pace, way.scratch)).collect()) {
            return;
        }
        let key = ways.iter().map(|way| way.pace).collect::<Vec<_>>();
        let turns = self.turns.entry(key);
        let turns = turns.or_insert_with_key(|paces| Turns::new(net, units.clone(), paces).map(Rc::new));
        let Some(turns) = turns else { return };
        let group = Group::new(net, units, ways, turns);
        let under = |a: &Group, b: &Group| a.bytes <= b.bytes && a.cost <= b.cost;
        if !self.groups.iter().any(|(known, ..)| under(known, &group)) {
            self.groups.retain(|(known, ..)| !under(&group, known));
            self.groups.push((group, paces, cap));
        }
    }

    /// Changes the pace of one unit after the other, where all have fast kernels.
    fn vary(&mut self, net: &Network<'_>, units: &Range<usize>) {
        let best = self.groups.iter().map(|(group, ..)| group.cost).min().unwrap_or(0);
        for at in (0..units.len()).rev() {
            let fast = self.groups.iter().filter(|(group, ..)| group.cost / 2 <= best);
            for (paces, cap) in fast.map(|(_, paces, cap)| (paces.clone(), *cap)).collect::<Vec<_>>() {
                for other in PACES.into_iter().filter(|&other| other != paces[at]) {
                    let mut paces = paces.clone();
                    paces[at] = other;
                    self.look(net, units.clone(), paces, cap);
                }
            }
        }
    }
}

/// The cheapest kernel of a unit with so much scratch; `None` where none does with it.
fn way(net: &Network<'_>, unit: usize, pace: Pace, cap: usize) -> Option<Way> {
    let kernels = net.units[unit].kernels.iter().filter(|&&(_, scratch)| scratch <= cap);
    let ways = kernels.map(|&(kernel, scratch)| {
        let rows = pace.rows.next_multiple_of(kernel.rows());
        // A choice counts rows in a byte, and all rows are no number.
        let all = net.units[unit].whole || rows >= net.height(net.units[unit].writes) || rows > 255;
        let short_start = pace.short_start && !all;
        Way { kernel, pace: Pace { rows: if all { 0 } else { rows }, short_start }, scratch }
    });
    ways.min_by_key(|way| (net.cost(unit, (way.kernel, way.scratch), way.pace.rows, None), way.scratch))
}
