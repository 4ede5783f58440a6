//! Kernels for Armv8.1-M with Helium, the M-profile vector extension (Cortex-M55 and M85).
//!
//! Weights become int8 in scratch, once per block of output channels; what the taps of a row of
//! outputs read lies in one panel, where every patch is a run of bytes; VMLADAVA multiplies two
//! patches with four output channels at a time. Same bits as the reference, to which what has no
//! form here is delegated. On other architectures portable code stands for the instructions, for
//! tests.
//!
//! Stable Rust shows no `cfg` for Helium: the feature `mve` brings the type, and a board that turns
//! it on without `-C target-cpu=cortex-m55` does not assemble.

pub mod scratch;

#[cfg(feature = "mve")]
mod conv2d;
#[cfg(feature = "mve")]
mod depthwise;
#[cfg(feature = "mve")]
mod dot;
#[cfg(feature = "mve")]
mod family;
#[cfg(feature = "mve")]
mod lines;
#[cfg(feature = "mve")]
mod panel;
#[cfg(feature = "mve")]
mod pool;
#[cfg(feature = "mve")]
mod store;
#[cfg(feature = "mve")]
mod sum;
#[cfg(feature = "mve")]
mod weights;

#[cfg(feature = "mve")]
pub use family::Mve;
