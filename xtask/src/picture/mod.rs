//! Pictures: PNG and SVG files drawn with `plotters` and the licensed font in the tree.

mod arena;
mod curves;
mod evaluation;
mod gap;
mod layers;
mod scatter;

use std::io::Cursor;
use std::sync::Once;

use anyhow::{Context, anyhow};
use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

pub(crate) use arena::arena;
pub(crate) use curves::{compared, curves};
pub(crate) use evaluation::{Evaluation, Sample, evaluation};
pub(crate) use gap::{Column, gap};
pub(crate) use layers::{Bars, layers};
pub(crate) use scatter::{Dot, Scatter, Series, Shape, scatter};

/// A drawing surface.
type Surface<B> = DrawingArea<B, Shift>;
/// One of pixels in memory.
type Area<'a> = Surface<BitMapBackend<'a>>;

/// A picture as pixels and as shapes.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) png: Vec<u8>,
    pub(crate) svg: String,
}

const FONT: &str = "Open Sans";
const INK: RGBColor = RGBColor(33, 37, 41);
const FAINT: RGBColor = RGBColor(108, 117, 125);
const RULE: RGBColor = RGBColor(222, 226, 230);
const GOOD: RGBColor = RGBColor(25, 135, 84);
const BAD: RGBColor = RGBColor(214, 51, 68);

static FONTS: Once = Once::new();

/// Draws a picture of this size on white and gives it as PNG.
fn png(
    (width, height): (u32, u32),
    draw: impl FnOnce(&Area<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<u8>> {
    fonts();
    let mut buffer = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut buffer, (width, height)).into_drawing_area();
        draw(&area)?;
        area.present().map_err(drawn)?;
    }
    let image = RgbImage::from_raw(width, height, buffer).context("a buffer of three bytes per pixel")?;
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// Draws a picture of this size on white and gives it as SVG.
fn svg(
    size: (u32, u32),
    draw: impl FnOnce(&Surface<SVGBackend<'_>>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    fonts();
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).map_err(drawn)?;
        draw(&area)?;
        area.present().map_err(drawn)?;
    }
    // Where the font is missing, another one without serifs takes its place.
    Ok(text.replace(&format!("\"{FONT}\""), &format!("\"{FONT}, Arial, Helvetica, sans-serif\"")))
}

/// Makes the fonts known, once.
fn fonts() {
    FONTS.call_once(|| {
        // A font that cannot be read shows in the first text drawn.
        let _ = register_font(FONT, FontStyle::Normal, include_bytes!("../../assets/OpenSans-Regular.ttf"));
        let _ = register_font(FONT, FontStyle::Bold, include_bytes!("../../assets/OpenSans-Bold.ttf"));
    });
}

/// An error of the drawing library, which borrows what it drew on.
fn drawn(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// How a text is set.
#[derive(Clone, Copy)]
struct Type {
    size: u32,
    bold: bool,
    color: RGBColor,
    anchor: HPos,
}

impl Type {
    const fn new(size: u32) -> Self {
        Self { size, bold: false, color: INK, anchor: HPos::Left }
    }

    const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    const fn color(self, color: RGBColor) -> Self {
        Self { color, ..self }
    }

    const fn center(self) -> Self {
        Self { anchor: HPos::Center, ..self }
    }

    const fn right(self) -> Self {
        Self { anchor: HPos::Right, ..self }
    }

    fn style(self) -> TextStyle<'static> {
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = FontDesc::new(FontFamily::Name(FONT), f64::from(self.size), style);
        font.color(&self.color).pos(Pos::new(self.anchor, VPos::Center))
    }
}

/// Sets one line of text, vertically centred on `at`.
fn text<B: DrawingBackend>(area: &Surface<B>, words: &str, at: (i32, i32), set: Type) -> anyhow::Result<()> {
    area.draw_text(words, &set.style(), at).map_err(drawn)
}

/// Sets one line of text that reads upwards, centred on `at`.
fn upwards<B: DrawingBackend>(
    area: &Surface<B>,
    words: &str,
    at: (i32, i32),
    set: Type,
) -> anyhow::Result<()> {
    let style = set.center().style().transform(FontTransform::Rotate270);
    area.draw_text(words, &style, at).map_err(drawn)
}

/// Width of a text in pixels.
fn width<B: DrawingBackend>(area: &Surface<B>, words: &str, set: Type) -> i32 {
    area.estimate_text_size(words, &set.style()).map_or(0, |(width, _)| width as i32)
}

/// Fills a rectangle given by two corners, both included.
fn fill<B: DrawingBackend>(
    area: &Surface<B>,
    from: (i32, i32),
    to: (i32, i32),
    color: RGBColor,
) -> anyhow::Result<()> {
    area.draw(&Rectangle::new([from, to], color.filled())).map_err(drawn)
}

/// Outlines a rectangle, so many pixels wide.
fn frame<B: DrawingBackend>(
    area: &Surface<B>,
    from: (i32, i32),
    to: (i32, i32),
    color: RGBColor,
    wide: u32,
) -> anyhow::Result<()> {
    area.draw(&Rectangle::new([from, to], color.stroke_width(wide))).map_err(drawn)
}

/// A colour between two, `at` from 0 to 1.
fn blend(from: RGBColor, to: RGBColor, at: f64) -> RGBColor {
    let part =
        |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * at.clamp(0.0, 1.0)).round() as u8;
    RGBColor(part(from.0, to.0), part(from.1, to.1), part(from.2, to.2))
}
