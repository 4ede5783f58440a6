//! Every operation against the vectors that TOSA's reference model made; prints how many vectors
//! each combination of types has.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use common::Unpacking;
use common::plain::{Bug, Plain};
use fourbit::kernels::{Kernels, Reference, Window};
use fourbit::layout::WeightBits;
use fourbit_tests::oracle::{Cell, Vectors, rescales};
use fourbit_tests::{Args, Kind, Mismatch};

/// A combination of types with fewer vectors counts as not covered.
const VECTORS_PER_CELL: usize = 8;

fn read(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/oracle").join(name).with_extension("bin");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The combination of every vector of an operation, each of which the kernels got right.
fn check<K: Kernels>(kernels: &mut K, kind: Kind) -> Result<Vec<Cell>, Mismatch> {
    let file = read(&kind.to_string());
    let vectors = Vectors::new(&file).expect("a file of this operation");
    let announced = vectors.announced() as usize;
    let mut buffer = [0; 4096];
    let mut scratch = [0; 4096];
    let cells = vectors.map(|vector| vector.check(kernels, &mut scratch, &mut buffer));
    let cells = cells.collect::<Result<Vec<_>, _>>()?;
    assert_eq!(cells.len(), announced, "vector {} of {kind} is malformed", cells.len());
    Ok(cells)
}

#[test]
fn oracle_equals_the_kernels() {
    let mut table = Vec::new();
    let mut values = 0;
    for kind in Kind::IN_TOSA {
        let reference =
            check(&mut Reference, kind).unwrap_or_else(|mismatch| panic!("reference: {mismatch}"));
        let host = check(&mut Unpacking::new(fourbit::kernels::Vectors::best()), kind)
            .unwrap_or_else(|mismatch| panic!("host: {mismatch}"));
        assert_eq!(reference, host);
        let file = read(&kind.to_string());
        let outputs = Vectors::new(&file).into_iter().flatten().map(|vector| vector.case.shape.elements());
        values += outputs.sum::<usize>();
        for cell in Cell::all(kind) {
            let vectors = reference.iter().filter(|&&other| other == cell).count();
            assert!(vectors >= VECTORS_PER_CELL, "{kind} {cell} has {vectors} vectors of {VECTORS_PER_CELL}");
            table.push((cell, vectors));
        }
    }
    // Straight to the terminal: the harness shows no `println` of a test that passes.
    let verdict = "values, 0 differ, in the reference kernels and in the simulator's";
    writeln!(std::io::stdout(), "{}\n{values} {verdict}", render(&table)).expect("stdout is open");
}

/// Linear operations side by side, then pools, then additions.
fn render(table: &[(Cell, usize)]) -> String {
    let vectors = |kind, row: Cell| {
        let same = table.iter().find(|(cell, _)| *cell == Cell { kind, ..row });
        same.map_or(0, |(_, vectors)| *vectors)
    };
    let mut lines = Vec::new();
    let groups: [&[Kind]; 2] =
        [&[Kind::Conv2d, Kind::DepthwiseConv2d, Kind::MatMul], &[Kind::AvgPool2d, Kind::MaxPool2d]];
    for kinds in groups {
        let head: String = kinds.iter().map(|kind| format!("{kind:>18}")).collect();
        lines.push(format!("{:<12}{head}", "bits"));
        for row in Cell::all(kinds[0]) {
            let cells: String = kinds.iter().map(|&kind| format!("{:>18}", vectors(kind, row))).collect();
            lines.push(format!("{:<12}{cells}", row.to_string()));
        }
    }
    let add: Vec<_> = Cell::all(Kind::Add).collect();
    for row in add.chunks(3) {
        let cell = |cell: &Cell| format!("{:>14}{:>4}", cell.to_string(), vectors(Kind::Add, *cell));
        lines.push(format!("{:<12}{}", Kind::Add, row.iter().map(cell).collect::<String>()));
    }
    lines.join("\n")
}

#[test]
fn oracle_equals_rescale() {
    let file = read("rescale");
    let vectors = rescales(&file).expect("a file of rescales");
    let mut shifts = BTreeSet::new();
    let count = vectors.len();
    for vector in vectors {
        assert_eq!(vector.rescale.apply(vector.acc), vector.expected, "{vector:?}");
        shifts.insert(vector.rescale.shift);
    }
    assert!(shifts.into_iter().eq(2..=62), "every shift has vectors");
    println!("rescale: {count} vectors, every shift from 2 to 62");
}

/// Kernel, padding before and after, stride: what a window does along one axis.
fn axes(window: &Window) -> [(usize, usize, usize, usize); 2] {
    let Window { kernel, stride, padding: [top, bottom, left, right] } = *window;
    [(kernel[0], top, bottom, stride[0]), (kernel[1], left, right, stride[1])]
}

#[test]
fn oracle_vectors_have_every_padding_and_stride() {
    for kind in [Kind::Conv2d, Kind::DepthwiseConv2d, Kind::AvgPool2d, Kind::MaxPool2d] {
        let file = read(&kind.to_string());
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for vector in Vectors::new(&file).expect("a file of this operation") {
            let window = match vector.case.args {
                Args::Conv2d(op) | Args::DepthwiseConv2d(op) => op.window,
                Args::AvgPool2d(op) | Args::MaxPool2d(op) => op.window,
                Args::MatMul(_) | Args::Add(_) | Args::Conv2dAdd(..) => continue,
            };
            for (seen, axis) in seen.iter_mut().zip(axes(&window)) {
                seen.insert(axis);
            }
        }
        for (axis, seen) in seen.iter().enumerate() {
            for kernel in 1..=5 {
                for (before, after) in
                    (0..kernel).flat_map(|before| (0..kernel).map(move |after| (before, after)))
                {
                    for stride in 1..=3 {
                        let wanted = (kernel, before, after, stride);
                        assert!(seen.contains(&wanted), "{kind}, axis {axis}: no vector for {wanted:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn oracle_vectors_find_planted_bugs() {
    use Kind::{Add, AvgPool2d, Conv2d, DepthwiseConv2d, MatMul};
    for kind in Kind::IN_TOSA {
        assert!(check(&mut Plain(Bug::None), kind).is_ok());
    }
    for (bug, kinds) in [
        (Bug::TiesDown, &[Conv2d, DepthwiseConv2d, MatMul, Add][..]),
        (Bug::MeanRoundsDown, &[AvgPool2d]),
        (Bug::PaddingIsZero, &[Conv2d, DepthwiseConv2d]),
        (Bug::DirtyNibble, &[Conv2d, DepthwiseConv2d, MatMul, Add, AvgPool2d]),
        (Bug::NoUpperClamp, &[Conv2d, DepthwiseConv2d, MatMul, Add]),
    ] {
        for &kind in kinds {
            assert!(check(&mut Plain(bug), kind).is_err(), "{bug:?} in {kind} was not found");
        }
    }
}

#[test]
fn oracle_four_bit_weights_stay_in_range() {
    for kind in [Kind::Conv2d, Kind::DepthwiseConv2d, Kind::MatMul] {
        let file = read(&kind.to_string());
        for vector in Vectors::new(&file).expect("a file of this operation") {
            let filter = match vector.case.args {
                Args::Conv2d(op) | Args::DepthwiseConv2d(op) => op.filter,
                Args::MatMul(op) => op.filter,
                _ => continue,
            };
            let largest = if filter.bits == WeightBits::Four { 7 } else { 127 };
            let shape = filter.shape;
            let places = (0..shape.outputs).flat_map(|o| (0..shape.taps).map(move |t| (o, t)));
            for (output, tap) in places {
                for input in 0..shape.inputs {
                    assert!(filter.get(output, tap, input).abs() <= largest, "{kind} {}", vector.index);
                }
            }
        }
    }
}
