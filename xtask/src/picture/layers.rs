//! What each operation of a network takes: bars of instructions, ours above the peers'.

use plotters::prelude::*;

use super::{Area, FAINT, INK, RULE, Type, drawn, fill, png, text, width};
use crate::peers::Layer;
use crate::table::{percent, thousands};

const WIDTH: i32 = 1400;
const MARGIN: i32 = 40;
const HEAD: i32 = 130;
const FOOT: i32 = 70;
const BAR: i32 = 18;
/// Between the bars of two layers.
const GAP: i32 = 16;
/// Room for the figures behind the longest bar.
const FIGURES: i32 = 180;
const NAMES: Type = Type::new(18);
/// Ours, then the peers'.
const COLORS: [RGBColor; 4] =
    [RGBColor(8, 64, 129), RGBColor(173, 181, 189), RGBColor(206, 212, 218), RGBColor(233, 236, 239)];

/// Bars of a network's layers.
#[derive(Debug)]
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    /// Ours first.
    pub(crate) runtimes: Vec<&'a str>,
    /// Instructions of the whole network, in the same order.
    pub(crate) totals: Vec<u64>,
    pub(crate) layers: &'a [Layer],
}

/// Draws the bars of a network.
pub(crate) fn layers(bars: &Bars<'_>) -> anyhow::Result<Vec<u8>> {
    let count = bars.runtimes.len().min(COLORS.len());
    let group = count as i32 * BAR + GAP;
    let bottom = HEAD + bars.layers.len() as i32 * group;
    png((WIDTH as u32, (bottom + FOOT) as u32), |area| {
        text(area, bars.title, (MARGIN, MARGIN), Type::new(30).bold())?;
        legend(area, bars, count)?;
        let longest = bars.layers.iter().map(|layer| width(area, &layer.name, NAMES)).max().unwrap_or(0);
        let left = MARGIN + longest + 20;
        let scale = Scale::new(bars, (left, WIDTH - MARGIN - FIGURES));
        scale.grid(area, bottom)?;
        let total = bars.totals.first().copied().unwrap_or(0).max(1) as f64;
        for (index, layer) in bars.layers.iter().enumerate() {
            let top = HEAD + index as i32 * group + GAP / 2;
            let middle = top + (group - GAP) / 2;
            text(area, &layer.name, (left - 12, middle), NAMES.right())?;
            let counts = std::iter::once(layer.ours).chain(layer.peers.iter().copied());
            for (row, (count, color)) in counts.take(count).zip(COLORS).enumerate() {
                let (top, end) = (top + row as i32 * BAR, scale.x(count));
                fill(area, (left, top), (end.max(left + 1), top + BAR - 3), color)?;
                let (words, set) = match row {
                    0 => (
                        format!("{} k, {}", kilo(count), percent(count as f64 / total)),
                        Type::new(16).bold(),
                    ),
                    _ => (format!("{} k", kilo(count)), Type::new(14).color(FAINT)),
                };
                text(area, &words, (end + 8, top + BAR / 2 - 1), set)?;
            }
        }
        let axis = PathElement::new([(left, HEAD), (left, bottom)], INK);
        area.draw(&axis).map_err(drawn)?;
        text(area, "thousands of instructions", (left, bottom + 50), Type::new(16).color(FAINT))
    })
}

/// A square, a name and a total for each runtime.
fn legend(area: &Area<'_>, bars: &Bars<'_>, count: usize) -> anyhow::Result<()> {
    let (mut x, y) = (MARGIN, MARGIN + 42);
    let runtimes = bars.runtimes.iter().zip(&bars.totals).zip(COLORS).take(count);
    for (index, ((name, total), color)) in runtimes.enumerate() {
        fill(area, (x, y - 8), (x + 16, y + 8), color)?;
        let words = format!("{name}: {}", thousands(*total));
        let set = if index == 0 { Type::new(20).bold() } else { Type::new(20).color(FAINT) };
        text(area, &words, (x + 26, y), set)?;
        x += width(area, &words, set) + 70;
    }
    Ok(())
}

/// From instructions to pixels.
struct Scale {
    left: i32,
    right: i32,
    most: u64,
}

impl Scale {
    fn new(bars: &Bars<'_>, (left, right): (i32, i32)) -> Self {
        let counts = bars.layers.iter().flat_map(|layer| layer.peers.iter().chain([&layer.ours]));
        Self { left, right, most: counts.copied().max().unwrap_or(0).max(1) }
    }

    fn x(&self, count: u64) -> i32 {
        self.left + (count as f64 / self.most as f64 * f64::from(self.right - self.left)) as i32
    }

    /// A rule at every round number.
    fn grid(&self, area: &Area<'_>, bottom: i32) -> anyhow::Result<()> {
        let step = step(self.most);
        for count in (0..=self.most / step).map(|rule| rule * step) {
            let rule = PathElement::new([(self.x(count), HEAD), (self.x(count), bottom)], RULE);
            area.draw(&rule).map_err(drawn)?;
            let at = (self.x(count), bottom + 20);
            text(area, &kilo(count), at, Type::new(16).center().color(FAINT))?;
        }
        Ok(())
    }
}

/// 1, 2 or 5 times a power of ten, so that at most six steps fit.
fn step(most: u64) -> u64 {
    let powers = (0..18).map(|power| 10u64.pow(power));
    powers.flat_map(|power| [power, 2 * power, 5 * power]).find(|step| most / step <= 6).unwrap_or(most)
}

/// Thousands, rounded.
fn kilo(count: u64) -> String {
    thousands((count + 500) / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert_eq!([1, 6, 7, 65, 75, 9_654_000].map(step), [1, 1, 2, 10, 20, 2_000_000]);
    }

    #[test]
    fn bars_with_and_without_peers_are_drawn() {
        let layer = |peers: &[u64]| Layer { name: "conv".to_owned(), ours: 900_000, peers: peers.to_vec() };
        for (runtimes, layers) in [
            (vec!["Fourbit"], vec![layer(&[])]),
            (vec!["Fourbit", "a", "b"], vec![layer(&[2_000_000, 0]), layer(&[1, 2])]),
            (vec!["Fourbit"], vec![]),
        ] {
            let totals = vec![900_000; runtimes.len()];
            let bars = Bars { title: "a network", runtimes, totals, layers: &layers };
            assert!(super::layers(&bars).unwrap().starts_with(b"\x89PNG"));
        }
    }
}
