//! The simulator's kernels with each kind of vectors, the portable ones, and the portable forms of Armv7E-M's
//! and Helium's equal the reference on thousands of seeds; planted bugs do not.

mod common;

use common::Unpacking;
use common::plain::{Bug, Plain};
use fourbit::kernels::{Armv7em, Kernels, Mve, Portable, Vectors, needs};
use fourbit_tests::{Kind, Mismatch, cases};

const SEEDS: u64 = 1500;

/// Seeds that once told a wrong kernel from a right one: `operation seed` on a line.
const COMMITTED: &str = include_str!("../seeds/kernels.txt");

/// The failures of one operation over the first seeds.
fn failures<K: Kernels>(kernels: &mut K, kind: Kind, seeds: u64) -> Vec<Mismatch> {
    let properties = cases::all::<K>();
    let (_, property) = properties.iter().find(|(k, _)| *k == kind).expect("every operation has a property");
    (0..seeds).filter_map(|seed| property(kernels, seed).err()).collect()
}

fn assert_equal<K: Kernels>(kernels: &mut K) {
    for kind in Kind::ALL {
        let failures = failures(kernels, kind, SEEDS);
        assert!(
            failures.is_empty(),
            "{} of {SEEDS} seeds differ; the first: {}; add it to tests/seeds/kernels.txt",
            failures.len(),
            failures[0]
        );
    }
    let mut committed = 0;
    for line in COMMITTED.lines().filter(|line| !line.starts_with('#')) {
        let (name, seed) = line.split_once(' ').expect("an operation and a seed");
        let seed = seed.parse().expect("a seed is a number");
        let properties = cases::all::<K>();
        let found = properties.iter().find(|(kind, _)| kind.to_string() == name);
        let (_, property) = found.unwrap_or_else(|| panic!("no operation is called {name}"));
        assert_eq!(property(kernels, seed), Ok(()));
        committed += 1;
    }
    assert!(committed > 0, "tests/seeds/kernels.txt has no seed");
}

#[test]
fn host_equals_reference() {
    for vectors in Vectors::ALL.into_iter().filter(|&vectors| vectors <= Vectors::best()) {
        assert_equal(&mut Unpacking::new(vectors));
    }
}

#[test]
fn armv7em_equals_reference() {
    assert_equal(&mut Armv7em::<{ needs::ALL }>);
}

#[test]
fn mve_equals_reference() {
    assert_equal(&mut Mve::<{ needs::ALL }>);
}

#[test]
fn portable_equals_reference() {
    assert_equal(&mut Portable::<{ needs::ALL }>);
}

#[test]
fn plain_equals_reference() {
    assert_equal(&mut Plain(Bug::None));
}

#[test]
fn planted_bugs_are_found() {
    use Kind::{Add, AvgPool2d, Conv2d, Conv2dAdd, DepthwiseConv2d, MatMul, MaxPool2d};
    for (bug, kinds) in [
        (Bug::TiesDown, &[Conv2d, DepthwiseConv2d, MatMul, Add, Conv2dAdd][..]),
        (Bug::MeanRoundsDown, &[AvgPool2d]),
        (Bug::PaddingIsZero, &[Conv2d, DepthwiseConv2d, Conv2dAdd]),
        (Bug::DirtyNibble, &[Conv2d, DepthwiseConv2d, MatMul, Add, AvgPool2d, Conv2dAdd]),
        (Bug::NoUpperClamp, &[Conv2d, DepthwiseConv2d, MatMul, Add, Conv2dAdd]),
        (Bug::LaneOfNeighbour, &[DepthwiseConv2d]),
        (Bug::BorrowIsKept, &[Conv2d, MatMul, Conv2dAdd]),
        (Bug::MaximumOfBytes, &[MaxPool2d]),
    ] {
        for &kind in kinds {
            // A board runs a hundred seeds: they suffice.
            let found = failures(&mut Plain(bug), kind, 100);
            assert!(!found.is_empty(), "{bug:?} in {kind} was not found");
            println!("{bug:?} in {kind}: {} of 100 seeds, the first {}", found.len(), found[0].number);
        }
    }
}
