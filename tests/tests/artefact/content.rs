//! Files whose CRCs are right and that ask for what cannot be run: tensors, ops, constants, plans.

use fourbit::artefact::header::kind;
use fourbit::artefact::{
    CHOICE_BYTES, Choice, Fusion, Linear, MAX_ARENA, MAX_SCRATCH, OP_BYTES, Op, OpProblem, OpRecord,
    PLACEMENT_BYTES, Placement, PlanProblem, TENSOR_BYTES, TensorInfo,
};
use fourbit::kernels::{Family, Kernel, Window};
use fourbit::requant::Rescale;
use fourbit::shape::{DType, Shape};
use fourbit::{Artefact, ParseError};
use fourbit_models::compile::compile;
use fourbit_models::file::AlignedBytes;
use fourbit_models::quantize::quantize;
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;

use crate::reseal::{Parts, put};
use crate::{changed, refusal, tiny};

/// conv1 (0), conv2 (1), add (2), dense (3); tensor i + 1 is the output of op i.
fn sum() -> Vec<u8> {
    let [(_, file), _] = tiny::files();
    file
}

/// depthwise (0), max (1), mean (2), dense (3).
fn window() -> Vec<u8> {
    let [_, (_, file)] = tiny::files();
    file
}

/// What an artefact says, copied out of it.
fn read<T>(file: &[u8], get: impl FnOnce(&Artefact<'_>) -> T) -> T {
    get(&Artefact::parse(AlignedBytes::copy(file).bytes()).expect("a good file"))
}

/// The bytes of a section replaced from `at` on.
fn with_bytes(file: &[u8], kind: u16, at: usize, bytes: &[u8]) -> ParseError {
    refusal(&changed(file, |parts| put(parts.section(kind), at, bytes)))
}

fn with_header(file: &[u8], at: usize, field: &[u8]) -> ParseError {
    refusal(&changed(file, |parts| put(&mut parts.header, at, field)))
}

fn with_tensor(file: &[u8], index: u16, change: impl FnOnce(&mut TensorInfo)) -> ParseError {
    let mut tensor = read(file, |artefact| artefact.tensor(index)).expect("a tensor");
    change(&mut tensor);
    with_bytes(file, kind::TENSORS, TENSOR_BYTES * usize::from(index), &tensor.encode())
}

/// The problem of an op whose record was changed.
fn with_op(file: &[u8], index: u16, change: impl FnOnce(&mut OpRecord)) -> OpProblem {
    let mut record = read(file, |artefact| artefact.op(index.into())).expect("an op");
    change(&mut record);
    problem(index, with_bytes(file, kind::OPS, OP_BYTES * usize::from(index), &record.encode()))
}

fn with_window(file: &[u8], index: u16, change: impl FnOnce(&mut Window)) -> OpProblem {
    with_op(file, index, |record| match &mut record.op {
        Op::Conv2d(window, _) | Op::DepthwiseConv2d(window, _) => change(window),
        Op::AvgPool2d(window) | Op::MaxPool2d(window) => change(window),
        Op::MatMul(_) | Op::Add(_) => panic!("no window"),
    })
}

fn with_linear(file: &[u8], index: u16, change: impl FnOnce(&mut Linear)) -> OpProblem {
    with_op(file, index, |record| match &mut record.op {
        Op::Conv2d(_, linear) | Op::DepthwiseConv2d(_, linear) | Op::MatMul(linear) => change(linear),
        _ => panic!("no weights"),
    })
}

/// The problem of op `index`, whose constants of four outputs start the channels section.
fn with_channel(bytes: &[u8], at: usize) -> OpProblem {
    problem(0, with_bytes(&sum(), kind::CHANNELS, at, bytes))
}

fn problem(op: u16, error: ParseError) -> OpProblem {
    match error {
        ParseError::Op { index, problem } if index == op => problem,
        other => panic!("op {op} is not blamed: {other}"),
    }
}

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
fn tensors_that_cannot_be() {
    let file = sum();
    for index in 0..5 {
        let error = ParseError::Tensor { index };
        assert_eq!(with_bytes(&file, kind::TENSORS, TENSOR_BYTES * usize::from(index), &[3]), error);
        assert_eq!(with_tensor(&file, index, |tensor| tensor.shape.height = 0), error);
        let huge = Shape::new(4, 3, (1 << 28) - 1);
        assert_eq!(with_tensor(&file, index, |tensor| tensor.shape = huge), error);
        let nibbles = |tensor: &mut TensorInfo| (tensor.dtype, tensor.zero_point) = (DType::S4, 1);
        assert_eq!(with_tensor(&file, index, nibbles), error);
    }
}

#[test]
fn numbers_of_records() {
    let file = sum();
    for (kind, bytes, tensors, ops) in [(kind::TENSORS, TENSOR_BYTES, 6, 4), (kind::OPS, OP_BYTES, 5, 5)] {
        let more = changed(&file, |parts| parts.section(kind).extend(vec![0; bytes]));
        assert_eq!(refusal(&more), ParseError::Counts { tensors, ops });
        let half = changed(&file, |parts| parts.section(kind).push(0));
        assert_eq!(refusal(&half), ParseError::Counts { tensors: 5, ops: 4 });
    }
}

#[test]
fn images_and_logits_that_the_header_does_not_name() {
    let file = sum();
    for (at, field) in [(48, 5u16), (50, 3), (52, 1), (54, 3), (54, 0)] {
        assert_eq!(with_header(&file, at, &field.to_le_bytes()), ParseError::Interface, "{at}");
    }
    assert_eq!(with_tensor(&file, 0, |tensor| tensor.dtype = DType::U4), ParseError::Tensor { index: 0 });
    let nibbles = |tensor: &mut TensorInfo| (tensor.dtype, tensor.zero_point) = (DType::S4, 0);
    assert_eq!(with_tensor(&file, 4, nibbles), ParseError::Interface);
}

#[test]
fn unknown_operations() {
    let unknown = |op: usize, at: usize, field: &[u8]| {
        problem(op as u16, with_bytes(&sum(), kind::OPS, OP_BYTES * op + at, field)) == OpProblem::Unknown
    };
    assert!((0..4).all(|op| [0, 7, 255].into_iter().all(|code| unknown(op, 0, &[code]))));
    assert!(unknown(1, 5, &[0x05]) && unknown(1, 5, &[0x24]));
}

#[test]
fn operations_out_of_order() {
    let file = sum();
    let order = OpProblem::Order;
    assert_eq!(with_op(&file, 0, |record| record.input = 2), order);
    assert_eq!(with_op(&file, 1, |record| record.input = 2), order);
    assert_eq!(with_op(&file, 1, |record| record.input = 5), order);
    let other = |tensor| {
        move |record: &mut OpRecord| match &mut record.op {
            Op::Add(add) => add.other = tensor,
            _ => panic!("no add"),
        }
    };
    assert_eq!(with_op(&file, 2, other(3)), order);
    assert_eq!(with_op(&file, 2, other(0xFFFF)), order);
    assert_eq!(with_op(&file, 2, other(0)), OpProblem::Shape);
}

#[test]
fn windows_that_do_not_fit() {
    let (sum, window) = (sum(), window());
    for (file, op) in [(&sum, 0), (&sum, 1), (&window, 0), (&window, 1), (&window, 2)] {
        for axis in 0..2 {
            for extent in [0, 6, 255] {
                assert_eq!(with_window(file, op, |window| window.kernel[axis] = extent), OpProblem::Shape);
            }
            assert_eq!(with_window(file, op, |window| window.stride[axis] = 0), OpProblem::Shape);
            assert_eq!(with_window(file, op, |window| window.padding[2 * axis] = 255), OpProblem::Shape);
        }
    }
    // The extents fit and the padding holds a whole kernel.
    let padded = |window: &mut Window| (window.padding, window.stride) = ([2, 0, 0, 0], [2, 1]);
    assert_eq!(with_window(&window, 1, padded), OpProblem::Shape);
}

#[test]
fn shapes_and_types_that_do_not_fit() {
    let (sum, window) = (sum(), window());
    let narrow = |tensor: &mut TensorInfo| tensor.shape.channels = 2;
    assert_eq!(problem(0, with_tensor(&window, 1, narrow)), OpProblem::Shape);
    assert_eq!(problem(1, with_tensor(&window, 2, narrow)), OpProblem::Shape);
    assert_eq!(problem(2, with_tensor(&sum, 3, narrow)), OpProblem::Shape);
    // A dense layer over a map of an odd number of packed channels would read unused nibbles.
    let dense = |record: &mut OpRecord| record.input = 2;
    assert_eq!(with_op(&window, 3, dense), OpProblem::Shape);
    let nibbles = |tensor: &mut TensorInfo| tensor.dtype = DType::U4;
    assert_eq!(problem(1, with_tensor(&window, 2, nibbles)), OpProblem::Type);
    let shifted = |tensor: &mut TensorInfo| tensor.zero_point = 1;
    assert_eq!(problem(2, with_tensor(&window, 3, shifted)), OpProblem::Type);
}

#[test]
fn constants_out_of_place() {
    let file = sum();
    for bad in [1, 2, 1 << 20, u32::MAX, u32::MAX - 3] {
        assert_eq!(with_linear(&file, 3, |linear| linear.weights = bad), OpProblem::Constants);
        assert_eq!(with_linear(&file, 3, |linear| linear.channels = bad), OpProblem::Constants);
    }
}

#[test]
fn filters_that_overlap() {
    let file = sum();
    // conv1 has 32 bytes of 8-bit weights from 0 on, conv2 8 bytes of 4-bit weights.
    for start in [0, 4, 28] {
        assert_eq!(with_linear(&file, 1, |linear| linear.weights = start), OpProblem::Constants);
    }
}

#[test]
fn clamps_that_do_not_fit() {
    let file = sum();
    for (min, max) in [(1, 0), (0, 16), (-1, 15), (-128, 127)] {
        for op in 0..2 {
            let clamp = |linear: &mut Linear| (linear.min, linear.max) = (min, max);
            assert_eq!(with_linear(&file, op, clamp), OpProblem::Clamp);
        }
    }
}

#[test]
fn rescales_out_of_range() {
    let rescale = |channel| OpProblem::Rescale { channel };
    // Four biases, four multipliers, four shifts.
    for (channel, at) in [(0, 16), (3, 28)] {
        for multiplier in [0, -1, (1 << 30) - 1, i32::MIN] {
            assert_eq!(with_channel(&multiplier.to_le_bytes(), at), rescale(channel));
        }
    }
    for shift in [0, 1, 10, 63, 255] {
        assert_eq!(with_channel(&[shift], 32 + 2), rescale(2));
    }
    let file = sum();
    for (channel, bad) in [
        (0, Rescale { multiplier: 1 << 30, shift: 4 }),
        (1, Rescale { multiplier: 1 << 29, shift: 11 }),
        (2, Rescale { multiplier: 1 << 30, shift: 20 }),
    ] {
        let change = |record: &mut OpRecord| match &mut record.op {
            Op::Add(add) => *[&mut add.a, &mut add.b, &mut add.out][channel as usize] = bad,
            _ => panic!("no add"),
        };
        assert_eq!(with_op(&file, 2, change), rescale(channel));
    }
}

#[test]
fn accumulators_that_can_overflow() {
    for bias in [i32::MAX, i32::MIN, i32::MAX - 1000] {
        let error = with_channel(&bias.to_le_bytes(), 4);
        assert_eq!(error, OpProblem::Accumulator { channel: 1 });
    }
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
        assert!(crate::accepted(&long(CHOICES + CHOICE_BYTES * choices)));
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
    assert!(crate::accepted(&streamed(2)));
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
    assert!(crate::accepted(&with_lines(0)));
    assert!(matches!(
        refusal(&with_lines(1)),
        ParseError::Plan { family: Family::Armv7em, problem: PlanProblem::Overlap { .. } }
    ));
}
