//! Plans that cannot be followed, in files whose CRCs are right.

use fourbit::artefact::header::kind;
use fourbit::artefact::{
    CHOICE_BYTES, Choice, Fusion, MAX_ARENA, MAX_SCRATCH, PLACEMENT_BYTES, Placement, PlanProblem,
};
use fourbit::kernels::{Family, Kernel};
use fourbit::{Artefact, ParseError};
use fourbit_models::compile::compile;
use fourbit_models::quantize::quantize;
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;

use crate::content::{read, sum, with_header};
use crate::reseal::{Parts, put};
use crate::{accepted, changed, refusal};

/// The simulator's plan: no add is fused, no tensor a ring.
const FAMILY: Family = Family::Host;

fn plan_of(parts: &mut Parts) -> &mut Vec<u8> {
    let part = parts.sections.iter_mut().find(|part| (part.kind, part.tag) == (kind::PLAN, FAMILY as u16));
    &mut part.expect("a plan").content
}

/// The same with a choice per op; the choices of five tensors' plan start at `CHOICES`.
fn whole_plan_of(parts: &mut Parts) -> &mut Vec<u8> {
    let plan = plan_of(parts);
    plan.resize(CHOICES + CHOICE_BYTES * 4, 0);
    plan
}

const CHOICES: usize = PLACEMENT_BYTES * 5;

/// The problem of the plan with a record replaced.
fn with_plan(file: &[u8], at: usize, record: &[u8]) -> PlanProblem {
    match refusal(&changed(file, |parts| put(whole_plan_of(parts), at, record))) {
        ParseError::Plan { family: FAMILY, problem } => problem,
        other => panic!("the plan is not blamed: {other}"),
    }
}

fn with_placement(tensor: u16, change: impl FnOnce(&mut Placement)) -> PlanProblem {
    let file = sum();
    let place = |artefact: &Artefact<'_>| {
        let plan = artefact.plan(FAMILY)?;
        Some((plan.placement(usize::from(tensor)), artefact.tensor(tensor)?.shape.height))
    };
    let (mut placement, height) = read(&file, place).expect("a plan");
    change(&mut placement);
    with_plan(&file, PLACEMENT_BYTES * usize::from(tensor), &placement.encode(height))
}

fn with_choice(op: u16, choice: Choice) -> PlanProblem {
    let file = sum();
    with_plan(&file, CHOICES + CHOICE_BYTES * usize::from(op), &choice.encode())
}

#[test]
fn arenas_and_plans_that_do_not_fit() {
    let file = sum();
    let fault = |family, problem| ParseError::Plan { family, problem };
    let arena = read(&file, |artefact| artefact.header().arena_bytes(FAMILY)) as u32;
    assert_eq!(with_header(&file, 20, &0u32.to_le_bytes()), fault(FAMILY, PlanProblem::Arena));
    let small = with_header(&file, 20, &(arena - 4).to_le_bytes());
    assert!(matches!(small, ParseError::Plan { problem: PlanProblem::Place { .. }, .. }));
    let long = |bytes| changed(&file, |parts| plan_of(parts).resize(bytes, 0));
    for bytes in [0, CHOICES - 1, CHOICES + 1, CHOICES + CHOICE_BYTES * 4 - 1, CHOICES + CHOICE_BYTES * 5] {
        assert_eq!(refusal(&long(bytes)), fault(FAMILY, PlanProblem::Length));
    }
    // What no choice says of an operation is what one of zeros says.
    for choices in 0..=4 {
        assert!(accepted(&long(CHOICES + CHOICE_BYTES * choices)));
    }
}

#[test]
fn tensors_out_of_place() {
    for tensor in 0..5 {
        for offset in [1 << 16, MAX_ARENA as u32 - 4] {
            assert_eq!(with_placement(tensor, |p| p.offset = offset), PlanProblem::Place { tensor });
        }
    }
}

#[test]
fn lifetimes_follow_from_the_operations() {
    let lifetimes = read(&sum(), |artefact| [0, 1, 2, 3, 4].map(|tensor| artefact.lifetime(tensor)));
    assert_eq!(lifetimes, [(0, 0), (0, 2), (1, 2), (2, 3), (3, 3)]);
}

#[test]
fn tensors_that_overlap() {
    let file = sum();
    let offsets = read(&file, |artefact| {
        let plan = artefact.plan(FAMILY).expect("a plan");
        [0, 1, 2, 3, 4].map(|tensor| plan.placement(tensor).offset)
    });
    let overlap = |tensor, other| PlanProblem::Overlap { tensor, other };
    assert_eq!(with_placement(1, |p| p.offset = offsets[0]), overlap(1, 0));
    assert_eq!(with_placement(2, |p| p.offset = offsets[1]), overlap(2, 1));
    assert_eq!(with_placement(4, |p| p.offset = offsets[3] + 4), overlap(4, 3));
    // The sum lies over one of its inputs; a few bytes beside it, it would replace unread values.
    let beside = |p: &mut Placement| p.offset = if p.offset == 0 { 4 } else { p.offset - 4 };
    assert!(matches!(with_placement(3, beside), PlanProblem::Overlap { tensor: 3, .. }));
}

#[test]
fn kernels_and_scratch_that_there_are_not() {
    for op in 0..4 {
        for code in [0x01, 0x0F, 0x30] {
            let at = CHOICES + CHOICE_BYTES * usize::from(op);
            assert_eq!(with_plan(&sum(), at, &[code]), PlanProblem::Kernel { op });
        }
        let winograd = Choice { kernel: Kernel::Winograd, ..Choice::default() };
        assert_eq!(with_choice(op, winograd), PlanProblem::Kernel { op });
        let (last, most) = (MAX_ARENA as u32 - 4, MAX_SCRATCH as u32);
        for (scratch, scratch_bytes) in [(0, most), (1 << 20, 4), (last, 4), (last, most), (0, 64)] {
            let choice = Choice { scratch, scratch_bytes, ..Choice::default() };
            assert_eq!(with_choice(op, choice), PlanProblem::Scratch { op });
        }
    }
}

#[test]
fn fusions_that_are_none() {
    let fusion = |op| PlanProblem::Fusion { op };
    let choice = |fusion, streamed| Choice { fusion, streamed, ..Choice::default() };
    // conv1's output is conv2's input too; conv2's has a place, as if it were stored; the others
    // are no pair of a convolution and an add.
    for op in 0..4 {
        let group = if op == 3 { PlanProblem::Group { op } } else { fusion(op) };
        assert_eq!(with_choice(op, choice(Fusion::WithNext, true)), group);
        assert_eq!(with_choice(op, choice(Fusion::WithNext, false)), fusion(op));
        assert_eq!(with_choice(op, choice(Fusion::Done, false)), fusion(op));
    }
    // Nothing is stored where nothing is fused.
    assert_eq!(with_placement(2, |p| p.lines = 0), fusion(1));
}

#[test]
fn groups_and_rings_that_cannot_run() {
    let ring = |tensor| PlanProblem::Ring { tensor };
    let file = sum();
    assert_eq!(with_choice(3, Choice { streamed: true, ..Choice::default() }), PlanProblem::Group { op: 3 });
    // A ring between two operations of no group, an image of one line, a dense layer by rows.
    assert_eq!(with_placement(2, |p| p.lines = 1), ring(2));
    assert_eq!(with_placement(0, |p| p.lines = 1), PlanProblem::Place { tensor: 0 });
    assert_eq!(with_placement(4, |p| p.lines = 2), PlanProblem::Place { tensor: 4 });
    assert_eq!(with_placement(3, |p| p.lines = 1), ring(3));
    assert_eq!(with_choice(3, Choice { rows: 1, ..Choice::default() }), ring(4));
    // By rows, the sum over conv1's output: row by row it replaces what was read, if that is whole.
    let streamed = |lines: u8| {
        changed(&file, |parts| {
            let plan = whole_plan_of(parts);
            put(plan, PLACEMENT_BYTES, &[lines]);
            let rows = Choice { streamed: true, rows: 1, ..Choice::default() };
            put(plan, CHOICES, &rows.encode());
            put(plan, CHOICES + CHOICE_BYTES, &rows.encode());
            put(plan, CHOICES + 2 * CHOICE_BYTES, &Choice { streamed: false, ..rows }.encode());
        })
    };
    assert!(accepted(&streamed(2)));
    assert!(matches!(
        refusal(&streamed(1)),
        ParseError::Plan { problem: PlanProblem::Overlap { tensor: 3, other: 1 }, .. }
    ));
}

#[test]
fn two_tensors_in_too_short_a_ring() {
    let graph = quantize(&zoo::resnet8(1, Setting::W4a8).expect("calibrates")).expect("quantizes");
    let file = compile(&graph, &graph.labels, "").expect("compiles");
    let places = |artefact: &Artefact<'_>| {
        let plan = artefact.plan(Family::Armv7em)?;
        let named = |name: &str| (0..artefact.op_count()).find(|&index| artefact.name(index) == name);
        let tensor = |name| Some(named(name)? + 1);
        let (stem, sum) = (tensor("stem")?, tensor("stack1.add")?);
        Some([(stem, plan.placement(stem)), (sum, plan.placement(sum))])
    };
    let [(stem, place), (sum, other)] = read(&file, places).expect("a plan with both");
    assert_eq!((place.offset, place.lines), (other.offset, other.lines));
    let with_lines = |fewer: u16| {
        changed(&file, |parts| {
            let mut plans = parts.sections.iter_mut();
            let plan = plans.find(|part| (part.kind, part.tag) == (kind::PLAN, Family::Armv7em as u16));
            let plan = &mut plan.expect("a plan").content;
            for (tensor, place) in [(stem, place), (sum, other)] {
                let place = Placement { lines: place.lines - fewer, ..place };
                put(plan, PLACEMENT_BYTES * tensor, &place.encode(32));
            }
        })
    };
    assert!(accepted(&with_lines(0)));
    assert!(matches!(
        refusal(&with_lines(1)),
        ParseError::Plan { family: Family::Armv7em, problem: PlanProblem::Overlap { .. } }
    ));
}
