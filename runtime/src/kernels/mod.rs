//! Kernels: what computes, one implementation per core family.
//!
//! [`Reference`] is the specification: plain loops. Every other implementation gives the same
//! bits, which one property suite shows on the host and on boards. The trait has no default
//! bodies, so a new operation makes every family decide.

mod args;
pub mod armv7em;
mod choice;
#[cfg(feature = "host")]
mod host;
mod line;
pub mod mve;
pub mod needs;
pub mod portable;
mod reference;
mod ring;
mod words;

use core::ops::Range;

pub use args::{Add, Addend, Conv2d, ConvAdd, Epilogue, Filter, MatMul, Pool, TensorMut, TensorRef, Window};
#[cfg(feature = "armv7em")]
pub use armv7em::Armv7em;
pub use choice::{Kernel, LinearSpec};
#[cfg(feature = "host")]
pub use host::{Host, Vectors};
#[cfg(feature = "mve")]
pub use mve::Mve;
pub use portable::Portable;
pub use reference::Reference;
pub use ring::Ring;

/// A family of cores that share kernels, and so a plan in the artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum Family {
    /// Plain Rust: any core.
    Portable = 0,
    /// The simulator's kernels: weights unpacked in host memory.
    Host = 1,
    /// Armv7E-M: Cortex-M4 and M7.
    Armv7em = 2,
    /// Armv8.1-M with Helium: Cortex-M55 and M85.
    Mve = 3,
}

impl Family {
    /// Every family, in the order of its code.
    pub const ALL: [Family; 4] = [Family::Portable, Family::Host, Family::Armv7em, Family::Mve];

    /// The family that a plan's tag names.
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0 => Some(Family::Portable),
            1 => Some(Family::Host),
            2 => Some(Family::Armv7em),
            3 => Some(Family::Mve),
            _ => None,
        }
    }
}

/// One core's arithmetic. Every method that makes an image fills the rows `rows` of `out`
/// completely and no others; all that their windows read is in the input's ring. A row given
/// alone, with others or with all gives the same bits. `scratch` has the bytes that the plan gives
/// this operation, at a multiple of 4, with any content: nothing is kept there between calls.
pub trait Kernels {
    /// The plan that these kernels run under.
    const FAMILY: Family;
    /// What they have code for, as [`needs`]: a session takes no artefact that needs more.
    const NEEDS: u32;

    /// 2-D convolution over all input channels.
    fn conv2d(&mut self, op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>);
    /// [`conv2d`](Self::conv2d) and the residual add of its output: the bits of one after the
    /// other. `out` is the sum.
    fn conv2d_add(
        &mut self,
        op: &Conv2d<'_>,
        add: &ConvAdd<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    );
    /// 2-D convolution of each channel with its own filter.
    fn depthwise_conv2d(
        &mut self,
        op: &Conv2d<'_>,
        rows: Range<usize>,
        scratch: &mut [u8],
        out: &mut TensorMut<'_>,
    );
    /// Dense layer, or product with a constant matrix; always whole.
    fn matmul(&mut self, op: &MatMul<'_>, scratch: &mut [u8], out: &mut TensorMut<'_>);
    /// Residual add.
    fn add(&mut self, op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>);
    /// Mean over windows.
    fn avg_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>);
    /// Maximum over windows.
    fn max_pool2d(&mut self, op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>);
}
