//! Filters as words for [`dot`](super::dot): a channel's weights, or two channels' in each word.

use super::scratch::depth;
use crate::kernels::args::Filter;
use crate::layout::{Layout, WeightBits};
use crate::shape::DType;

/// Writes the words of output channels `output` and, where the weights have 4 bits, the next: for values of
/// `dtype`, zeros where a pixel's last nibble holds none. A channel behind the last has zeros.
pub(super) fn channels(filter: &Filter<'_>, output: usize, dtype: DType, to: &mut [i32]) {
    let shape = filter.shape;
    let values = shape.taps * shape.inputs;
    let bytes = filter.bits.row_bytes(values);
    let row = |output: usize| filter.data.get(output * bytes..(output + 1) * bytes).unwrap_or_default();
    let plain = filter.layout == Layout::OutputMajor && depth(shape, dtype) == shape.inputs;
    match filter.bits {
        WeightBits::Eight if plain => {
            for (to, &byte) in to.iter_mut().zip(row(output)) {
                *to = i32::from(byte as i8);
            }
        }
        WeightBits::Four if plain && output + 1 < shape.outputs => {
            let pairs = row(output).iter().zip(row(output + 1));
            let (two_words, last) = to.as_chunks_mut::<2>();
            let whole = two_words.iter_mut().map(<[i32; 2]>::as_mut_slice);
            for (to, (&one, &two)) in whole.chain([last]).zip(pairs) {
                let [one, two] = [one, two].map(i32::from);
                let words =
                    [(one << 28 >> 28) + (two << 28 >> 12), (one << 24 >> 28) + (two << 24 >> 28 << 16)];
                to.iter_mut().zip(words).for_each(|(to, word)| *to = word);
            }
        }
        _ => one_by_one(filter, output, dtype, to),
    }
}

#[inline(never)]
fn one_by_one(filter: &Filter<'_>, output: usize, dtype: DType, to: &mut [i32]) {
    let shape = filter.shape;
    let two = filter.bits == WeightBits::Four && output + 1 < shape.outputs;
    for (tap, to) in to.chunks_mut(depth(shape, dtype).max(1)).enumerate() {
        to.fill(0);
        for (input, to) in to.iter_mut().enumerate().take(shape.inputs) {
            let second = if two { filter.get(output + 1, tap, input) } else { 0 };
            *to = filter.get(output, tap, input) + (second << 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::FilterShape;

    #[test]
    fn every_way_gives_the_same_words() {
        let shape = FilterShape { outputs: 3, taps: 2, inputs: 2 };
        let data = [0x21, 0xF7, 0x98, 0x34, 0xCD, 0x0E];
        let filter =
            Filter { data: &data, shape, bits: WeightBits::Four, layout: Layout::OutputMajor, offset: 0 };
        for dtype in [DType::I8, DType::S4] {
            let (mut fast, mut slow) = ([9; 4], [9; 4]);
            channels(&filter, 0, dtype, &mut fast);
            one_by_one(&filter, 0, dtype, &mut slow);
            assert_eq!((fast, fast), (slow, [1 - (8 << 16), 2 - (7 << 16), 7 + (4 << 16), -1 + (3 << 16)]));
        }
        let mut last = [9; 4];
        channels(&filter, 2, DType::I8, &mut last);
        assert_eq!(last, [-3, -4, -2, 0]);
        let odd = Filter { shape: FilterShape { taps: 1, inputs: 3, ..shape }, ..filter };
        let mut padded = [9; 4];
        channels(&odd, 0, DType::U4, &mut padded);
        assert_eq!(padded, [1 - (8 << 16), 2 - (7 << 16), 7 + (4 << 16), 0]);
    }
}
