//! A network that a firmware is built around, and what it needs of kernels.
#![allow(unsafe_code)]

use crate::artefact::{Artefact, Fusion, Header, Op, Verified};
use crate::kernels::{Family, Kernel, needs};
use crate::layout::WeightBits;

/// An artefact whose content was checked when the firmware was built, and the kernels that it needs:
/// neither the check nor other kernels are linked.
///
/// A board's build script writes the constant; where there is none, [`Artefact::open`] checks.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<const NEEDS: u32>(Verified<'static>);

impl<const NEEDS: u32> Embedded<NEEDS> {
    /// The network in `verified`.
    ///
    /// # Safety
    ///
    /// [`Artefact::open`] accepts these bytes, and every bit that [`needs`](needs()) gives for the kernels'
    /// family is in `NEEDS`. Sessions over it check neither again.
    pub const unsafe fn new(verified: Verified<'static>) -> Self {
        Self(verified)
    }

    /// What the file says of itself.
    pub const fn header(&self) -> &Header {
        self.0.header()
    }

    /// The file, ready for a session with kernels for the same needs: for a `static`, which lies in flash.
    pub const fn artefact(&self) -> Artefact<'static> {
        Artefact::views(self.0, NEEDS)
    }
}

/// What an artefact's plan for a family needs; `None` where it has none.
pub fn needs(artefact: &Artefact<'_>, family: Family) -> Option<u32> {
    let plan = artefact.plan(family)?;
    let mut all = 0;
    for index in 0..artefact.op_count() {
        let (record, choice) = (artefact.op(index)?, plan.choice(index)?);
        let packed = record.inputs().chain([record.output]).any(|tensor| {
            let info = artefact.tensor(tensor);
            info.is_some_and(|info| info.dtype.bits() == 4)
        });
        if packed {
            all |= needs::NIBBLES;
        }
        all |= match record.op {
            Op::Conv2d(_, linear) if choice.kernel == Kernel::Winograd => match linear.bits {
                WeightBits::Eight => needs::WINOGRAD_8,
                WeightBits::Four => needs::WINOGRAD_4,
            },
            Op::Conv2d(..) if choice.kernel == Kernel::Winograd4x4 => needs::WINOGRAD_FOUR,
            Op::Conv2d(..) | Op::MatMul(_) => 0,
            Op::DepthwiseConv2d(..) => needs::DEPTHWISE,
            Op::Add(_) if choice.fusion == Fusion::Done => 0,
            Op::Add(_) => needs::ADD,
            Op::AvgPool2d(_) => needs::AVG_POOL,
            Op::MaxPool2d(_) => needs::MAX_POOL,
        };
        let dense = matches!(record.op, Op::Conv2d(..) | Op::MatMul(_));
        if dense && !fast(artefact, family, index).unwrap_or(false) {
            all |= needs::REFERENCE;
        }
    }
    Some(all)
}

/// Whether the family itself makes every row of a convolution or a matrix product.
#[cfg(feature = "armv7em")]
fn fast(artefact: &Artefact<'_>, family: Family, index: usize) -> Option<bool> {
    use crate::kernels::{Ring, armv7em};

    if family != Family::Armv7em {
        return Some(false);
    }
    let (record, choice) = (artefact.op(index)?, artefact.plan(family)?.choice(index)?);
    let (input, convolved) = (artefact.tensor(record.input)?, artefact.tensor(record.output)?);
    let ring = Ring { first: 0, lines: input.shape.height };
    let product;
    let mut op = match &record.op {
        Op::Conv2d(window, linear) => {
            artefact.conv2d(window, linear, (&input, &[], ring), convolved.shape.channels, false)?
        }
        Op::MatMul(linear) => {
            product = artefact.matmul(linear, input.view(&[], ring), &convolved)?;
            product.as_conv2d()
        }
        _ => return Some(false),
    };
    op.kernel = choice.kernel;
    let (mut output, mut add) = (convolved, None);
    if choice.fusion == Fusion::WithNext {
        output = artefact.tensor(artefact.op(index + 1)?.output)?;
        add = Some(artefact.conv_add(index)?.0);
    }
    let out = output.view_mut(&mut [], ring);
    Some(armv7em::suits(&op, add.as_ref(), &out, choice.scratch_bytes as usize))
}

#[cfg(not(feature = "armv7em"))]
fn fast(_: &Artefact<'_>, _: Family, _: usize) -> Option<bool> {
    Some(false)
}
