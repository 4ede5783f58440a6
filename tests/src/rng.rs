//! A seed's endless values, the same on every machine (SplitMix64).

/// Random values that depend on a seed only.
#[derive(Clone, Copy, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The values of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A value in `low..=high`; `low` where the range is empty.
    pub const fn range(&mut self, low: i32, high: i32) -> i32 {
        let span = high as i64 - low as i64 + 1;
        if span < 1 {
            return low;
        }
        (low as i64 + (self.bits() >> 1) as i64 % span) as i32
    }

    /// A size in `low..=high`.
    pub const fn size(&mut self, low: usize, high: usize) -> usize {
        self.range(low as i32, high as i32) as usize
    }

    /// True once in `n` times.
    pub const fn one_in(&mut self, n: u32) -> bool {
        ((self.bits() >> 32) as u32).is_multiple_of(n)
    }

    /// One of several values.
    pub fn pick<T: Copy, const N: usize>(&mut self, from: [T; N]) -> T {
        from[self.size(0, N - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_values_of_splitmix64() {
        // From the published C code, seed 1234567.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.bits(), 6_457_827_717_110_365_317);
        assert_eq!(rng.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn ranges_include_their_ends() {
        let mut rng = Rng::new(0);
        let mut seen = [false; 3];
        for _ in 0..100 {
            seen[(rng.range(-1, 1) + 1) as usize] = true;
        }
        assert_eq!(seen, [true; 3]);
        assert_eq!(rng.range(5, 4), 5);
        assert!(rng.range(i32::MIN, i32::MAX) != rng.range(i32::MIN, i32::MAX));
    }
}
