//! Why an artefact cannot be run: what is wrong and where.

use core::fmt;

use super::header::HeaderError;
use crate::kernels::Family;

/// Why bytes are not an artefact that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ParseError {
    /// Not a whole artefact of this version.
    Header(HeaderError),
    /// The bytes do not start at a multiple of 16.
    Misaligned,
    /// A section that this reader must understand and does not.
    UnknownSection {
        /// Its kind.
        kind: u16,
    },
    /// A text section is not UTF-8, or has another number of labels than the network has logits.
    Text {
        /// Its kind.
        kind: u16,
    },
    /// Tensor and op records do not fit each other in number.
    Counts {
        /// Whole tensor records.
        tensors: u32,
        /// Whole op records.
        ops: u32,
    },
    /// A tensor record has an unknown type, an impossible shape, or a zero point at 4 bits.
    Tensor {
        /// Its index.
        index: u16,
    },
    /// Image or logits are not as the header says.
    Interface,
    /// An operation cannot be executed.
    Op {
        /// Its index.
        index: u16,
        /// What is wrong with it.
        problem: OpProblem,
    },
    /// A plan cannot be followed.
    Plan {
        /// Its kernel family.
        family: Family,
        /// What is wrong with it.
        problem: PlanProblem,
    },
}

/// What is wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OpProblem {
    /// Unknown operation, weight width or layout.
    Unknown,
    /// It reads a tensor that is not written before.
    Order,
    /// Shapes of input, output and window do not fit.
    Shape,
    /// The element types do not fit the operation.
    Type,
    /// Weights or channel constants lie outside their section or are not aligned to 4, or the
    /// weights overlap those of another operation.
    Constants,
    /// The clamp is empty or outside the output's type.
    Clamp,
    /// A multiplier or shift is outside its range, or the accumulator can leave it.
    Rescale {
        /// Output channel; for an add 0, 1 or 2: first, second input, output.
        channel: u32,
    },
    /// A sum can leave 32 bits.
    Accumulator {
        /// Output channel.
        channel: u32,
    },
}

/// What is wrong with a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PlanProblem {
    /// The section's length does not fit the number of tensors and ops.
    Length,
    /// The header names no arena for it, or there is only the arena.
    Arena,
    /// A tensor lies outside the arena.
    Place {
        /// Its index.
        tensor: u16,
    },
    /// A tensor is written over rows of another that are still to be read.
    Overlap {
        /// The one that is written.
        tensor: u16,
        /// The other.
        other: u16,
    },
    /// Scratch lies outside the arena or over a live tensor.
    Scratch {
        /// The op that it is for.
        op: u16,
    },
    /// The family has no such kernel.
    Kernel {
        /// The op that it is for.
        op: u16,
    },
    /// A convolution and an add are not fused as a plan may fuse them.
    Fusion {
        /// One of the two.
        op: u16,
    },
    /// Ops that run as one group do not end, or are too many.
    Group {
        /// One of them.
        op: u16,
    },
    /// A ring has fewer lines than are read, or holds a tensor that must be whole.
    Ring {
        /// The tensor.
        tensor: u16,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { need, have } => {
                write!(
                    f,
                    "the artefact is cut short: {have} bytes of at least {need}; copy or build it again"
                )
            }
            Self::TrailingBytes { need, have } => {
                write!(f, "the artefact has {have} bytes and should have {need}; copy or build it again")
            }
            Self::BadMagic => {
                f.write_str("this is not a Fourbit artefact: its first bytes differ; give a .fourbit file")
            }
            Self::Version { found } => write!(
                f,
                "the artefact has format version {found}, this runtime reads {}; compile the network again",
                super::header::VERSION
            ),
            Self::HeaderCrc => f.write_str("the artefact's header is corrupt (CRC); copy or build it again"),
            Self::SectionPlace { index } => {
                write!(
                    f,
                    "section {index} of the artefact is not inside the file behind the one before; build it again"
                )
            }
            Self::SectionCrc { kind } => {
                write!(f, "the artefact is corrupt (CRC of section kind {kind:#06x}); copy or build it again")
            }
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(error) => error.fmt(f),
            Self::Misaligned => {
                f.write_str("the artefact does not start at a multiple of 16; put it at an aligned address")
            }
            Self::UnknownSection { kind } => {
                write!(f, "the artefact's section kind {kind:#06x} is unknown here; use a newer runtime")
            }
            Self::Text { kind } => {
                write!(
                    f,
                    "the artefact's text section {kind:#06x} is not UTF-8 or does not fit the logits; build it again"
                )
            }
            Self::Counts { tensors, ops } => {
                write!(
                    f,
                    "the artefact has {tensors} tensors and {ops} ops; build it again with one tensor more than ops"
                )
            }
            Self::Tensor { index } => {
                write!(f, "tensor {index} of the artefact has an impossible type or shape; build it again")
            }
            Self::Interface => {
                f.write_str("the artefact's image or logits are not as its header says; build it again")
            }
            Self::Op { index, problem } => {
                write!(f, "op {index} of the artefact cannot run: {problem}; build it again")
            }
            Self::Plan { family, problem } => {
                write!(
                    f,
                    "the artefact's plan for {family:?} cores cannot be followed: {problem}; build it again"
                )
            }
        }
    }
}

impl fmt::Display for OpProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("this runtime does not know it, its weight width or its layout"),
            Self::Order => f.write_str("it reads a tensor before it is written"),
            Self::Shape => f.write_str("input, output and window do not fit each other"),
            Self::Type => f.write_str("the element types do not fit each other"),
            Self::Constants => f.write_str(
                "its weights or channel constants lie outside their section, unaligned or over others",
            ),
            Self::Clamp => f.write_str("its clamp is empty or outside the output type"),
            Self::Rescale { channel } => {
                write!(f, "the rescale {channel} is out of range for its accumulator")
            }
            Self::Accumulator { channel } => write!(f, "the accumulator {channel} can overflow 32 bits"),
        }
    }
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("its length does not fit the number of tensors and ops"),
            Self::Arena => f.write_str("of it and its arena only one is there"),
            Self::Place { tensor } => write!(f, "tensor {tensor} lies outside the arena"),
            Self::Overlap { tensor, other } => {
                write!(f, "tensor {tensor} is written over rows of tensor {other} that are still to be read")
            }
            Self::Scratch { op } => {
                write!(f, "the scratch of op {op} lies outside the arena or over a live tensor")
            }
            Self::Kernel { op } => write!(f, "op {op} asks for a kernel that this runtime does not have"),
            Self::Fusion { op } => write!(f, "op {op} cannot be fused so with the one beside it"),
            Self::Group { op } => write!(f, "the group of op {op} has no end, or too many ops"),
            Self::Ring { tensor } => write!(f, "tensor {tensor} has fewer lines than are read"),
        }
    }
}

impl core::error::Error for HeaderError {}
impl core::error::Error for ParseError {}
