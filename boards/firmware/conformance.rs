//! Holds the board's kernels to the reference (property cases) and to the oracle (its vectors).

#![no_std]
#![no_main]

use board::{Active, Device};
use board_support::Board;
use cortex_m_rt::entry;
use fourbit::Aligned;
use fourbit_tests::oracle::{Vectors, rescales};
use fourbit_tests::report::Line;
use fourbit_tests::{Kind, cases};

/// Seeds of each operation; so many find every planted bug (`tests/mutants.toml`).
const SEEDS: u32 = 400;
/// Seeds that once told a wrong kernel from a right one: `operation seed` on a line.
const COMMITTED: &str = include_str!("../../tests/seeds/kernels.txt");

static CONV2D: &Aligned<[u8]> = &Aligned(*include_bytes!("../../tests/golden/oracle/conv2d.bin"));
static DEPTHWISE: &Aligned<[u8]> =
    &Aligned(*include_bytes!("../../tests/golden/oracle/depthwise_conv2d.bin"));
static MATMUL: &Aligned<[u8]> = &Aligned(*include_bytes!("../../tests/golden/oracle/matmul.bin"));
static ADD: &Aligned<[u8]> = &Aligned(*include_bytes!("../../tests/golden/oracle/add.bin"));
static AVG_POOL2D: &Aligned<[u8]> = &Aligned(*include_bytes!("../../tests/golden/oracle/avg_pool2d.bin"));
static MAX_POOL2D: &Aligned<[u8]> = &Aligned(*include_bytes!("../../tests/golden/oracle/max_pool2d.bin"));
static RESCALE: &[u8] = include_bytes!("../../tests/golden/oracle/rescale.bin");

#[entry]
fn main() -> ! {
    Device::start();
    for (kind, property) in cases::all::<Active>() {
        let mut seeds = 0;
        for seed in (0..SEEDS.into()).chain(committed(kind)) {
            Device::expect(property(&mut <Active>::default(), seed));
            seeds += 1;
        }
        Device::report(Line::Passed { cases: seeds, suite: suite(kind).0 });
    }
    for kind in Kind::IN_TOSA {
        let (_, suite, file) = suite(kind);
        let (mut scratch, mut buffer) = (Aligned([0; 4096]), Aligned([0; 4096]));
        let Some(vectors) = Vectors::new(file) else { Device::failed(format_args!("no {suite}")) };
        let (announced, mut checked) = (vectors.announced(), 0);
        for vector in vectors {
            Device::expect(vector.check(&mut <Active>::default(), &mut scratch.0, &mut buffer.0));
            checked += 1;
        }
        if checked != announced {
            Device::failed(format_args!("only {checked} of {announced} {suite} are well-formed"));
        }
        Device::report(Line::Passed { cases: checked, suite });
    }
    let Some(vectors) = rescales(RESCALE) else { Device::failed("no vectors of rescale") };
    let cases = vectors.len() as u32;
    for vector in vectors {
        if vector.rescale.apply(vector.acc) != vector.expected {
            Device::failed(format_args!("another result than the oracle's: {vector:?}"));
        }
    }
    Device::report(Line::Passed { cases, suite: "vectors of rescale" });
    Device::done()
}

/// What the suites of an operation are called, and its vectors.
fn suite(kind: Kind) -> (&'static str, &'static str, &'static [u8]) {
    match kind {
        Kind::Conv2d => ("seeds of conv2d", "vectors of conv2d", &CONV2D.0),
        Kind::DepthwiseConv2d => ("seeds of depthwise_conv2d", "vectors of depthwise_conv2d", &DEPTHWISE.0),
        Kind::MatMul => ("seeds of matmul", "vectors of matmul", &MATMUL.0),
        Kind::Add => ("seeds of add", "vectors of add", &ADD.0),
        Kind::AvgPool2d => ("seeds of avg_pool2d", "vectors of avg_pool2d", &AVG_POOL2D.0),
        Kind::MaxPool2d => ("seeds of max_pool2d", "vectors of max_pool2d", &MAX_POOL2D.0),
        Kind::Conv2dAdd => ("seeds of conv2d_add", "", &[]),
    }
}

/// The committed seeds of an operation.
fn committed(kind: Kind) -> impl Iterator<Item = u64> {
    let name = suite(kind).0.trim_start_matches("seeds of ");
    let lines = COMMITTED.lines().filter_map(|line| line.split_once(' '));
    lines.filter(move |(operation, _)| *operation == name).filter_map(|(_, seed)| seed.parse().ok())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    Device::failed(info)
}
