//! Where the outputs of a line of tiles go.

use super::super::store::{NOWHERE, Place, Places};
use crate::kernels::args::{ConvAdd, TensorMut};

/// Outputs that are not stored; the other addend of the first pixel is as good as any.
pub(super) const DROPPED: Places = [NO_LINE; 4];
/// The start of a line that is not stored.
const NO_LINE: Place = [NOWHERE, 0];

/// So many lines of outputs: every pixel of those that have a start lies inside the memory, and its other
/// addend in that one's.
pub(super) struct Lines<const MADE: usize> {
    starts: [Place; MADE],
    pixel: usize,
    width: usize,
}

impl<const MADE: usize> Lines<MADE> {
    /// Lines that have no start yet.
    pub(super) fn new(out: &TensorMut<'_>) -> Self {
        let pixel = out.dtype.row_bytes(out.shape.channels);
        Self { starts: [NO_LINE; MADE], pixel, width: out.shape.width }
    }

    /// Becomes the rows from `y` on; those from `end` on and what is outside the memory go nowhere.
    #[inline(never)]
    pub(super) fn begin(&mut self, add: Option<&ConvAdd<'_>>, end: usize, out: &TensorMut<'_>, y: usize) {
        let bytes = self.pixel * self.width;
        let other = add.and_then(|add| Some((add.other.ring, add.other.data?.len())));
        let (other, other_bytes) = other.unwrap_or((out.ring, out.data.len()));
        self.starts = [NO_LINE; MADE];
        for (y, start) in (y..end).zip(&mut self.starts) {
            let [to, from] = [out.ring, other].map(|ring| ring.line(y) * bytes);
            let inside =
                to.saturating_add(bytes) <= out.data.len() && from.saturating_add(bytes) <= other_bytes;
            if inside {
                *start = [to as u32, from as u32];
            }
        }
    }

    /// Four outputs of the tile that begins at column `x`, in pairs: all of 2x2, or row `part`. Columns outside
    /// the image go nowhere.
    #[inline(always)]
    pub(super) fn part(&self, x: usize, part: usize, places: &mut Places) {
        let pixel = self.pixel as u32;
        for (at, [one, two]) in places.as_chunks_mut().0.iter_mut().enumerate() {
            let (line, x) = if MADE == 2 { (at, x) } else { (part, x + 2 * at) };
            [*one, *two] = [NO_LINE; 2];
            if let Some(&[to, from]) = self.starts.get(line)
                && to != NOWHERE
                && x < self.width
            {
                let skip = x as u32 * pixel;
                let (to, from) = (to + skip, from + skip);
                *one = [to, from];
                if x + 1 < self.width {
                    *two = [to + pixel, from + pixel];
                }
            }
        }
    }
}
