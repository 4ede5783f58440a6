//! Convolutions on processors with AVX-512 VNNI: four products of bytes in every lane of a vector.
//!
//! Activations are bytes without a sign, weights bytes with one: `VPDPBUSD` adds four products to each of
//! sixteen output channels. What the offset of the activations and their zero point add is the same for
//! every position of a channel and taken off its bias. Rows of taps lie in one piece in an input with its
//! padding, so nothing is gathered: a broadcast reads four values of a window from where they lie.

use core::ops::Range;
use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_loadu_si128, _mm_storeu_si128, _mm512_add_epi32, _mm512_add_epi64,
    _mm512_castsi256_si512, _mm512_castsi512_si256, _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi64,
    _mm512_cvtepi64_epi32, _mm512_cvtepu8_epi32, _mm512_dpbusd_epi32, _mm512_extracti64x4_epi64,
    _mm512_inserti64x4, _mm512_loadu_si512, _mm512_max_epi32, _mm512_min_epi32, _mm512_mul_epi32,
    _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_sllv_epi64,
    _mm512_srav_epi64, _mm512_sub_epi32, _mm512_sub_epi64,
};

use super::Vectors;
use crate::kernels::args::{Conv2d, Epilogue, Filter, TensorMut, Window};
use crate::layout::Layout;
use crate::shape::{DType, Shape};

/// Output channels of a vector.
const LANES: usize = 16;
/// Bytes of a vector.
const VECTOR: usize = 64;
/// Output positions of a tile.
const PIXELS: usize = 8;

/// How a filter lies in memory: for every sixteen output channels a vector for every four values of each
/// row of taps, and their sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    outputs: usize,
    /// Rows of taps, and values of one.
    runs: usize,
    run: usize,
}

impl Form {
    /// That of a filter with so many taps in a row; `None` where the vectors, which the processor has,
    /// the layout or the memory that [`super::Host::unpacked_len`] says do not suit.
    pub(super) fn of(filter: &Filter<'_>, across: usize, vectors: Vectors) -> Option<Self> {
        let shape = filter.shape;
        let runs = shape.taps.checked_div(across).filter(|&runs| runs * across == shape.taps)?;
        let form = Self { outputs: shape.outputs, runs, run: across * shape.inputs };
        let fits = form.blocks() * form.block() <= 4 * filter.data.len() && form.run > 0 && runs > 0;
        (filter.layout == Layout::OutputMajor && fits && vectors == Vectors::Avx512).then_some(form)
    }

    fn blocks(self) -> usize {
        self.outputs.div_ceil(LANES)
    }

    /// Vectors of a row of taps.
    fn quads(self) -> usize {
        self.run.div_ceil(4)
    }

    /// Bytes of sixteen channels.
    fn block(self) -> usize {
        VECTOR * (self.runs * self.quads() + 1)
    }
}

/// Bytes of the rows that one row of outputs reads, with their padding, and what is read behind them.
pub(super) fn buffer_bytes(window: &Window, input: Shape) -> usize {
    window.kernel[0] * columns(window, input) * input.channels + 4
}

/// Columns of the input that a row of outputs reads, padding included.
fn columns(window: &Window, input: Shape) -> usize {
    let outputs = window.output(1, input.width).unwrap_or(0);
    outputs.saturating_sub(1) * window.stride[1] + window.kernel[1]
}

/// Brings a filter into its form, from the start of `memory`.
pub(super) fn pack(form: Form, filter: &Filter<'_>, memory: &mut [i16]) {
    let (memory, across) = (bytes_mut(memory), filter.shape.taps / form.runs);
    for (block, to) in memory.chunks_exact_mut(form.block()).take(form.blocks()).enumerate() {
        let (vectors, sums) = to.split_at_mut(form.block() - VECTOR);
        for (sum, lane) in sums.as_chunks_mut::<4>().0.iter_mut().zip(0..) {
            let output = LANES * block + lane;
            let mut all = 0i32;
            for (run, vectors) in vectors.chunks_exact_mut(VECTOR * form.quads()).enumerate() {
                for (i, vector) in vectors.chunks_exact_mut(4).skip(lane).step_by(LANES).enumerate() {
                    for (k, weight) in vector.iter_mut().enumerate() {
                        let at = 4 * i + k;
                        let inside = at < form.run && output < form.outputs;
                        let tap = run * across + at / filter.shape.inputs;
                        let value =
                            if inside { filter.get(output, tap, at % filter.shape.inputs) } else { 0 };
                        *weight = value as u8;
                        all += value;
                    }
                }
            }
            *sum = all.to_le_bytes();
        }
    }
}

/// Fills the rows of `out`; false where a buffer is too short.
pub(super) fn conv2d(
    form: Form,
    op: &Conv2d<'_>,
    weights: &[i16],
    buffer: &mut [i16],
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) -> bool {
    let (weights, buffer) = (bytes(weights), bytes_mut(buffer));
    let suits = weights.len() >= form.blocks() * form.block()
        && buffer.len() >= buffer_bytes(&op.window, op.input.shape)
        && op.input.shape.channels * op.window.kernel[1] == form.run
        && op.window.kernel[0] == form.runs
        && out.shape.channels == form.outputs
        && op.epilogue.shift.len() >= form.outputs
        && op.epilogue.bias.len().min(op.epilogue.multiplier.len()) >= 4 * form.outputs;
    if suits {
        // SAFETY: a form is for vectors that the processor has; the lengths are right.
        unsafe { all(form, op, weights, buffer, rows, out) }
    }
    suits
}

/// # Safety
///
/// `weights` has every block of the form, `buffer` [`buffer_bytes`], the epilogue constants for every output.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn all(
    form: Form,
    op: &Conv2d<'_>,
    weights: &[u8],
    buffer: &mut [u8],
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    let pixel = op.input.shape.channels;
    let line = columns(&op.window, op.input.shape) * pixel;
    let (width, dtype) = (out.shape.width, out.dtype);
    let row_bytes = dtype.row_bytes(form.outputs);
    let finish: Vec<Finish> = (0..form.blocks())
        .map(|block| {
            let sums = &weights[(block + 1) * form.block() - VECTOR..];
            Finish::new(op, sums, (LANES * block, form.outputs), out.zero_point)
        })
        .collect();
    for y in rows {
        for (run, to) in buffer.chunks_exact_mut(line).take(form.runs).enumerate() {
            read(op, op.window.source(0, y, run, op.input.shape.height), to);
        }
        let row = out.row(y);
        if dtype.bits() < 8 {
            row.fill(0);
        }
        let mut x = 0;
        while x < width {
            let many = width - x >= PIXELS;
            let source = &buffer[x * op.window.stride[1] * pixel..];
            let step = op.window.stride[1] * pixel;
            for (block, finish) in finish.iter().enumerate() {
                let weights = &weights[block * form.block()..];
                let mut put = |at: usize, sums: __m512i| {
                    let pixel = row.get_mut((x + at) * row_bytes..).unwrap_or_default();
                    let pixel = pixel.get_mut(..row_bytes).unwrap_or_default();
                    finish.store(sums, dtype, pixel);
                };
                // SAFETY: the windows of these positions lie in `buffer` and a word behind them, the
                // vectors in `weights`.
                unsafe {
                    if many {
                        let sums = tile::<PIXELS>(form, source, (line, step), weights);
                        sums.into_iter().enumerate().for_each(|(at, sums)| put(at, sums));
                    } else {
                        let [sums] = tile::<1>(form, source, (line, step), weights);
                        put(0, sums);
                    }
                }
            }
            x += if many { PIXELS } else { 1 };
        }
    }
}

/// Sums of so many positions, `step` bytes from one to the next, for sixteen channels.
///
/// # Safety
///
/// `source` has a line for each row of taps, `weights` a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn tile<const COUNT: usize>(
    form: Form,
    source: &[u8],
    (line, step): (usize, usize),
    weights: &[u8],
) -> [__m512i; COUNT] {
    let mut sums = [_mm512_setzero_si512(); COUNT];
    let (mut weights, quads) = (weights.as_ptr(), form.quads());
    for run in 0..form.runs {
        let mut from = source.as_ptr().wrapping_add(run * line);
        for _ in 0..quads {
            // SAFETY: the caller's promise.
            unsafe {
                let vector = _mm512_loadu_si512(weights.cast());
                for (at, sums) in sums.iter_mut().enumerate() {
                    let four = from.wrapping_add(at * step).cast::<i32>().read_unaligned();
                    *sums = _mm512_dpbusd_epi32(*sums, _mm512_set1_epi32(four), vector);
                }
            }
            from = from.wrapping_add(4);
            weights = weights.wrapping_add(VECTOR);
        }
    }
    sums
}

/// A row of the input, or padding, as bytes without a sign.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn read(op: &Conv2d<'_>, source: Option<usize>, to: &mut [u8]) {
    let (input, pixel) = (&op.input, op.input.shape.channels);
    let offset = offset(input.dtype);
    let outside = (input.zero_point + offset) as u8;
    let Some(y) = source else { return to.fill(outside) };
    let left = (op.window.padding[2] * pixel).min(to.len());
    let (before, rest) = to.split_at_mut(left);
    let inside = (input.shape.width * pixel).min(rest.len());
    let (inside, after) = rest.split_at_mut(inside);
    before.fill(outside);
    after.fill(outside);
    let from = input.row(y);
    if input.dtype == DType::I8 {
        for (to, from) in inside.iter_mut().zip(from) {
            *to = from ^ 0x80;
        }
    } else {
        let pixels = from.chunks_exact(input.dtype.row_bytes(pixel).max(1));
        for (to, from) in inside.chunks_exact_mut(pixel.max(1)).zip(pixels) {
            for (channel, to) in to.iter_mut().enumerate() {
                *to = (input.dtype.get(from, channel) + offset) as u8;
            }
        }
    }
}

/// What makes every stored value a byte without a sign.
fn offset(dtype: DType) -> i32 {
    match dtype {
        DType::I8 => 128,
        DType::U4 => 0,
        DType::S4 => 8,
    }
}

/// Bias, rescale, zero point and clamp of sixteen channels.
#[derive(Clone, Copy)]
struct Finish {
    /// The first channel, and the one behind the last that there is.
    channels: [usize; 2],
    bias: __m512i,
    /// Of the first eight channels and the others: multipliers, halves of the divisors, shifts.
    halves: [[__m512i; 3]; 2],
    zero_point: __m512i,
    /// Less the zero point.
    least: __m512i,
    most: __m512i,
}

impl Finish {
    /// Of channels from `first` on; those from `end` on are not there.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn new(op: &Conv2d<'_>, sums: &[u8], (first, end): (usize, usize), zero_point: i32) -> Self {
        let Epilogue { bias, multiplier, shift, min, max } = op.epilogue;
        let count = (end - first).min(LANES);
        let words = |bytes: &[u8]| {
            let mut words = [0; VECTOR];
            words[..4 * count].copy_from_slice(&bytes[4 * first..4 * (first + count)]);
            load(&words)
        };
        let mut shifts = [1; LANES];
        shifts[..count].copy_from_slice(&shift[first..first + count]);
        // SAFETY: sixteen bytes are read.
        let shifts = _mm512_cvtepu8_epi32(unsafe { _mm_loadu_si128(shifts.as_ptr().cast()) });
        let more = _mm512_set1_epi32(op.input.zero_point + offset(op.input.dtype));
        let sums = load(sums.first_chunk().unwrap_or(&[0; VECTOR]));
        let [multipliers, shifts] = [wide(words(multiplier)), wide(shifts)];
        let one = _mm512_set1_epi64(1);
        let half = |i: usize| {
            let round = _mm512_sllv_epi64(one, _mm512_sub_epi64(shifts[i], one));
            [multipliers[i], round, shifts[i]]
        };
        Self {
            channels: [first, end],
            bias: _mm512_sub_epi32(words(bias), _mm512_mullo_epi32(sums, more)),
            halves: [half(0), half(1)],
            zero_point: _mm512_set1_epi32(zero_point),
            least: _mm512_set1_epi32(i32::from(min) - zero_point),
            most: _mm512_set1_epi32(i32::from(max) - zero_point),
        }
    }

    /// Stores the channels of a pixel.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    fn store(&self, sums: __m512i, dtype: DType, pixel: &mut [u8]) {
        let [first, end] = self.channels;
        let value = rescaled(_mm512_add_epi32(sums, self.bias), &self.halves);
        let value = stored(value, [self.least, self.most], self.zero_point);
        match pixel.get_mut(first..).and_then(|to| to.first_chunk_mut::<LANES>()) {
            // SAFETY: sixteen bytes are written.
            Some(to) if dtype == DType::I8 => unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) },
            _ => some(value, dtype, first..end, pixel),
        }
    }
}

/// Stores the channels that there are, one after the other.
#[inline(never)]
fn some(values: __m128i, dtype: DType, channels: Range<usize>, pixel: &mut [u8]) {
    let mut bytes = [0u8; LANES];
    // SAFETY: sixteen bytes are written.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), values) }
    for (channel, byte) in channels.zip(bytes) {
        dtype.set(pixel, channel, i32::from(byte as i8));
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8; VECTOR]) -> __m512i {
    // SAFETY: the array has the bytes that are read, at any alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Rescales of sixteen values: multipliers, halves of the divisors and shifts of the first eight and of the
/// others.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn rescaled(values: __m512i, halves: &[[__m512i; 3]; 2]) -> __m512i {
    let values = wide(values);
    let half = |i: usize| {
        let [multiplier, round, shift] = halves[i];
        let product = _mm512_add_epi64(_mm512_mul_epi32(values[i], multiplier), round);
        _mm512_cvtepi64_epi32(_mm512_srav_epi64(product, shift))
    };
    join(half(0), half(1))
}

/// Sixteen values clamped to a range less the zero point, and the zero point, which then cannot overflow.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn stored(values: __m512i, [least, most]: [__m512i; 2], zero_point: __m512i) -> __m128i {
    let clamped = _mm512_min_epi32(_mm512_max_epi32(values, least), most);
    _mm512_cvtepi32_epi8(_mm512_add_epi32(clamped, zero_point))
}

/// Sixteen words as two vectors of eight.
#[inline]
#[target_feature(enable = "avx512f")]
fn wide(words: __m512i) -> [__m512i; 2] {
    let high = _mm512_extracti64x4_epi64::<1>(words);
    [_mm512_cvtepi32_epi64(_mm512_castsi512_si256(words)), _mm512_cvtepi32_epi64(high)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn join(low: __m256i, high: __m256i) -> __m512i {
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
}

fn bytes(memory: &[i16]) -> &[u8] {
    // SAFETY: twice as many bytes, of any value and alignment.
    unsafe { core::slice::from_raw_parts(memory.as_ptr().cast(), 2 * memory.len()) }
}

fn bytes_mut(memory: &mut [i16]) -> &mut [u8] {
    // SAFETY: as above.
    unsafe { core::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), 2 * memory.len()) }
}
