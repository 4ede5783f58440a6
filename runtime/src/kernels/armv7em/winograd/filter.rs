//! A pair of filters brought together tap by tap, and transformed.

use super::super::dsp::{add_even_bytes, add_odd_bytes};
use super::super::lanes::SIGNED;
use super::tile;
use crate::kernels::args::Filter;
use crate::layout::WeightBits;
use crate::shape::DType;

/// Transforms output channels `2 * pair` and the next into `to`: 16 positions of as many words as
/// there are input channels. The lanes are in the order that `input` gives those of `dtype`; `spare`
/// holds those of nine taps, 36 words, on their way.
pub(super) fn transform(filter: &Filter<'_>, pair: usize, dtype: DType, spare: &mut [u32], to: &mut [u32]) {
    let inputs = filter.shape.inputs;
    let bytes = filter.bits.row_bytes(9 * inputs);
    let stride = bytes / 9;
    let Some(lanes) = spare.as_chunks_mut().0.first_chunk_mut::<4>() else { return };
    for vector in 0..2 {
        let start = (2 * pair + vector) * bytes;
        let row = filter.data.get(start..start + bytes).unwrap_or_default();
        for at in (0..stride).step_by(4) {
            if filter.bits == WeightBits::Four && dtype == DType::I8 {
                tile::taps(row, at, stride, lanes);
                tile::filter(&*lanes, inputs, to, 2 * at, vector);
                continue;
            }
            let [first, second, third, fourth] = &mut *lanes;
            let to_lanes = first.iter_mut().zip(second).zip(third).zip(fourth);
            let stored = row.get(at..).unwrap_or_default().chunks(stride.max(1));
            for (tap, (((a, b), c), d)) in stored.zip(to_lanes) {
                let word = tap.first_chunk().copied().unwrap_or_default();
                if filter.bits == WeightBits::Eight {
                    let word = u32::from_le_bytes(word);
                    *a = add_even_bytes(0, word);
                    *b = add_odd_bytes(0, word);
                } else {
                    // Even and odd bytes of the even values, then of the odd ones.
                    [*a, *c, *b, *d] = SIGNED.nearest(word);
                }
            }
            if filter.bits == WeightBits::Eight {
                tile::filter(lanes.get(..2).unwrap_or_default(), inputs, to, at, vector);
            } else {
                tile::filter(&*lanes, inputs, to, 2 * at, vector);
            }
        }
    }
}
