//! What a network asks of a family's kernels, as bits.
//!
//! A firmware that embeds one network links the kernels that this one needs and no others: the families'
//! types take the bits as a parameter, [`Embedded`](crate::Embedded) pairs them with the network that they
//! were taken from, a board's build script computes them with [`embedded::needs`](crate::embedded::needs).

/// Whatever an artefact may hold.
pub const ALL: u32 = u32::MAX;
/// Depthwise convolutions.
pub const DEPTHWISE: u32 = 1;
/// Adds that no convolution computes.
pub const ADD: u32 = 1 << 1;
/// Average pools.
pub const AVG_POOL: u32 = 1 << 2;
/// Maximum pools.
pub const MAX_POOL: u32 = 1 << 3;
/// Activations of 4 bits.
pub const NIBBLES: u32 = 1 << 4;
/// Winograd with filters of 8 bits.
pub const WINOGRAD_8: u32 = 1 << 5;
/// Winograd with filters of 4 bits.
pub const WINOGRAD_4: u32 = 1 << 6;
/// Winograd in tiles of 4x4.
pub const WINOGRAD_FOUR: u32 = 1 << 8;
/// Convolutions and matrix products that the family leaves to the reference.
pub const REFERENCE: u32 = 1 << 7;

/// Whether one of `bits` is among `needs`.
pub const fn has(needs: u32, bits: u32) -> bool {
    needs & bits != 0
}
