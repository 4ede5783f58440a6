//! Cortex-M55 and M85: sixteen products a VMLAVA, nibbles widened once per block.

use fourbit::kernels::{Kernel, LinearSpec};

use super::{macs, outputs};

/// Per value of a residual add by itself.
pub(super) const ADD: u64 = 4;
/// Per value of a residual add in a convolution's epilogue.
pub(super) const FUSED_ADD: u64 = 3;
/// Per value that a pool reads.
pub(super) const POOL: u64 = 1;

/// Every kernel counts as the direct one: sixteen-bit Winograd does not pay here.
pub(super) fn linear(_kernel: Kernel, spec: &LinearSpec, _rows: usize) -> u64 {
    macs(spec) / 5 + 4 * outputs(spec)
}
