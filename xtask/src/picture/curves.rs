//! Learning curves: loss and accuracy over the epochs of a training run, or of several.

use fourbit_models::metrics::Epoch;
use plotters::prelude::*;

use super::{Area, BAD, FAINT, GOOD, INK, RULE, Type, drawn, png, text};
use crate::table::percent;

const SIZE: (u32, u32) = (1200, 900);
const LEFT: i32 = 100;
const RIGHT: i32 = 1000;
/// Top and bottom of the two panels.
const LOSS: (i32, i32) = (120, 430);
const ACCURACY: (i32, i32) = (500, 810);
const NAME_HEIGHT: i32 = 22;
const BLUE: RGBColor = RGBColor(8, 64, 129);
/// Of several runs, one after another.
const COLORS: [RGBColor; 5] = [BLUE, RGBColor(201, 76, 36), GOOD, RGBColor(111, 66, 193), INK];

/// One line of a panel: its name, its colour, a value for some epochs.
struct Line<'a> {
    name: &'a str,
    color: RGBColor,
    points: Vec<(usize, f64)>,
}

/// A line of the values that some epochs have.
fn line<'a>(
    name: &'a str,
    color: RGBColor,
    epochs: &[Epoch],
    value: impl Fn(&Epoch) -> Option<f64>,
) -> Line<'a> {
    let points = epochs.iter().filter_map(|epoch| Some((epoch.epoch, value(epoch)?))).collect();
    Line { name, color, points }
}

fn loss(epoch: &Epoch) -> Option<f64> {
    Some(f64::from(epoch.loss))
}

/// Draws the epochs of a run; `result` is a line about its end.
pub(crate) fn curves(title: &str, result: &str, epochs: &[Epoch]) -> anyhow::Result<Vec<u8>> {
    let losses = [line("training", BLUE, epochs, loss)];
    let accuracies = [
        line("training, augmented", BLUE, epochs, |epoch| Some(epoch.train_accuracy)),
        line("held out, averaged weights", GOOD, epochs, |epoch| epoch.held_out_accuracy),
    ];
    panels(title, result, &losses, ("accuracy", &accuracies))
}

/// Draws the epochs of several runs with their names; the accuracy is that of held-out images where every run has
/// one.
pub(crate) fn compared(title: &str, subtitle: &str, runs: &[(String, &[Epoch])]) -> anyhow::Result<Vec<u8>> {
    let held_out =
        runs.iter().all(|(_, epochs)| epochs.iter().any(|epoch| epoch.held_out_accuracy.is_some()));
    let accuracy =
        |epoch: &Epoch| if held_out { epoch.held_out_accuracy } else { Some(epoch.train_accuracy) };
    let colored = || runs.iter().zip(COLORS.into_iter().cycle());
    let losses: Vec<_> = colored().map(|((name, epochs), color)| line(name, color, epochs, loss)).collect();
    let accuracies: Vec<_> =
        colored().map(|((name, epochs), color)| line(name, color, epochs, accuracy)).collect();
    let what = if held_out { "accuracy, held-out images" } else { "accuracy, augmented training images" };
    panels(title, subtitle, &losses, (what, &accuracies))
}

/// The panel of losses above that of accuracies.
fn panels(
    title: &str,
    subtitle: &str,
    losses: &[Line<'_>],
    (what, accuracies): (&str, &[Line<'_>]),
) -> anyhow::Result<Vec<u8>> {
    let points = |lines: &[Line<'_>]| lines.iter().flat_map(|line| line.points.clone()).collect::<Vec<_>>();
    let last = points(losses).iter().map(|point| point.0).max().unwrap_or(1);
    png(SIZE, |area| {
        text(area, title, (LEFT, 36), Type::new(30).bold())?;
        text(area, subtitle, (LEFT, 72), Type::new(20).color(FAINT))?;
        let top = points(losses).iter().fold(0.0f64, |max, point| max.max(point.1));
        panel(area, "loss", LOSS, (0.0, top), last, |value| format!("{value:.2}"), losses)?;
        let values: Vec<_> = points(accuracies).iter().map(|point| point.1).collect();
        let low = values.iter().copied().fold(1.0, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        panel(area, what, ACCURACY, (low, high), last, percent, accuracies)?;
        text(area, "epoch", ((LEFT + RIGHT) / 2, ACCURACY.1 + 56), Type::new(18).center().color(FAINT))
    })
}

/// One panel with its grid, its lines and their names.
fn panel(
    area: &Area<'_>,
    title: &str,
    (top, bottom): (i32, i32),
    (low, high): (f64, f64),
    last: usize,
    label: impl Fn(f64) -> String,
    lines: &[Line<'_>],
) -> anyhow::Result<()> {
    let span = (high - low).max(1e-9);
    let x = |epoch: usize| {
        let steps = last.saturating_sub(1).max(1) as f64;
        LEFT + ((epoch - 1) as f64 / steps * f64::from(RIGHT - LEFT)) as i32
    };
    let y = |value: f64| bottom - ((value - low) / span * f64::from(bottom - top)) as i32;
    text(area, title, (LEFT, top - 20), Type::new(18).bold())?;
    for part in 0..=4 {
        let value = low + span * f64::from(part) / 4.0;
        let rule = PathElement::new([(LEFT, y(value)), (RIGHT, y(value))], RULE);
        area.draw(&rule).map_err(drawn)?;
        text(area, &label(value), (LEFT - 12, y(value)), Type::new(16).right().color(FAINT))?;
    }
    for epoch in ticks(last) {
        text(area, &epoch.to_string(), (x(epoch), bottom + 22), Type::new(16).center().color(FAINT))?;
    }
    let mut names = Vec::new();
    for line in lines {
        let points: Vec<_> = line.points.iter().map(|&(epoch, value)| (x(epoch), y(value))).collect();
        let Some(&(_, end)) = points.last() else { continue };
        area.draw(&PathElement::new(points.clone(), line.color.stroke_width(3))).map_err(drawn)?;
        for point in points {
            area.draw(&Circle::new(point, 4, line.color.filled())).map_err(drawn)?;
        }
        names.push((end, line));
    }
    names.sort_by_key(|(end, _)| *end);
    let mut lowest = i32::MIN;
    for (end, line) in names {
        // Names of lines that end close together stand one below the other.
        lowest = end.max(lowest.saturating_add(NAME_HEIGHT));
        text(area, line.name, (RIGHT + 14, lowest), Type::new(16).color(line.color))?;
    }
    let axis = PathElement::new([(LEFT, top), (LEFT, bottom), (RIGHT, bottom)], INK);
    area.draw(&axis).map_err(drawn)?;
    if lines.iter().flat_map(|line| &line.points).any(|point| !point.1.is_finite()) {
        text(area, "some values are not finite", (LEFT + 20, top + 20), Type::new(16).color(BAD))?;
    }
    Ok(())
}

/// At most ten epochs to be named, the first and the last among them.
fn ticks(last: usize) -> Vec<usize> {
    let step = last.div_ceil(9).max(1);
    let mut ticks: Vec<_> = (1..=last).step_by(step).collect();
    if ticks.last().is_some_and(|&tick| last - tick >= step.div_ceil(2)) {
        ticks.push(last);
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: usize) -> Epoch {
        Epoch {
            epoch,
            loss: 2.3 / epoch as f32,
            train_accuracy: 0.9 - 0.5 / epoch as f64,
            held_out_accuracy: (epoch > 1).then_some(0.85),
            seconds: 1.0,
            images_per_second: 1.0,
        }
    }

    #[test]
    fn few_ticks_with_both_ends() {
        assert_eq!(ticks(1), [1]);
        assert_eq!(ticks(5), [1, 2, 3, 4, 5]);
        for last in 1..200 {
            let ticks = ticks(last);
            assert!(ticks.len() <= 10 && ticks[0] == 1, "{last}: {ticks:?}");
            assert!(last - ticks[ticks.len() - 1] <= last / 10, "{last}: {ticks:?}");
        }
    }

    #[test]
    fn runs_of_any_length_are_drawn() {
        for count in [0, 1, 2, 60] {
            let epochs: Vec<_> = (1..=count).map(epoch).collect();
            assert!(curves("a run", "84 %", &epochs).unwrap().starts_with(b"\x89PNG"));
            let runs = [("one".to_owned(), &epochs[..]), ("other".to_owned(), &epochs[..count / 2])];
            assert!(compared("runs", "", &runs).unwrap().starts_with(b"\x89PNG"));
        }
    }
}
