//! Where the outputs of a line of tiles go.

use super::super::store::{NOWHERE, Place, Places};
use crate::kernels::args::{ConvAdd, TensorMut};

/// Outputs that are not stored; the other addend of the first pixel is as good as any.
pub(super) const DROPPED: Places = [[NOWHERE, 0]; 4];

/// Two lines of outputs: every pixel of those that have a start lies inside the memory, and its other
/// addend in that one's.
pub(super) struct Lines {
    starts: [Option<Place>; 2],
    pixel: usize,
    width: usize,
}

impl Lines {
    /// Two lines that have no start yet.
    pub(super) fn new(out: &TensorMut<'_>) -> Self {
        let pixel = out.dtype.row_bytes(out.shape.channels);
        Self { starts: [None; 2], pixel, width: out.shape.width }
    }

    /// Becomes rows `y` and the next; those from `end` on and what is outside the memory go nowhere.
    #[inline(never)]
    pub(super) fn begin(&mut self, add: Option<&ConvAdd<'_>>, end: usize, out: &TensorMut<'_>, y: usize) {
        let bytes = self.pixel * self.width;
        let other = add.and_then(|add| Some((add.other.ring, add.other.data?.len())));
        let (other, other_bytes) = other.unwrap_or((out.ring, out.data.len()));
        self.starts = [None; 2];
        for (y, start) in (y..end).zip(&mut self.starts) {
            let [to, from] = [out.ring, other].map(|ring| ring.line(y) * bytes);
            let inside =
                to.saturating_add(bytes) <= out.data.len() && from.saturating_add(bytes) <= other_bytes;
            *start = inside.then_some([to as u32, from as u32]);
        }
    }

    /// The outputs of the tile that begins at column `x`; columns outside the image go nowhere.
    #[inline(always)]
    pub(super) fn tile(&self, x: usize, places: &mut Places) {
        let right = if x + 1 < self.width { self.pixel } else { 0 };
        let skip = (x * self.pixel) as u32;
        for (start, places) in self.starts.iter().zip(places.as_chunks_mut::<2>().0) {
            let [one, two] = places;
            [*one, *two] = [DROPPED[0]; 2];
            if let Some([to, from]) = *start {
                let (to, from) = (to + skip, from + skip);
                *one = [to, from];
                if right > 0 {
                    *two = [to + right as u32, from + right as u32];
                }
            }
        }
    }
}
