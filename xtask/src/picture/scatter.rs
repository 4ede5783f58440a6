//! Networks by cost and accuracy: a dot for each, a staircase for the best of each series.
//!
//! Costs are on a logarithmic scale. A dot is the mean over seeds, its bar their spread; the staircase is the
//! best accuracy to be had for a cost.

use plotters::prelude::*;

use super::{FAINT, INK, Picture, RULE, Surface, Type, drawn, png, svg, text, upwards, width};

const SIZE: (u32, u32) = (1200, 800);
const LEFT: i32 = 110;
const RIGHT: i32 = 1160;
const TOP: i32 = 150;
const BOTTOM: i32 = 690;
const RADIUS: i32 = 6;

/// A diagram.
#[derive(Debug)]
pub(crate) struct Scatter<'a> {
    pub(crate) title: &'a str,
    pub(crate) subtitle: &'a str,
    /// What the costs are.
    pub(crate) axis: &'a str,
    pub(crate) series: Vec<Series>,
}

/// Dots of one colour.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) dots: Vec<Dot>,
    /// The best of them, by rising cost.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// A network.
#[derive(Debug)]
pub(crate) struct Dot {
    pub(crate) cost: f64,
    /// A fraction: the mean over seeds, the lowest, the highest.
    pub(crate) accuracy: [f64; 3],
    pub(crate) shape: Shape,
    /// Its name, where it is to be shown.
    pub(crate) label: Option<String>,
}

/// What a dot looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Disc,
    Ring,
    Square,
    Triangle,
}

/// The diagram's scales.
struct Axes {
    costs: (f64, f64),
    accuracies: (f64, f64),
}

impl Axes {
    /// Scales that hold everything, with a margin.
    fn of(series: &[Series]) -> Self {
        let dots = || series.iter().flat_map(|series| &series.dots);
        let low = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MAX, f64::min);
        let high = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN, f64::max);
        let costs =
            (low(&mut dots().map(|dot| dot.cost)) * 0.85, high(&mut dots().map(|dot| dot.cost)) * 1.25);
        let (bottom, top) =
            (low(&mut dots().map(|dot| dot.accuracy[1])), high(&mut dots().map(|dot| dot.accuracy[2])));
        let margin = ((top - bottom) * 0.08).max(0.002);
        Self { costs, accuracies: (bottom - margin, (top + margin).min(1.0 + margin)) }
    }

    fn x(&self, cost: f64) -> i32 {
        let part = (cost / self.costs.0).ln() / (self.costs.1 / self.costs.0).ln();
        LEFT + (part * f64::from(RIGHT - LEFT)).round() as i32
    }

    fn y(&self, accuracy: f64) -> i32 {
        let part = (accuracy - self.accuracies.0) / (self.accuracies.1 - self.accuracies.0);
        BOTTOM - (part * f64::from(BOTTOM - TOP)).round() as i32
    }
}

/// Draws a diagram; series without dots are left out.
pub(crate) fn scatter(chart: &Scatter<'_>) -> anyhow::Result<Picture> {
    Ok(Picture { png: png(SIZE, |area| draw(area, chart))?, svg: svg(SIZE, |area| draw(area, chart))? })
}

fn draw<B: DrawingBackend>(area: &Surface<B>, chart: &Scatter<'_>) -> anyhow::Result<()> {
    text(area, chart.title, (LEFT, 36), Type::new(30).bold())?;
    text(area, chart.subtitle, (LEFT, 72), Type::new(18).color(FAINT))?;
    if chart.series.iter().all(|series| series.dots.is_empty()) {
        return text(area, "no point has this cost", (LEFT, TOP), Type::new(20));
    }
    let axes = Axes::of(&chart.series);
    grid(area, &axes, chart.axis)?;
    legend(area, &chart.series)?;
    for series in &chart.series {
        staircase(area, &axes, series)?;
    }
    for series in &chart.series {
        for dot in &series.dots {
            mark(area, &axes, dot, series.color)?;
        }
    }
    labels(area, &axes, &chart.series)
}

/// Rules with their values, and the names of both axes.
fn grid<B: DrawingBackend>(area: &Surface<B>, axes: &Axes, axis: &str) -> anyhow::Result<()> {
    for accuracy in linear_ticks(axes.accuracies) {
        let y = axes.y(accuracy);
        area.draw(&PathElement::new([(LEFT, y), (RIGHT, y)], RULE)).map_err(drawn)?;
        let places = usize::from(axes.accuracies.1 - axes.accuracies.0 < 0.03);
        let value = format!("{:.places$} %", accuracy * 100.0);
        text(area, &value, (LEFT - 12, y), Type::new(16).right().color(FAINT))?;
    }
    for cost in logarithmic_ticks(axes.costs) {
        let x = axes.x(cost);
        area.draw(&PathElement::new([(x, TOP), (x, BOTTOM)], RULE)).map_err(drawn)?;
        text(area, &short(cost), (x, BOTTOM + 22), Type::new(16).center().color(FAINT))?;
    }
    let frame = PathElement::new([(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], INK);
    area.draw(&frame).map_err(drawn)?;
    text(area, axis, ((LEFT + RIGHT) / 2, BOTTOM + 58), Type::new(18).center())?;
    upwards(area, "test accuracy", (28, (TOP + BOTTOM) / 2), Type::new(18))
}

/// Names of the series, in a row above the diagram.
fn legend<B: DrawingBackend>(area: &Surface<B>, series: &[Series]) -> anyhow::Result<()> {
    let mut x = LEFT;
    for series in series.iter().filter(|series| !series.dots.is_empty()) {
        let y = TOP - 36;
        let line = PathElement::new([(x, y), (x + 34, y)], series.color.stroke_width(3));
        area.draw(&line).map_err(drawn)?;
        let set = Type::new(18).color(series.color);
        text(area, &series.name, (x + 44, y), set)?;
        x += 44 + width(area, &series.name, set) + 44;
    }
    Ok(())
}

/// The best accuracy for each cost, up to the diagram's right border.
fn staircase<B: DrawingBackend>(area: &Surface<B>, axes: &Axes, series: &Series) -> anyhow::Result<()> {
    let line = PathElement::new(corners(axes, series), series.color.stroke_width(2));
    area.draw(&line).map_err(drawn)
}

/// Where a staircase begins, turns and ends.
fn corners(axes: &Axes, series: &Series) -> Vec<(i32, i32)> {
    let mut corners: Vec<(i32, i32)> = Vec::new();
    for &(cost, accuracy) in &series.curve {
        let (x, y) = (axes.x(cost), axes.y(accuracy));
        corners.extend(corners.last().map(|&(_, before)| (x, before)));
        corners.push((x, y));
    }
    corners.extend(corners.last().map(|&(_, y)| (RIGHT, y)));
    corners
}

/// One dot and the spread of its seeds.
fn mark<B: DrawingBackend>(area: &Surface<B>, axes: &Axes, dot: &Dot, color: RGBColor) -> anyhow::Result<()> {
    let (x, [mean, low, high]) = (axes.x(dot.cost), dot.accuracy.map(|accuracy| axes.y(accuracy)));
    if low != high {
        for bar in [[(x, low), (x, high)], [(x - 4, low), (x + 4, low)], [(x - 4, high), (x + 4, high)]] {
            area.draw(&PathElement::new(bar, color.stroke_width(2))).map_err(drawn)?;
        }
    }
    let at = (x, mean);
    match dot.shape {
        Shape::Disc => area.draw(&Circle::new(at, RADIUS, color.filled())).map_err(drawn),
        Shape::Ring => {
            area.draw(&Circle::new(at, RADIUS, WHITE.filled())).map_err(drawn)?;
            area.draw(&Circle::new(at, RADIUS, color.stroke_width(2))).map_err(drawn)
        }
        Shape::Square => {
            let corners = [(x - RADIUS + 1, mean - RADIUS + 1), (x + RADIUS - 1, mean + RADIUS - 1)];
            area.draw(&Rectangle::new(corners, color.filled())).map_err(drawn)
        }
        Shape::Triangle => area.draw(&TriangleMarker::new(at, RADIUS + 2, color.filled())).map_err(drawn),
    }
}

/// A rectangle in pixels: left, top, right, bottom.
type Bounds = [i32; 4];

/// Names of dots, each where [`room`] is for it; without room it is left out.
fn labels<B: DrawingBackend>(area: &Surface<B>, axes: &Axes, series: &[Series]) -> anyhow::Result<()> {
    let place = |dot: &Dot| (axes.x(dot.cost), axes.y(dot.accuracy[0]));
    let dots = series.iter().flat_map(|series| &series.dots).map(place);
    let mut taken: Vec<Bounds> =
        dots.map(|(x, y)| [x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS]).collect();
    let curves: Vec<Bounds> = series.iter().flat_map(|series| lines(&corners(axes, series))).collect();
    for series in series {
        for dot in &series.dots {
            let Some(label) = &dot.label else { continue };
            let set = Type::new(14).color(series.color);
            let length = width(area, label, set);
            if let Some(at) = room(place(dot), length, &taken, &curves) {
                text(area, label, at, set)?;
                taken.push(written(at, length));
            }
        }
    }
    Ok(())
}

/// Where a name of this length goes beside its dot: off dots and other names, and off curves too if there is such
/// a place.
fn room((x, y): (i32, i32), length: i32, taken: &[Bounds], curves: &[Bounds]) -> Option<(i32, i32)> {
    let (right, left) = (x + 11, x - 11 - length);
    let near = [(right, y + 13), (right, y - 13), (left, y - 13), (left, y + 13)];
    let far = [(right, y + 26), (right, y - 26), (left, y - 26), (left, y + 26)];
    let clear = |at: (i32, i32), of: &[Bounds]| of.iter().all(|&other| apart(written(at, length), other));
    let free = |at: (i32, i32)| {
        let own = written(at, length);
        let inside = own[0] > LEFT && own[2] < RIGHT && own[1] > TOP - 20 && own[3] < BOTTOM;
        inside && clear(at, taken)
    };
    let best = near.into_iter().chain(far).find(|&at| free(at) && clear(at, curves));
    best.or_else(|| near.into_iter().find(|&at| free(at)))
}

/// What a name covers.
fn written((x, y): (i32, i32), length: i32) -> Bounds {
    [x, y - 8, x + length, y + 8]
}

/// What the level and upright lines between these corners cover.
fn lines(corners: &[(i32, i32)]) -> Vec<Bounds> {
    let line = |ends: &[(i32, i32)]| {
        let [(x0, y0), (x1, y1)] = [ends[0], ends[1]];
        [x0.min(x1) - 1, y0.min(y1) - 1, x0.max(x1) + 1, y0.max(y1) + 1]
    };
    corners.windows(2).map(line).collect()
}

fn apart(one: Bounds, other: Bounds) -> bool {
    one[2] < other[0] || other[2] < one[0] || one[3] < other[1] || other[3] < one[1]
}

/// Values a round distance apart, 4 to 10 of them.
pub(super) fn linear_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
    let step = steps.into_iter().find(|step| (high - low) / step <= 10.0).unwrap_or(0.2);
    ((low / step).ceil() as i64..=(high / step).floor() as i64).map(|index| index as f64 * step).collect()
}

/// 1, 2 and 5 times powers of ten, or more of them where the range is small.
fn logarithmic_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let ticks = |digits: &[u32]| -> Vec<f64> {
        let powers = (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
        let all =
            powers.flat_map(|power| digits.iter().map(move |&digit| f64::from(digit) * 10f64.powi(power)));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let coarse = ticks(&[1, 2, 5]);
    if coarse.len() >= 4 { coarse } else { ticks(&[1, 2, 3, 4, 5, 6, 7, 8, 9]) }
}

/// A count with its unit: `200 k`, `5 M`.
fn short(count: f64) -> String {
    match count {
        1e9.. => format!("{} G", count / 1e9),
        1e6.. => format!("{} M", count / 1e6),
        1e3.. => format!("{} k", count / 1e3),
        _ => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(logarithmic_ticks((4e5, 6e6)), [5e5, 1e6, 2e6, 5e6]);
        assert_eq!(logarithmic_ticks((4.2e4, 6.5e4)), [5e4, 6e4]);
        for (low, high) in [(0.1, 0.9), (0.84, 0.86), (0.5, 0.52)] {
            assert!((2..=11).contains(&linear_ticks((low, high)).len()), "{low} {high}");
        }
        assert_eq!([500.0, 2e5, 5e6, 1e9].map(short), ["500", "200 k", "5 M", "1 G"]);
    }

    #[test]
    fn a_name_keeps_off_dots_and_where_it_can_off_curves() {
        let (dot, length) = ((600, 400), 60);
        let below = lines(&[(600, 410), (700, 410), (700, 300)]);
        assert_eq!(room(dot, length, &[], &[]), Some((611, 413)));
        assert_eq!(room(dot, length, &[], &below), Some((611, 387)));
        let right = [written((611, 387), length)];
        assert_eq!(room(dot, length, &right, &below), Some((529, 387)));
        // No place is off this curve: the name crosses it rather than a dot.
        let everywhere = [[LEFT, TOP, RIGHT, BOTTOM]];
        assert_eq!(room(dot, length, &[written((611, 413), length)], &everywhere), Some((611, 387)));
        assert_eq!(room(dot, length, &everywhere, &[]), None);
    }

    #[test]
    fn a_diagram_is_drawn_twice() {
        let dot = |cost: f64, accuracy, shape| Dot {
            cost,
            accuracy: [accuracy, accuracy - 0.01, accuracy + 0.01],
            shape,
            label: Some("w0.5".into()),
        };
        let dots =
            vec![dot(1e6, 0.8, Shape::Disc), dot(2e6, 0.82, Shape::Triangle), dot(2e6, 0.8, Shape::Ring)];
        let series = Series { name: "4-bit".into(), color: INK, dots, curve: vec![(1e6, 0.8), (2e6, 0.82)] };
        let empty = Series { name: "none".into(), color: INK, dots: vec![], curve: vec![] };
        let mut chart = Scatter { title: "t", subtitle: "s", axis: "MACs", series: vec![series, empty] };
        let picture = scatter(&chart).unwrap();
        assert!(picture.png.starts_with(b"\x89PNG"));
        assert!(picture.svg.starts_with("<svg ") && picture.svg.contains("Open Sans, Arial"));
        assert!(picture.svg.contains(">\n4-bit\n<") && !picture.svg.contains("none\n"));
        chart.series.remove(0);
        assert!(scatter(&chart).unwrap().svg.contains("no point has this cost"));
    }
}
