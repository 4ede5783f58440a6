//! The generalisation gap, training minus test accuracy, against the bits: a line for each network.

use plotters::prelude::*;

use super::scatter::linear_ticks;
use super::{FAINT, INK, Picture, RULE, Surface, Type, drawn, png, svg, text, upwards};

const SIZE: (u32, u32) = (1200, 760);
const LEFT: i32 = 110;
const RIGHT: i32 = 940;
const TOP: i32 = 120;
const BOTTOM: i32 = 670;
const NAME_HEIGHT: i32 = 22;
/// For networks in their order, from the smallest.
const COLORS: [RGBColor; 7] = [
    RGBColor(208, 135, 112),
    RGBColor(191, 146, 52),
    RGBColor(84, 140, 70),
    RGBColor(40, 150, 150),
    RGBColor(60, 100, 180),
    RGBColor(120, 80, 160),
    RGBColor(180, 60, 120),
];

/// One network: the gap for each setting, where it was measured: mean over seeds, lowest, highest.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) gaps: Vec<Option<[f64; 3]>>,
}

/// Draws the gaps of some networks; `settings` names the places of a network's gaps.
pub(crate) fn gap(
    title: &str,
    subtitle: &str,
    settings: &[&str],
    networks: &[Column],
) -> anyhow::Result<Picture> {
    Ok(Picture {
        png: png(SIZE, |area| draw(area, title, subtitle, settings, networks))?,
        svg: svg(SIZE, |area| draw(area, title, subtitle, settings, networks))?,
    })
}

fn draw<B: DrawingBackend>(
    area: &Surface<B>,
    title: &str,
    subtitle: &str,
    settings: &[&str],
    networks: &[Column],
) -> anyhow::Result<()> {
    text(area, title, (LEFT, 36), Type::new(30).bold())?;
    text(area, subtitle, (LEFT, 72), Type::new(18).color(FAINT))?;
    let gaps = || networks.iter().flat_map(|network| network.gaps.iter().flatten());
    let low = gaps().map(|gap| gap[1]).fold(0.0, f64::min);
    let high = gaps().map(|gap| gap[2]).fold(0.002, f64::max) * 1.05;
    let x = |setting: usize| {
        LEFT + (2 * setting as i32 + 1) * (RIGHT - LEFT) / (2 * settings.len().max(1) as i32)
    };
    let y = |gap: f64| BOTTOM - ((gap - low) / (high - low) * f64::from(BOTTOM - TOP)).round() as i32;
    for gap in linear_ticks((low, high)) {
        area.draw(&PathElement::new([(LEFT, y(gap)), (RIGHT, y(gap))], RULE)).map_err(drawn)?;
        let points = format!("{:.1}", gap * 100.0);
        text(area, &points, (LEFT - 12, y(gap)), Type::new(16).right().color(FAINT))?;
    }
    for (index, setting) in settings.iter().enumerate() {
        text(area, setting, (x(index), BOTTOM + 26), Type::new(18).center())?;
    }
    area.draw(&PathElement::new([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK)).map_err(drawn)?;
    upwards(area, "training minus test accuracy, points", (28, (TOP + BOTTOM) / 2), Type::new(18))?;
    let mut names = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let filled = network.gaps.iter().enumerate().filter_map(|(setting, gap)| Some((x(setting), (*gap)?)));
        let points: Vec<_> = filled.collect();
        let line: Vec<_> = points.iter().map(|&(x, gap)| (x, y(gap[0]))).collect();
        let Some(&(_, end)) = line.last() else { continue };
        area.draw(&PathElement::new(line.clone(), color.stroke_width(2))).map_err(drawn)?;
        for (x, [_, low, high]) in points {
            area.draw(&PathElement::new([(x, y(low)), (x, y(high))], color.stroke_width(2)))
                .map_err(drawn)?;
        }
        for at in line {
            area.draw(&Circle::new(at, 5, color.filled())).map_err(drawn)?;
        }
        names.push((end, network, color));
    }
    names.sort_by_key(|(end, ..)| *end);
    let mut lowest = i32::MIN;
    for (end, network, color) in names {
        // Names of lines that end close together stand one below the other.
        lowest = end.max(lowest.saturating_add(NAME_HEIGHT));
        text(area, &network.name, (RIGHT + 14, lowest), Type::new(16).color(color))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_drawn_with_holes_and_without_any() {
        let full = Column { name: "resnet8-w1".into(), gaps: vec![Some([0.02, 0.01, 0.03]), None] };
        let none = Column { name: "resnet8-w2".into(), gaps: vec![None, None] };
        let picture = gap("gap", "two", &["float", "w4a8"], &[full, none]).unwrap();
        assert!(picture.png.starts_with(b"\x89PNG"));
        assert!(picture.svg.contains("resnet8-w1") && !picture.svg.contains("resnet8-w2"));
        assert!(gap("gap", "none", &[], &[]).unwrap().svg.contains("none"));
    }
}
