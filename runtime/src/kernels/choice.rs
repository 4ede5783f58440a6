//! What a plan may choose per operation: a kernel, known by the family, and the scratch it takes.
//!
//! [`Family::scratch_bytes`] is asked by the compiler, which reserves the bytes, by the check of an
//! artefact, which refuses a kernel that the family does not have, and by the kernels: all three
//! cannot disagree. It is integer arithmetic over extents and compiles on every target.

use crate::kernels::args::Window;
use crate::kernels::{Family, armv7em, mve, portable};
use crate::layout::{FilterShape, Layout, WeightBits};
use crate::shape::{DType, Shape};

/// A way to compute a linear operation. Codes are those of a plan's choices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Kernel {
    /// Sums of products over the taps, as the operation is defined.
    #[default]
    Direct = 0,
    /// Exact integer Winograd F(2x2, 3x3), two rows of output at a time.
    Winograd = 1,
    /// Exact integer Winograd F(4x4, 3x3), four rows of output at a time.
    Winograd4x4 = 2,
}

/// What decides which kernels suit a linear operation and what they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearSpec {
    /// Each output channel sees its own input channel only.
    pub depthwise: bool,
    /// Kernel, stride, padding; 1x1 for a dense layer.
    pub window: Window,
    /// Outputs, taps, inputs.
    pub filter: FilterShape,
    /// Bits of a weight.
    pub bits: WeightBits,
    /// Order of the weights.
    pub layout: Layout,
    /// The input.
    pub input: (Shape, DType),
    /// The output that is stored: an add's where that is fused.
    pub output: (Shape, DType),
}

impl Kernel {
    /// Every kernel, in the order of its code.
    pub const ALL: [Kernel; 3] = [Kernel::Direct, Kernel::Winograd, Kernel::Winograd4x4];

    /// The kernel that a choice's code names.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Kernel::Direct),
            1 => Some(Kernel::Winograd),
            2 => Some(Kernel::Winograd4x4),
            _ => None,
        }
    }

    /// Output rows that the kernel likes to make at once: a multiple of these costs the least.
    pub const fn rows(self) -> usize {
        match self {
            Kernel::Direct => 1,
            Kernel::Winograd => 2,
            Kernel::Winograd4x4 => 4,
        }
    }
}

impl Family {
    /// Bytes of scratch with which a kernel runs at its best; `None` where the family has no such
    /// kernel for the operation.
    pub fn scratch_bytes(self, kernel: Kernel, spec: &LinearSpec) -> Option<usize> {
        self.scratch_step(kernel, spec, 0)
    }

    /// Bytes of scratch at which a kernel runs well, fewer with each step; `None` behind the last.
    pub fn scratch_step(self, kernel: Kernel, spec: &LinearSpec, step: usize) -> Option<usize> {
        match (self, kernel) {
            (Family::Armv7em, _) => armv7em::scratch::bytes(kernel, spec, step),
            (Family::Mve, _) => mve::scratch::bytes(kernel, spec, step),
            (Family::Portable, Kernel::Direct) => (step == 0).then_some(portable::scratch::bytes(spec)),
            (_, Kernel::Direct) => (step == 0).then_some(0),
            (_, Kernel::Winograd | Kernel::Winograd4x4) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::from_code(kernel as u8), Some(kernel));
        }
        assert_eq!(Kernel::from_code(3), None);
    }
}
