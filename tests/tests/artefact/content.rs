//! Files whose CRCs are right and that ask for what cannot be run: tensors, ops, constants. Plans are in
//! `plans.rs`.

use fourbit::artefact::header::kind;
use fourbit::artefact::{Linear, OP_BYTES, Op, OpProblem, OpRecord, TENSOR_BYTES, TensorInfo};
use fourbit::kernels::Window;
use fourbit::requant::Rescale;
use fourbit::shape::{DType, Shape};
use fourbit::{Artefact, ParseError};
use fourbit_models::file::AlignedBytes;

use crate::reseal::put;
use crate::{changed, refusal, tiny};

/// conv1 (0), conv2 (1), add (2), dense (3); tensor i + 1 is the output of op i.
pub(crate) fn sum() -> Vec<u8> {
    let [(_, file), _] = tiny::files();
    file
}

/// depthwise (0), max (1), mean (2), dense (3).
fn window() -> Vec<u8> {
    let [_, (_, file)] = tiny::files();
    file
}

/// What an artefact says, copied out of it.
pub(crate) fn read<T>(file: &[u8], get: impl FnOnce(&Artefact<'_>) -> T) -> T {
    get(&Artefact::parse(AlignedBytes::copy(file).bytes()).expect("a good file"))
}

/// The bytes of a section replaced from `at` on.
fn with_bytes(file: &[u8], kind: u16, at: usize, bytes: &[u8]) -> ParseError {
    refusal(&changed(file, |parts| put(parts.section(kind), at, bytes)))
}

pub(crate) fn with_header(file: &[u8], at: usize, field: &[u8]) -> ParseError {
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
