//! Why nothing fits: which budgets are too small, and by how much.
//!
//! Takes the networks and the budgets, gives the reasons and their sentences.

use serde::Serialize;

use super::{Budget, Kind, fits};
use crate::board::Board;
use crate::pareto::record::Row;

/// A budget that is too small.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Reason {
    budget: Kind,
    /// Bytes or seconds.
    most: f64,
    /// What the network that is named takes.
    needs: f64,
    network: String,
    scope: Scope,
}

/// How a budget is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scope {
    /// It rules every network out by itself.
    Alone,
    /// The network fits if this one grows and the others stay.
    OneOf,
    /// The network fits if this one and those beside it grow.
    Together,
}

impl Budget {
    /// What a network takes of it; none where that is not known.
    fn reason(&self, row: &Row, board: &Board, scope: Scope) -> Option<Reason> {
        let needs = self.kind.of(row, board)?;
        Some(Reason { budget: self.kind, most: self.most, needs, network: row.name.clone(), scope })
    }
}

/// Which budgets are too small: those that rule every network out by themselves; or else each that would have to
/// grow if the others stayed, to the least that would do; or else all that the nearest network exceeds.
pub(super) fn reasons(rows: &[&Row], budgets: &[Budget], board: &Board) -> Vec<Reason> {
    let least = |budget: &Budget, scope: Scope| {
        let others = |row: &&&Row| {
            let kept = budgets.iter().filter(|other| scope == Scope::OneOf && other.kind != budget.kind);
            kept.into_iter().all(|other| fits(row, other, board))
        };
        let reasons = rows.iter().filter(others).filter_map(|row| budget.reason(row, board, scope));
        reasons.min_by(|a, b| a.needs.total_cmp(&b.needs)).filter(|least| least.needs > budget.most)
    };
    for scope in [Scope::Alone, Scope::OneOf] {
        let found: Vec<_> = budgets.iter().filter_map(|budget| least(budget, scope)).collect();
        if !found.is_empty() {
            return found;
        }
    }
    let exceeded = |row: &&Row| {
        let reasons = budgets.iter().filter(|budget| !fits(row, budget, board));
        reasons.map(|budget| budget.reason(row, board, Scope::Together)).collect::<Option<Vec<_>>>()
    };
    let furthest = |reasons: &Vec<Reason>| reasons.iter().map(|r| r.needs / r.most).fold(0.0, f64::max);
    let networks = rows.iter().filter_map(exceeded);
    networks.min_by(|a, b| furthest(a).total_cmp(&furthest(b))).unwrap_or_default()
}

/// The sentences of a refusal.
pub(super) fn refusal(reasons: &[Reason], board: &str) -> String {
    let sentence = |reason: &Reason| {
        let Reason { budget, most, needs, network, scope } = reason;
        let [most, needs, over] = [*most, *needs, needs - most].map(|amount| budget.shown(amount));
        let option = budget.option();
        match scope {
            Scope::Alone => {
                format!(
                    "{option} rules everything out: the least is {needs} ({network}), {over} above {most}"
                )
            }
            Scope::OneOf => {
                format!("with {option} {needs} instead of {most}, {over} more, {network} would fit")
            }
            Scope::Together => format!("{option} {needs} instead of {most}, {over} more"),
        }
    };
    let sentences: Vec<_> = reasons.iter().map(sentence).collect();
    let head = match reasons.first() {
        Some(Reason { scope: Scope::Together, network, .. }) => {
            format!("nothing fits {board}: {network} comes nearest, and would take")
        }
        Some(Reason { scope: Scope::OneOf, .. }) => {
            format!("nothing fits {board} within all budgets together:")
        }
        _ => format!("nothing fits {board}:"),
    };
    [vec![head], sentences].concat().join("\n")
}
