//! Cortex-M4 and M7: ten instructions for 16 products, and what prepares and finishes them.
//!
//! Fitted to counts of an emulated Cortex-M4, layer by layer.

use fourbit::kernels::armv7em::scratch::{Depthwise, Tiles, direct_pairs};
use fourbit::kernels::{Kernel, LinearSpec};
use fourbit::layout::WeightBits;

use super::{Turns, macs, outputs};

/// Per value of a residual add by itself.
pub(super) const ADD: u64 = 22;
/// Per value of a residual add in a convolution's epilogue.
pub(super) const FUSED_ADD: u64 = 12;
/// Per value that a pool reads.
pub(super) const POOL: u64 = 5;

/// With `scratch` bytes: what is prepared is prepared anew for each call.
pub(super) fn linear(kernel: Kernel, scratch: usize, spec: &LinearSpec, turns: Turns) -> u64 {
    let winograd = Tiles::of(kernel).and_then(|tiles| winograd(tiles, scratch, spec, turns));
    let calls = turns.calls;
    let direct = if spec.depthwise { depthwise(scratch, spec, calls) } else { direct(scratch, spec, calls) };
    winograd.or(direct).unwrap_or_else(|| reference(spec))
}

/// The reference in Thumb-2, every value through its accessors.
pub(super) fn reference(spec: &LinearSpec) -> u64 {
    38 * macs(spec) + 60 * outputs(spec)
}

/// Pairs of patches meet pairs of channels; `None` where the scratch does not suffice.
fn direct(scratch: usize, spec: &LinearSpec, calls: u64) -> Option<u64> {
    let filter = spec.filter;
    let block = Some(direct_pairs(filter, scratch)).filter(|&pairs| pairs > 0)?;
    let shape = spec.output.0;
    let values = (filter.taps * filter.inputs) as u64;
    let groups = values.div_ceil(4);
    let pairs = filter.outputs.div_ceil(2) as u64;
    let patches = (shape.height * shape.width.div_ceil(2)) as u64;
    let products = patches * pairs * (10 * groups + groups / 4 + 44);
    // Three channels are brought together by a routine of their own.
    let pixel = if filter.inputs == 3 { 150 } else { 240 };
    let gathers = patches * pairs.div_ceil(block as u64) * 2 * (values * 2 + pixel);
    let weights = calls * filter.outputs as u64 * (values * 3 + 100);
    Some(products + gathers + weights)
}

/// Columns of four channels; `None` where there is no form or the scratch does not suffice.
fn depthwise(scratch: usize, spec: &LinearSpec, calls: u64) -> Option<u64> {
    let shape = spec.output.0;
    let form = Depthwise::new(&spec.window, spec.filter, spec.layout, shape.width)?;
    let (height, groups) = (shape.height as u64, spec.filter.outputs as u64 / 4);
    let blocks = groups.div_ceil(Some(form.groups_within(scratch) as u64).filter(|&groups| groups > 0)?);
    let lines = groups * (62 * form.width as u64 + 16 * form.columns as u64 + 350) + blocks * 250;
    Some(height * lines + calls * (700 * groups + 8 * form.columns as u64 + 500))
}

/// Pairs of tiles meet pairs of channels at 16 or 36 positions; filters are transformed as often as the
/// scratch makes it necessary. `None` where it does not suffice.
fn winograd(form: Tiles, scratch: usize, spec: &LinearSpec, turns: Turns) -> Option<u64> {
    let (filter, shape) = (spec.filter, spec.output.0);
    let [down, across] = [turns.rows, shape.width].map(|outputs| outputs.div_ceil(form.side()));
    let tiles = (down * across).div_ceil(2);
    let blocks = form.blocks(filter, tiles, scratch)?;
    let (inputs, pairs) = (filter.inputs as u64, filter.outputs as u64 / 2);
    let (by_tiles, by_filters) = match blocks.filters {
        1 => (tiles.div_ceil(blocks.tiles) as u64, 1),
        kept => (1, pairs.div_ceil(kept as u64)),
    };
    let (around, pixels, weight) = match form {
        // Positions of 16 channels are written out in line.
        Tiles::Two if inputs == 16 => (335, 67, 40),
        Tiles::Two => (420, 67, 40),
        Tiles::Four if inputs == 16 => (1650, 225, 88),
        Tiles::Four => (1800, 225, 88),
    };
    let weight = if spec.bits == WeightBits::Four { weight } else { 66 };
    let products = tiles as u64 * pairs * (form.positions() as u64 * (inputs / 4 * 10) + around);
    let inputs_in = by_filters * tiles as u64 * 2 * (pixels * inputs + 90);
    let filters = by_tiles * pairs * (2 * inputs * weight + 180);
    Some(turns.calls * (products + inputs_in + filters + 1500))
}
