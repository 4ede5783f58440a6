//! Which vectors of the processor the simulator uses.

/// Instructions, each with those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vectors {
    /// Those that the compiler takes for granted.
    Plain,
    /// AVX2 on x86-64.
    Avx2,
    /// AVX-512 F, BW, VL and VNNI on x86-64.
    Avx512,
}

impl Vectors {
    /// All, the fastest last.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Avx2, Self::Avx512];

    /// The fastest that this processor has.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let wide = has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni");
            match has!("avx2") {
                true if wide => return Self::Avx512,
                true => return Self::Avx2,
                false => {}
            }
        }
        Self::Plain
    }
}
