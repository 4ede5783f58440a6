//! Runs of stored values to int8 and back, and their sums.
#![allow(unsafe_code)]

use crate::shape::DType;

/// Values that are widened or packed at a time.
#[cfg(target_arch = "arm")]
const STEP: usize = 32;

/// Widens the first values of a run that starts at a byte.
pub(super) fn widen(from: &[u8], dtype: DType, to: &mut [u8]) {
    #[cfg_attr(not(target_arch = "arm"), expect(unused_mut))]
    let (mut from, mut to) = (from, to);
    if dtype == DType::I8 {
        return to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    #[cfg(target_arch = "arm")]
    {
        let times = (from.len() / (STEP / 2)).min(to.len() / STEP);
        if times > 0 {
            // SAFETY: `from` has so many vectors, `to` room for two of each.
            unsafe {
                match dtype {
                    DType::U4 => arm::unsigned(from.as_ptr(), to.as_mut_ptr(), times),
                    _ => arm::signed(from.as_ptr(), to.as_mut_ptr(), times),
                }
            }
            from = from.get(STEP / 2 * times..).unwrap_or_default();
            to = to.get_mut(STEP * times..).unwrap_or_default();
        }
    }
    let sign = if dtype == DType::S4 { 8 } else { 0 };
    for (to, from) in to.chunks_mut(2).zip(from) {
        for (to, nibble) in to.iter_mut().zip([from & 0x0F, from >> 4]) {
            *to = (nibble ^ sign).wrapping_sub(sign);
        }
    }
}

/// Stores a run of values, which fit, from a byte on; an unused nibble becomes zero.
pub(super) fn store(from: &[u8], dtype: DType, to: &mut [u8]) {
    #[cfg_attr(not(target_arch = "arm"), expect(unused_mut))]
    let (mut from, mut to) = (from, to);
    if dtype == DType::I8 {
        return to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    #[cfg(target_arch = "arm")]
    {
        let times = (from.len() / STEP).min(to.len() / (STEP / 2));
        if times > 0 {
            // SAFETY: `from` has two vectors for each, `to` room for one.
            unsafe { arm::pack(from.as_ptr(), to.as_mut_ptr(), times) }
            from = from.get(STEP * times..).unwrap_or_default();
            to = to.get_mut(STEP / 2 * times..).unwrap_or_default();
        }
    }
    let (pairs, last) = from.as_chunks::<2>();
    for (to, [low, high]) in to.iter_mut().zip(pairs) {
        *to = low & 0x0F | high << 4;
    }
    if let (Some(to), [last]) = (to.get_mut(pairs.len()), last) {
        *to = last & 0x0F;
    }
}

/// Adds int8 values to sums, as many as both have.
pub(super) fn accumulate(sums: &mut [i16], values: &[u8]) {
    let count = sums.len().min(values.len());
    #[cfg(target_arch = "arm")]
    {
        // SAFETY: both have so many.
        unsafe { arm::accumulate(sums.as_mut_ptr(), values.as_ptr(), count) }
    }
    #[cfg(not(target_arch = "arm"))]
    for (sum, value) in sums.iter_mut().zip(values).take(count) {
        *sum = sum.wrapping_add(i16::from(*value as i8));
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    /// # Safety
    ///
    /// `from` has two vectors of values for each of `times`, `to` room for one; `times` is not 0.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn pack(from: *const u8, to: *mut u8, times: usize) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4, lr}}
            dls lr, r2
            1:
            vld20.8 {{q0, q1}}, [r0]
            vld21.8 {{q0, q1}}, [r0]!
            vsli.8 q0, q1, #4
            vstrb.8 q0, [r1], #16
            le lr, 1b
            pop {{r4, pc}}",
        )
    }

    /// A function that widens nibbles.
    macro_rules! nibbles {
        ($name:ident, $shift:literal) => {
            /// # Safety
            ///
            /// `from` has a vector for each of `times`, `to` room for two; `times` is not 0.
            #[unsafe(naked)]
            pub(super) unsafe extern "C" fn $name(from: *const u8, to: *mut u8, times: usize) {
                naked_asm!(
                    ".cpu cortex-m55",
                    "push {{r4, lr}}",
                    "dls lr, r2",
                    "1:",
                    "vldrb.u8 q2, [r0], #16",
                    "vshl.i8 q0, q2, #4",
                    concat!($shift, " q1, q2, #4"),
                    concat!($shift, " q0, q0, #4"),
                    "vst20.8 {{q0, q1}}, [r1]",
                    "vst21.8 {{q0, q1}}, [r1]!",
                    "le lr, 1b",
                    "pop {{r4, pc}}",
                )
            }
        };
    }
    nibbles!(signed, "vshr.s8");
    nibbles!(unsigned, "vshr.u8");

    /// # Safety
    ///
    /// `sums` and `values` have `count` elements.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn accumulate(sums: *mut i16, values: *const u8, count: usize) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4, lr}}
            wlstp.16 lr, r2, 2f
            1:
            vldrb.s16 q0, [r1], #8
            vldrh.u16 q1, [r0]
            vadd.i16 q1, q1, q0
            vstrh.16 q1, [r0], #16
            letp lr, 1b
            2:
            pop {{r4, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_their_signs() {
        let mut sums = [1, 2, 3];
        accumulate(&mut sums, &[1, 0xFF]);
        assert_eq!(sums, [2, 1, 3]);
    }

    #[test]
    fn runs_round_trip() {
        let values = [1, 0xF9, 7, 0xF8, 5];
        let (mut packed, mut back) = ([0xFF; 4], [0; 5]);
        store(&values, DType::S4, &mut packed);
        assert_eq!(packed, [0x91, 0x87, 0x05, 0xFF]);
        widen(&packed, DType::S4, &mut back);
        assert_eq!(back, values);
        widen(&packed, DType::U4, &mut back);
        assert_eq!(back, [1, 9, 7, 8, 5]);
        store(&values, DType::I8, &mut back);
        assert_eq!(back, values);
    }
}
