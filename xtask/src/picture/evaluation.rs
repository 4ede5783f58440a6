//! What a classifier does to a test set: confusion matrix and sample predictions.

use plotters::prelude::*;

use super::{Area, BAD, FAINT, GOOD, INK, RULE, Type, blend, drawn, fill, frame, png, text, upwards, width};
use crate::table::percent;

/// Predictions on a test set.
#[derive(Debug)]
pub(crate) struct Evaluation {
    /// `resnet8-shapes-w4a8 on shapes, simulator`.
    pub(crate) title: String,
    /// Class names.
    pub(crate) labels: Vec<String>,
    /// `confusion[truth][predicted]`: images.
    pub(crate) confusion: Vec<Vec<usize>>,
    /// Images to show.
    pub(crate) samples: Vec<Sample>,
}

/// An image with what it is and what the network says.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Height, width.
    pub(crate) size: [usize; 2],
    /// RGB, row by row.
    pub(crate) pixels: Vec<u8>,
    /// The true class.
    pub(crate) truth: usize,
    /// The class with the largest logit.
    pub(crate) predicted: usize,
}

const MARGIN: i32 = 40;
const HEAD: i32 = 110;
const MATRIX: i32 = 700;
const ROW_LABELS: i32 = 130;
const GRID: (usize, usize) = (6, 5);
const TILE: i32 = 128;
const TILE_GAP: (i32, i32) = (18, 36);
const BLUE: RGBColor = RGBColor(8, 64, 129);

impl Evaluation {
    /// Images on the diagonal, and all of them.
    pub(crate) fn correct(&self) -> (usize, usize) {
        let all = self.confusion.iter().flatten().sum();
        (self.confusion.iter().enumerate().filter_map(|(i, row)| row.get(i)).sum(), all)
    }

    fn label(&self, class: usize) -> &str {
        self.labels.get(class).map_or("?", String::as_str)
    }
}

/// Draws the matrix on the left and the samples on the right.
pub(crate) fn evaluation(evaluation: &Evaluation) -> anyhow::Result<Vec<u8>> {
    let grid_width = GRID.0 as i32 * (TILE + TILE_GAP.0) - TILE_GAP.0;
    let left = MARGIN + ROW_LABELS + MATRIX;
    let width = left + 70 + grid_width + MARGIN;
    let height = HEAD + MATRIX + 110 + MARGIN;
    png((width as u32, height as u32), |area| {
        let (correct, all) = evaluation.correct();
        let accuracy = percent(correct as f64 / all.max(1) as f64);
        text(area, &evaluation.title, (MARGIN, MARGIN), Type::new(32).bold())?;
        let summary = format!("{correct} of {all} images correct: {accuracy}");
        text(area, &summary, (MARGIN, MARGIN + 36), Type::new(22).color(FAINT))?;
        matrix(area, evaluation, (MARGIN + ROW_LABELS, HEAD))?;
        samples(area, evaluation, (left + 70, HEAD))
    })
}

/// Rows are true classes, columns predictions; a cell's shade is its share of the row.
fn matrix(area: &Area<'_>, evaluation: &Evaluation, (left, top): (i32, i32)) -> anyhow::Result<()> {
    let classes = evaluation.confusion.len().max(1) as i32;
    let cell = MATRIX / classes;
    for (row, counts) in evaluation.confusion.iter().enumerate() {
        let total = counts.iter().sum::<usize>().max(1) as f64;
        let y = top + row as i32 * cell;
        for (column, &count) in counts.iter().enumerate() {
            let x = left + column as i32 * cell;
            let share = count as f64 / total;
            // The square root keeps rare confusions visible beside a strong diagonal.
            let dark = if row == column { BLUE } else { BAD };
            fill(area, (x + 1, y + 1), (x + cell - 2, y + cell - 2), blend(WHITE, dark, share.sqrt()))?;
            let color = if share.sqrt() > 0.6 { WHITE } else { INK };
            let shown = if count == 0 { "·".to_owned() } else { count.to_string() };
            let set =
                Type::new(if count == 0 { 16 } else { 20 }).color(if count == 0 { RULE } else { color });
            text(area, &shown, (x + cell / 2, y + cell / 2), set.center())?;
        }
        text(area, evaluation.label(row), (left - 12, y + cell / 2), Type::new(20).right())?;
    }
    for column in 0..classes {
        let (label, set) = (evaluation.label(column as usize), Type::new(20));
        let y = top + classes * cell + 10 + width(area, label, set) / 2;
        upwards(area, label, (left + column * cell + cell / 2, y), set)?;
    }
    frame(area, (left, top), (left + classes * cell - 1, top + classes * cell - 1), RULE, 1)?;
    let caption = (left + classes * cell / 2, top + classes * cell + 116);
    text(area, "predicted (rows: true class)", caption, Type::new(18).color(FAINT).center())
}

/// Samples with their predictions; a wrong one also says what it is.
fn samples(area: &Area<'_>, evaluation: &Evaluation, (left, top): (i32, i32)) -> anyhow::Result<()> {
    for (i, sample) in evaluation.samples.iter().take(GRID.0 * GRID.1).enumerate() {
        let x = left + (i % GRID.0) as i32 * (TILE + TILE_GAP.0);
        let y = top + (i / GRID.0) as i32 * (TILE + TILE_GAP.1);
        enlarged(area, sample, (x, y))?;
        let good = sample.truth == sample.predicted;
        let color = if good { GOOD } else { BAD };
        frame(area, (x - 2, y - 2), (x + TILE + 1, y + TILE + 1), color, 3)?;
        let label = evaluation.label(sample.predicted).to_owned();
        let label = if good { label } else { format!("{label}, is {}", evaluation.label(sample.truth)) };
        let size = if good { 18 } else { 15 };
        text(area, &label, (x + TILE / 2, y + TILE + 15), Type::new(size).color(color).center())?;
    }
    Ok(())
}

/// The image, every pixel a square of whole screen pixels where they fit.
fn enlarged(area: &Area<'_>, sample: &Sample, (left, top): (i32, i32)) -> anyhow::Result<()> {
    let [height, width] = sample.size;
    for y in 0..TILE {
        for x in 0..TILE {
            let (row, column) = (y as usize * height / TILE as usize, x as usize * width / TILE as usize);
            let at = 3 * (row * width + column);
            let Some(&[r, g, b]) = sample.pixels.get(at..at + 3) else { continue };
            area.draw_pixel((left + x, top + y), &RGBColor(r, g, b)).map_err(drawn)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_a_png_of_the_stated_size() {
        let sample = |predicted| Sample { size: [2, 2], pixels: vec![200; 12], truth: 0, predicted };
        let planted = Evaluation {
            title: "planted".into(),
            labels: vec!["disc".into(), "star".into()],
            confusion: vec![vec![3, 1], vec![0, 4]],
            samples: vec![sample(0), sample(1)],
        };
        assert_eq!(planted.correct(), (7, 8));
        let png = evaluation(&planted).unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        // The frame of the second sample, which is wrong, is red.
        let x = (MARGIN + ROW_LABELS + MATRIX + 70 + TILE + TILE_GAP.0 - 2) as u32;
        assert_eq!(image.get_pixel(x, HEAD as u32 + 50).0, [BAD.0, BAD.1, BAD.2]);
    }
}
