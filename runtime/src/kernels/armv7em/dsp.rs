//! Instructions of Arm's DSP extension that stable Rust has no intrinsics for, one function each.
//!
//! A word is two signed 16-bit lanes, the low half first. On other architectures the same values
//! come from portable code, so that what is built from these functions runs on any host.
#![allow(unsafe_code)]

#[cfg(target_arch = "arm")]
use core::arch::asm;

/// A function around one instruction: `NAME(inputs) -> output: template; portable`.
macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident($($input:ident: $type:ty),*) -> $output:ty: $template:literal; $portable:expr) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name($($input: $type),*) -> $output {
            #[cfg(target_arch = "arm")]
            {
                let output;
                // SAFETY: one instruction that reads and writes registers and flags only.
                unsafe { asm!($template, out = lateout(reg) output, $($input = in(reg) $input),*, options(pure, nomem, nostack)) };
                output
            }
            #[cfg(not(target_arch = "arm"))]
            $portable
        }
    };
}

instruction! {
    /// Bytes 0 and 2 of `word`, signed, added to the lanes of `base`.
    add_even_bytes(base: u32, word: u32) -> u32: "sxtab16 {out}, {base}, {word}";
    lanes(|k| low(base, k).wrapping_add(i32::from((word >> (16 * k)) as i8)))
}
instruction! {
    /// Bytes 1 and 3 of `word`, signed, added to the lanes of `base`.
    add_odd_bytes(base: u32, word: u32) -> u32: "sxtab16 {out}, {base}, {word}, ror #8";
    lanes(|k| low(base, k).wrapping_add(i32::from((word >> (16 * k + 8)) as i8)))
}
instruction! {
    /// Difference, lane by lane.
    sub16(a: u32, b: u32) -> u32: "ssub16 {out}, {a}, {b}";
    lanes(|k| low(a, k).wrapping_sub(low(b, k)))
}
instruction! {
    /// The low lanes of `a` and `b`.
    low_lanes(a: u32, b: u32) -> u32: "pkhbt {out}, {a}, {b}, lsl #16";
    (a & 0xFFFF) | (b << 16)
}
instruction! {
    /// The high lanes of `a` and `b`.
    high_lanes(a: u32, b: u32) -> u32: "pkhtb {out}, {b}, {a}, asr #16";
    (a >> 16) | (b & 0xFFFF_0000)
}
instruction! {
    /// The upper 32 bits of `x * m + (addend << 32)`.
    multiply_high_add(x: i32, m: i32, addend: i32) -> i32: "smmla {out}, {x}, {m}, {addend}";
    ((i64::from(x) * i64::from(m)) >> 32) as i32 + addend
}
instruction! {
    /// The upper 32 bits of `x * m + 2^31 + (addend << 32)`.
    multiply_round_add(x: i32, m: i32, addend: i32) -> i32: "smmlar {out}, {x}, {m}, {addend}";
    ((i64::from(x) * i64::from(m) + (1 << 31)) >> 32) as i32 + addend
}
instruction! {
    /// The upper 32 bits of `x * m + 2^31`.
    multiply_round(x: i32, m: i32) -> i32: "smmulr {out}, {x}, {m}";
    ((i64::from(x) * i64::from(m) + (1 << 31)) >> 32) as i32
}
instruction! {
    /// `value >> by`, with its sign; `by` is below 32.
    shift_right(value: i32, by: u32) -> i32: "asr {out}, {value}, {by}";
    value >> (by & 31)
}
instruction! {
    /// The nearest value of 4 unsigned bits.
    saturate_u4(value: i32) -> i32: "usat {out}, #4, {value}";
    value.clamp(0, 15)
}

/// Sum, lane by lane.
#[cfg(not(target_arch = "arm"))]
pub(super) fn add16(a: u32, b: u32) -> u32 {
    lanes(|k| low(a, k).wrapping_add(low(b, k)))
}

/// Two equal lanes.
pub(super) const fn both(value: i32) -> u32 {
    (value as u32 & 0xFFFF) * 0x0001_0001
}

/// Lane `k`, with its sign.
#[cfg(not(target_arch = "arm"))]
pub(super) fn low(word: u32, k: u32) -> i32 {
    i32::from((word >> (16 * k)) as i16)
}

#[cfg(not(target_arch = "arm"))]
fn lanes(lane: impl Fn(u32) -> i32) -> u32 {
    (lane(0) as u32 & 0xFFFF) | ((lane(1) as u32) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_lanes() {
        // Bytes 0 to 3: -1, 2, -128, 127.
        assert_eq!(add_even_bytes(both(1), 0x7F80_02FF), 0xFF81_0000);
        assert_eq!(add_odd_bytes(both(-1), 0x7F80_02FF), 0x007E_0001);
    }

    #[test]
    fn bytes_are_compared_one_by_one() {}

    #[test]
    fn lanes_do_not_carry() {
        assert_eq!(add16(0x0001_FFFF, 0x0001_0001), 0x0002_0000);
        assert_eq!(sub16(0x0000_0000, 0x0001_0001), 0xFFFF_FFFF);
        assert_eq!(low_lanes(0x1111_2222, 0x3333_4444), 0x4444_2222);
        assert_eq!(high_lanes(0x1111_2222, 0x3333_4444), 0x3333_1111);
    }

    #[test]
    fn products_round_towards_plus_infinity() {
        // 3 * 2^30 / 2^32 = 0.75 and -0.75.
        assert_eq!([3, -3].map(|x| multiply_high_add(x, 1 << 30, 5)), [5, 4]);
        assert_eq!([2, -2, 3].map(|x| multiply_round_add(x, 1 << 30, 0)), [1, 0, 1]);
    }

    #[test]
    fn saturation_keeps_the_ends() {
        assert_eq!([-1, 16, 5].map(saturate_u4), [0, 15, 5]);
    }
}
