//! Why an image was not converted.

use core::fmt;

use super::{Crop, MAX_OUTPUT, MAX_SOURCE};

/// A source, a crop or an output that does not fit the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ImageError {
    /// The source has no pixel, or a side above [`MAX_SOURCE`].
    SourceSize {
        /// Columns given.
        width: usize,
        /// Rows given.
        height: usize,
    },
    /// A YUYV source of odd width: two pixels of a row share their colour.
    OddWidth {
        /// Columns given.
        width: usize,
    },
    /// The source's buffer has another length than its size and format say.
    Bytes {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The crop is empty or reaches out of the source.
    Crop {
        /// The rectangle given.
        crop: Crop,
        /// Columns of the source.
        width: usize,
        /// Rows of the source.
        height: usize,
    },
    /// The output has another number of channels than 3.
    Channels {
        /// Channels given.
        channels: usize,
    },
    /// The output has no pixel, or a side above [`MAX_OUTPUT`].
    OutputSize {
        /// Columns given.
        width: usize,
        /// Rows given.
        height: usize,
    },
    /// The output's buffer has another length than its shape says.
    Output {
        /// Values needed.
        need: usize,
        /// Values given.
        have: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceSize { width, height } => {
                write!(f, "the source has {width}x{height} pixels; give sides of 1 to {MAX_SOURCE} pixels")
            }
            Self::OddWidth { width } => {
                write!(f, "the YUYV source is {width} pixels wide; give an even width")
            }
            Self::Bytes { need, have } => {
                write!(f, "the source has {have} bytes and its size and format say {need}; give as many")
            }
            Self::Crop { crop, width, height } => {
                let Crop { x, y, width: columns, height: rows } = crop;
                write!(
                    f,
                    "the crop of {columns}x{rows} pixels at ({x}, {y}) is empty or outside the source of \
                     {width}x{height}; put it inside"
                )
            }
            Self::Channels { channels } => {
                write!(f, "the output has {channels} channels and an image has 3; give a shape with 3")
            }
            Self::OutputSize { width, height } => {
                write!(f, "the output has {width}x{height} pixels; give sides of 1 to {MAX_OUTPUT} pixels")
            }
            Self::Output { need, have } => {
                write!(f, "the output has {have} values and its shape says {need}; give as many")
            }
        }
    }
}

impl core::error::Error for ImageError {}
