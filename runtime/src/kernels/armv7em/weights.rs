//! Filters as lanes: two output channels at a time, interleaved as [`dot`](super::dot) takes them.

use super::dot::GROUP;
use super::lanes::{self, SIGNED};
use crate::kernels::args::Filter;
use crate::layout::{Layout, WeightBits};

/// Writes output channels `2 * pair` and the next: whole groups, the last one filled up with
/// zeros, and zeros for a channel behind the last.
pub(super) fn pair(filter: &Filter<'_>, pair: usize, to: &mut [u32]) {
    let values = filter.shape.taps * filter.shape.inputs;
    let whole = match filter.bits {
        WeightBits::Eight => values.is_multiple_of(4),
        WeightBits::Four => values.is_multiple_of(8),
    };
    let bytes = filter.bits.row_bytes(values);
    match filter
        .data
        .get(2 * pair * bytes..2 * (pair + 1) * bytes)
        .and_then(|rows| rows.split_at_checked(bytes))
    {
        Some((one, two)) if whole && filter.layout == Layout::OutputMajor => match filter.bits {
            WeightBits::Eight => lanes::two(one, two, 0, to),
            WeightBits::Four => lanes::two_nibbles(one, two, to),
        },
        _ => {
            row(filter, 2 * pair, to, 0);
            row(filter, 2 * pair + 1, to, 1);
        }
    }
}

fn row(filter: &Filter<'_>, output: usize, to: &mut [u32], vector: usize) {
    let shape = filter.shape;
    let values = shape.taps * shape.inputs;
    if output >= shape.outputs {
        return lanes::clear(to, vector);
    }
    let bytes = filter.bits.row_bytes(values);
    let stored = filter.data.get(output * bytes..(output + 1) * bytes).unwrap_or_default();
    // How many values are written in whole words; the others go one by one.
    let whole = match (filter.layout, filter.bits) {
        (Layout::OutputMajor, WeightBits::Eight) => values / 4 * 4,
        (Layout::OutputMajor, WeightBits::Four) => values / 8 * 8,
        _ => 0,
    };
    if whole > 0 {
        match filter.bits {
            WeightBits::Eight => lanes::bytes(stored, 0, to, vector),
            WeightBits::Four => lanes::nibbles(stored, SIGNED, to, vector),
        }
    }
    let bytes = filter.layout == Layout::OutputMajor && filter.bits == WeightBits::Eight;
    for start in (whole..values).step_by(GROUP) {
        let mut group = [0; GROUP];
        for (i, value) in (start..values).zip(&mut group) {
            *value = if bytes {
                stored.get(i).copied().unwrap_or(0)
            } else {
                filter.get(output, i / shape.inputs.max(1), i % shape.inputs.max(1)) as u8
            };
        }
        lanes::bytes(&group, 0, to.get_mut(start..).unwrap_or_default(), vector);
    }
}
