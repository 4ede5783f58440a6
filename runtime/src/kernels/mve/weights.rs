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
    /// Nonzero for weights of 8 bits.
    eight: usize,
    /// Bytes from the end of a tap to the one to its right.
    across: usize,
}

/// Whether every rescale is one that VMULH and VRSHL make: what is shifted out of the product's lower
/// half is rounded down, and the rounding of the shift is the definition's.
pub(super) fn suits(epilogue: &Epilogue<'_>) -> bool {
    epilogue.shift.iter().all(|shift| (33..=62).contains(shift))
}

/// Writes the groups from `first` on, as many as `table` has; channels behind the last are zeros.
#[inline(never)]
pub(super) fn fill(op: &Conv2d<'_>, first: usize, weights: &mut [u8], table: &mut [Constants]) {
    let rows = Rows::new(&op.filter, op.window.kernel);
    let bytes = (weights.len() / table.len().max(1)).max(1);
    for ((group, weights), table) in (first..).zip(weights.chunks_exact_mut(bytes)).zip(table) {
        for channel in 0..GROUP {
            let output = GROUP * group + channel;
            let to = weights.get_mut(VECTOR * channel..).unwrap_or_default();
            let constants = if output < op.filter.shape.outputs {
                let sum = rows.widen(output, to);
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

/// How a filter's rows are widened, each an output channel's.
struct Rows<'a> {
    filter: &'a Filter<'a>,
    /// Bytes of a stored row.
    bytes: usize,
    /// The whole vectors: of each tap, of a product's only one, or none.
    taps: Taps,
    /// Bytes that these are read from and written to.
    reads: usize,
    writes: usize,
    /// Whether these are not all.
    more: bool,
}

impl<'a> Rows<'a> {
    fn new(filter: &'a Filter<'a>, kernel: [usize; 2]) -> Self {
        let ([height, width], shape) = (kernel, filter.shape);
        let values = shape.taps * shape.inputs;
        let whole = shape.inputs.is_multiple_of(VECTOR) || shape.taps == 1;
        let vectors = if whole && filter.layout == Layout::OutputMajor { shape.inputs / VECTOR } else { 0 };
        let down = NEXT * vectors;
        let across = down * (height.max(1) - 1);
        let eight = filter.bits == WeightBits::Eight;
        let all = height * width * vectors;
        Self {
            filter,
            bytes: filter.bits.row_bytes(filter.layout.rows(shape).1),
            taps: Taps { kernel, vectors, down, eight: eight.into(), across },
            reads: filter.bits.row_bytes(VECTOR * all),
            writes: (NEXT * all).saturating_sub(NEXT - VECTOR),
            more: VECTOR * all != values,
        }
    }

    /// Writes an output channel's vectors, [`NEXT`] bytes apart, and gives the sum of its weights.
    fn widen(&self, output: usize, to: &mut [u8]) -> i32 {
        let stored = self.filter.data.get(output * self.bytes..).unwrap_or_default();
        let sum = self.whole(stored, to);
        if self.more { sum + self.rest(output, to) } else { sum }
    }

    /// Widens the whole vectors; gives the sum of their weights.
    fn whole(&self, from: &[u8], to: &mut [u8]) -> i32 {
        if self.reads == 0 || from.len() < self.reads || to.len() < self.writes {
            return 0;
        }
        #[cfg(target_arch = "arm")]
        {
            // SAFETY: `from` has all vectors, at least one, and `to` room for them wherever they go.
            unsafe { arm::taps(from.as_ptr(), to.as_mut_ptr(), &self.taps) }
        }
        #[cfg(not(target_arch = "arm"))]
        {
            let Taps { kernel: [height, width], vectors, .. } = self.taps;
            let bits = self.filter.bits;
            let mut sum = 0;
            for (i, from) in from[..self.reads].chunks_exact(bits.row_bytes(VECTOR)).enumerate() {
                let (tap, vector) = (i / vectors, i % vectors);
                let at = (tap % width * height + tap / width) * vectors + vector;
                for (k, to) in to[at * NEXT..][..VECTOR].iter_mut().enumerate() {
                    let weight = bits.get(from, k);
                    *to = weight as u8;
                    sum += weight;
                }
            }
            sum
        }
    }

    /// Writes what is in no whole vector of a tap, and zeros behind it; gives the sum of these weights.
    #[inline(never)]
    fn rest(&self, output: usize, to: &mut [u8]) -> i32 {
        let (&Filter { data, shape, bits, layout, .. }, [height, width]) = (self.filter, self.taps.kernel);
        let done = VECTOR * self.taps.vectors;
        let mut put = |at: usize, weight: i32| {
            if let Some(to) = to.get_mut(at / VECTOR * NEXT + at % VECTOR) {
                *to = weight as u8;
            }
        };
        let (mut at, mut sum) = (done, 0);
        for column in 0..width {
            for row in 0..height {
                let (row, first) = layout.position(shape, output, row * width + column, 0);
                let row = data.get(row * self.bytes..).unwrap_or_default();
                for i in first + done..first + shape.inputs {
                    let weight = bits.get(row, i);
                    put(at, weight);
                    sum += weight;
                    at += 1;
                }
            }
        }
        for at in at..at.next_multiple_of(VECTOR) {
            put(at, 0);
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
            cbz r7, 4f
            3:
            vldrb.u8 q1, [r0], #16
            vaddva.s8 r2, q1
            vstrw.32 q1, [r8], #64
            le lr, 3b
            b 5f
            4:
            vldrb.u16 q0, [r0], #8
            vshl.i16 q1, q0, #4
            vsli.16 q1, q0, #8
            vshr.s8 q1, q1, #4
            vaddva.s8 r2, q1
            vstrw.32 q1, [r8], #64
            le lr, 4b
            5:
            add r8, r8, r10
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
            assert_eq!(Rows::new(&filter, [2, 2]).widen(0, &mut to), 160);
            for (at, weight) in [(0, 1), (64, 3), (128, 2), (192, 4)] {
                assert_eq!(to[at..at + 16], [weight; 16]);
            }
            assert_eq!(to[16], 9);
        }
    }
}
