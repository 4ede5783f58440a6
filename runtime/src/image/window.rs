//! The part of the source behind an output pixel, and the mean over it.
//!
//! Positions on an axis are counted in steps of `1 / (2 * to)` of a source pixel, so that borders and
//! centres of source and output pixels are whole numbers.

use super::Source;

/// Resizing of one axis.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    /// First source pixel.
    start: usize,
    /// Source pixels, at most [`MAX_SOURCE`](super::MAX_SOURCE).
    from: u32,
    /// Output pixels, at most [`MAX_OUTPUT`](super::MAX_OUTPUT).
    to: u32,
}

/// The source pixels behind one output pixel, each with a weight.
#[derive(Clone, Copy)]
pub(super) struct Window {
    first: usize,
    last: usize,
    /// Weight of the first pixel.
    head: u32,
    /// Weight of every pixel between.
    inner: u32,
    /// Weight of the last pixel where it is not the first.
    tail: u32,
    /// Sum of the weights.
    total: u32,
}

impl Axis {
    pub(super) fn new(start: usize, from: usize, to: usize) -> Self {
        Self { start, from: from as u32, to: to as u32 }
    }

    /// What is behind output pixel `at`: an interval around its centre, as wide as an output pixel and
    /// at least as a source pixel, cut at both ends of the axis. `2 * from * to` fits 32 bits.
    #[inline]
    pub(super) fn window(self, at: usize) -> Window {
        let pixel = 2 * self.to;
        let centre = (2 * at as u32 + 1) * self.from;
        let half = self.from.max(self.to);
        let low = centre.saturating_sub(half);
        let high = centre.saturating_add(half).min(pixel * self.from);
        // The interval holds at least half a pixel, and the divisor is not 0.
        let first = low.checked_div(pixel).unwrap_or(0);
        let last = (high - 1).checked_div(pixel).unwrap_or(0);
        let total = high - low;
        Window {
            first: self.start + first as usize,
            last: self.start + last as usize,
            head: if first == last { total } else { pixel * (first + 1) - low },
            inner: pixel,
            tail: high - pixel * last,
            total,
        }
    }
}

impl Window {
    /// Places and weights, in order.
    #[inline]
    fn weights(self) -> impl Iterator<Item = (usize, u32)> {
        (self.first..=self.last).map(move |at| {
            let weight = match at {
                _ if at == self.first => self.head,
                _ if at == self.last => self.tail,
                _ => self.inner,
            };
            (at, weight)
        })
    }
}

/// The mean over a rectangle, rounded to nearest, ties up.
///
/// A window's total is below 2^17: a row's sum fits 32 bits, the rectangle's 64.
#[inline]
pub(super) fn mean(source: &Source<'_>, down: Window, across: Window) -> [u8; 3] {
    let mut sums = [0u64; 3];
    for (y, weight) in down.weights() {
        let row = source.row(y);
        let mut line = [0u32; 3];
        for (x, weight) in across.weights() {
            let pixel = source.pixel(row, x);
            line.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * u32::from(value));
        }
        sums.iter_mut().zip(line).for_each(|(sum, line)| *sum += u64::from(weight) * u64::from(line));
    }
    let total = u64::from(down.total) * u64::from(across.total);
    sums.map(|sum| (sum + total / 2).checked_div(total).unwrap_or(0) as u8)
}
