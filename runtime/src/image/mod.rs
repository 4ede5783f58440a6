//! Camera pixels to the network's input: crop, resize, `pixel - 128`.
//!
//! Takes an image in a caller's buffer ([`Source`]), a [`Crop`] of it and the size to give; writes
//! int8 values for [`Session::run`](crate::Session::run) ([`to_int8`]) or 8-bit RGB ([`to_rgb`]),
//! NHWC with 3 channels. Both go through the same integers, on a board and on the host: a network
//! trained on what [`to_rgb`] gives sees the same pixels behind a camera.
//!
//! Each pixel is first converted to 8-bit RGB. Then an output pixel is the mean of the source
//! over a rectangle around the output pixel's centre, which is as wide (and as high) as the
//! output pixel and at least as a source pixel, and is cut at the border of the crop. So an axis that
//! shrinks is averaged by area, one that grows is interpolated linearly between pixel centres, and
//! one that keeps its size is copied. Sums are exact; the division rounds to nearest, ties up.
//!
//! Absent on purpose: line padding, mirroring and rotation of the source.
//!
//! ```
//! use fourbit::image::{Crop, Format, Source, to_int8};
//! use fourbit::shape::Shape;
//!
//! // A 4x2 frame, black on the left and white on the right.
//! let bytes = [[0, 0, 0, 0, 255, 255, 255, 255]; 2].concat();
//! let frame = Source { bytes: &bytes, format: Format::Rgb565, width: 4, height: 2 };
//! let input = Shape::new(1, 1, 3);
//!
//! let mut values = [0; 3];
//! to_int8(&frame, Crop { x: 0, y: 0, width: 2, height: 2 }, input, &mut values)?;
//! assert_eq!(values, [-128; 3]);
//! // The square in the middle is half white: 127.5 is rounded to 128.
//! to_int8(&frame, Crop::fitting(4, 2, input), input, &mut values)?;
//! assert_eq!(values, [0; 3]);
//! # Ok::<(), fourbit::image::ImageError>(())
//! ```

mod error;
mod format;
mod window;

pub use error::ImageError;
pub use format::{Format, Source};

use crate::shape::Shape;
use window::Axis;

/// Largest width and height of a source, in pixels.
pub const MAX_SOURCE: usize = 65_535;
/// Largest width and height of what is written, in pixels.
pub const MAX_OUTPUT: usize = 32_767;
/// Red, green, blue.
const CHANNELS: usize = 3;

/// A rectangle of a source, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Crop {
    /// Its first column.
    pub x: usize,
    /// Its first row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Crop {
    /// All of an image; resizing to other proportions stretches it.
    pub const fn whole(width: usize, height: usize) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// The largest rectangle in the middle of an image with the proportions of `input`, so that
    /// nothing is stretched: what a data set of image files is cut to.
    pub fn fitting(width: usize, height: usize, input: Shape) -> Self {
        let scaled = |side: usize, by: usize, of: usize| {
            let scaled = (side as u64).saturating_mul(by as u64).checked_div(of as u64);
            scaled.map_or(usize::MAX, |scaled| scaled.min(usize::MAX as u64) as usize).max(1)
        };
        let crop_width = scaled(height, input.width, input.height).min(width);
        let crop_height = scaled(width, input.height, input.width).min(height);
        let (x, y) = ((width - crop_width) / 2, (height - crop_height) / 2);
        Self { x, y, width: crop_width, height: crop_height }
    }
}

/// Writes a crop of the source, resized to `input`, as the network reads it: `pixel - 128`.
///
/// `values` has [`Shape::elements`] of `input`, which has 3 channels.
pub fn to_int8(source: &Source<'_>, crop: Crop, input: Shape, values: &mut [i8]) -> Result<(), ImageError> {
    resize(source, crop, input, values, |pixel| (pixel ^ 0x80) as i8)
}

/// Writes a crop of the source, resized to `size`, as 8-bit RGB.
///
/// `pixels` has [`Shape::elements`] of `size`, which has 3 channels.
pub fn to_rgb(source: &Source<'_>, crop: Crop, size: Shape, pixels: &mut [u8]) -> Result<(), ImageError> {
    resize(source, crop, size, pixels, |pixel| pixel)
}

/// The resize behind both: `store` turns an 8-bit value into what is written.
fn resize<T>(
    source: &Source<'_>,
    crop: Crop,
    size: Shape,
    out: &mut [T],
    store: impl Fn(u8) -> T,
) -> Result<(), ImageError> {
    source.check()?;
    let inside = |from: usize, extent: usize, all: usize| extent > 0 && from < all && extent <= all - from;
    if !inside(crop.x, crop.width, source.width) || !inside(crop.y, crop.height, source.height) {
        return Err(ImageError::Crop { crop, width: source.width, height: source.height });
    }
    let Shape { height, width, channels } = size;
    if channels != CHANNELS {
        return Err(ImageError::Channels { channels });
    }
    let fits = |extent: usize| (1..=MAX_OUTPUT).contains(&extent);
    if !fits(width) || !fits(height) {
        return Err(ImageError::OutputSize { width, height });
    }
    let (need, have) = (size.elements(), out.len());
    if need != have {
        return Err(ImageError::Output { need, have });
    }
    let (rows, columns) = (Axis::new(crop.y, crop.height, height), Axis::new(crop.x, crop.width, width));
    let (pixels, _) = out.as_chunks_mut::<CHANNELS>();
    for (y, line) in pixels.chunks_mut(width.max(1)).enumerate() {
        let down = rows.window(y);
        for (x, pixel) in line.iter_mut().enumerate() {
            *pixel = window::mean(source, down, columns.window(x)).map(&store);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
