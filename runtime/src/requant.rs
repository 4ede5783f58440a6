//! Accumulator to activation: the only rounding in the project.
//!
//! RESCALE of TOSA 1.0 with scale32 and SINGLE_ROUND: `((acc * m + (1 << (s - 1))) >> s)` in
//! 64 bits, ties towards plus infinity. The multiplier stands for the real factor `m / 2^s`.

/// A real factor as a fixed-point number: `multiplier / 2^shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rescale {
    /// In `[2^30, 2^31)`.
    pub multiplier: i32,
    /// In `2..=62`.
    pub shift: u8,
}

impl Rescale {
    /// `acc * m / 2^s`, rounded. TOSA's precondition is `acc` in `[-2^(s-1), 2^(s-1))`; the
    /// result then fits 32 bits.
    #[inline]
    pub fn apply(self, acc: i32) -> i32 {
        let shift = u32::from(self.shift & 63);
        let round = (1i64 << shift) >> 1;
        ((i64::from(acc) * i64::from(self.multiplier) + round) >> shift) as i32
    }

    /// Whether multiplier and shift are in TOSA's range.
    pub const fn is_valid(self) -> bool {
        self.multiplier >= 1 << 30 && self.shift >= 2 && self.shift <= 62
    }

    /// Whether every accumulator of magnitude up to `max_abs` meets the precondition of [`apply`](Self::apply).
    pub const fn admits(self, max_abs: u64) -> bool {
        self.is_valid() && max_abs < 1u64 << (self.shift - 1)
    }
}

/// The `RESCALE` that TOSA's `reciprocal_scale(count)` gives: division by a count of pooled values,
/// at most 2^30.
#[inline]
pub fn reciprocal(count: u32) -> Rescale {
    let count = count.max(1);
    let k = 32 - (count - 1).leading_zeros();
    // `((1 << 30) + 1) << k` divided by `count`, bit by bit: small cores have no division of 64 bits.
    let (mut quotient, mut rest) = (0, 0);
    for bit in (0..=30 + k).rev() {
        rest = rest << 1 | u32::from(bit == k || bit == 30 + k);
        quotient <<= 1;
        if rest >= count {
            rest -= count;
            quotient |= 1;
        }
    }
    Rescale { multiplier: quotient, shift: 30 + k as u8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_towards_plus_infinity() {
        let half = Rescale { multiplier: 1 << 30, shift: 31 };
        assert_eq!([3, 1, -1, -3, 4].map(|acc| half.apply(acc)), [2, 1, 0, -1, 2]);
    }

    #[test]
    fn large_shift_keeps_64_bits() {
        let tiny = Rescale { multiplier: i32::MAX, shift: 62 };
        assert_eq!(tiny.apply(i32::MAX), 1);
        assert_eq!(tiny.apply(i32::MIN), -1);
    }

    #[test]
    fn range_of_the_precondition() {
        let s9 = Rescale { multiplier: 1 << 30, shift: 9 };
        assert!(s9.admits(255));
        assert!(!s9.admits(256));
        assert!(!Rescale { multiplier: (1 << 30) - 1, shift: 9 }.is_valid());
        assert!(!Rescale { multiplier: 1 << 30, shift: 63 }.is_valid());
    }

    #[test]
    fn reciprocal_divides() {
        assert_eq!(reciprocal(1), Rescale { multiplier: (1 << 30) + 1, shift: 30 });
        assert_eq!(reciprocal(64).apply(64 * 255), 255);
        assert_eq!(reciprocal(64).apply(32), 1);
        assert_eq!(reciprocal(49).apply(-49 * 7), -7);
        for count in 1..=65_535u32 {
            let k = 32 - (count - 1).leading_zeros();
            let multiplier = (((1u64 << 30) + 1) << k) / u64::from(count);
            assert_eq!(reciprocal(count), Rescale { multiplier: multiplier as i32, shift: 30 + k as u8 });
            assert!(reciprocal(count).is_valid());
        }
    }
}
