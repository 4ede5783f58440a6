//! An image file as a device sees it: decoded, upright, cut to proportion, resized by the runtime.
//!
//! Takes a PNG or JPEG file of any size, gives 8-bit RGB of the size asked for. The orientation that a
//! camera notes (EXIF) is applied. Grey becomes red = green = blue, 16 bits become 8, and what is
//! transparent is blended over black. The largest rectangle in the middle with the proportions asked
//! for is kept ([`Crop::fitting`]) and resized by [`to_rgb`]: firmware that calls
//! [`fourbit::image::to_int8`] with the same crop gets the same pixels, less 128.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use fourbit::image::{Crop, Format, ImageError, Source, to_rgb};
use fourbit::shape::Shape;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, ImageResult, Rgb, RgbImage};

use super::jpeg;

/// Why an image file was not read.
#[derive(Debug, thiserror::Error)]
pub enum PhotoError {
    /// The file cannot be read.
    #[error("cannot read the image `{}`: {source}; make it readable or remove it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("the image `{}` is empty: replace or remove it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The content is of another format, whatever the name says.
    #[error("`{}` is neither PNG nor JPEG: convert or remove it", path.display())]
    OtherFormat {
        /// The file.
        path: PathBuf,
    },
    /// It does not decode, or not to its end.
    #[error("the image `{}` is damaged ({reason}): replace or remove it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        reason: String,
    },
    /// The runtime does not resize it.
    #[error("the image `{}` cannot be resized: {reason}", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// What the runtime says.
        reason: ImageError,
    },
}

/// Reads an image file and resizes it to `size`, which has 3 channels.
pub fn read(path: &Path, size: Shape) -> Result<Vec<u8>, PhotoError> {
    let owned = || path.to_owned();
    let bytes = std::fs::read(path).map_err(|source| PhotoError::Read { path: owned(), source })?;
    if bytes.is_empty() {
        return Err(PhotoError::Empty { path: owned() });
    }
    let damaged = |reason: String| PhotoError::Damaged { path: owned(), reason };
    let format = match image::guess_format(&bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        _ => return Err(PhotoError::OtherFormat { path: owned() }),
    };
    // The decoder fills the rest of a JPEG that is cut short with grey.
    if format == ImageFormat::Jpeg && !is_whole_jpeg(&bytes) {
        return Err(damaged("it is cut short".into()));
    }
    let decoded = decode(&bytes, format);
    let image =
        decoded.map_err(|e| damaged(e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let source = Source { bytes: image.as_raw(), format: Format::Rgb888, width, height };
    let mut pixels = vec![0; size.elements()];
    to_rgb(&source, Crop::fitting(width, height, size), size, &mut pixels)
        .map_err(|reason| PhotoError::Size { path: owned(), reason })?;
    Ok(pixels)
}

/// Whether the last scan of a JPEG is ended by a marker. Both markers occur nowhere else: the coding
/// puts a zero behind every byte 255 of the scan itself.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    let (scan, end) = (last(0xda), last(0xd9));
    scan.is_some() && end > scan
}

/// Decodes, turns upright and makes opaque.
fn decode(bytes: &[u8], format: ImageFormat) -> ImageResult<RgbImage> {
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder()?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // Refuses what is damaged, and reads inks, which libjpeg does not.
    let mut image = DynamicImage::from_decoder(decoder)?;
    if let (ImageFormat::Jpeg, Ok(exact)) = (format, jpeg::decode(bytes)) {
        image = exact.into();
    }
    image.apply_orientation(orientation);
    if !image.color().has_alpha() {
        return Ok(image.into_rgb8());
    }
    let image = image.into_rgba8();
    Ok(RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0;
        Rgb([red, green, blue].map(|value| ((u16::from(value) * u16::from(alpha) + 127) / 255) as u8))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgba, RgbaImage};

    /// What is read of a file with this content, at 2x2 pixels.
    fn read_bytes(content: &[u8]) -> Result<Vec<u8>, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("photo");
        std::fs::write(&path, content).expect("writes");
        read(&path, Shape::new(2, 2, 3))
            .map_err(|e| e.to_string().replace(&path.display().to_string(), "photo"))
    }

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(vec![]);
        image.into().write_to(&mut bytes, format).expect("encodes");
        bytes.into_inner()
    }

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        encoded(image, ImageFormat::Png)
    }

    /// Left half dark, right half bright, 64x32.
    fn halves() -> RgbImage {
        RgbImage::from_fn(64, 32, |x, _| if x < 32 { Rgb([20, 20, 20]) } else { Rgb([220, 220, 220]) })
    }

    /// The JPEG with a note of its orientation, 1 to 8.
    fn noted(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        [&jpeg[..2], &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn the_middle_is_kept_and_resized() {
        // The square in the middle of 64x32 is half dark and half bright.
        let pixels = read_bytes(&png(halves())).expect("reads");
        assert_eq!(pixels, [[20, 20, 20, 220, 220, 220]; 2].concat());
    }

    #[test]
    fn orientation_is_applied() {
        let jpeg = encoded(halves(), ImageFormat::Jpeg);
        // Bright pixels among the four, in reading order.
        for (orientation, expected) in [
            (1, [false, true, false, true]),
            (2, [true, false, true, false]),
            (3, [true, false, true, false]),
            (6, [false, false, true, true]),
            (8, [true, true, false, false]),
        ] {
            let pixels = read_bytes(&noted(&jpeg, orientation)).expect("reads");
            let bright: Vec<bool> = pixels.chunks(3).map(|pixel| pixel[0] > 120).collect();
            assert_eq!(bright, expected, "{orientation}");
        }
    }

    #[test]
    fn grey_transparent_and_deep_images_become_rgb() {
        assert_eq!(read_bytes(&png(GrayImage::from_pixel(3, 3, Luma([70])))).expect("reads"), [70; 12]);
        let half = RgbaImage::from_pixel(3, 3, Rgba([200, 100, 255, 128]));
        assert_eq!(read_bytes(&png(half)).expect("reads")[..3], [100, 50, 128]);
        let hidden = GrayAlphaImage::from_pixel(3, 3, LumaA([255, 0]));
        assert_eq!(read_bytes(&png(hidden)).expect("reads"), [0; 12]);
        let deep = ImageBuffer::<Luma<u16>, Vec<u16>>::from_pixel(3, 3, Luma([0x8080]));
        assert_eq!(read_bytes(&png(deep)).expect("reads"), [0x80; 12]);
    }

    #[test]
    fn bad_files_get_a_sentence() {
        let (jpeg, png) = (encoded(halves(), ImageFormat::Jpeg), png(halves()));
        for (content, sentence) in [
            (&b""[..], "the image `photo` is empty: replace or remove it"),
            (b"GIF89a......", "`photo` is neither PNG nor JPEG: convert or remove it"),
            (b"hello", "`photo` is neither PNG nor JPEG: convert or remove it"),
            (&jpeg[..jpeg.len() - 9], "the image `photo` is damaged (it is cut short): replace or remove it"),
        ] {
            assert_eq!(read_bytes(content), Err(sentence.into()));
        }
        for content in [&png[..png.len() / 2], &jpeg[..40], &b"\xff\xd8\xff\xe0\xff\xda\xff\xd9"[..]] {
            let sentence = read_bytes(content).expect_err("damaged");
            assert!(sentence.starts_with("the image `photo` is damaged (") && !sentence.contains('\n'));
            assert!(sentence.ends_with("): replace or remove it"), "{sentence}");
        }
        let missing = read(Path::new("no-such.png"), Shape::new(2, 2, 3)).expect_err("missing").to_string();
        assert!(missing.starts_with("cannot read the image `no-such.png`: "), "{missing}");
    }
}
