//! What a network asks of a family's kernels, as bits.
//!
//! A firmware that embeds one network links the kernels that this one needs and no others: the families'
//! types take the bits as a parameter, [`Embedded`](crate::Embedded) pairs them with the network that they
//! were taken from, a board's build script computes them with [`of`].

use crate::artefact::{Artefact, Fusion, Op};
use crate::kernels::{Family, Kernel};
use crate::layout::WeightBits;

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
/// Convolutions and matrix products that the family leaves to the reference.
pub const REFERENCE: u32 = 1 << 7;

/// Whether one of `bits` is among `needs`.
pub const fn has(needs: u32, bits: u32) -> bool {
    needs & bits != 0
}

/// What an artefact's plan for a family needs; `None` where it has none.
pub fn of(artefact: &Artefact<'_>, family: Family) -> Option<u32> {
    let plan = artefact.plan(family)?;
    let mut needs = 0;
    for index in 0..artefact.op_count() {
        let (record, choice) = (artefact.op(index)?, plan.choice(index)?);
        let packed = record.inputs().chain([record.output]).any(|tensor| {
            let info = artefact.tensor(tensor);
            info.is_some_and(|info| info.dtype.bits() == 4)
        });
        if packed {
            needs |= NIBBLES;
        }
        needs |= match record.op {
            Op::Conv2d(_, linear) if choice.kernel == Kernel::Winograd => match linear.bits {
                WeightBits::Eight => WINOGRAD_8,
                WeightBits::Four => WINOGRAD_4,
            },
            Op::Conv2d(..) | Op::MatMul(_) => 0,
            Op::DepthwiseConv2d(..) => DEPTHWISE,
            Op::Add(_) if choice.fusion == Fusion::Done => 0,
            Op::Add(_) => ADD,
            Op::AvgPool2d(_) => AVG_POOL,
            Op::MaxPool2d(_) => MAX_POOL,
        };
        let dense = matches!(record.op, Op::Conv2d(..) | Op::MatMul(_));
        if dense && !fast(artefact, family, index).unwrap_or(false) {
            needs |= REFERENCE;
        }
    }
    Some(needs)
}

/// Whether the family itself makes every row of a convolution or a matrix product.
#[cfg(feature = "armv7em")]
fn fast(artefact: &Artefact<'_>, family: Family, index: usize) -> Option<bool> {
    use crate::kernels::{Addend, ConvAdd, Ring, armv7em};

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
    let mut output = convolved;
    let mut add = None;
    if choice.fusion == Fusion::WithNext {
        let sum = artefact.op(index + 1)?;
        let Op::Add(constants) = sum.op else { return Some(false) };
        output = artefact.tensor(sum.output)?;
        let first = sum.input == record.output;
        let (rescale, other_rescale) =
            if first { (constants.a, constants.b) } else { (constants.b, constants.a) };
        let other = artefact.tensor(if first { constants.other } else { sum.input })?;
        add = Some(ConvAdd {
            zero_point: i32::from(convolved.zero_point),
            rescale,
            other: Addend {
                data: None,
                ring,
                dtype: other.dtype,
                zero_point: i32::from(other.zero_point),
                rescale: other_rescale,
            },
            out: constants.out,
            min: constants.min,
            max: constants.max,
        });
    }
    let out = output.view_mut(&mut [], ring);
    Some(armv7em::suits(&op, add.as_ref(), &out, choice.scratch_bytes as usize))
}

#[cfg(not(feature = "armv7em"))]
fn fast(_: &Artefact<'_>, _: Family, _: usize) -> Option<bool> {
    Some(false)
}
