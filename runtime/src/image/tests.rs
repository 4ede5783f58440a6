//! The resize against a float computation: pixels converted without rounding, then area average
//! where an axis shrinks and linear interpolation between centres where it grows.

use super::*;

const FORMATS: [Format; 3] = [Format::Rgb888, Format::Rgb565, Format::Yuyv];

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn size(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high - low + 1) as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// Noise of a random size, odd where the format allows it.
    fn image(&mut self, format: Format) -> (Vec<u8>, usize, usize) {
        let (width, height) = (self.size(1, 70), self.size(1, 70));
        let width = if format == Format::Yuyv { width.next_multiple_of(2) } else { width };
        (self.bytes(format.row_bytes(width) * height), width, height)
    }

    fn crop(&mut self, width: usize, height: usize) -> Crop {
        let (x, y) = (self.size(0, width - 1), self.size(0, height - 1));
        Crop { x, y, width: self.size(1, width - x), height: self.size(1, height - y) }
    }
}

/// A pixel as the formulas give it, without rounding.
fn exact_pixel(source: &Source<'_>, x: usize, y: usize) -> [f64; 3] {
    let byte = |at: usize| f64::from(source.bytes[at]);
    let at = y * source.width + x;
    match source.format {
        Format::Rgb888 => [byte(3 * at), byte(3 * at + 1), byte(3 * at + 2)],
        Format::Rgb565 => {
            let word = usize::from(source.bytes[2 * at]) + 256 * usize::from(source.bytes[2 * at + 1]);
            let part = |shift: usize, most: usize| (word >> shift & most) as f64 * 255.0 / most as f64;
            [part(11, 31), part(5, 63), part(0, 31)]
        }
        Format::Yuyv => {
            let pair = 4 * (at / 2);
            let (luma, u, v) = (byte(2 * at), byte(pair + 1) - 128.0, byte(pair + 3) - 128.0);
            let green = luma - 0.344_136_286 * u - 0.714_136_286 * v;
            [luma + 1.402 * v, green, luma + 1.772 * u].map(|value| value.clamp(0.0, 255.0))
        }
    }
}

/// Source positions and parts, which sum to 1, behind an output position of an axis.
fn exact_axis(at: usize, from: usize, to: usize) -> Vec<(usize, f64)> {
    let scale = from as f64 / to as f64;
    if from >= to {
        let (low, high) = (at as f64 * scale, (at + 1) as f64 * scale);
        let part = |s: usize| ((s + 1) as f64).min(high) - (s as f64).max(low);
        return (0..from).map(|s| (s, part(s) / scale)).filter(|(_, part)| *part > 0.0).collect();
    }
    let centre = ((at as f64 + 0.5) * scale - 0.5).clamp(0.0, (from - 1) as f64);
    let left = centre.floor();
    let right = (left as usize + 1).min(from - 1);
    vec![(left as usize, 1.0 - (centre - left)), (right, centre - left)]
}

/// The whole output in floats, 0 to 255.
fn exact(source: &Source<'_>, crop: Crop, size: Shape) -> Vec<f64> {
    let axis = |from: usize, to: usize| (0..to).map(|at| exact_axis(at, from, to)).collect::<Vec<_>>();
    let (rows, columns) = (axis(crop.height, size.height), axis(crop.width, size.width));
    let mut out = vec![];
    for (down, across) in rows.iter().flat_map(|down| columns.iter().map(move |across| (down, across))) {
        let mut mean = [0.0; 3];
        for (&(row, high), &(column, wide)) in down.iter().flat_map(|d| across.iter().map(move |a| (d, a))) {
            let pixel = exact_pixel(source, crop.x + column, crop.y + row);
            mean.iter_mut().zip(pixel).for_each(|(mean, value)| *mean += high * wide * value);
        }
        out.extend(mean);
    }
    out
}

fn rgb(source: &Source<'_>, crop: Crop, size: Shape) -> Result<Vec<u8>, ImageError> {
    let mut pixels = vec![0; size.elements()];
    to_rgb(source, crop, size, &mut pixels).map(|()| pixels)
}

#[test]
fn at_most_one_step_from_floats() {
    let mut rng = Rng(1);
    let mut directions = [0; 9];
    for round in 0..900 {
        let format = FORMATS[round % 3];
        let (bytes, width, height) = rng.image(format);
        let source = Source { bytes: &bytes, format, width, height };
        let crop = if round % 2 == 0 { Crop::whole(width, height) } else { rng.crop(width, height) };
        let size = Shape::new(rng.size(1, 40), rng.size(1, 40), 3);
        directions[3 * (crop.height.cmp(&size.height) as i8 + 1) as usize
            + (crop.width.cmp(&size.width) as i8 + 1) as usize] += 1;
        let found = rgb(&source, crop, size).unwrap();
        let mut values = vec![0; size.elements()];
        to_int8(&source, crop, size, &mut values).unwrap();
        for ((&found, value), exact) in found.iter().zip(values).zip(exact(&source, crop, size)) {
            // What is 8-bit RGB already is rounded once; other formats also when they are converted.
            let most = if format == Format::Rgb888 { 0.5 + 1e-9 } else { 1.01 };
            assert!((f64::from(found) - exact).abs() <= most, "{round}: {found} for {exact}");
            assert!((i32::from(found) - exact.round() as i32).abs() <= 1);
            assert_eq!(i32::from(value), i32::from(found) - 128);
        }
    }
    // Each axis shrinks and grows, alone and with the other.
    assert!([0, 2, 6, 8].iter().all(|&i| directions[i] > 50), "{directions:?}");
}

#[test]
fn the_same_size_is_a_copy() {
    let mut rng = Rng(2);
    for _ in 0..20 {
        let (bytes, width, height) = rng.image(Format::Rgb888);
        let source = Source { bytes: &bytes, format: Format::Rgb888, width, height };
        let size = Shape::new(height, width, 3);
        assert_eq!(rgb(&source, Crop::whole(width, height), size).unwrap(), bytes);
        let crop = rng.crop(width, height);
        let rows = bytes.chunks(3 * width).skip(crop.y).take(crop.height);
        let cut: Vec<u8> = rows.flat_map(|row| &row[3 * crop.x..][..3 * crop.width]).copied().collect();
        assert_eq!(rgb(&source, crop, Shape::new(crop.height, crop.width, 3)).unwrap(), cut);
    }
}

#[test]
fn a_constant_image_stays_constant() {
    let mut rng = Rng(3);
    for round in 0..60 {
        let format = FORMATS[round % 3];
        let (_, width, height) = rng.image(format);
        let pixels = rng.bytes(4);
        let pattern = match format {
            Format::Rgb888 => vec![pixels[0], pixels[1], pixels[2]],
            Format::Rgb565 => vec![pixels[0], pixels[1]],
            Format::Yuyv => vec![pixels[0], pixels[1], pixels[0], pixels[3]],
        };
        let bytes: Vec<u8> = pattern.into_iter().cycle().take(format.row_bytes(width) * height).collect();
        let source = Source { bytes: &bytes, format, width, height };
        let found =
            rgb(&source, rng.crop(width, height), Shape::new(rng.size(1, 40), rng.size(1, 40), 3)).unwrap();
        let expected = source.pixel(source.row(0), 0);
        assert!(found.chunks(3).all(|pixel| pixel == expected), "{round}");
    }
}

#[test]
fn the_largest_sides_do_not_overflow() {
    let bytes = vec![255; 3 * MAX_SOURCE];
    for (width, height, size) in [
        (MAX_SOURCE, 1, Shape::new(1, MAX_OUTPUT, 3)),
        (1, MAX_SOURCE, Shape::new(MAX_OUTPUT, 1, 3)),
        (MAX_SOURCE, 1, Shape::new(1, 1, 3)),
        (1, MAX_SOURCE, Shape::new(1, 1, 3)),
    ] {
        let source = Source { bytes: &bytes, format: Format::Rgb888, width, height };
        let found = rgb(&source, Crop::whole(width, height), size).unwrap();
        assert!(found.iter().all(|&value| value == 255));
    }
}

#[test]
fn the_fitting_crop_has_the_networks_proportions() {
    let square = Shape::new(32, 32, 3);
    assert_eq!(Crop::fitting(48, 40, square), Crop { x: 4, y: 0, width: 40, height: 40 });
    assert_eq!(Crop::fitting(40, 49, square), Crop { x: 0, y: 4, width: 40, height: 40 });
    assert_eq!(Crop::fitting(320, 240, Shape::new(96, 128, 3)), Crop::whole(320, 240));
    assert_eq!(Crop::fitting(640, 480, Shape::new(1, 2, 3)), Crop { x: 0, y: 80, width: 640, height: 320 });
    assert_eq!(Crop::fitting(1, 1000, Shape::new(1, 4000, 3)), Crop { x: 0, y: 499, width: 1, height: 1 });
    assert_eq!(Crop::fitting(0, 5, square), Crop { x: 0, y: 2, width: 0, height: 1 });
}

#[test]
fn bad_input_is_refused() {
    let bytes = [0; 24];
    let source = |format, width, height| Source { bytes: &bytes, format, width, height };
    let (good, whole, size) = (source(Format::Rgb888, 4, 2), Crop::whole(4, 2), Shape::new(2, 2, 3));
    let refused = |source: Source<'_>, crop, size: Shape, values: usize| {
        let error = to_int8(&source, crop, size, &mut vec![0; values]).unwrap_err();
        let sentence = error.to_string();
        assert!(sentence.contains("; ") && !sentence.contains('\n'), "{sentence}");
        error
    };
    for (width, height) in [(0, 2), (4, 0), (MAX_SOURCE + 1, 1), (1, usize::MAX)] {
        let error = refused(source(Format::Rgb888, width, height), whole, size, 12);
        assert_eq!(error, ImageError::SourceSize { width, height });
    }
    for (format, need) in [(Format::Rgb565, 16), (Format::Yuyv, 16)] {
        let error = refused(source(format, 4, 2), whole, size, 12);
        assert_eq!(error, ImageError::Bytes { need, have: 24 });
    }
    let short = Source { bytes: &bytes[..23], ..good };
    assert_eq!(refused(short, whole, size, 12), ImageError::Bytes { need: 24, have: 23 });
    assert_eq!(refused(source(Format::Yuyv, 3, 4), whole, size, 12), ImageError::OddWidth { width: 3 });
    for (x, y, width, height) in [
        (0, 0, 5, 2),
        (1, 0, 4, 2),
        (0, 1, 4, 2),
        (0, 0, 0, 2),
        (0, 0, 4, 0),
        (4, 0, 1, 1),
        (1, 0, usize::MAX, 1),
    ] {
        let crop = Crop { x, y, width, height };
        assert_eq!(refused(good, crop, size, 12), ImageError::Crop { crop, width: 4, height: 2 });
    }
    assert_eq!(refused(good, whole, Shape::new(2, 2, 1), 4), ImageError::Channels { channels: 1 });
    for (height, width) in [(0, 2), (2, 0), (MAX_OUTPUT + 1, 2)] {
        let error = refused(good, whole, Shape::new(height, width, 3), 12);
        assert_eq!(error, ImageError::OutputSize { width, height });
    }
    assert_eq!(refused(good, whole, size, 11), ImageError::Output { need: 12, have: 11 });
    assert_eq!(refused(good, whole, size, 13), ImageError::Output { need: 12, have: 13 });
}
