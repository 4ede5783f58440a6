//! One image: background, shape, bar, noise, all from one random stream.

use super::outline::Outline;
use crate::dataset::{IMAGE_BYTES, SIDE};
use crate::rng::Rng;

/// Points per pixel and direction at which outlines are looked up.
const SAMPLES: usize = 3;
/// Least difference of brightness between a shape and its background.
const CONTRAST: f32 = 0.25;
/// Cells of a cloudy texture, a side.
const CELLS: usize = 6;

/// Red, green and blue, 0 to 1.
type Color = [f32; 3];

/// Draws image `number`: `[height][width][channel]`.
pub(super) fn draw(outline: Outline, seed: u64, number: u64) -> Vec<u8> {
    let mut rng = Rng::fork(seed, number);
    let ground = Texture::random(&mut rng);
    let body = contrasting(&mut rng, &ground);
    let shape = Frame::random(&mut rng);
    let bar = (rng.below(3) == 0).then(|| Bar::random(&mut rng));
    let noise = rng.uniform(0.0, 0.08);
    let mut pixels = Vec::with_capacity(IMAGE_BYTES);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (x, y) = (x as f32, y as f32);
            let mut color = ground.at(x, y);
            color = mix(color, body.at(x, y), coverage(|x, y| shape.contains(outline, x, y), x, y));
            if let Some(bar) = &bar {
                color = mix(color, bar.color, coverage(|x, y| bar.contains(x, y), x, y));
            }
            pixels.extend(color.map(|value| {
                // A sum of uniform numbers is close to a normal one.
                let grain = rng.unit() + rng.unit() + rng.unit() - 1.5;
                ((value + noise * grain).clamp(0.0, 1.0) * 255.0 + 0.5) as u8
            }));
        }
    }
    pixels
}

fn mix(a: Color, b: Color, part: f32) -> Color {
    [0, 1, 2].map(|i| a[i] + (b[i] - a[i]) * part)
}

fn brightness([red, green, blue]: Color) -> f32 {
    0.3 * red + 0.59 * green + 0.11 * blue
}

fn color(rng: &mut Rng) -> Color {
    [rng.unit(), rng.unit(), rng.unit()]
}

/// The part of a pixel's points that are inside.
fn coverage(contains: impl Fn(f32, f32) -> bool, x: f32, y: f32) -> f32 {
    let at = |i: usize| (i as f32 + 0.5) / SAMPLES as f32;
    let points = (0..SAMPLES * SAMPLES).map(|i| (x + at(i % SAMPLES), y + at(i / SAMPLES)));
    points.filter(|&(x, y)| contains(x, y)).count() as f32 / (SAMPLES * SAMPLES) as f32
}

/// A unit vector of a random direction: a rational point of the circle in a random quadrant.
fn direction(rng: &mut Rng) -> [f32; 2] {
    // tan of half the angle, from -45 to 45 degrees.
    let t = rng.uniform(-0.414_213_57, 0.414_213_57);
    let (cos, sin) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
    [[cos, sin], [-sin, cos], [-cos, -sin], [sin, -cos]][rng.below(4)]
}

/// Two colours and where which is seen.
struct Texture {
    colors: [Color; 2],
    pattern: Pattern,
}

enum Pattern {
    Plain,
    Gradient { along: [f32; 2] },
    Stripes { along: [f32; 2], phase: f32 },
    Checks { along: [f32; 2], phase: f32 },
    Clouds { cells: [[f32; CELLS]; CELLS] },
}

impl Texture {
    fn random(rng: &mut Rng) -> Self {
        let colors = [color(rng), color(rng)];
        let along = direction(rng);
        let waves = rng.uniform(0.08, 0.22);
        let wave = along.map(|part| part * waves);
        let phase = rng.unit();
        let pattern = match rng.below(5) {
            0 => Pattern::Plain,
            1 => Pattern::Gradient { along },
            2 => Pattern::Stripes { along: wave, phase },
            3 => Pattern::Checks { along: wave, phase },
            _ => Pattern::Clouds { cells: [(); CELLS].map(|()| [(); CELLS].map(|()| rng.unit())) },
        };
        Self { colors, pattern }
    }

    fn at(&self, x: f32, y: f32) -> Color {
        let part = match &self.pattern {
            Pattern::Plain => 0.0,
            Pattern::Gradient { along } => {
                let middle = SIDE as f32 / 2.0;
                (0.5 + (along[0] * (x - middle) + along[1] * (y - middle)) / SIDE as f32).clamp(0.0, 1.0)
            }
            Pattern::Stripes { along, phase } => wave(along[0] * x + along[1] * y + phase),
            Pattern::Checks { along: [a, b], phase } => {
                let (one, other) = (wave(a * x + b * y + phase), wave(a * y - b * x));
                if (one < 0.5) == (other < 0.5) { 1.0 } else { 0.0 }
            }
            Pattern::Clouds { cells } => cloud(cells, x, y),
        };
        mix(self.colors[0], self.colors[1], part)
    }
}

/// A triangle wave between 0 and 1, of period 1.
fn wave(at: f32) -> f32 {
    (2.0 * (at - at.floor()) - 1.0).abs()
}

/// Values at the corners of cells, interpolated between them.
fn cloud(cells: &[[f32; CELLS]; CELLS], x: f32, y: f32) -> f32 {
    let size = SIDE as f32 / (CELLS - 1) as f32;
    let cell = |at: f32| {
        let whole = ((at / size) as usize).min(CELLS - 2);
        (whole, at / size - whole as f32)
    };
    let ((column, right), (row, down)) = (cell(x), cell(y));
    let along = |row: usize| cells[row][column] + (cells[row][column + 1] - cells[row][column]) * right;
    along(row) + (along(row + 1) - along(row)) * down
}

/// A texture whose colours stand out from those of the background.
fn contrasting(rng: &mut Rng, ground: &Texture) -> Texture {
    let behind = ground.colors.map(brightness);
    let visible = |color: Color| behind.iter().all(|b| (brightness(color) - b).abs() >= CONTRAST);
    let along = direction(rng);
    for _ in 0..64 {
        let colors = [color(rng), color(rng)];
        if colors.iter().all(|&c| visible(c)) {
            return Texture { colors, pattern: Pattern::Gradient { along } };
        }
    }
    // A background of all brightnesses: black or white is farthest from its mean.
    let light = if behind[0] + behind[1] < 1.0 { 1.0 } else { 0.0 };
    Texture { colors: [[light; 3]; 2], pattern: Pattern::Plain }
}

/// Where a shape lies: its middle, its size, its angle.
struct Frame {
    middle: [f32; 2],
    /// Pixels of half a shape.
    size: f32,
    along: [f32; 2],
}

impl Frame {
    fn random(rng: &mut Rng) -> Self {
        let size = rng.uniform(8.0, 13.5);
        let room = SIDE as f32 / 2.0 - size;
        let mut place = || SIDE as f32 / 2.0 + rng.uniform(-room, room);
        let middle = [place(), place()];
        Self { middle, size, along: direction(rng) }
    }

    fn contains(&self, outline: Outline, x: f32, y: f32) -> bool {
        let (dx, dy) = ((x - self.middle[0]) / self.size, (y - self.middle[1]) / self.size);
        let [cos, sin] = self.along;
        outline.contains(cos * dx + sin * dy, cos * dy - sin * dx)
    }
}

/// A bar across the image.
struct Bar {
    through: [f32; 2],
    along: [f32; 2],
    half_width: f32,
    color: Color,
}

impl Bar {
    fn random(rng: &mut Rng) -> Self {
        let through = [rng.uniform(4.0, 28.0), rng.uniform(4.0, 28.0)];
        Self { through, along: direction(rng), half_width: rng.uniform(0.6, 1.8), color: color(rng) }
    }

    fn contains(&self, x: f32, y: f32) -> bool {
        let across = self.along[0] * (y - self.through[1]) - self.along[1] * (x - self.through[0]);
        across.abs() < self.half_width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_are_unit_vectors_all_around() {
        let mut rng = Rng::new(1);
        let mut quadrants = [0; 4];
        for _ in 0..1000 {
            let [x, y] = direction(&mut rng);
            assert!((x * x + y * y - 1.0).abs() < 1e-5);
            quadrants[usize::from(x > 0.0) + 2 * usize::from(y > 0.0)] += 1;
        }
        assert!(quadrants.iter().all(|&count| count > 200), "{quadrants:?}");
    }

    #[test]
    fn pixels_are_covered_in_parts() {
        assert_eq!(coverage(|x, _| x < 4.5, 4.0, 0.0), 1.0 / 3.0);
        assert_eq!(coverage(|_, _| true, 4.0, 0.0), 1.0);
    }

    #[test]
    fn shapes_stay_inside_and_stand_out() {
        let mut rng = Rng::new(3);
        for _ in 0..200 {
            let ground = Texture::random(&mut rng);
            let body = contrasting(&mut rng, &ground);
            let frame = Frame::random(&mut rng);
            assert!(frame.middle.iter().all(|m| *m >= frame.size && *m <= SIDE as f32 - frame.size));
            for &b in &body.colors {
                assert!(ground.colors.iter().any(|&g| (brightness(b) - brightness(g)).abs() >= CONTRAST));
            }
        }
    }
}
