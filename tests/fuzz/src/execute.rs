//! One input: parsed, described, and run in several ways that must give the same bytes.

use std::fmt;

use fourbit::artefact::Op;
use fourbit::artefact::header::ALIGN;
use fourbit::kernels::{Family, Host, Kernels, Reference, Vectors};
use fourbit::{Artefact, Crc32, Event, Observer, ParseError, Session, SessionError, crc32};
use fourbit_tests::image;

use crate::reseal::Parts;
use crate::spread::spread;

/// Multiply-accumulates of the largest network that is run.
const MAX_WORK: u64 = 300_000;
/// Bytes of the largest arena that is run.
const MAX_ARENA: usize = 1 << 18;
/// Bytes on either side of the arena, and what must stay in them.
const GUARD: usize = 64;
const GUARD_BYTE: u8 = 0xC3;

/// How far an input came.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The parser refused it.
    Refused(ParseError),
    /// It parsed and is too large to be run, or has no plan.
    Skipped,
    /// It ran, and every run gave the same bytes.
    Ran,
}

/// What must not happen.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A run gave other bytes than the first.
    Differs {
        /// Which run.
        run: &'static str,
        /// The first operation whose output differs.
        op: usize,
    },
    /// A byte outside the arena was written.
    Outside,
    /// A session refused what the parser accepted.
    Session(SessionError),
    /// The parser accepted the file and refuses it with a plan in which no tensors share memory.
    Spread(ParseError),
}

/// The buffers that every input uses.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    file: Vec<u8>,
    spread: Vec<u8>,
    arena: Vec<u8>,
}

/// What a run gave: per operation the CRC of the output that is stored (none for one whose add is
/// computed with it, or that was), and of the logits.
#[derive(Debug, Default, PartialEq)]
struct Trace {
    outputs: Vec<Option<Crc32>>,
    logits: u32,
}

impl Observer for Trace {
    fn begin(&mut self, _event: &Event<'_>) {}

    fn end(&mut self, event: &Event<'_>) {
        let stored = event.index + usize::from(event.fused.is_some());
        self.outputs.resize(self.outputs.len().max(stored + 1), None);
        let before = self.outputs[stored].unwrap_or_default();
        self.outputs[stored] = Some(event.checksum(before));
    }
}

impl Machine {
    /// Empty buffers.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Parses a file that lies `start` bytes behind a multiple of 16, and runs what parses.
    pub(crate) fn execute(&mut self, input: &[u8], start: usize) -> Result<Outcome, Fault> {
        let file = aligned(&mut self.file, start + input.len());
        file[start..].copy_from_slice(input);
        let artefact = match Artefact::parse(&file[start..]) {
            Ok(artefact) => artefact,
            Err(error) => return Ok(Outcome::Refused(error)),
        };
        describe(&artefact);
        let fits = |family| artefact.header().arena_bytes(family) <= MAX_ARENA;
        if work(&artefact) > MAX_WORK || !Family::ALL.into_iter().all(fits) {
            return Ok(Outcome::Skipped);
        }
        let mut parts = Parts::of(input);
        let arena_bytes = spread(&mut parts, Family::Portable);
        if arena_bytes > MAX_ARENA {
            return Ok(Outcome::Skipped);
        }
        let other = parts.join();
        let file = aligned(&mut self.spread, other.len());
        file.copy_from_slice(&other);
        let apart = Artefact::parse(file).map_err(Fault::Spread)?;
        let expected = run(&apart, Reference, &mut self.arena, 0x00)?;

        let mut weights = vec![0; Host::weights_len(&artefact)];
        let mut patch = vec![0; Host::patch_len(&artefact)];
        let mut ran = false;
        if artefact.plan(Family::Portable).is_some() {
            let found = run(&artefact, Reference, &mut self.arena, 0xFF)?;
            compare("the reference under the file's plan", &expected, &found)?;
            ran = true;
        }
        for family in [Family::Armv7em, Family::Mve] {
            if artefact.plan(family).is_some() {
                let found = run_planned(&artefact, family, Reference, &mut self.arena, 0xA5)?;
                compare("the reference under another family's plan", &expected, &found)?;
                ran = true;
            }
        }
        if artefact.plan(Family::Host).is_some() {
            for vectors in Vectors::ALL.into_iter().filter(|&vectors| vectors <= Host::vectors(&artefact)) {
                Host::unpack(&artefact, vectors, &mut weights);
                let host = Host::new(vectors, &weights, &mut patch);
                let found = run(&artefact, host, &mut self.arena, 0x5A)?;
                compare("the simulator under the file's plan", &expected, &found)?;
            }
            ran = true;
        }
        Ok(if ran { Outcome::Ran } else { Outcome::Skipped })
    }
}

/// So many bytes at a multiple of 16.
fn aligned(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    buffer.resize(length + ALIGN, 0);
    let start = buffer.as_ptr().addr().next_multiple_of(ALIGN) - buffer.as_ptr().addr();
    &mut buffer[start..start + length]
}

/// Reads everything that is there for people.
fn describe(artefact: &Artefact<'_>) {
    let letters: usize = (0..artefact.op_count()).map(|index| artefact.name(index).chars().count()).sum();
    std::hint::black_box(letters + artefact.labels().count() + artefact.card().chars().count());
}

/// Multiply-accumulates, or the like, of a network.
fn work(artefact: &Artefact<'_>) -> u64 {
    let ops = (0..artefact.op_count()).filter_map(|index| artefact.op(index));
    let each = ops.map(|record| {
        let shape = |tensor| {
            artefact.tensor(tensor).map_or((0, 0, 0), |info| {
                let shape = info.shape;
                (shape.pixels() as u64, shape.channels as u64, shape.elements() as u64)
            })
        };
        let ((pixels, channels, elements), (rows, _, outputs)) = (shape(record.input), shape(record.output));
        let per_output = match record.op {
            Op::Conv2d(window, _) => channels * (window.kernel[0] * window.kernel[1]) as u64,
            Op::DepthwiseConv2d(window, _) | Op::AvgPool2d(window) | Op::MaxPool2d(window) => {
                (window.kernel[0] * window.kernel[1]) as u64
            }
            Op::MatMul(_) => {
                if pixels == rows {
                    channels
                } else {
                    elements
                }
            }
            Op::Add(_) => 1,
        };
        outputs.saturating_mul(per_output)
    });
    each.fold(0, u64::saturating_add)
}

/// Runs a network under the kernels' own plan.
fn run<K: Kernels>(
    artefact: &Artefact<'_>,
    kernels: K,
    memory: &mut Vec<u8>,
    content: u8,
) -> Result<Trace, Fault> {
    run_planned(artefact, K::FAMILY, kernels, memory, content)
}

/// Runs a network under a family's plan between guards over an arena of `content`.
fn run_planned<K: Kernels>(
    artefact: &Artefact<'_>,
    family: Family,
    kernels: K,
    memory: &mut Vec<u8>,
    content: u8,
) -> Result<Trace, Fault> {
    let header = artefact.header();
    let memory = aligned(memory, header.arena_bytes(family) + 2 * GUARD);
    let (before, rest) = memory.split_at_mut(GUARD);
    let (arena, after) = rest.split_at_mut(rest.len() - GUARD);
    before.fill(GUARD_BYTE);
    arena.fill(content);
    after.fill(GUARD_BYTE);
    let mut image = vec![0; header.input_shape.elements()];
    image::noise(1, &mut image);
    let mut logits = vec![0; header.logits.into()];
    let mut trace = Trace::default();
    let session = Session::planned(artefact, family, kernels, arena);
    let mut session = session.map_err(Fault::Session)?;
    session.run_observed(&image, &mut logits, &mut trace).map_err(Fault::Session)?;
    if before.iter().chain(after.iter()).any(|&byte| byte != GUARD_BYTE) {
        return Err(Fault::Outside);
    }
    let bytes: Vec<u8> = logits.iter().map(|&logit| logit as u8).collect();
    trace.logits = crc32(&bytes);
    Ok(trace)
}

/// The first run stored every output.
fn compare(run: &'static str, expected: &Trace, found: &Trace) -> Result<(), Fault> {
    let outputs = expected.outputs.iter().zip(&found.outputs);
    let differs = |(expected, found): (&Option<Crc32>, &Option<Crc32>)| found.is_some() && found != expected;
    match outputs.into_iter().position(differs) {
        Some(op) => Err(Fault::Differs { run, op }),
        None if expected.logits == found.logits => Ok(()),
        None => Err(Fault::Differs { run, op: found.outputs.len() }),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { run, op } => write!(f, "from op {op} on, {run} gives other bytes"),
            Self::Outside => f.write_str("bytes outside the arena were written"),
            Self::Session(error) => write!(f, "it parsed and a session refuses it: {error}"),
            Self::Spread(error) => write!(f, "it parsed, and not with tensors side by side: {error}"),
        }
    }
}
