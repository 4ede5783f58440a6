//! What a board will count for an artefact, operation by operation, without running it.
//!
//! Takes a checked artefact and the plan of a family, gives [`Terms`] of every operation: the
//! planner's own estimates, set apart by kernel and width. A [`Fit`] weighs them. Its coefficients are
//! fitted by least squares to counts of an emulator and lie beside the planner's estimates, one file
//! per family; a family without such a file is predicted by the estimates themselves.

use fourbit::Artefact;
use fourbit::artefact::schedule::Schedule;
use fourbit::artefact::{Choice, Fusion, Op, Plan};
use fourbit::kernels::{Family, Kernel};
use fourbit::layout::WeightBits;
use fourbit::shape::DType;
use serde::{Deserialize, Serialize};

use super::cost::{self, Turns};

/// What the terms are called, in their order.
pub const TERMS: [&str; COUNT] = [
    "winograd",
    "direct",
    "positions, direct",
    "depthwise",
    "winograd, weights of 8 bits",
    "inputs of 4 bits",
    "stored values",
    "stored values of 4 bits",
    "add fused with winograd",
    "add fused with another",
    "fused add of 4 bits",
    "add",
    "pool",
    "pool to 4 bits",
    "calls",
];
const COUNT: usize = 15;

/// The coefficients of the estimates themselves.
const PLAIN: Terms = [1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5];
/// What a coefficient is held with to its plain value, where counts say nothing about it.
const HOLD: f64 = 1e-5;

/// What an operation consists of, in instructions or values; the prediction is linear in them.
pub type Terms = [f64; COUNT];

/// An operation that a plan executes.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its name in the artefact; `CONVOLUTION + ADD` where both are computed at once.
    pub name: String,
    /// What it consists of.
    pub terms: Terms,
    /// Calls of its kernel.
    pub calls: usize,
}

/// How terms become instructions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// By term.
    pub coefficients: Terms,
    /// Between two calls of kernels.
    pub between: f64,
}

/// The operations of an artefact as a family's plan executes them; `None` without such a plan.
pub fn operations(artefact: &Artefact<'_>, family: Family) -> Option<Vec<Operation>> {
    let plan = artefact.plan(family)?;
    let calls = calls(artefact, &plan)?;
    let operations = calls
        .into_iter()
        .enumerate()
        .filter_map(|(index, calls)| operation(artefact, &plan, family, (index, calls)));
    Some(operations.collect())
}

/// How often each operation's kernel is called.
fn calls(artefact: &Artefact<'_>, plan: &Plan<'_>) -> Option<Vec<usize>> {
    let (mut calls, mut schedule) = (Vec::new(), Schedule::EMPTY);
    while calls.len() < artefact.op_count() {
        let first = calls.len();
        schedule.load(artefact, plan, first)?;
        calls.resize(first + schedule.stages().len(), 0);
        while let Some(call) = schedule.next_call() {
            calls[first + call.stage] += 1;
            schedule.finish(&call);
        }
    }
    Some(calls)
}

fn operation(
    artefact: &Artefact<'_>,
    plan: &Plan<'_>,
    family: Family,
    (index, calls): (usize, usize),
) -> Option<Operation> {
    let (record, choice) = (artefact.op(index)?, plan.choice(index)?);
    let add = match choice.fusion {
        Fusion::None => None,
        Fusion::WithNext => Some(artefact.op(index + 1)?),
        Fusion::Done => return None,
    };
    let output = add.as_ref().map_or(record.output, |add| add.output);
    let name = |index: usize| artefact.name(index);
    let named = match add {
        Some(_) => format!("{} + {}", name(index), name(index + 1)),
        None => name(index).to_owned(),
    };
    let stored = artefact.tensor(output)?;
    let turns = Turns { calls: calls as u64, ..Turns::even(stored.shape.height, choice.rows.into()) };
    let values = stored.shape.elements();
    let (winograd, narrow) = (choice.kernel != Kernel::Direct, stored.dtype != DType::I8);
    let mut terms = [0.0; COUNT];
    let mut term = |name: &str, value: f64| terms[place(name)] += value;
    if let Some(spec) = artefact.linear_spec(&record, output) {
        let Choice { kernel, scratch_bytes, .. } = choice;
        let work = cost::linear(family, (kernel, scratch_bytes as usize), &spec, turns) as f64;
        match (spec.depthwise, winograd) {
            (true, _) => term("depthwise", work),
            (false, true) => term("winograd", work),
            (false, false) => {
                term("direct", work);
                term("positions, direct", (stored.shape.height * stored.shape.width) as f64);
            }
        }
        if winograd && spec.bits == WeightBits::Eight {
            term("winograd, weights of 8 bits", work);
        }
        if spec.input.1 != DType::I8 {
            term("inputs of 4 bits", work);
        }
        term(if narrow { "stored values of 4 bits" } else { "stored values" }, values as f64);
    }
    if add.is_some() {
        let name = match (narrow, winograd) {
            (true, _) => "fused add of 4 bits",
            (false, true) => "add fused with winograd",
            (false, false) => "add fused with another",
        };
        term(name, cost::add(family, values, true) as f64);
    }
    match record.op {
        Op::Add(_) => term("add", cost::add(family, values, false) as f64),
        Op::AvgPool2d(window) | Op::MaxPool2d(window) => {
            let work = cost::pool(family, values * window.kernel[0] * window.kernel[1]) as f64;
            term(if narrow { "pool to 4 bits" } else { "pool" }, work);
        }
        _ => {}
    }
    term("calls", calls as f64 * cost::CALL as f64);
    Some(Operation { name: named, terms, calls })
}

/// Where a term lies.
fn place(name: &str) -> usize {
    TERMS.iter().position(|term| *term == name).expect("a name of the list")
}

impl Fit {
    /// The committed fit of a family.
    pub fn of(family: Family) -> Self {
        let file = match family {
            Family::Armv7em => Some(include_str!("cost/armv7em.fit.toml")),
            Family::Portable | Family::Host | Family::Mve => None,
        };
        let plain = Self { coefficients: PLAIN, between: 0.5 * cost::CALL as f64 };
        file.map_or(plain, |file| toml::from_str(file).expect("a committed fit is well-formed"))
    }

    /// Fits operations to their counts and networks (calls, count beside the operations) to theirs.
    pub fn fitted(operations: &[(Terms, f64)], networks: &[(usize, f64)]) -> Self {
        // Squared errors, each by its count: large operations decide, small ones are not forgotten.
        let mut normal = [[0.0; COUNT + 1]; COUNT];
        for (row, equation) in normal.iter_mut().enumerate() {
            let scale: f64 = operations.iter().map(|(terms, count)| terms[row] * terms[row] / count).sum();
            let hold = HOLD * scale.max(1.0);
            equation[row] += hold;
            equation[COUNT] += hold * PLAIN[row];
            for (terms, count) in operations {
                let weight = terms[row] / count;
                for (column, term) in terms.iter().enumerate() {
                    equation[column] += weight * term;
                }
                equation[COUNT] += weight * count;
            }
        }
        let (calls, between) =
            networks.iter().fold((0, 0.0), |(n, sum), (calls, rest)| (n + calls, sum + rest));
        Self { coefficients: solve(normal), between: between / calls.max(1) as f64 }
    }

    /// Instructions of an operation.
    pub fn operation(&self, terms: &Terms) -> f64 {
        self.coefficients.iter().zip(terms).map(|(coefficient, term)| coefficient * term).sum()
    }

    /// Instructions of a network.
    pub fn network(&self, operations: &[Operation]) -> u64 {
        let all = operations.iter().map(|op| self.operation(&op.terms) + self.between * op.calls as f64);
        all.sum::<f64>().round().max(0.0) as u64
    }
}

/// Solves linear equations by elimination with pivots; the last column is the right side.
fn solve(mut equations: [[f64; COUNT + 1]; COUNT]) -> Terms {
    for column in 0..COUNT {
        let pivot = (column..COUNT)
            .max_by(|&a, &b| equations[a][column].abs().total_cmp(&equations[b][column].abs()));
        equations.swap(column, pivot.unwrap_or(column));
        let row = equations[column];
        for (index, other) in equations.iter_mut().enumerate() {
            if index != column {
                let factor = other[column] / row[column];
                other.iter_mut().zip(row).for_each(|(value, own)| *value -= factor * own);
            }
        }
    }
    std::array::from_fn(|index| equations[index][COUNT] / equations[index][index])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::AlignedBytes;
    use crate::scheme::Setting;
    use crate::{compile::compile, quantize::quantize, zoo};

    #[test]
    fn a_fit_finds_the_coefficients_of_its_counts_and_keeps_the_others() {
        let truth = PLAIN.map(|plain| plain + 0.25);
        let operations: Vec<_> = (0..60)
            .map(|sample| {
                let mut terms: Terms = std::array::from_fn(|term| {
                    f64::from((sample * 37 + term as u32 * 101 + sample * sample * 7) % 89)
                });
                // Nothing is said of the fourth.
                terms[3] = 0.0;
                let count =
                    terms.iter().zip(truth).map(|(term, coefficient)| term * coefficient).sum::<f64>();
                (terms, count.max(1.0))
            })
            .collect();
        let fit = Fit::fitted(&operations, &[(10, 5000.0), (30, 15_000.0)]);
        for (term, (found, truth)) in fit.coefficients.iter().zip(truth).enumerate() {
            let expected = if term == 3 { PLAIN[3] } else { truth };
            assert!((found - expected).abs() < 0.01, "{}: {found}, not {expected}", TERMS[term]);
        }
        assert!((fit.between - 500.0).abs() < 1e-9);
    }

    #[test]
    fn every_operation_of_a_plan_is_predicted_once() {
        let graph = quantize(&zoo::resnet8(1, Setting::W4a8).unwrap()).unwrap();
        let file = AlignedBytes::copy(&compile(&graph, &graph.labels, "").unwrap());
        let artefact = Artefact::parse(file.bytes()).unwrap();
        for family in Family::ALL {
            let operations = operations(&artefact, family).unwrap();
            let parts = operations.iter().flat_map(|op| op.name.split(" + ")).count();
            assert_eq!(parts, artefact.op_count(), "{family:?}");
            assert!(Fit::of(family).network(&operations) > 1_000_000);
        }
    }
}
