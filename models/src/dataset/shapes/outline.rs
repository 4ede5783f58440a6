//! The ten outlines: which points are inside, in coordinates where a shape spans about -1 to 1.

/// An outline; the order is that of the labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outline {
    Disc,
    Ring,
    Square,
    Frame,
    Triangle,
    Star,
    Cross,
    Crescent,
    Heart,
    Arrow,
}

/// Corners of the star's five points, which lie on the unit circle: (sin, -cos) of 72 degrees each.
const POINTS: [[f32; 2]; 5] = [
    [0.0, -1.0],
    [0.951_056_5, -0.309_017],
    [0.587_785_25, 0.809_017],
    [-0.587_785_25, 0.809_017],
    [-0.951_056_5, -0.309_017],
];

impl Outline {
    /// Every outline.
    pub(super) const ALL: [Outline; 10] = [
        Outline::Disc,
        Outline::Ring,
        Outline::Square,
        Outline::Frame,
        Outline::Triangle,
        Outline::Star,
        Outline::Cross,
        Outline::Crescent,
        Outline::Heart,
        Outline::Arrow,
    ];

    /// The class's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Outline::Disc => "disc",
            Outline::Ring => "ring",
            Outline::Square => "square",
            Outline::Frame => "frame",
            Outline::Triangle => "triangle",
            Outline::Star => "star",
            Outline::Cross => "cross",
            Outline::Crescent => "crescent",
            Outline::Heart => "heart",
            Outline::Arrow => "arrow",
        }
    }

    /// Whether a point is inside; `v` points down.
    pub(super) fn contains(self, u: f32, v: f32) -> bool {
        let radius = u * u + v * v;
        let reach = u.abs().max(v.abs());
        match self {
            Outline::Disc => radius < 0.85,
            Outline::Ring => (0.3..0.9).contains(&radius),
            Outline::Square => reach < 0.8,
            Outline::Frame => (0.48..0.85).contains(&reach),
            Outline::Triangle => {
                below([0.0, -1.0], [0.9, 0.7], u, v) && below([-0.9, 0.7], [0.0, -1.0], u, v) && v < 0.7
            }
            Outline::Star => star(u, v),
            Outline::Cross => reach < 0.95 && u.abs().min(v.abs()) < 0.3,
            Outline::Crescent => radius < 0.95 && (u - 0.5) * (u - 0.5) + v * v > 0.55,
            Outline::Heart => heart(1.2 * u, -1.2 * v + 0.1),
            Outline::Arrow => arrow(u, v),
        }
    }
}

/// Whether a point lies to the right of the way from `a` to `b`: below it, where that goes right.
fn below(a: [f32; 2], b: [f32; 2], u: f32, v: f32) -> bool {
    (b[0] - a[0]) * (v - a[1]) - (b[1] - a[1]) * (u - a[0]) > 0.0
}

/// A pentagram is where a point is on the inner side of at least four of its five chords.
fn star(u: f32, v: f32) -> bool {
    let chords = (0..5).map(|i| (POINTS[i], POINTS[(i + 2) % 5]));
    chords.filter(|&(a, b)| below(a, b, u, v)).count() >= 4
}

/// The sextic `(x^2 + y^2 - 1)^3 < x^2 y^3`, `y` up.
fn heart(x: f32, y: f32) -> bool {
    let inner = x * x + y * y - 1.0;
    inner * inner * inner < x * x * y * y * y
}

/// A head with a shaft, pointing up.
fn arrow(u: f32, v: f32) -> bool {
    let head = v < 0.0 && below([0.0, -1.0], [0.8, 0.0], u, v) && below([-0.8, 0.0], [0.0, -1.0], u, v);
    head || (u.abs() < 0.28 && (-0.1..0.95).contains(&v))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Part of the square from -1.25 to 1.25 that is inside.
    fn area(outline: Outline) -> f32 {
        let at = |i: i32| (i as f32 + 0.5) / 40.0 - 1.25;
        let inside = (0..10_000).filter(|i| outline.contains(at(i % 100), at(i / 100)));
        inside.count() as f32 / 10_000.0 * 6.25
    }

    #[test]
    fn areas_by_hand() {
        let pi = std::f32::consts::PI;
        for (outline, expected) in [
            (Outline::Disc, 0.85 * pi),
            (Outline::Ring, 0.6 * pi),
            (Outline::Square, 2.56),
            (Outline::Frame, 4.0 * (0.85 * 0.85 - 0.48 * 0.48)),
            (Outline::Triangle, 0.5 * 1.8 * 1.7),
            (Outline::Cross, 4.0 * (2.0 * 0.3 * 0.95 - 0.09)),
            // Ten right triangles of a pentagram with circumradius 1.
            (Outline::Star, 1.1226),
        ] {
            assert!((area(outline) - expected).abs() < 0.05, "{}: {}", outline.name(), area(outline));
        }
    }

    #[test]
    fn no_outline_leaves_its_square() {
        for outline in Outline::ALL {
            assert!((0.5..3.0).contains(&area(outline)), "{}: {}", outline.name(), area(outline));
            for i in -125..=125 {
                let along = i as f32 / 100.0;
                assert!(!outline.contains(along, 1.2) && !outline.contains(1.2, along), "{}", outline.name());
                assert!(
                    !outline.contains(along, -1.2) && !outline.contains(-1.2, along),
                    "{}",
                    outline.name()
                );
            }
        }
    }
}
