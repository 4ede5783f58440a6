//! Runs an artefact: walks its operations over the caller's arena.
//!
//! Takes an int8 image, gives int8 logits. The kernels are the ones that the caller names; an
//! observer may look at every operation. Nothing is allocated and nothing is kept between runs
//! but the buffers.

use core::fmt;
use core::ops::Range;

use crate::artefact::{Artefact, Op, OpRecord, Plan, TensorInfo};
use crate::kernels::{Add, Addend, Kernels, Pool, TensorMut, TensorRef};

/// A network ready to run: artefact, kernels, arena.
#[derive(Debug)]
pub struct Session<'a, K> {
    artefact: &'a Artefact<'a>,
    plan: Plan<'a>,
    kernels: K,
    arena: &'a mut [u8],
}

/// A buffer of the caller's that does not fit the artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SessionError {
    /// The arena has fewer bytes than the plan needs.
    ArenaTooSmall {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The arena does not start at a multiple of 16.
    ArenaMisaligned,
    /// The artefact has no plan for these kernels.
    NoPlan,
    /// The image has another number of values than the network's input.
    Image {
        /// Values needed.
        need: usize,
        /// Values given.
        have: usize,
    },
    /// The buffer for the logits has another length than the network's output.
    Logits {
        /// Values needed.
        need: usize,
        /// Values given.
        have: usize,
    },
    /// The plan and the records contradict each other: ruled out by [`Artefact::open`].
    Plan {
        /// The op at which it was seen.
        op: usize,
    },
}

/// An operation that is about to run or has run.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Its place in the execution order.
    pub index: usize,
    /// Its name in the artefact.
    pub name: &'a str,
    /// The operation in the field's terms: `conv2d`.
    pub kind: &'static str,
    /// Its output; before the operation has run, what lay in the arena.
    pub output: TensorRef<'a>,
}

/// Looks at every operation: times it, checks its output.
pub trait Observer {
    /// The operation is about to run.
    fn begin(&mut self, event: &Event<'_>);
    /// The operation has run.
    fn end(&mut self, event: &Event<'_>);
}

/// Looks at nothing.
impl Observer for () {
    fn begin(&mut self, _event: &Event<'_>) {}
    fn end(&mut self, _event: &Event<'_>) {}
}

impl<'a, K: Kernels> Session<'a, K> {
    /// Binds an artefact to kernels and an arena of at least the plan's bytes, 16-aligned.
    pub fn new(artefact: &'a Artefact<'a>, kernels: K, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        let plan = artefact.plan(K::FAMILY).ok_or(SessionError::NoPlan)?;
        let (need, have) = (plan.arena_bytes(), arena.len());
        if have < need {
            return Err(SessionError::ArenaTooSmall { need, have });
        }
        if !arena.as_ptr().addr().is_multiple_of(crate::artefact::header::ALIGN) {
            return Err(SessionError::ArenaMisaligned);
        }
        Ok(Self { artefact, plan, kernels, arena })
    }

    /// Runs the network: `image` is NHWC int8 (`pixel - 128`), `logits` one value per class.
    pub fn run(&mut self, image: &[i8], logits: &mut [i8]) -> Result<(), SessionError> {
        self.run_observed(image, logits, &mut ())
    }

    /// [`run`](Self::run), with an observer around every operation.
    pub fn run_observed(
        &mut self,
        image: &[i8],
        logits: &mut [i8],
        observer: &mut impl Observer,
    ) -> Result<(), SessionError> {
        let header = self.artefact.header();
        let (need, have) = (header.input_shape.elements(), image.len());
        if need != have {
            return Err(SessionError::Image { need, have });
        }
        let (need, have) = (usize::from(header.logits), logits.len());
        if need != have {
            return Err(SessionError::Logits { need, have });
        }
        let (input, output) = (header.input, header.output);
        copy(image.iter().map(|&v| v as u8), self.bytes_of(input)?);
        for index in 0..self.artefact.op_count() {
            let op = self.artefact.op(index).ok_or(SessionError::Plan { op: index })?;
            if let Some(event) = self.event(index, &op) {
                observer.begin(&event);
            }
            self.step(index, &op).ok_or(SessionError::Plan { op: index })?;
            if let Some(event) = self.event(index, &op) {
                observer.end(&event);
            }
        }
        copy_signed(self.bytes_of(output)?, logits);
        Ok(())
    }

    /// Runs one operation.
    fn step(&mut self, index: usize, record: &OpRecord) -> Option<()> {
        let input = self.place(record.input)?;
        let output = self.place(record.output)?;
        let choice = self.plan.choice(index);
        let scratch = if choice.scratch_bytes == 0 { 0..0 } else { choice.scratch_range() };
        match &record.op {
            Op::Conv2d(window, linear) => {
                let [x, scratch, y] =
                    self.arena.get_disjoint_mut([input.range(), scratch, output.range()]).ok()?;
                let outputs = output.info.shape.channels;
                let op = self.artefact.conv2d(*window, linear, input.view(x), outputs, false)?;
                self.kernels.conv2d(&op, scratch, &mut output.view_mut(y));
            }
            Op::DepthwiseConv2d(window, linear) => {
                let [x, scratch, y] =
                    self.arena.get_disjoint_mut([input.range(), scratch, output.range()]).ok()?;
                let outputs = output.info.shape.channels;
                let op = self.artefact.conv2d(*window, linear, input.view(x), outputs, true)?;
                self.kernels.depthwise_conv2d(&op, scratch, &mut output.view_mut(y));
            }
            Op::MatMul(linear) => {
                let [x, scratch, y] =
                    self.arena.get_disjoint_mut([input.range(), scratch, output.range()]).ok()?;
                let op = self.artefact.matmul(linear, input.view(x), &output.info)?;
                self.kernels.matmul(&op, scratch, &mut output.view_mut(y));
            }
            Op::Add(add) => {
                let other = self.place(add.other)?;
                let (a, b) = (input.range_unless(&output), other.range_unless(&output));
                let (a, b, y) = addends(self.arena, a, b, output.range())?;
                let addend = |data, place: &Place, rescale| Addend {
                    data,
                    dtype: place.info.dtype,
                    zero_point: i32::from(place.info.zero_point),
                    rescale,
                };
                let (a, b) = (addend(a, &input, add.a), addend(b, &other, add.b));
                let op = Add { a, b, out: add.out, min: add.min, max: add.max };
                self.kernels.add(&op, &mut output.view_mut(y));
            }
            Op::AvgPool2d(window) => {
                let [x, y] = self.arena.get_disjoint_mut([input.range(), output.range()]).ok()?;
                let op = Pool { input: input.view(x), window: *window };
                self.kernels.avg_pool2d(&op, &mut output.view_mut(y));
            }
            Op::MaxPool2d(window) => {
                let [x, y] = self.arena.get_disjoint_mut([input.range(), output.range()]).ok()?;
                let op = Pool { input: input.view(x), window: *window };
                self.kernels.max_pool2d(&op, &mut output.view_mut(y));
            }
        }
        Some(())
    }

    /// A tensor's description and place.
    fn place(&self, tensor: u16) -> Option<Place> {
        let info = self.artefact.tensor(tensor)?;
        Some(Place { info, start: self.plan.placement(usize::from(tensor)).offset as usize })
    }

    /// A tensor's bytes in the arena.
    fn bytes_of(&mut self, tensor: u16) -> Result<&mut [u8], SessionError> {
        let range = self.place(tensor).map(|place| place.range());
        range.and_then(|range| self.arena.get_mut(range)).ok_or(SessionError::Plan { op: 0 })
    }

    fn event<'e>(&'e self, index: usize, record: &OpRecord) -> Option<Event<'e>> {
        let place = self.place(record.output)?;
        let output = place.view(self.arena.get(place.range())?);
        Some(Event { index, name: self.artefact.name(record), kind: record.op.kind(), output })
    }
}

/// A tensor and where it lies in the arena.
struct Place {
    info: TensorInfo,
    start: usize,
}

impl Place {
    fn range(&self) -> Range<usize> {
        self.start..self.start.saturating_add(self.info.bytes())
    }

    /// The tensor's bytes, unless the output replaces them.
    fn range_unless(&self, output: &Place) -> Option<Range<usize>> {
        (self.range() != output.range()).then(|| self.range())
    }

    fn view<'v>(&self, data: &'v [u8]) -> TensorRef<'v> {
        let TensorInfo { shape, dtype, zero_point, .. } = self.info;
        TensorRef { data, shape, dtype, zero_point: i32::from(zero_point) }
    }

    fn view_mut<'v>(&self, data: &'v mut [u8]) -> TensorMut<'v> {
        let TensorInfo { shape, dtype, zero_point, .. } = self.info;
        TensorMut { data, shape, dtype, zero_point: i32::from(zero_point) }
    }
}

/// The bytes of an add's inputs (none for one that the output replaces) and output.
type AddBytes<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a mut [u8]);

fn addends(
    arena: &mut [u8],
    a: Option<Range<usize>>,
    b: Option<Range<usize>>,
    y: Range<usize>,
) -> Option<AddBytes<'_>> {
    match (a, b) {
        (Some(a), Some(b)) if a == b => {
            let [x, y] = arena.get_disjoint_mut([a, y]).ok()?;
            Some((Some(x), Some(x), y))
        }
        (Some(a), Some(b)) => {
            let [a, b, y] = arena.get_disjoint_mut([a, b, y]).ok()?;
            Some((Some(a), Some(b), y))
        }
        (Some(a), None) => {
            let [a, y] = arena.get_disjoint_mut([a, y]).ok()?;
            Some((Some(a), None, y))
        }
        (None, Some(b)) => {
            let [b, y] = arena.get_disjoint_mut([b, y]).ok()?;
            Some((None, Some(b), y))
        }
        (None, None) => None,
    }
}

fn copy(from: impl Iterator<Item = u8>, to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

fn copy_signed(from: &[u8], to: &mut [i8]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from as i8;
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArenaTooSmall { need, have } => {
                write!(f, "the arena has {have} bytes and the network needs {need}; give it a larger one")
            }
            Self::ArenaMisaligned => {
                f.write_str("the arena does not start at a multiple of 16; put it at an aligned address")
            }
            Self::NoPlan => {
                f.write_str("the artefact has no plan for these kernels; compile it for this board")
            }
            Self::Image { need, have } => {
                write!(f, "the image has {have} values and the network takes {need}; resize it first")
            }
            Self::Logits { need, have } => {
                write!(f, "the logits have {have} values and the network gives {need}; give as many")
            }
            Self::Plan { op } => {
                write!(f, "the artefact's plan contradicts its records at op {op}; build it again")
            }
        }
    }
}

impl core::error::Error for SessionError {}
