//! Filters as int8 vectors, and the constants of their channels.
//!
//! A patch has its taps column by column, as a panel has them; the weights of a group of output
//! channels are interleaved vector by vector, as [`dot`](super::dot) takes them.
#![allow(unsafe_code)]

use super::dot::Constants;
use super::scratch::{GROUP, VECTOR};
use crate::kernels::args::{Conv2d, Epilogue, Filter};
use crate::layout::{Layout, WeightBits};

/// From a vector of a channel to its next.
const NEXT: usize = GROUP * VECTOR;

/// Where the taps of a filter go.
#[repr(C)]
struct Taps {
    /// Kernel height and width.
    kernel: [usize; 2],
    /// Whole vectors of a tap.
    vectors: usize,
    /// Bytes from a tap to the one below it.
    down: usize,
    /// Bytes from the end of a tap to the one to its right.
    across: usize,
    /// Nonzero for weights of 8 bits.
    eight: usize,
}

/// Whether every rescale is one that VMULH and VRSHL make: what is shifted out of the product's lower
/// half is rounded down, and the rounding of the shift is the definition's.
pub(super) fn suits(epilogue: &Epilogue<'_>) -> bool {
    epilogue.shift.iter().all(|shift| (33..=62).contains(shift))
}

/// Writes the groups from `first` on, as many as `table` has; channels behind the last are zeros.
pub(super) fn fill(op: &Conv2d<'_>, first: usize, weights: &mut [u8], table: &mut [Constants]) {
    let bytes = (weights.len() / table.len().max(1)).max(1);
    for ((group, weights), table) in (first..).zip(weights.chunks_exact_mut(bytes)).zip(table) {
        for channel in 0..GROUP {
            let output = GROUP * group + channel;
            let to = weights.get_mut(VECTOR * channel..).unwrap_or_default();
            let constants = if output < op.filter.shape.outputs {
                let sum = row(&op.filter, op.window.kernel, output, to);
                let bias = op.epilogue.bias(output).wrapping_sub(op.input.zero_point.wrapping_mul(sum));
                let rescale = op.epilogue.rescale(output);
                [bias, rescale.multiplier, 32 - i32::from(rescale.shift)]
            } else {
                to.chunks_mut(NEXT).for_each(|to| to.iter_mut().take(VECTOR).for_each(|to| *to = 0));
                [0, 0, -1]
            };
            for (i, constant) in constants.into_iter().enumerate() {
                if let Some(to) = table.get_mut(GROUP * i + channel) {
                    *to = constant;
                }
            }
        }
    }
}

/// Writes an output channel's vectors, [`NEXT`] bytes apart, and gives the sum of its weights.
fn row(filter: &Filter<'_>, kernel: [usize; 2], output: usize, to: &mut [u8]) -> i32 {
    let [height, width] = kernel;
    let inputs = filter.shape.inputs;
    let values = filter.shape.taps * inputs;
    let mut sum = 0;
    let mut done = 0;
    let vectors = inputs / VECTOR;
    if filter.layout == Layout::OutputMajor && (inputs.is_multiple_of(VECTOR) || filter.shape.taps == 1) {
        let bytes = filter.bits.row_bytes(values);
        let stored = filter.data.get(output * bytes..(output + 1) * bytes).unwrap_or_default();
        let down = NEXT * vectors;
        let across = down * (height.max(1) - 1);
        let eight = usize::from(filter.bits == WeightBits::Eight);
        sum = taps(stored, to, &Taps { kernel, vectors, down, across, eight });
        done = filter.shape.taps * vectors * VECTOR;
    }
    let mut put = |at: usize, weight: i32| {
        if let Some(to) = to.get_mut(at / VECTOR * NEXT + at % VECTOR) {
            *to = weight as u8;
        }
        sum += weight;
    };
    let bytes = filter.bits.row_bytes(values);
    let stored = filter.data.get(output * bytes..).unwrap_or_default();
    let mut tap = 0;
    let rows = if done < values { height } else { 0 };
    for row in 0..rows {
        for column in 0..width {
            // Of a product, what is no whole vector is left.
            for input in done..inputs {
                let weight = match filter.layout {
                    Layout::OutputMajor => filter.bits.get(stored, tap * inputs + input),
                    Layout::TapMajor => filter.get(output, tap, input),
                };
                put((column * height + row) * inputs + input, weight);
            }
            tap += 1;
        }
    }
    for at in values..values.next_multiple_of(VECTOR) {
        put(at, 0);
    }
    sum
}

/// Widens the taps of a row of whole vectors; gives the sum of the weights.
fn taps(from: &[u8], to: &mut [u8], taps: &Taps) -> i32 {
    let [height, width] = taps.kernel;
    let vectors = height * width * taps.vectors;
    let bytes = if taps.eight != 0 { VECTOR } else { VECTOR / 2 };
    if vectors == 0 || from.len() < vectors * bytes || to.len() < (vectors - 1) * NEXT + VECTOR {
        return 0;
    }
    #[cfg(target_arch = "arm")]
    {
        // SAFETY: `from` has all vectors, and `to` room for them wherever they go.
        unsafe { arm::taps(from.as_ptr(), to.as_mut_ptr(), taps) }
    }
    #[cfg(not(target_arch = "arm"))]
    {
        let mut sum = 0;
        for (i, from) in from.chunks_exact(bytes).take(vectors).enumerate() {
            let (tap, vector) = (i / taps.vectors, i % taps.vectors);
            let at = (tap % width * height + tap / width) * taps.vectors + vector;
            for (k, to) in to[at * NEXT..][..VECTOR].iter_mut().enumerate() {
                let bits = if taps.eight != 0 { WeightBits::Eight } else { WeightBits::Four };
                let weight = bits.get(from, k);
                *to = weight as u8;
                sum += weight;
            }
        }
        sum
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::Taps;

    /// Byte `b` of a 16-bit lane becomes two weights: `b << 4` in the lower byte, `b` in the upper one,
    /// both shifted down with their sign.
    ///
    /// # Safety
    ///
    /// `from` has at least one vector, and all that `taps` names; `to` has room for them.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn taps(from: *const u8, to: *mut u8, taps: *const Taps) -> i32 {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r10, lr}}
            ldm r2, {{r3-r7, r10}}
            mov r2, #0
            1:
            mov r8, r1
            mov r9, r4
            2:
            dls lr, r5
            cmp r10, #0
            bne 4f
            3:
            vldrb.u16 q0, [r0], #8
            vshl.i16 q1, q0, #4
            vsli.16 q1, q0, #8
            vshr.s8 q1, q1, #4
            vaddva.s8 r2, q1
            vstrw.32 q1, [r8], #64
            le lr, 3b
            b 5f
            4:
            vldrb.u8 q1, [r0], #16
            vaddva.s8 r2, q1
            vstrw.32 q1, [r8], #64
            le lr, 4b
            5:
            add r8, r8, r7
            subs r9, r9, #1
            bne 2b
            add r1, r1, r6
            subs r3, r3, #1
            bne 1b
            mov r0, r2
            pop {{r4-r10, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::FilterShape;

    #[test]
    fn taps_lie_column_by_column() {
        // Two by two taps of 16 inputs; every weight of a tap is 1 more than its number.
        let values: [u8; 64] = core::array::from_fn(|i| (i / 16 + 1) as u8);
        let packed: [u8; 32] = core::array::from_fn(|i| (i / 8 + 1) as u8 * 0x11);
        let shape = FilterShape { outputs: 1, taps: 4, inputs: 16 };
        for (data, bits) in [(&values[..], WeightBits::Eight), (&packed[..], WeightBits::Four)] {
            let filter = Filter { data, shape, bits, layout: Layout::OutputMajor, offset: 0 };
            let mut to = [9; 4 * NEXT];
            assert_eq!(row(&filter, [2, 2], 0, &mut to), 160);
            for (at, weight) in [(0, 1), (64, 3), (128, 2), (192, 4)] {
                assert_eq!(to[at..at + 16], [weight; 16]);
            }
            assert_eq!(to[16], 9);
        }
    }
}
