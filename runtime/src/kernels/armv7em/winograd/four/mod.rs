//! F(4x4, 3x3) for 4-bit weights, at the points 0, 1, -1, 2, -2 and infinity.
//!
//! `U = C g C^T` with the rows (1, 0, 0), (1, 1, 1), (1, -1, 1), (1, 2, 4), (1, -2, 4) and (0, 0, 1) of `C`. Both
//! transforms of the outputs weigh with 6, 4, 4, 1, 1 and 24, so that they are 576 times the sums; times the
//! inverse of 9 modulo 2^32 they are 64 times them, which folds into the rescale: only 64 times the
//! accumulator must fit a word. `|U| <= 392` and `|B^T d B| <= 17,340` fit lanes of 16 bits.

mod filter;
pub(super) mod input;
mod output;

use super::super::channels;
use super::super::dot::Sums;
use super::Form;
use crate::kernels::args::Filter;
use crate::layout::WeightBits;

/// Tiles of 4x4 outputs.
pub(super) struct Four<'a> {
    products: output::Products,
    work: &'a mut [u32],
}

impl<'a, const NEEDS: u32> Form<'a, NEEDS> for Four<'a> {
    const PARTS: usize = 4;

    fn new(inputs: usize, work: &'a mut [u32]) -> Option<Self> {
        output::Products::new(inputs).map(|products| Self { products, work })
    }

    fn filter(filter: &Filter<'_>, pair: usize, to: &mut [u32]) {
        let inputs = filter.shape.inputs;
        let bytes = WeightBits::Four.row_bytes(9 * inputs);
        for vector in 0..2 {
            let start = (2 * pair + vector) * bytes;
            let row = filter.data.get(start..start + bytes).unwrap_or_default();
            filter::transform(row, inputs, to, vector);
        }
    }

    #[inline(always)]
    fn outputs<'v>(
        &'v mut self,
        x: &[u32],
        w: &[u32],
        channels: &channels::Pair,
        _own: &'v mut [Sums; 4],
    ) -> &'v [[Sums; 4]] {
        self.products.outputs(x, w, channels, self.work)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn lanes_hold_the_largest_values() {
        let input: [[i32; 6]; 6] = [
            [4, 0, -5, 0, 1, 0],
            [0, 4, 4, -1, -1, 0],
            [0, -4, 4, 1, -1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ];
        // Where every factor with a sign meets 255 and every other one 0.
        let all = input.iter().flat_map(|down| input.iter().map(move |across| (down, across)));
        let most = |sign: i32| {
            let sums = all.clone().map(|(down, across)| {
                let products = down.iter().flat_map(|a| across.iter().map(move |b| sign * a * b));
                255 * products.filter(|&product| product > 0).sum::<i32>()
            });
            sums.max().unwrap_or(0)
        };
        assert_eq!([most(1), most(-1)], [17_340, 12_750]);
        // (1 + 2 + 4)^2 times -8.
        assert_eq!(7 * 7 * 8, 392);
    }
}
