//! F(2x2, 3x3): the filter's transform is doubled on each side, `U = (2G) g (2G)^T`, the outputs are
//! four times the sums, and the division folds into the rescale: only four times the accumulator must fit
//! a word.

mod nibbles;
mod output;

#[cfg(not(target_arch = "arm"))]
pub(super) use output::PLACE;

use super::super::channels;
use super::super::dot::Sums;
use super::super::dsp::{add_even_bytes, add_odd_bytes, high_lanes, low_lanes};
use super::{Form, tile};
use crate::kernels::args::Filter;
use crate::kernels::needs::{WINOGRAD_4, WINOGRAD_8, has};
use crate::layout::WeightBits;

/// Tiles of 2x2 outputs.
pub(super) struct Two(output::Products);

impl<'a, const NEEDS: u32> Form<'a, NEEDS> for Two {
    const PARTS: usize = 1;

    fn new(inputs: usize, _work: &'a mut [u32]) -> Option<Self> {
        output::Products::new(inputs).map(Self)
    }

    fn filter(filter: &Filter<'_>, pair: usize, to: &mut [u32]) {
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

    #[inline(always)]
    fn outputs<'v>(
        &'v mut self,
        x: &[u32],
        w: &[u32],
        channels: &channels::Pair,
        own: &'v mut [Sums; 4],
    ) -> &'v [[Sums; 4]] {
        self.0.outputs(x, w, channels, own);
        core::slice::from_ref(own)
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
