//! A pair of filters brought together tap by tap, and transformed.

use super::super::dsp::{add_even_bytes, add_odd_bytes, high_lanes, low_lanes};
use super::{nibbles, tile};
use crate::kernels::args::Filter;
use crate::kernels::needs::{WINOGRAD_4, WINOGRAD_8, has};
use crate::layout::WeightBits;

/// Transforms output channels `2 * pair` and the next into `to`: 16 positions of as many words as
/// there are input channels. The lanes are in the order of those of an input.
pub(super) fn transform<const NEEDS: u32>(filter: &Filter<'_>, pair: usize, to: &mut [u32]) {
    let inputs = filter.shape.inputs;
    let bytes = filter.bits.row_bytes(9 * inputs);
    for vector in 0..2 {
        let start = (2 * pair + vector) * bytes;
        let row = filter.data.get(start..start + bytes).unwrap_or_default();
        match filter.bits {
            WeightBits::Four if has(NEEDS, WINOGRAD_4) => nibbles::transform(row, inputs, to, vector),
            WeightBits::Eight if has(NEEDS, WINOGRAD_8) => eights(row, inputs, to, vector),
            _ => {}
        }
    }
}

/// A filter of 8-bit weights, eight channels at a time.
fn eights(row: &[u8], inputs: usize, to: &mut [u32], vector: usize) {
    let mut lanes = [[0; 9]; 4];
    for at in (0..inputs).step_by(8) {
        let [first, third, second, fourth] = &mut lanes;
        let to_lanes = first.iter_mut().zip(second).zip(third).zip(fourth);
        let stored = row.get(at..).unwrap_or_default().chunks(inputs.max(1));
        for (tap, (((a, b), c), d)) in stored.zip(to_lanes) {
            let words: [[u8; 4]; 2] = tap.as_chunks().0.first_chunk().copied().unwrap_or_default();
            let [one, two] = words.map(u32::from_le_bytes);
            let [low, high] = [low_lanes(one, two), high_lanes(one, two)];
            [*a, *b, *c, *d] = [
                add_even_bytes(0, low),
                add_odd_bytes(0, low),
                add_even_bytes(0, high),
                add_odd_bytes(0, high),
            ];
        }
        tile::filter(&lanes, inputs, to, at, vector);
    }
}
