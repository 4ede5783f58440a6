//! The residual add, four values at a time: each addend is shifted up so that its rescale ends at bit
//! 32, where VRMULH rounds; VQDMULH and VRSHL rescale the sum.
#![allow(unsafe_code)]

use crate::kernels::args::Addend;
use crate::requant::Rescale;

/// An addend's zero point and rescale.
#[derive(Clone, Copy)]
pub(super) struct Side {
    pub(super) zero_point: i32,
    pub(super) rescale: Rescale,
}

/// What the sum's values are made with.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Sum {
    /// The first addend times this, plus that.
    factor: i32,
    base: i32,
    multiplier: i32,
    /// The same of the second.
    other_factor: i32,
    other_base: i32,
    other_multiplier: i32,
    out_multiplier: i32,
    /// 31 less the sum's shift: VQDMULH doubles.
    out_shift: i32,
    zero_point: i32,
    min: i32,
    max: i32,
}

impl Side {
    pub(super) fn of(addend: &Addend<'_>) -> Self {
        Self { zero_point: addend.zero_point, rescale: addend.rescale }
    }

    /// What shifts it up, and the zero point's share.
    fn up(self) -> Option<[i32; 2]> {
        let factor = 1 << 32u32.checked_sub(self.rescale.shift.into())?;
        Some([factor, self.zero_point.wrapping_neg().wrapping_mul(factor)])
    }
}

impl Sum {
    /// `None` where a rescale does not suit.
    pub(super) fn new(a: Side, b: Side, out: Rescale, zero_point: i32, [min, max]: [i8; 2]) -> Option<Self> {
        (33..=62).contains(&out.shift).then_some(())?;
        let ([factor, base], [other_factor, other_base]) = (a.up()?, b.up()?);
        Some(Self {
            factor,
            base,
            multiplier: a.rescale.multiplier,
            other_factor,
            other_base,
            other_multiplier: b.rescale.multiplier,
            out_multiplier: out.multiplier,
            out_shift: 31 - i32::from(out.shift),
            zero_point,
            min: min.into(),
            max: max.into(),
        })
    }

    /// Sums of int8 values, as many as all have; without `b` the second addends lie in `to`.
    pub(super) fn run(&self, a: &[u8], b: Option<&[u8]>, to: &mut [u8]) {
        let count = a.len().min(to.len()).min(b.map_or(usize::MAX, <[u8]>::len));
        self.runs(a, b, to, [1, count], [0; 3]);
    }

    /// [`run`](Self::run) for so many runs of so many values, which begin `steps` bytes apart in `a`, `b`
    /// and `to`; nothing where a slice is too short.
    pub(super) fn runs(
        &self,
        a: &[u8],
        b: Option<&[u8]>,
        to: &mut [u8],
        [runs, count]: [usize; 2],
        [a_step, b_step, step]: [usize; 3],
    ) {
        let holds = |length: usize, step: usize| runs.saturating_sub(1) * step + count <= length;
        let fits = holds(a.len(), a_step) && b.is_none_or(|b| holds(b.len(), b_step));
        if runs == 0 || count == 0 || !fits || !holds(to.len(), step) {
            return;
        }
        #[cfg(target_arch = "arm")]
        {
            let b_step = if b.is_some() { b_step } else { step };
            let to = to.as_mut_ptr();
            let b = b.map_or(to.cast_const(), <[u8]>::as_ptr);
            // SAFETY: all have so many values, at least one, in so many runs.
            unsafe { arm::sum(a.as_ptr(), b, to, count, self, runs, &[a_step, b_step, step]) }
        }
        #[cfg(not(target_arch = "arm"))]
        for run in 0..runs {
            for i in 0..count {
                let to = &mut to[run * step + i];
                let b = b.map_or(*to, |b| b[run * b_step + i]);
                *to = self.value(a[run * a_step + i] as i8, b as i8);
            }
        }
    }

    #[cfg(not(target_arch = "arm"))]
    fn value(&self, a: i8, b: i8) -> u8 {
        let round = |value: i32, by: i32| ((i64::from(value) * i64::from(by) + (1 << 31)) >> 32) as i32;
        let a = i32::from(a).wrapping_mul(self.factor).wrapping_add(self.base);
        let b = i32::from(b).wrapping_mul(self.other_factor).wrapping_add(self.other_base);
        let sum = round(a, self.multiplier).wrapping_add(round(b, self.other_multiplier));
        let high = (i64::from(sum) * i64::from(self.out_multiplier)) >> 31;
        let value = ((high + (1 << (-self.out_shift - 1))) >> -self.out_shift) as i32 + self.zero_point;
        value.max(self.min).min(self.max) as u8
    }
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::naked_asm;

    use super::Sum;

    /// # Safety
    ///
    /// `a`, `b` and `to` have `runs` of `count` values, neither 0, `steps` bytes apart; `b` may be `to`.
    #[unsafe(naked)]
    pub(super) unsafe extern "C" fn sum(
        a: *const u8,
        b: *const u8,
        to: *mut u8,
        count: usize,
        sum: &Sum,
        runs: usize,
        steps: &[usize; 3],
    ) {
        naked_asm!(
            ".cpu cortex-m55",
            "push {{r4-r11, lr}}
            vpush {{d8-d15}}
            ldr r12, [sp, #100]
            ldm r12!, {{r4-r6}}
            vdup.32 q2, r4
            vdup.32 q3, r6
            mov r11, r5
            ldm r12!, {{r4-r6}}
            vdup.32 q5, r4
            vdup.32 q4, r6
            mov r8, r5
            ldm r12!, {{r7, r9, r10}}
            ldm r12, {{r4, r5}}
            vdup.32 q6, r4
            vdup.32 q7, r5
            2:
            mov r4, r0
            mov r5, r1
            mov r6, r2
            dlstp.32 lr, r3
            1:
            vldrb.s32 q0, [r4], #4
            vldrb.s32 q1, [r5], #4
            vmlas.i32 q0, q2, r11
            vmlas.i32 q1, q5, r8
            vrmulh.s32 q0, q0, q3
            vrmulh.s32 q1, q1, q4
            vadd.i32 q0, q0, q1
            vqdmulh.s32 q0, q0, r7
            vrshl.s32 q0, r9
            vadd.i32 q0, q0, r10
            vmax.s32 q0, q0, q6
            vmin.s32 q0, q0, q7
            vstrb.32 q0, [r6], #4
            letp lr, 1b
            ldr r12, [sp, #108]
            ldm r12, {{r4-r6}}
            add r0, r0, r4
            add r1, r1, r5
            add r2, r2, r6
            ldr r12, [sp, #104]
            subs r12, r12, #1
            str r12, [sp, #104]
            bne 2b
            vpop {{d8-d15}}
            pop {{r4-r11, pc}}",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_by_hand() {
        let side = |zero_point, shift| Side { zero_point, rescale: Rescale { multiplier: 1 << 30, shift } };
        let out = Rescale { multiplier: 1 << 30, shift: 51 };
        // (3 - 1) * 2^20 + (5 + 2) * 2^19 = 11 * 2^19; over 2^21 that is 2.75.
        let sum = Sum::new(side(1, 10), side(-2, 11), out, 4, [-128, 6]);
        let mut to = [5, 0xFE, 1];
        sum.unwrap().run(&[3, 3, 1], None, &mut to);
        // 4 + 2.75 is cut at 6; 4 + 1; 4 + 0.75.
        assert_eq!(to, [6, 5, 5]);
        assert!(Sum::new(side(0, 33), side(0, 9), out, 0, [0, 1]).is_none());
    }
}
