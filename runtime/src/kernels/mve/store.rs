//! From a convolution's int8 values to what is stored: where they are in place at once, the residual
//! add, and packed nibbles.

use super::lines;
use super::scratch::GROUP;
use super::sum::{Side, Sum};
use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};
use crate::shape::DType;

/// Values that are widened or packed at a time, an even number.
const PIECE: usize = 128;

/// How an operation's values are stored.
pub(super) struct Store<'a> {
    add: Option<(&'a ConvAdd<'a>, Sum)>,
    /// All output channels.
    channels: usize,
    /// The results are the stored bytes.
    pub(super) direct: bool,
}

/// Some channels of neighbouring pixels of a row.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) y: usize,
    pub(super) x: usize,
    pub(super) pixels: usize,
    /// A multiple of [`GROUP`].
    pub(super) first: usize,
    pub(super) channels: usize,
}

impl<'a> Store<'a> {
    /// What suits an operation; `None` where nothing here does.
    pub(super) fn new(op: &Conv2d<'_>, add: Option<&'a ConvAdd<'a>>, out: &TensorMut<'_>) -> Option<Self> {
        let channels = op.filter.shape.outputs;
        let direct = add.is_none() && out.dtype == DType::I8 && channels.is_multiple_of(GROUP);
        let add = match add {
            None => None,
            Some(add) => {
                let own = Side { zero_point: add.zero_point, rescale: add.rescale };
                let sum = Sum::new(own, Side::of(&add.other), add.out, out.zero_point, [add.min, add.max])?;
                Some((add, sum))
            }
        };
        Some(Self { add, channels, direct })
    }

    /// Stores values; each pixel's lie `pixel` bytes behind those of the one before.
    #[inline(never)]
    pub(super) fn put(&self, values: &[u8], pixel: usize, place: Place, out: &mut TensorMut<'_>) {
        let Place { y, x, pixels, first, channels } = place;
        let whole = channels == self.channels && channels == pixel;
        let (runs, length) = if whole { (1, pixels * channels) } else { (pixels, channels) };
        let shape = out.shape;
        let other = self.add.as_ref().map(|(add, _)| (add.other.row(shape, y), add.other.dtype));
        let dtype = out.dtype;
        let row = out.row(y);
        if let (Some((add, sum)), Some((other, DType::I8)), DType::I8) = (&self.add, other, dtype) {
            let start = x * self.channels + first;
            let other = add.other.data.map(|_| other.get(start..).unwrap_or_default());
            let to = row.get_mut(start..).unwrap_or_default();
            return sum.runs(values, other, to, [runs, length], [pixel, self.channels, self.channels]);
        }
        let place = |dtype: DType, run: usize| {
            let from = (x + run) * dtype.row_bytes(self.channels) + dtype.row_bytes(first);
            from..from + dtype.row_bytes(length)
        };
        for (run, values) in values.chunks(pixel.max(length).max(1)).take(runs).enumerate() {
            let values = values.get(..length).unwrap_or_default();
            let to = row.get_mut(place(dtype, run)).unwrap_or_default();
            match (&self.add, other) {
                (Some((add, sum)), Some((other, from))) => {
                    // Without data of its own, the other addend lies in `to`.
                    let other = add.other.data.map(|_| other.get(place(from, run)).unwrap_or_default());
                    add_to(sum, values, other, from, to, dtype);
                }
                _ => lines::store(values, dtype, to),
            }
        }
    }
}

/// Stores the sums of values and the other addends, as many as there are values, where a type has 4 bits.
#[inline(never)]
fn add_to(sum: &Sum, values: &[u8], other: Option<&[u8]>, from: DType, to: &mut [u8], dtype: DType) {
    for (piece, values) in values.chunks(PIECE).enumerate() {
        let at = |dtype: DType| piece * dtype.row_bytes(PIECE);
        let mut widened = [0; PIECE];
        let widened = widened.get_mut(..values.len()).unwrap_or_default();
        let to = to.get_mut(at(dtype)..).unwrap_or_default();
        let stored = other.map_or(&*to, |other| other.get(at(from)..).unwrap_or_default());
        lines::widen(stored, from, widened);
        // The second addend is replaced by the sum.
        sum.run(values, None, widened);
        lines::store(widened, dtype, to);
    }
}
