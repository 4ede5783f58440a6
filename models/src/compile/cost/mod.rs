//! What operations cost on each family of cores, in instructions: what the planner weighs.
//!
//! Estimates, fitted to counts on emulators; a plan's bits do not depend on them.

mod armv7em;
mod mve;
mod portable;

use fourbit::kernels::{Family, Kernel, LinearSpec};

/// Instructions of the session around one call of a kernel.
pub(super) const CALL: u64 = 1200;

/// How a kernel makes its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    /// Most rows at a time.
    pub(super) rows: usize,
    /// How often.
    pub(super) calls: u64,
}

impl Turns {
    /// Of `height` rows, 0 rows at a time are all; without a shorter call before the others.
    pub(super) fn even(height: usize, rows: usize) -> Self {
        let rows = if rows == 0 { height.max(1) } else { rows };
        Self { rows, calls: height.div_ceil(rows) as u64 }
    }
}

/// Instructions of a linear operation's kernel with so much scratch for the whole output.
pub(super) fn linear(
    family: Family,
    (kernel, scratch): (Kernel, usize),
    spec: &LinearSpec,
    turns: Turns,
) -> u64 {
    match family {
        Family::Portable | Family::Host => portable::linear(scratch, spec, turns.calls),
        Family::Armv7em => armv7em::linear(kernel, scratch, spec, turns),
        Family::Mve => mve::linear(scratch, spec, turns.calls),
    }
}

/// Instructions of a residual add per value, by itself or in a convolution's epilogue.
pub(super) fn add(family: Family, values: usize, fused: bool) -> u64 {
    let each = match (family, fused) {
        (Family::Portable | Family::Host, _) => portable::ADD,
        (Family::Armv7em, false) => armv7em::ADD,
        (Family::Armv7em, true) => armv7em::FUSED_ADD,
        (Family::Mve, false) => mve::ADD,
        (Family::Mve, true) => mve::FUSED_ADD,
    };
    each * values as u64
}

/// Instructions of a pool that reads so many values.
pub(super) fn pool(family: Family, values: usize) -> u64 {
    let each = match family {
        Family::Portable | Family::Host => portable::POOL,
        Family::Armv7em => armv7em::POOL,
        Family::Mve => mve::POOL,
    };
    each * values as u64
}

/// Multiplications of an operation, padding counted.
fn macs(spec: &LinearSpec) -> u64 {
    let inputs = if spec.depthwise { 1 } else { spec.filter.inputs };
    (spec.output.0.elements() * spec.filter.taps * inputs) as u64
}

/// Values that are stored.
fn outputs(spec: &LinearSpec) -> u64 {
    spec.output.0.elements() as u64
}

#[cfg(test)]
mod tests {
    use fourbit::kernels::Window;
    use fourbit::layout::{FilterShape, Layout, WeightBits};
    use fourbit::shape::{DType, Shape};

    use super::*;

    #[test]
    fn multiplications_by_hand() {
        let window = Window { kernel: [3, 3], stride: [2, 2], padding: [0, 1, 0, 1] };
        let spec = LinearSpec {
            depthwise: false,
            window,
            filter: FilterShape { outputs: 5, taps: 9, inputs: 4 },
            bits: WeightBits::Four,
            layout: Layout::OutputMajor,
            input: (Shape::new(8, 8, 4), DType::I8),
            output: (Shape::new(4, 4, 5), DType::I8),
        };
        assert_eq!((macs(&spec), outputs(&spec)), (80 * 36, 80));
        let depthwise = FilterShape { inputs: 1, ..spec.filter };
        assert_eq!(macs(&LinearSpec { depthwise: true, filter: depthwise, ..spec }), 80 * 9);
    }
}
