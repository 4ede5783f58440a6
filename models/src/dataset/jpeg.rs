//! JPEG to RGB with libjpeg's integer arithmetic, so that pixels equal those of other frameworks.
//!
//! Takes a whole file, gives its pixels as stored: not turned upright. The standard (ITU-T T.81)
//! leaves the inverse transform's rounding and the chroma interpolation to the decoder; libjpeg's
//! "slow" integer transform and triangular interpolation are what nearly every tool computes.

use std::panic;

use image::RgbImage;
use mozjpeg::Decompress;

/// The pixels, or libjpeg's complaint: also for inks (CMYK), which it does not turn into light. Grey becomes
/// red = green = blue. What is cut short or damaged within a scan may decode, with grey in the gaps.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    // libjpeg's fatal errors unwind with the message.
    let caught = panic::catch_unwind(|| pixels(bytes));
    let unwound = |cause: Box<dyn std::any::Any + Send>| match cause.downcast::<String>() {
        Ok(message) => message.trim_start_matches("libjpeg fatal error: ").to_owned(),
        Err(_) => "it does not decode".to_owned(),
    };
    caught.unwrap_or_else(|cause| Err(unwound(cause)))
}

fn pixels(bytes: &[u8]) -> Result<RgbImage, String> {
    let text = |e: std::io::Error| e.to_string();
    let mut image = Decompress::new_mem(bytes).and_then(Decompress::rgb).map_err(text)?;
    let (width, height) = (image.width() as u32, image.height() as u32);
    let pixels = image.read_scanlines::<u8>().map_err(text)?;
    image.finish().map_err(text)?;
    RgbImage::from_raw(width, height, pixels).ok_or_else(|| "it is cut short".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, Luma, Rgb};

    fn encoded(encode: impl FnOnce(JpegEncoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut file = vec![];
        encode(JpegEncoder::new_with_quality(&mut file, 100));
        file
    }

    #[test]
    fn flat_colours_survive() {
        let red = RgbImage::from_pixel(9, 5, Rgb([200, 30, 40]));
        let file = encoded(|mut encoder| encoder.encode_image(&red).expect("encodes"));
        let decoded = decode(&file).expect("decodes");
        assert_eq!(decoded.dimensions(), (9, 5));
        let near = |pixel: &Rgb<u8>| pixel.0.iter().zip([200, 30, 40]).all(|(&a, b)| a.abs_diff(b) <= 2);
        assert!(decoded.pixels().all(near));
    }

    #[test]
    fn grey_becomes_three_equal_channels() {
        let gray = GrayImage::from_pixel(8, 8, Luma([77]));
        let file = encoded(|mut encoder| encoder.encode_image(&gray).expect("encodes"));
        assert!(decode(&file).expect("decodes").pixels().all(|pixel| pixel.0 == [77; 3]));
    }

    #[test]
    fn what_is_no_jpeg_is_refused_with_a_reason() {
        let reason = decode(b"GIF89a").expect_err("refused");
        assert!(reason.contains("JPEG"), "{reason}");
        assert!(decode(&[]).is_err());
    }
}
