//! Kernels: what computes, one implementation per core family.
//!
//! [`Reference`] is the specification: plain loops. Every other implementation gives the same
//! bits, which one property suite shows on the host and on boards. The trait has no default
//! bodies, so a new operation makes every family decide.

mod args;
#[cfg(feature = "host")]
mod host;
mod reference;

pub use args::{Add, Addend, Conv2d, Epilogue, Filter, MatMul, Pool, TensorMut, TensorRef, Window};
#[cfg(feature = "host")]
pub use host::Host;
pub use reference::Reference;

/// A family of cores that share kernels, and so a plan in the artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum Family {
    /// The reference kernels: any core.
    Portable = 0,
    /// The simulator's kernels: weights unpacked in host memory.
    Host = 1,
}

impl Family {
    /// Every family, in the order of its code.
    pub const ALL: [Family; 2] = [Family::Portable, Family::Host];

    /// The family that a plan's tag names.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0 => Some(Family::Portable),
            1 => Some(Family::Host),
            _ => None,
        }
    }
}

/// One core's arithmetic. Every method fills `out` completely; `scratch` has the bytes that the
/// plan gives this operation, with any content.
pub trait Kernels {
    /// The plan that these kernels run under.
    const FAMILY: Family;

    /// 2-D convolution over all input channels.
    fn conv2d(&mut self, op: &Conv2d<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>);
    /// 2-D convolution of each channel with its own filter.
    fn depthwise_conv2d(&mut self, op: &Conv2d<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>);
    /// Dense layer, or product with a constant matrix.
    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>);
    /// Residual add.
    fn add(&mut self, op: &Add<'_>, out: &mut TensorMut<'_>);
    /// Mean over windows.
    fn avg_pool2d(&mut self, op: &Pool<'_>, out: &mut TensorMut<'_>);
    /// Maximum over windows.
    fn max_pool2d(&mut self, op: &Pool<'_>, out: &mut TensorMut<'_>);
}
