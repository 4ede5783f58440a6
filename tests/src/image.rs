//! Images that need no data set: noise that grows from a seed, the same on host and board.

use crate::rng::Rng;

/// The seed of the image that a board's bench measures.
pub const BENCH_SEED: u64 = 1;

/// Fills an image with int8 values over their whole range.
pub fn noise(seed: u64, image: &mut [i8]) {
    let mut rng = Rng::new(seed);
    for chunk in image.chunks_mut(8) {
        for (value, byte) in chunk.iter_mut().zip(rng.bits().to_le_bytes()) {
            *value = byte as i8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_every_value() {
        let (mut a, mut b) = ([0; 13], [0; 13]);
        noise(1_234_567, &mut a);
        noise(1_234_567, &mut b);
        assert_eq!(a, b);
        // SplitMix64's first value for this seed, little-endian.
        assert_eq!(a[..8], 6_457_827_717_110_365_317u64.to_le_bytes().map(|byte| byte as i8));
        noise(2, &mut b);
        assert_ne!(a, b);
    }
}
