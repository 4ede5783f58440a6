//! The reference kernels: every value through its accessors.

use fourbit::kernels::LinearSpec;

use super::{macs, outputs};

/// Per value of a residual add.
pub(super) const ADD: u64 = 120;
/// Per value that a pool reads.
pub(super) const POOL: u64 = 40;

/// Counted on a Cortex-M4: some 38 instructions a product, 4-bit weights and 8-bit activations.
pub(super) fn linear(spec: &LinearSpec) -> u64 {
    38 * macs(spec) + 60 * outputs(spec)
}
