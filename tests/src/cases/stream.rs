//! A case some rows at a time: every view is a ring that holds what these rows need, and no more.
//!
//! Lines that hold no such row are filled with a value of their own, so a kernel that reads another
//! row than its window's gives other bytes.

use core::ops::Range;

use fourbit::Aligned;
use fourbit::kernels::{Add, Addend, Conv2d, ConvAdd, Kernels, Pool, Ring, TensorRef};
use fourbit::shape::Shape;

use super::TENSOR_BYTES;
use crate::case::{Args, Case};
use crate::mismatch::{Fault, compare};
use crate::rng::Rng;

/// What lies where no row does.
const EMPTY: u8 = 0xA6;

/// Memory for the rings of one call.
#[repr(C, align(16))]
struct Memory {
    first: [u8; TENSOR_BYTES],
    second: [u8; TENSOR_BYTES],
}

/// Compares the rows of a case, made by and by, with the expected output; in place, the output holds
/// the rows of `initial` before.
pub(super) fn rows<K: Kernels>(
    kernels: &mut K,
    rng: &mut Rng,
    case: &Case<'_>,
    (expected, initial): (&[u8], Option<&[u8]>),
    scratch: &mut [u8],
) -> Result<(), Fault> {
    if matches!(case.args, Args::MatMul(_)) {
        return Ok(());
    }
    let mut memory = Memory { first: [0; _], second: [0; _] };
    let (mut wanted, mut before) = (Aligned([0; TENSOR_BYTES]), Aligned([0; TENSOR_BYTES]));
    let mut buffer = Aligned([0; TENSOR_BYTES + 32]);
    let row_bytes = case.shape.row_bytes(case.dtype);
    let mut start = 0;
    while start < case.shape.height {
        let rows = start..(start + rng.size(1, 3)).min(case.shape.height);
        // As many lines as rows: the output is a full ring, or the rows as they lie in a tensor.
        let lines = if rng.one_in(2) { rows.len() } else { case.shape.height };
        let first = if lines == rows.len() { 0 } else { rows.start };
        let ring = Ring { first, lines };
        let place = |from: &[u8], to: &mut [u8]| {
            copy(from, row_bytes, rows.clone(), ring, to);
        };
        place(expected, &mut wanted.0);
        if let Some(initial) = initial {
            place(initial, &mut before.0);
        }
        let bytes = rows.len() * row_bytes;
        let (wanted, before) = (wanted.0.get(..bytes).unwrap_or(&[]), before.0.get(..bytes).unwrap_or(&[]));
        let narrow = Case { args: narrowed(&case.args, case.shape, &rows, rng, &mut memory), ..*case };
        compare(&mut buffer.0, wanted, initial.map(|_| before), |out| {
            narrow.run_rows(kernels, scratch, rows.clone(), out, ring);
        })?;
        start = rows.end;
    }
    Ok(())
}

/// The arguments with rings that hold what some rows of output need.
fn narrowed<'m>(
    args: &Args<'m>,
    out: Shape,
    rows: &Range<usize>,
    rng: &mut Rng,
    memory: &'m mut Memory,
) -> Args<'m> {
    let Memory { first, second } = memory;
    match *args {
        Args::Conv2d(op) => Args::Conv2d(Conv2d {
            input: input(op.input, op.window.source_rows(rows.clone(), op.input.shape.height), rng, first),
            ..op
        }),
        Args::DepthwiseConv2d(op) => {
            let read = op.window.source_rows(rows.clone(), op.input.shape.height);
            Args::DepthwiseConv2d(Conv2d { input: input(op.input, read, rng, first), ..op })
        }
        Args::Conv2dAdd(op, add, between) => {
            let read = op.window.source_rows(rows.clone(), op.input.shape.height);
            let op = Conv2d { input: input(op.input, read, rng, first), ..op };
            Args::Conv2dAdd(op, ConvAdd { other: addend(add.other, out, rows, rng, second), ..add }, between)
        }
        Args::Add(op) => {
            let (a, b) = (addend(op.a, out, rows, rng, first), addend(op.b, out, rows, rng, second));
            Args::Add(Add { a, b, ..op })
        }
        Args::AvgPool2d(op) => Args::AvgPool2d(pool(op, rows, rng, first)),
        Args::MaxPool2d(op) => Args::MaxPool2d(pool(op, rows, rng, first)),
        Args::MatMul(op) => Args::MatMul(op),
    }
}

fn pool<'m>(op: Pool<'m>, rows: &Range<usize>, rng: &mut Rng, memory: &'m mut [u8]) -> Pool<'m> {
    let read = op.window.source_rows(rows.clone(), op.input.shape.height);
    Pool { input: input(op.input, read, rng, memory), ..op }
}

/// An input of which only some rows are there.
fn input<'m>(from: TensorRef<'m>, rows: Range<usize>, rng: &mut Rng, memory: &'m mut [u8]) -> TensorRef<'m> {
    let ring = ring(&rows, from.shape.height, rng);
    TensorRef { data: copy(from.data, from.row_bytes(), rows, ring, memory), ring, ..from }
}

/// An addend of which only some rows are there.
fn addend<'m>(
    from: Addend<'m>,
    shape: Shape,
    rows: &Range<usize>,
    rng: &mut Rng,
    memory: &'m mut [u8],
) -> Addend<'m> {
    let Some(data) = from.data else { return from };
    let ring = ring(rows, shape.height, rng);
    Addend { data: Some(copy(data, shape.row_bytes(from.dtype), rows.clone(), ring, memory)), ring, ..from }
}

/// A ring with room for these rows, or these rows as they lie in the tensor.
fn ring(rows: &Range<usize>, height: usize, rng: &mut Rng) -> Ring {
    if rng.one_in(3) {
        return Ring { first: rows.start, lines: height };
    }
    Ring { first: 0, lines: (rows.len() + rng.size(0, 1)).clamp(1, height) }
}

/// Copies rows of a tensor to the lines of a ring; gives the ring's bytes.
fn copy<'m>(from: &[u8], row_bytes: usize, rows: Range<usize>, ring: Ring, to: &'m mut [u8]) -> &'m [u8] {
    to.fill(EMPTY);
    let lines = if ring.first == 0 { ring.lines } else { rows.len() };
    for y in rows {
        let line = ring.line(y) * row_bytes;
        let row = from.get(y * row_bytes..(y + 1) * row_bytes).unwrap_or(&[]);
        if let Some(to) = to.get_mut(line..line + row.len()) {
            to.copy_from_slice(row);
        }
    }
    to.get(..lines * row_bytes).unwrap_or(&[])
}
