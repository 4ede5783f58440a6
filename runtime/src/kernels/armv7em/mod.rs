//! Kernels for Armv7E-M (Cortex-M4 and M7) and for Armv8-M with the DSP extension (Cortex-M33).
//!
//! Values and weights become 16-bit lanes in scratch, SMLAD multiplies them in blocks of two by
//! two, SMMLA rescales exactly. Same bits as the reference, to which what has no form here is
//! delegated. On other architectures portable code stands for the instructions, for tests.
//!
//! Stable Rust shows no `cfg` for the DSP extension: the feature `armv7em` brings the type, and a
//! board without the instructions that turns it on does not assemble.

pub mod scratch;

#[cfg(feature = "armv7em")]
mod add;
#[cfg(feature = "armv7em")]
mod channels;
#[cfg(feature = "armv7em")]
mod conv2d;
#[cfg(feature = "armv7em")]
mod depthwise;
#[cfg(feature = "armv7em")]
mod dot;
#[cfg(feature = "armv7em")]
mod dsp;
#[cfg(feature = "armv7em")]
mod family;
#[cfg(feature = "armv7em")]
mod lanes;
#[cfg(feature = "armv7em")]
mod patch;
#[cfg(feature = "armv7em")]
mod pool;
#[cfg(all(feature = "armv7em", target_arch = "arm"))]
mod put;
#[cfg(feature = "armv7em")]
mod store;
#[cfg(feature = "armv7em")]
mod weights;
#[cfg(feature = "armv7em")]
mod winograd;

#[cfg(feature = "armv7em")]
pub use family::{Armv7em, suits};
