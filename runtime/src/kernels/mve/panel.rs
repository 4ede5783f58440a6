//! What a row of outputs reads, as int8, column by column: the pixels below each other, the channels
//! of each, then the next column. A patch is a run of bytes, and so is the next, a stride further
//! on. Padding holds the zero point.
#![allow(unsafe_code)]

use super::scratch::VECTOR;
use crate::kernels::args::Conv2d;
use crate::shape::DType;

/// A panel in scratch.
pub(super) struct Panel<'a> {
    memory: &'a mut [u8],
    op: &'a Conv2d<'a>,
    /// Bytes of a column.
    column: usize,
    /// Where the bytes of a vector of pixels go, if a pixel has fewer.
    offsets: Option<[u8; VECTOR]>,
    /// The columns inside the input, and all, of the last filling: the others hold the zero point.
    known: [usize; 3],
}

impl<'a> Panel<'a> {
    pub(super) fn new(op: &'a Conv2d<'a>, memory: &'a mut [u8]) -> Self {
        let channels = op.input.shape.channels;
        let column = op.window.kernel[0] * channels;
        let few = op.input.dtype == DType::I8 && (1..VECTOR).contains(&channels);
        let last = (VECTOR - 1).checked_div(channels).unwrap_or(0) * column + VECTOR;
        let offsets = (few && last <= 256).then(|| {
            let (mut channel, mut start) = (0, 0);
            [(); VECTOR].map(|()| {
                let offset = start + channel;
                channel += 1;
                if channel == channels {
                    (channel, start) = (0, start + column);
                }
                offset as u8
            })
        });
        Self { memory, op, column, offsets, known: [usize::MAX; 3] }
    }

    /// Bytes from one patch to the next.
    pub(super) fn step(&self) -> usize {
        self.op.window.stride[1] * self.column
    }

    /// What outputs `x` to `x + count` of row `y` read: their patches.
    #[inline(never)]
    pub(super) fn fill(&mut self, y: usize, x: usize, count: usize) -> &[u8] {
        let (input, window, inputs) = (&self.op.input, &self.op.window, self.op.input.shape.channels);
        let all = count.saturating_sub(1) * window.stride[1] + window.kernel[1];
        let [start, before] = [x * window.stride[1], window.padding[2]];
        let first = before.saturating_sub(start).min(all);
        let last = (before + input.shape.width).saturating_sub(start).min(all).max(first);
        let zero = input.zero_point as u8;
        if self.known != [first, last, all] {
            self.known = [first, last, all];
            for side in [0..first, last..all] {
                let side = side.start * self.column..side.end * self.column;
                self.memory.get_mut(side).unwrap_or_default().fill(zero);
            }
        }
        let pixels = Pixels {
            count: last - first,
            bytes: input.dtype.row_bytes(inputs),
            channels: inputs,
            dtype: input.dtype,
            column: self.column,
        };
        let (row_bytes, height) = (input.row_bytes(), input.shape.height);
        let skip = (start + first).saturating_sub(before) * pixels.bytes;
        let columns = self.memory.get_mut(first * self.column..last * self.column).unwrap_or_default();
        for tap in 0..window.kernel[0] {
            let to = columns.get_mut(tap * inputs..).unwrap_or_default();
            match window.source(0, y, tap, height) {
                Some(row) => {
                    let row = input.ring.line(row) * row_bytes;
                    let from = input.data.get(row + skip..).unwrap_or_default();
                    pixels.copy(from, self.offsets.as_ref(), to);
                }
                None => {
                    to.get_mut(..inputs).unwrap_or_default().fill(zero);
                    pixels.repeat(to);
                }
            }
        }
        self.memory
    }
}

/// Pixels that lie side by side in a row and `column` bytes apart in a panel.
struct Pixels {
    count: usize,
    /// Of a stored pixel.
    bytes: usize,
    channels: usize,
    dtype: DType,
    column: usize,
}

impl Pixels {
    /// Copies pixels, widened; nothing where a slice is too short.
    fn copy(&self, from: &[u8], offsets: Option<&[u8; VECTOR]>, to: &mut [u8]) {
        let &Self { count, bytes, channels, dtype, column } = self;
        let Some(from) = from.get(..count * bytes) else { return };
        if !self.fit(to) {
            return;
        }
        let mut done = 0;
        if channels.is_multiple_of(VECTOR) {
            return self.whole(from, to);
        }
        if let Some(offsets) = offsets.filter(|_| from.len() >= VECTOR) {
            // Several pixels of a vector at once; what follows them in it is the next pixel's.
            let each = VECTOR.checked_div(channels).unwrap_or(0);
            let times = (from.len() - VECTOR).checked_div(each * channels).map_or(0, |more| more + 1);
            if times > 0 && (times - 1) * each * column + usize::from(offsets[VECTOR - 1]) < to.len() {
                scatter(from, to, offsets, times, [each * channels, each * column]);
                done = times * each;
            }
        }
        for i in done..count {
            let from = from.get(i * bytes..(i + 1) * bytes).unwrap_or_default();
            let to = to.get_mut(i * column..i * column + channels).unwrap_or_default();
            for (channel, to) in to.iter_mut().enumerate() {
                *to = dtype.get(from, channel) as u8;
            }
        }
    }

    /// Whether there is one, and room for all.
    fn fit(&self, to: &[u8]) -> bool {
        self.count > 0 && self.channels > 0 && (self.count - 1) * self.column + self.channels <= to.len()
    }

    /// Copies pixels of whole vectors, that fit.
    fn whole(&self, from: &[u8], to: &mut [u8]) {
        #[cfg(target_arch = "arm")]
        {
            let (from, to) = (from.as_ptr(), to.as_mut_ptr());
            let (vectors, gap) = (self.channels / VECTOR, self.column - self.channels);
            // SAFETY: `copy` has checked that both have all pixels, and there is at least one vector.
            unsafe {
                match self.dtype {
                    DType::I8 => arm::bytes(from, to, self.count, vectors, gap),
                    DType::U4 => arm::unsigned(from, to, self.count, vectors, gap),
                    DType::S4 => arm::signed(from, to, self.count, vectors, gap),
                }
            }
        }
        #[cfg(not(target_arch = "arm"))]
        for (from, to) in from.chunks_exact(self.bytes).zip(to.chunks_mut(self.column)) {
            for (channel, to) in to.iter_mut().take(self.channels).enumerate() {
                *to = self.dtype.get(from, channel) as u8;
            }
        }
    }

    /// The first pixel becomes the others.
    fn repeat(&self, to: &mut [u8]) {
        if self.count < 2 || !self.fit(to) {
            return;
        }
        #[cfg(target_arch = "arm")]
        {
            // SAFETY: all pixels fit, at least two of at least one byte.
            unsafe { arm::repeat(to.as_mut_ptr(), self.count - 1, self.channels, self.column) }
        }
        #[cfg(not(target_arch = "arm"))]
        for at in (1..self.count).map(|i| i * self.column) {
            to.copy_within(..self.channels, at);
        }
    }
}

/// Byte `i` of a vector goes to `to + offsets[i]`, so many times; `steps` are from one vector to the
/// next in `from` and `to`.
fn scatter(from: &[u8], to: &mut [u8], offsets: &[u8; VECTOR], times: usize, steps: [usize; 2]) {
    #[cfg(target_arch = "arm")]
    {
        // SAFETY: `copy` has checked the last vector of both.
        unsafe { arm::scatter(from.as_ptr(), to.as_mut_ptr(), offsets, times, &steps) }
    }
    #[cfg(not(target_arch = "arm"))]
    for i in 0..times {
        for (from, &offset) in from[i * steps[0]..][..VECTOR].iter().zip(offsets) {
            to[i * steps[1] + usize::from(offset)] = *from;
        }
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::VECTOR;

    /// # Safety
    ///
    /// `from` has `pixels` of `vectors` vectors, `to` room for them; neither number is 0.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn bytes(
        from: *const u8,
        to: *mut u8,
        pixels: usize,
        vectors: usize,
        gap: usize,
    ) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4, lr}}
            ldr r12, [sp, #8]
            cmp r3, #1
            beq 3f
            1:
            dls lr, r3
            2:
            vldrb.u8 q0, [r0], #16
            vstrb.8 q0, [r1], #16
            le lr, 2b
            add r1, r1, r12
            subs r2, r2, #1
            bne 1b
            pop {{r4, pc}}
            3:
            dls lr, r2
            add r12, r12, #16
            4:
            vldrb.u8 q0, [r0], #16
            vstrb.8 q0, [r1]
            add r1, r1, r12
            le lr, 4b
            pop {{r4, pc}}",
        )
    }

    /// # Safety
    ///
    /// `others` runs of `count` bytes, neither 0, lie in `to` behind the first, `step` bytes apart.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn repeat(to: *mut u8, others: usize, count: usize, step: usize) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4, lr}}
            1:
            mov r4, r0
            add r0, r0, r3
            mov r12, r0
            dlstp.8 lr, r2
            2:
            vldrb.u8 q0, [r4], #16
            vstrb.8 q0, [r12], #16
            letp lr, 2b
            subs r1, r1, #1
            bne 1b
            pop {{r4, pc}}",
        )
    }

    /// A function that widens nibbles: of a 16-bit lane, `b << 4` and `b` are shifted down.
    macro_rules! nibbles {
        ($name:ident, $shift:literal) => {
            /// # Safety
            ///
            /// As for [`bytes`]; a vector of `from` has 8 bytes.
            #[unsafe(naked)]
            pub(super) unsafe extern "C" fn $name(
                from: *const u8,
                to: *mut u8,
                pixels: usize,
                vectors: usize,
                gap: usize,
            ) {
                naked_asm!(
                    ".cpu cortex-m55",
                    "push {{r4, lr}}",
                    "ldr r12, [sp, #8]",
                    "1:",
                    "dls lr, r3",
                    "2:",
                    "vldrb.u16 q0, [r0], #8",
                    "vshl.i16 q1, q0, #4",
                    "vsli.16 q1, q0, #8",
                    concat!($shift, " q1, q1, #4"),
                    "vstrb.8 q1, [r1], #16",
                    "le lr, 2b",
                    "add r1, r1, r12",
                    "subs r2, r2, #1",
                    "bne 1b",
                    "pop {{r4, pc}}",
                )
            }
        };
    }
    nibbles!(signed, "vshr.s8");
    nibbles!(unsigned, "vshr.u8");

    /// # Safety
    ///
    /// `times` vectors lie `steps[0]` bytes apart in `from`; at `steps[1]` bytes each there is room in
    /// `to` for a byte at every offset; `times` is not 0.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn scatter(
        from: *const u8,
        to: *mut u8,
        offsets: &[u8; VECTOR],
        times: usize,
        steps: &[usize; 2],
    ) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4, lr}}
            ldr r12, [sp, #8]
            vldrb.u8 q1, [r2]
            ldrd r4, r12, [r12]
            dls lr, r3
            1:
            vldrb.u8 q0, [r0]
            add r0, r0, r4
            vstrb.8 q0, [r1, q1]
            add r1, r1, r12
            le lr, 1b
            pop {{r4, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_three_channels_lie_in_columns() {
        let values: [u8; 24] = core::array::from_fn(|i| i as u8);
        let pixels = Pixels { count: 8, bytes: 3, channels: 3, dtype: DType::I8, column: 9 };
        let mut to = [99; 8 * 9];
        let offsets = [0, 1, 2, 9, 10, 11, 18, 19, 20, 27, 28, 29, 36, 37, 38, 45];
        pixels.copy(&values, Some(&offsets), &mut to);
        for (i, column) in to.as_chunks::<9>().0.iter().enumerate() {
            let from = 3 * i as u8;
            assert_eq!(*column, [from, from + 1, from + 2, 99, 99, 99, 99, 99, 99]);
        }
    }
}
