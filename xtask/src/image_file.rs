//! A PNG or JPEG file to the network's int8 input.
//!
//! The image must have the network's size and be 8-bit RGB: nothing is resized or converted.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use fourbit::shape::Shape;
use fourbit_models::simulate;
use image::{DynamicImage, ImageFormat, ImageReader};

use crate::failure::{OrBadInput, bad_input};
use crate::paths::shown;

/// Reads an image for a network with this input shape: NHWC, `pixel - 128`.
pub(crate) fn read(path: &Path, shape: Shape) -> anyhow::Result<Vec<i8>> {
    let name = shown(path);
    let bytes = fs::read(path).or_bad_input(|| format!("cannot read the image {name}"))?;
    if bytes.is_empty() {
        return Err(bad_input(format!("the image {name} is empty: give a PNG or JPEG file")));
    }
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format()?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(bad_input(format!("{name} is neither PNG nor JPEG: convert it first")));
    }
    let image = reader.decode().or_bad_input(|| format!("the image {name} is damaged"))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    if (height, width) != (shape.height, shape.width) {
        let needed = format!("{}x{}", shape.width, shape.height);
        return Err(bad_input(format!(
            "the image {name} has {width}x{height} pixels and the network takes {needed}: resize it first"
        )));
    }
    let DynamicImage::ImageRgb8(image) = image else {
        let kind = kind(&image);
        return Err(bad_input(format!(
            "the image {name} is {kind} and the network takes 8-bit RGB: convert it first"
        )));
    };
    if shape.channels != 3 {
        return Err(bad_input(format!("the network takes {} channels and images have 3", shape.channels)));
    }
    Ok(simulate::values(image.as_raw()))
}

/// What an image that is not 8-bit RGB is.
fn kind(image: &DynamicImage) -> &'static str {
    let color = image.color();
    match (color.has_color(), color.has_alpha(), color.bytes_per_pixel() / color.channel_count()) {
        (_, _, 2..) => "of more than 8 bits",
        (false, false, _) => "grey",
        (_, true, _) => "partly transparent",
        _ => "of another kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Rgb, RgbImage};

    fn refused(file: &str, content: &[u8]) -> String {
        let folder = crate::paths::target().join("xtask-tests");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(file);
        fs::write(&path, content).unwrap();
        let error = read(&path, Shape::new(2, 2, 3)).map(|_| ()).unwrap_err().to_string();
        error.replace(&shown(&path), file)
    }

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        let mut png = Cursor::new(Vec::new());
        image.into().write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    }

    #[test]
    fn pixels_become_pixel_minus_128() {
        let folder = crate::paths::target().join("xtask-tests");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("good.png");
        fs::write(&path, png(RgbImage::from_pixel(2, 2, Rgb([0, 128, 255])))).unwrap();
        assert_eq!(read(&path, Shape::new(2, 2, 3)).unwrap()[..3], [-128, 0, 127]);
    }

    #[test]
    fn each_bad_image_gets_its_sentence() {
        assert_eq!(refused("empty.png", b""), "the image empty.png is empty: give a PNG or JPEG file");
        assert_eq!(refused("text.png", b"hello"), "text.png is neither PNG nor JPEG: convert it first");
        let wide = "the image wide.png has 4x2 pixels and the network takes 2x2: resize it first";
        assert_eq!(refused("wide.png", &png(RgbImage::new(4, 2))), wide);
        let grey = "the image grey.png is grey and the network takes 8-bit RGB: convert it first";
        assert_eq!(refused("grey.png", &png(GrayImage::new(2, 2))), grey);
        let whole = png(RgbImage::new(2, 2));
        assert!(refused("cut.png", &whole[..whole.len() / 2]).starts_with("the image cut.png is damaged: "));
        let missing = read(Path::new("no-such.png"), Shape::new(2, 2, 3)).unwrap_err().to_string();
        assert!(missing.starts_with("cannot read the image no-such.png: "), "{missing}");
    }
}
