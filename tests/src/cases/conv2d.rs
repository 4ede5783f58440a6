//! Convolutions over all input channels.

use fourbit::Aligned;
use fourbit::kernels::{Conv2d, Kernel, Kernels, Ring, TensorRef, Window};
use fourbit::layout::{FilterShape, Layout};
use fourbit::shape::Shape;

use super::linear::{Constants, Spec, choose, outputs};
use super::{FILTER_BYTES, TENSOR_BYTES, colours, dtype, equal, fill, tiled, window, zero_point};
use crate::case::{Args, Case};
use crate::mismatch::Mismatch;
use crate::rng::Rng;

/// Compares [`Kernels::conv2d`] with the reference.
pub fn conv2d<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    let rng = &mut Rng::new(seed);
    let (bits, style) = choose(rng);
    let Extents { window, shape, filter, layout, output, kernel } = Extents::draw(rng);
    let [from, to] = [dtype(rng), dtype(rng)];
    let [zero, out_zero] = [zero_point(rng, from), zero_point(rng, to)];
    let (mut memory, mut constants) = (Aligned([0; TENSOR_BYTES]), Constants::new());
    let data = fill(rng, &mut memory.0, shape, from, zero, style, from.limits());
    let input = TensorRef { data, ring: Ring::whole(shape.height), shape, dtype: from, zero_point: zero };
    let spec = Spec { style, shape: filter, bits, layout, input: (from, zero), output: (to, out_zero) };
    let (filter, epilogue) = constants.fill(rng, &spec);
    let args = Args::Conv2d(Conv2d { input, filter, epilogue, window, kernel });
    equal(kernels, rng, seed, &Case { args, shape: output, dtype: to, zero_point: out_zero })
}

/// Extents of a convolution, half of them such that kernels that work in tiles have a form for them, a
/// sixth those of a network's first one.
pub(super) struct Extents {
    pub(super) window: Window,
    /// Of the input.
    pub(super) shape: Shape,
    pub(super) filter: FilterShape,
    pub(super) layout: Layout,
    /// Of the output.
    pub(super) output: Shape,
    /// Where tiles suit, mostly the one that works in them.
    pub(super) kernel: Kernel,
}

/// What a convolution's extents are after.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Tiles,
    Colours,
    Any,
}

impl Extents {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        use Form::{Any, Colours, Tiles};
        let form = rng.pick([Tiles, Tiles, Tiles, Colours, Any, Any]);
        let (window, extents) = match form {
            Tiles => tiled(rng),
            Colours => colours(rng),
            Any => window(rng, true),
        };
        let taps = window.kernel[0] * window.kernel[1];
        let channels = rng.size(1, 36).min(TENSOR_BYTES / extents.pixels()).min(FILTER_BYTES / taps);
        let shape = if form == Any { Shape { channels, ..extents } } else { extents };
        let rows = window.output(0, shape.height).unwrap_or(0);
        let columns = window.output(1, shape.width).unwrap_or(0);
        let outputs = outputs(rng, taps * shape.channels).min(TENSOR_BYTES / (rows * columns).max(1));
        let outputs = if form == Tiles { (outputs & !1).max(2) } else { outputs };
        let any = rng.pick(Kernel::ALL);
        let kernel = if form == Tiles && !rng.one_in(4) {
            rng.pick([Kernel::Winograd, Kernel::Winograd4x4])
        } else {
            any
        };
        let layout =
            rng.pick([Layout::OutputMajor, Layout::OutputMajor, Layout::OutputMajor, Layout::TapMajor]);
        let filter = FilterShape { outputs, taps, inputs: shape.channels };
        Self { window, shape, filter, layout, output: Shape::new(rows, columns, outputs), kernel }
    }
}
