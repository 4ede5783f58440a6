//! The arena over time: which bytes each tensor holds while which operation runs.

use fourbit::Artefact;
use fourbit::artefact::Plan;
use plotters::prelude::*;

use super::{Area, BAD, FAINT, INK, RULE, Type, blend, drawn, fill, frame, png, text, upwards, width};
use crate::describe::{place_bytes, tensor_name};
use crate::table::thousands;

const LEFT: i32 = 110;
const TOP: i32 = 110;
const HEIGHT: i32 = 560;
const FOOT: i32 = 190;
const RIGHT: i32 = 40;
const COLORS: [RGBColor; 6] = [
    RGBColor(94, 129, 172),
    RGBColor(136, 192, 208),
    RGBColor(163, 190, 140),
    RGBColor(235, 203, 139),
    RGBColor(208, 135, 112),
    RGBColor(180, 142, 173),
];

/// The picture's scales.
struct Axes {
    column: i32,
    ops: i32,
    arena_bytes: usize,
}

impl Axes {
    fn x(&self, op: usize) -> i32 {
        LEFT + op as i32 * self.column
    }

    fn y(&self, byte: usize) -> i32 {
        TOP + HEIGHT - (byte as u64 * HEIGHT as u64 / self.arena_bytes.max(1) as u64) as i32
    }

    fn right(&self) -> i32 {
        LEFT + self.ops * self.column
    }
}

/// Draws a plan; `lower_bound` is what any schedule of whole tensors needs.
pub(crate) fn arena(
    title: &str,
    artefact: &Artefact<'_>,
    plan: Plan<'_>,
    lower_bound: usize,
) -> anyhow::Result<Vec<u8>> {
    let ops = artefact.op_count().max(1) as i32;
    let column = (1500 / ops).clamp(24, 100);
    let axes = Axes { column, ops, arena_bytes: plan.arena_bytes() };
    let size = (((axes.right() + RIGHT).max(1000)) as u32, (TOP + HEIGHT + FOOT) as u32);
    png(size, |area| {
        text(area, title, (LEFT, 36), Type::new(30).bold())?;
        let figures = format!(
            "{} bytes of arena; whole tensors need at least {}",
            thousands(plan.arena_bytes() as u64),
            thousands(lower_bound as u64)
        );
        text(area, &figures, (LEFT, 72), Type::new(20).color(FAINT))?;
        scales(area, artefact, &axes)?;
        for tensor in 0..plan.tensors() {
            let Some(info) = artefact.tensor(tensor as u16) else { continue };
            let place = plan.placement(tensor);
            let (start, end) =
                (place.offset as usize, place.offset as usize + place_bytes(&info, place.lines));
            let name = tensor_name(artefact, tensor as u16);
            let (first, last) = artefact.lifetime(tensor as u16);
            let span = (first, last + 1);
            block(area, &axes, span, (start, end), COLORS[tensor % COLORS.len()], &name)?;
        }
        for op in 0..artefact.op_count() {
            let scratch = plan.choice(op).unwrap_or_default().scratch_range();
            if !scratch.is_empty() {
                block(area, &axes, (op, op + 1), (scratch.start, scratch.end), RULE, "scratch")?;
            }
        }
        // What streams needs less, and the line would lie above the picture.
        if lower_bound > plan.arena_bytes() {
            return Ok(());
        }
        let y = axes.y(lower_bound);
        let bound = PathElement::new([(LEFT, y), (axes.right(), y)], BAD.stroke_width(2));
        area.draw(&bound).map_err(drawn)
    })
}

/// One tensor's rectangle, with its name where there is room.
fn block(
    area: &Area<'_>,
    axes: &Axes,
    (first, end): (usize, usize),
    (start, stop): (usize, usize),
    color: RGBColor,
    name: &str,
) -> anyhow::Result<()> {
    let (from, to) = ((axes.x(first) + 1, axes.y(stop) + 1), (axes.x(end) - 2, axes.y(start) - 1));
    if to.1 <= from.1 {
        return Ok(());
    }
    fill(area, from, to, color)?;
    frame(area, from, to, blend(color, INK, 0.4), 1)?;
    let middle = ((from.0 + to.0) / 2, (from.1 + to.1) / 2);
    let set = Type::new(15).center();
    if to.1 - from.1 > 18 && width(area, name, set) < to.0 - from.0 - 6 {
        text(area, name, middle, set)
    } else if to.1 - from.1 > width(area, name, set) + 6 && to.0 - from.0 > 18 {
        upwards(area, name, middle, set)
    } else {
        Ok(())
    }
}

/// Bytes on the left, operations below.
fn scales(area: &Area<'_>, artefact: &Artefact<'_>, axes: &Axes) -> anyhow::Result<()> {
    let step = step(axes.arena_bytes);
    for byte in (0..=axes.arena_bytes).step_by(step) {
        let y = axes.y(byte);
        let rule = PathElement::new([(LEFT, y), (axes.right(), y)], RULE.stroke_width(1));
        area.draw(&rule).map_err(drawn)?;
        text(area, &thousands(byte as u64), (LEFT - 12, y), Type::new(16).color(FAINT).right())?;
    }
    for op in 0..artefact.op_count() {
        let name = artefact.name(op);
        let set = Type::new(16);
        let length = width(area, name, set);
        let at = (axes.x(op) + axes.column / 2, TOP + HEIGHT + 12 + length / 2);
        upwards(area, name, at, set)?;
    }
    upwards(area, "bytes of the arena", (24, TOP + HEIGHT / 2), Type::new(16).color(FAINT))
}

/// A round distance that gives 4 to 10 marks.
fn step(bytes: usize) -> usize {
    let mut step = 1000;
    while bytes / step > 10 {
        step *= if step.to_string().starts_with('1') { 2 } else { 5 };
    }
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        for bytes in [900, 24_000, 51_500, 2_000_000] {
            assert!(bytes / step(bytes) <= 10, "{bytes}");
        }
        assert_eq!(step(51_500), 10_000);
    }

    #[test]
    fn the_axes_meet_the_frame() {
        let axes = Axes { column: 50, ops: 4, arena_bytes: 1000 };
        assert_eq!((axes.y(0), axes.y(1000)), (TOP + HEIGHT, TOP));
        assert_eq!((axes.x(0), axes.right()), (LEFT, LEFT + 200));
    }
}
