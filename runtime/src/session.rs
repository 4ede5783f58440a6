//! Runs an artefact: walks its operations over the caller's arena.
//!
//! Takes an int8 image, gives int8 logits. Operations run in the plan's groups, whole or some rows
//! at a time. The kernels are the ones that the caller names; an observer may look at every
//! operation. Nothing is allocated and nothing is kept between runs but the buffers.

mod place;

use core::fmt;
use core::ops::Range;

use crate::artefact::schedule::{Call, Schedule};
use crate::artefact::{AddRecord, Artefact, Fusion, Linear, Op, Plan, replaces};
use crate::crc::Crc32;
use crate::kernels::needs::{self, has};
use crate::kernels::{Add, ConvAdd, Family, Kernel, Kernels, Pool, TensorRef, Window};
use place::{Part, Place, disjoint};

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
    /// The kernels are those of another embedded network.
    Kernels,
    /// The plan and the records contradict each other: ruled out by [`Artefact::open`].
    Plan {
        /// The op at which it was seen.
        op: usize,
    },
}

/// An operation that is about to make some rows of its output, or has made them.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Its place in the execution order.
    pub index: usize,
    /// Its name in the artefact.
    pub name: &'a str,
    /// The operation in the field's terms: `conv2d`.
    pub kind: &'static str,
    /// The name of the add that a convolution computes in its epilogue; `output` is the sum then.
    pub fused: Option<&'a str>,
    /// The rows: all of them where the plan keeps tensors whole. Each row comes once, in order.
    pub rows: Range<usize>,
    /// A view in which these rows can be read; before the operation has run, what lay in the arena.
    pub output: TensorRef<'a>,
}

impl Event<'_> {
    /// Whether the operation has made its last rows with these.
    pub fn is_last(&self) -> bool {
        self.rows.end == self.output.shape.height
    }

    /// Adds the bytes of these rows to a checksum: over all events of an operation it is that of
    /// its whole output.
    pub fn checksum(&self, crc: Crc32) -> Crc32 {
        self.rows.clone().fold(crc, |crc, y| crc.update(self.output.row(y)))
    }
}

/// Looks at every operation: times it, checks its output. Operations of one group take turns.
pub trait Observer {
    /// Whether there is anything to tell it: otherwise no event is put together.
    const LOOKS: bool = true;

    /// The operation is about to make rows.
    fn begin(&mut self, event: &Event<'_>);
    /// The operation has made them.
    fn end(&mut self, event: &Event<'_>);
}

/// Looks at nothing.
impl Observer for () {
    const LOOKS: bool = false;

    fn begin(&mut self, _event: &Event<'_>) {}
    fn end(&mut self, _event: &Event<'_>) {}
}

impl<'a, K: Kernels> Session<'a, K> {
    /// Binds an artefact to kernels and an arena of at least the plan's bytes, 16-aligned.
    pub fn new(artefact: &'a Artefact<'a>, kernels: K, arena: &'a mut [u8]) -> Result<Self, SessionError> {
        Self::planned(artefact, K::FAMILY, kernels, arena)
    }

    /// [`new`](Self::new) under the plan of another family: the same bits, other memory and speed.
    pub fn planned(
        artefact: &'a Artefact<'a>,
        family: Family,
        kernels: K,
        arena: &'a mut [u8],
    ) -> Result<Self, SessionError> {
        let plan = artefact.plan(family).ok_or(SessionError::NoPlan)?;
        if artefact.needs() & !K::NEEDS != 0 {
            return Err(SessionError::Kernels);
        }
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
    #[inline(never)]
    pub fn run_observed<O: Observer>(
        &mut self,
        image: &[i8],
        logits: &mut [i8],
        observer: &mut O,
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
        copy(image.iter().map(|&v| v as u8), self.bytes_of(0)?);
        let (mut first, mut schedule) = (0, Schedule::EMPTY);
        while first < self.artefact.op_count() {
            let fault = |op| move || SessionError::Plan { op };
            schedule.load(self.artefact, &self.plan, first).ok_or_else(fault(first))?;
            while let Some(call) = schedule.next_call() {
                let op = first + call.stage;
                if O::LOOKS {
                    let step = self.step(op, &call).ok_or_else(fault(op))?;
                    observer.begin(&self.event(&step).ok_or_else(fault(op))?);
                }
                self.execute(op, &call).ok_or_else(fault(op))?;
                if O::LOOKS {
                    let step = self.step(op, &call).ok_or_else(fault(op))?;
                    observer.end(&self.event(&step).ok_or_else(fault(op))?);
                }
                schedule.finish(&call);
            }
            first += schedule.stages().len().max(1);
        }
        copy_signed(self.bytes_of(self.artefact.output())?, logits);
        Ok(())
    }

    /// What a call makes and where.
    #[inline(never)]
    fn step(&self, index: usize, call: &Call) -> Option<Step> {
        let choice = self.plan.choice(index)?;
        let fused = choice.fusion == Fusion::WithNext;
        let output = self.place(self.artefact.op(index + usize::from(fused))?.output)?;
        let (kernel, scratch) = (choice.kernel, choice.scratch_range());
        Some(Step { index, fused, kernel, scratch, output, rows: call.rows.clone() })
    }

    /// Makes the rows of a call.
    #[inline(never)]
    fn execute(&mut self, index: usize, call: &Call) -> Option<()> {
        let (record, step) = (self.artefact.op(index), self.step(index, call));
        let (record, step) = (record.as_ref()?, step.as_ref()?);
        let input = self.place(record.input)?;
        match &record.op {
            Op::Conv2d(window, linear) => self.convolve(step, window, linear, &input, false),
            Op::DepthwiseConv2d(window, linear) if has(K::NEEDS, needs::DEPTHWISE) => {
                self.convolve(step, window, linear, &input, true)
            }
            Op::MatMul(linear) => self.multiply(step, linear, &input),
            Op::Add(add) if has(K::NEEDS, needs::ADD) => self.add(step, record.input, add, &input),
            Op::AvgPool2d(window) if has(K::NEEDS, needs::AVG_POOL) => self.pool(step, window, &input, false),
            Op::MaxPool2d(window) if has(K::NEEDS, needs::MAX_POOL) => self.pool(step, window, &input, true),
            _ => None,
        }
    }

    /// A convolution, with the add behind it where the plan fuses them.
    #[inline(never)]
    fn convolve(
        &mut self,
        step: &Step,
        window: &Window,
        linear: &Linear,
        input: &Place,
        depthwise: bool,
    ) -> Option<()> {
        let x = input.part(window.source_rows(step.rows.clone(), input.info.shape.height));
        let y = step.output.part(step.rows.clone());
        let mut addend = 0..0;
        // What is large is used where it was made, never moved: moves take stack.
        let mut add = None;
        if step.fused {
            add = self.fused(step);
            addend = add.as_ref()?.0.bytes.clone();
        }
        let parts = [x.bytes, addend, step.scratch.clone(), y.bytes];
        let [data, addend, scratch, out] = disjoint(self.arena, parts)?;
        let outputs = step.output.info.shape.channels;
        let rows = (&input.info, &*data, x.ring);
        let mut op = self.artefact.conv2d(window, linear, rows, outputs, depthwise);
        let op = op.as_mut()?;
        op.kernel = step.kernel;
        let (rows, out) = (step.rows.clone(), &mut step.output.info.view_mut(out, y.ring));
        match &mut add {
            Some((_, add)) => {
                add.other.data = add.other.data.map(|_| &*addend);
                self.kernels.conv2d_add(op, add, rows, scratch, out);
            }
            None if depthwise && has(K::NEEDS, needs::DEPTHWISE) => {
                self.kernels.depthwise_conv2d(op, rows, scratch, out)
            }
            None => self.kernels.conv2d(op, rows, scratch, out),
        }
        Some(())
    }

    /// The add behind a convolution, and where its other addend lies: that has data unless the sum
    /// replaces it.
    #[inline(never)]
    fn fused<'v>(&self, step: &Step) -> Option<(Part, ConvAdd<'v>)> {
        let (mut add, tensor) = self.artefact.conv_add(step.index)?;
        let other = self.place(tensor)?;
        let here = replaces(self.artefact, &self.plan, step.index, tensor);
        let part = other.part_unless(here, step.rows.clone());
        (add.other.ring, add.other.data) = (part.ring, (!here).then_some(&[][..]));
        Some((part, add))
    }

    /// A dense layer.
    #[inline(never)]
    fn multiply(&mut self, step: &Step, linear: &Linear, input: &Place) -> Option<()> {
        let (x, y) = (input.whole(), step.output.whole());
        let parts = [x.bytes, 0..0, step.scratch.clone(), y.bytes];
        let [data, _, scratch, out] = disjoint(self.arena, parts)?;
        let mut op = self.artefact.matmul(linear, input.info.view(data, x.ring), &step.output.info);
        let op = op.as_mut()?;
        op.kernel = step.kernel;
        self.kernels.matmul(op, scratch, &mut step.output.info.view_mut(out, y.ring));
        Some(())
    }

    /// A pool.
    #[inline(never)]
    fn pool(&mut self, step: &Step, window: &Window, input: &Place, maximum: bool) -> Option<()> {
        let x = input.part(window.source_rows(step.rows.clone(), input.info.shape.height));
        let y = step.output.part(step.rows.clone());
        let [data, _, _, out] = disjoint(self.arena, [x.bytes, 0..0, 0..0, y.bytes])?;
        let op = Pool { input: input.info.view(data, x.ring), window: *window };
        let (rows, out) = (step.rows.clone(), &mut step.output.info.view_mut(out, y.ring));
        if has(K::NEEDS, needs::MAX_POOL) && maximum {
            self.kernels.max_pool2d(&op, rows, out);
        } else {
            self.kernels.avg_pool2d(&op, rows, out);
        }
        Some(())
    }

    /// An add, which may replace one of its inputs or read one tensor twice.
    #[inline(never)]
    fn add(&mut self, step: &Step, first: u16, add: &AddRecord, input: &Place) -> Option<()> {
        let other = self.place(add.other)?;
        let replaced = |tensor| replaces(self.artefact, &self.plan, step.index, tensor);
        let (a_here, b_here) = (replaced(first), replaced(add.other));
        let (a, b) =
            (input.part_unless(a_here, step.rows.clone()), other.part_unless(b_here, step.rows.clone()));
        let y = step.output.part(step.rows.clone());
        let twice = first == add.other;
        let b_bytes = if twice { 0..0 } else { b.bytes };
        let [a_data, b_data, _, out] = disjoint(self.arena, [a.bytes, b_bytes, 0..0, y.bytes])?;
        let (a_data, b_data): (&[u8], &[u8]) = (a_data, b_data);
        let b_data = if twice { a_data } else { b_data };
        let op = Add {
            a: input.addend((!a_here).then_some(a_data), a.ring, add.a),
            b: other.addend((!b_here).then_some(b_data), b.ring, add.b),
            out: add.out,
            min: add.min,
            max: add.max,
        };
        self.kernels.add(&op, step.rows.clone(), &mut step.output.info.view_mut(out, y.ring));
        Some(())
    }

    /// A tensor's description and place.
    fn place(&self, tensor: u16) -> Option<Place> {
        let info = self.artefact.tensor(tensor)?;
        let place = self.plan.placement(usize::from(tensor));
        Some(Place { info, start: place.offset as usize, lines: usize::from(place.lines) })
    }

    /// A whole tensor's bytes in the arena.
    fn bytes_of(&mut self, tensor: u16) -> Result<&mut [u8], SessionError> {
        let range = self.place(tensor).map(|place| place.whole().bytes);
        range.and_then(|range| self.arena.get_mut(range)).ok_or(SessionError::Plan { op: 0 })
    }

    fn event<'e>(&'e self, step: &'e Step) -> Option<Event<'e>> {
        let part = step.output.part(step.rows.clone());
        let output = step.output.info.view(self.arena.get(part.bytes)?, part.ring);
        let record = self.artefact.op(step.index)?;
        let (name, kind) = (self.artefact.name(step.index), record.op.kind());
        let fused = step.fused.then(|| self.artefact.name(step.index + 1));
        Some(Event { index: step.index, name, kind, fused, rows: step.rows.clone(), output })
    }
}

/// Some rows of an operation's output, to be made.
struct Step {
    index: usize,
    /// A convolution computes the add behind it too.
    fused: bool,
    kernel: Kernel,
    scratch: Range<usize>,
    /// What is stored.
    output: Place,
    rows: Range<usize>,
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
            Self::Kernels => f.write_str(
                "the kernels lack what the artefact may need; take all of the family's, or those of the embedded network",
            ),
            Self::Plan { op } => {
                write!(f, "the artefact's plan contradicts its records at op {op}; build it again")
            }
        }
    }
}

impl core::error::Error for SessionError {}
