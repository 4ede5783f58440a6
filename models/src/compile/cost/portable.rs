//! Plain Rust, counted in Armv6-M instructions: two products of 4-bit weights a multiplication where the
//! scratch holds a pair of filters as words, otherwise every value through its accessors.

use fourbit::kernels::LinearSpec;
use fourbit::kernels::portable::scratch;
use fourbit::layout::WeightBits;

use super::{macs, outputs};

/// Per value of a residual add by itself.
pub(super) const ADD: u64 = 120;
/// Per value that a pool reads.
pub(super) const POOL: u64 = 60;

/// With `scratch` bytes: filters become words anew for each call.
pub(super) fn linear(scratch: usize, spec: &LinearSpec, calls: u64) -> u64 {
    if spec.depthwise {
        return 14 * macs(spec) + 120 * outputs(spec);
    }
    if scratch < scratch::bytes(spec) {
        return 60 * macs(spec) + 100 * outputs(spec);
    }
    let filter = spec.filter;
    // In tenths: of a product, and of a weight that becomes a word.
    let (product, word) = if spec.bits == WeightBits::Four { (80, 70) } else { (80, 40) };
    // Per output, of each row of taps.
    let row = if spec.bits == WeightBits::Four { 60 } else { 200 };
    let weights = (filter.outputs * filter.taps * filter.inputs) as u64;
    (product * macs(spec) + calls * word * weights) / 10
        + (80 + row * spec.window.kernel[0] as u64) * outputs(spec)
}
