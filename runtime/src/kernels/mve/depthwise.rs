//! Depthwise convolutions with weights of 4 bits: sixteen channels at a time, whose sums of products
//! fit 16 bits, tap by tap through a panel.
#![allow(unsafe_code)]

use core::ops::Range;

use super::lines;
use super::panel::Panel;
use super::scratch::{DEPTHWISE_TABLE, GROUP, VECTOR, depthwise_columns};
use super::store::{Place, Store};
use super::weights;
use crate::kernels::args::{Conv2d, TensorMut};
use crate::kernels::words;
use crate::layout::Layout;
use crate::shape::DType;

/// Bias, multiplier and shift, as [`dot`](super::dot) has them, of channels `k`, `k + 4`, `k + 8` and
/// `k + 12` of a vector, for `k` from 0 to 3.
type Constants = [i32; DEPTHWISE_TABLE];

/// Fills the rows of `out`; false, and nothing done, where the scratch is too small or the filter or a
/// rescale does not suit.
pub(super) fn depthwise(
    op: &Conv2d<'_>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    run(op, rows, scratch, out).is_some()
}

fn run(op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) -> Option<()> {
    let (filter, width) = (op.filter.shape, out.shape.width);
    let store = Store::new(op, None, out).filter(|_| weights::suits(&op.epilogue))?;
    let columns = depthwise_columns(filter, op.filter.bits, &op.window, width, scratch.len())?;
    let vectors = filter.outputs.div_ceil(VECTOR);
    let (table, scratch) = words::signed(scratch).split_at_mut_checked(DEPTHWISE_TABLE * vectors)?;
    let (filters, scratch) = words::bytes(scratch).split_at_mut_checked(VECTOR * filter.taps * vectors)?;
    let (values, panel) = scratch.split_at_mut_checked(VECTOR * columns * vectors)?;
    let table = table.as_chunks_mut().0;
    let length = VECTOR * filter.taps.max(1);
    let filled = filters.chunks_exact_mut(length).zip(table.iter_mut());
    for (first, (to, constants)) in (0..).step_by(VECTOR).zip(filled) {
        fill(op, first, to, constants);
    }
    let whole = out.dtype == DType::I8 && filter.outputs.is_multiple_of(VECTOR);
    let mut panel = Panel::new(op, panel);
    let (step, zero_point) = (panel.step(), out.zero_point);
    let (min, max) = (op.epilogue.min.into(), op.epilogue.max.into());
    for y in rows {
        for x in (0..width).step_by(columns) {
            let pixels = columns.min(width - x);
            let patches = panel.fill(y, x, pixels);
            let channels = filter.outputs;
            let blocks = filters.chunks_exact(length).zip(&*table);
            for (first, (weights, table)) in (0..).step_by(VECTOR).zip(blocks) {
                let block = Block { weights, table, taps: filter.taps, channels, step, zero_point, min, max };
                let patches = patches.get(first..).unwrap_or_default();
                if whole {
                    let to = out.row(y).get_mut(x * channels + first..).unwrap_or_default();
                    block.run(patches, pixels, to, channels);
                } else {
                    let to = values.get_mut(first..).unwrap_or_default();
                    block.run(patches, pixels, to, VECTOR * vectors);
                }
            }
            if !whole {
                let place = Place { y, x, pixels, first: 0, channels };
                store.put(values, VECTOR * vectors, place, out);
            }
        }
    }
    Some(())
}

/// Writes the weights of channels `first` and on, a vector a tap, the taps in a panel's order.
fn fill(op: &Conv2d<'_>, first: usize, weights: &mut [u8], constants: &mut Constants) {
    let ([height, width], filter) = (op.window.kernel, &op.filter);
    let channels = filter.shape.outputs.saturating_sub(first).min(VECTOR);
    let mut sums = [0; VECTOR];
    for (at, to) in weights.as_chunks_mut::<VECTOR>().0.iter_mut().enumerate() {
        let tap = at % height.max(1) * width + at / height.max(1);
        *to = [0; VECTOR];
        let to = to.get_mut(..channels).unwrap_or_default();
        if filter.layout == Layout::TapMajor {
            let row = tap * filter.bits.row_bytes(filter.shape.outputs) + first / 2;
            lines::widen(filter.data.get(row..).unwrap_or_default(), DType::S4, to);
        } else {
            for (channel, to) in to.iter_mut().enumerate() {
                *to = filter.get(first + channel, tap, 0) as u8;
            }
        }
        for (sum, weight) in sums.iter_mut().zip(to) {
            *sum += i32::from(*weight as i8);
        }
    }
    for (channel, sum) in sums.into_iter().enumerate() {
        let constants = constants.get_mut(3 * GROUP * (channel % 4) + channel / 4..).unwrap_or_default();
        let output = first + channel;
        let values = if channel < channels {
            let rescale = op.epilogue.rescale(output);
            let bias = op.epilogue.bias(output).wrapping_sub(op.input.zero_point.wrapping_mul(sum));
            [bias, rescale.multiplier, 32 - i32::from(rescale.shift)]
        } else {
            [0, 0, -1]
        };
        for (to, value) in constants.iter_mut().step_by(GROUP).zip(values) {
            *to = value;
        }
    }
}

/// Sixteen channels.
struct Block<'a> {
    weights: &'a [u8],
    table: &'a Constants,
    taps: usize,
    /// Bytes from a tap of a patch to the next.
    channels: usize,
    /// Bytes from a patch to the next.
    step: usize,
    zero_point: i32,
    min: i32,
    max: i32,
}

impl Block<'_> {
    /// Writes the results of patches, `pixel` bytes from one's to the next's; nothing where a slice is
    /// too short.
    fn run(&self, x: &[u8], patches: usize, out: &mut [u8], pixel: usize) {
        let last = patches.saturating_sub(1);
        let reads = last * self.step + self.taps.saturating_sub(1) * self.channels + VECTOR <= x.len();
        let suits = self.taps > 0 && self.weights.len() >= VECTOR * self.taps;
        if patches == 0 || !reads || !suits || last * pixel + VECTOR > out.len() {
            return;
        }
        #[cfg(target_arch = "arm")]
        {
            let run = arm::Run {
                x: x.as_ptr(),
                out: out.as_mut_ptr(),
                weights: self.weights.as_ptr(),
                table: self.table.as_ptr(),
                taps: self.taps,
                channels: self.channels,
                patches,
                step: self.step,
                pixel,
                zero_point: self.zero_point,
                min: self.min,
                max: self.max,
            };
            // SAFETY: all that the patches read and write lies in the slices, as was checked.
            unsafe { arm::run(&run) }
        }
        #[cfg(not(target_arch = "arm"))]
        for patch in 0..patches {
            for channel in 0..VECTOR {
                let constant = |i: usize| self.table[3 * GROUP * (channel % 4) + GROUP * i + channel / 4];
                let taps = (0..self.taps).map(|tap| {
                    let x = x[patch * self.step + tap * self.channels + channel] as i8;
                    i16::from(x) * i16::from(self.weights[tap * VECTOR + channel] as i8)
                });
                let sum = constant(0).wrapping_add(i32::from(taps.fold(0, i16::wrapping_add)));
                let high = (i64::from(sum) * i64::from(constant(1))) >> 32;
                let value = ((high + (1 << (-constant(2) - 1))) >> -constant(2)) as i32 + self.zero_point;
                out[patch * pixel + channel] = value.max(self.min).min(self.max) as u8;
            }
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    /// What [`run`] takes, word by word.
    #[repr(C)]
    pub(super) struct Run {
        pub(super) x: *const u8,
        pub(super) out: *mut u8,
        pub(super) weights: *const u8,
        pub(super) table: *const i32,
        pub(super) taps: usize,
        pub(super) channels: usize,
        pub(super) patches: usize,
        pub(super) step: usize,
        pub(super) pixel: usize,
        pub(super) zero_point: i32,
        pub(super) min: i32,
        pub(super) max: i32,
    }

    /// Four channels' sums to stored values: `$half` of the lanes of `$sums`, the first at `$first`.
    macro_rules! finish {
        ($half:literal, $sums:literal, $first:literal) => {
            concat!(
                "vmovl",
                $half,
                ".s16 q0, ",
                $sums,
                "\n",
                "vldrw.u32 q1, [r0], #16\n",
                "vadd.i32 q0, q0, q1\n",
                "vldrw.u32 q1, [r0], #16\n",
                "vmulh.s32 q0, q0, q1\n",
                "vldrw.u32 q1, [r0], #16\n",
                "vrshl.s32 q0, q0, q1\n",
                "vadd.i32 q0, q0, r10\n",
                "vmax.s32 q0, q0, q6\n",
                "vmin.s32 q0, q0, q7\n",
                "add r11, r2, #",
                $first,
                "\n",
                "vstrb.32 q0, [r11, q5]\n",
            )
        };
    }

    /// # Safety
    ///
    /// The pointers name what [`Block::run`](super::Block::run) has checked.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn run(run: *const Run) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}",
            "vpush {{d8-d15}}",
            "ldm r0!, {{r1-r8}}",
            "ldm r0, {{r9-r12}}",
            "vdup.32 q6, r11",
            "vdup.32 q7, r12",
            "mov r0, #0",
            "vidup.u32 q5, r0, #4",
            "1:",
            "mov r11, r1",
            "mov r12, r3",
            "vmov.i32 q3, #0",
            "vmov.i32 q4, #0",
            "dls lr, r5",
            "2:",
            "vldrb.u8 q0, [r11]",
            "vldrb.u8 q1, [r12], #16",
            "add r11, r11, r6",
            "vmullb.s8 q2, q0, q1",
            "vadd.i16 q3, q3, q2",
            "vmullt.s8 q2, q0, q1",
            "vadd.i16 q4, q4, q2",
            "le lr, 2b",
            "mov r0, r4",
            finish!("b", "q3", "0"),
            finish!("b", "q4", "1"),
            finish!("t", "q3", "2"),
            finish!("t", "q4", "3"),
            "add r1, r1, r8",
            "add r2, r2, r9",
            "subs r7, r7, #1",
            "bne 1b",
            "vpop {{d8-d15}}",
            "pop {{r4-r11, pc}}",
        )
    }
}
