//! The artefact: one file with a network's operations, weights and plans, read in place.
//!
//! The format is written down in `docs/artefact-format.md`. [`Artefact::open`] checks everything
//! once; after it only a caller's buffer can be of the wrong size.

mod check;
mod error;
mod follow;
pub mod header;
mod op;
mod plan;
pub mod schedule;
mod tensor;

pub(crate) use follow::replaces;

pub use error::{OpProblem, ParseError, PlanProblem};
pub use header::{Aligned, Header, HeaderError, Section, Verified};
pub use op::{AddRecord, Linear, OP_BYTES, Op, OpRecord};
pub use plan::{CHOICE_BYTES, Choice, Fusion, PLACEMENT_BYTES, PLAN_HEAD_BYTES, Placement, Plan};
pub use tensor::{TENSOR_BYTES, TensorInfo};

use crate::kernels::{Conv2d, Epilogue, Family, Filter, Kernel, LinearSpec, MatMul, Ring, TensorRef, Window};
use crate::layout::FilterShape;
use header::{ALIGN, kind};

/// A checked artefact: views into the caller's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Artefact<'a> {
    header: Header,
    tensors: &'a [u8],
    ops: &'a [u8],
    weights: &'a [u8],
    channels: &'a [u8],
    names: &'a [u8],
    labels: &'a str,
    card: &'a str,
    plans: [Option<Plan<'a>>; Family::ALL.len()],
}

impl<'a> Artefact<'a> {
    /// Checks CRCs and content of a file in memory, which must start at a multiple of 16.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::open(Verified::new(bytes).map_err(ParseError::Header)?)
    }

    /// Checks the content of a file whose CRCs are known to be good.
    pub fn open(verified: Verified<'a>) -> Result<Self, ParseError> {
        if !verified.bytes().as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(ParseError::Misaligned);
        }
        let artefact = Self::sections(verified)?;
        check::check(&artefact)?;
        Ok(artefact)
    }

    /// Finds the sections; their content is not checked yet.
    fn sections(verified: Verified<'a>) -> Result<Self, ParseError> {
        let (bytes, header) = (verified.bytes(), *verified.header());
        let mut artefact = Self {
            header,
            tensors: &[],
            ops: &[],
            weights: &[],
            channels: &[],
            names: &[],
            labels: "",
            card: "",
            plans: [None; Family::ALL.len()],
        };
        for index in 0..header.sections {
            let section = Section::read(bytes, index);
            let content = section.content(bytes);
            let text = || core::str::from_utf8(content).map_err(|_| ParseError::Text { kind: section.kind });
            match (section.kind, section.tag) {
                (kind::TENSORS, 0) => artefact.tensors = content,
                (kind::OPS, 0) => artefact.ops = content,
                (kind::WEIGHTS, 0) => artefact.weights = content,
                (kind::CHANNELS, 0) => artefact.channels = content,
                (kind::NAMES, 0) => artefact.names = content,
                (kind::LABELS, 0) => artefact.labels = text()?,
                (kind::CARD, 0) => artefact.card = text()?,
                (kind::PLAN, _) => {}
                (kind, _) if kind >= 0x8000 => {}
                (kind, _) => return Err(ParseError::UnknownSection { kind }),
            }
        }
        for index in 0..header.sections {
            let section = Section::read(bytes, index);
            let Some(family) = Family::from_code(section.tag).filter(|_| section.kind == kind::PLAN) else {
                continue;
            };
            let plan = Plan::new(section.content(bytes), artefact.tensor_count(), artefact.op_count())
                .ok_or(ParseError::Plan { family, problem: PlanProblem::Length })?;
            if let Some(slot) = artefact.plans.get_mut(family as usize) {
                *slot = Some(plan);
            }
        }
        Ok(artefact)
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len() / TENSOR_BYTES
    }

    /// Number of operations.
    pub fn op_count(&self) -> usize {
        self.ops.len() / OP_BYTES
    }

    /// A tensor's description.
    pub fn tensor(&self, index: u16) -> Option<TensorInfo> {
        let at = usize::from(index) * TENSOR_BYTES;
        TensorInfo::decode(self.tensors.get(at..at + TENSOR_BYTES)?)
    }

    /// An operation's description, in execution order.
    pub fn op(&self, index: usize) -> Option<OpRecord> {
        let at = index.checked_mul(OP_BYTES)?;
        OpRecord::decode(self.ops.get(at..at.checked_add(OP_BYTES)?)?)
    }

    /// An operation's name, for people; empty where the file has none.
    pub fn name(&self, op: &OpRecord) -> &'a str {
        let tail = self.names.get(usize::from(op.name)..).unwrap_or(&[]);
        let name = tail.split_first().and_then(|(&length, rest)| rest.get(..usize::from(length)));
        name.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or("")
    }

    /// Class names in the order of the logits; none where the file has none.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.labels.lines()
    }

    /// Free text about the network.
    pub fn card(&self) -> &'a str {
        self.card
    }

    /// The weights section.
    pub fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// The plan for a kernel family.
    pub fn plan(&self, family: Family) -> Option<Plan<'a>> {
        self.plans.get(family as usize).copied().flatten()
    }

    /// Where the filter of a linear operation ends in the weights section.
    #[cfg(feature = "host")]
    pub(crate) fn filter_end(&self, index: usize) -> Option<usize> {
        let filter = self.filter_of(&self.op(index)?)?;
        Some(filter.offset + filter.data.len())
    }

    /// The filter that an operation reads; `None` for one without.
    pub fn filter_of(&self, record: &OpRecord) -> Option<Filter<'a>> {
        let (input, output) = (self.tensor(record.input)?, self.tensor(record.output)?);
        let view = input.view(&[], Ring::whole(0));
        let outputs = output.shape.channels;
        match &record.op {
            Op::Conv2d(window, linear) => Some(self.conv2d(*window, linear, view, outputs, false)?.filter),
            Op::DepthwiseConv2d(window, linear) => {
                Some(self.conv2d(*window, linear, view, outputs, true)?.filter)
            }
            Op::MatMul(linear) => Some(self.matmul(linear, view, &output)?.filter),
            Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => None,
        }
    }

    /// The constants of a linear operation's epilogue; `None` for another.
    pub fn epilogue_of(&self, record: &OpRecord) -> Option<Epilogue<'a>> {
        match &record.op {
            Op::Conv2d(_, linear) | Op::DepthwiseConv2d(_, linear) | Op::MatMul(linear) => {
                self.epilogue(linear, self.tensor(record.output)?.shape.channels)
            }
            Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => None,
        }
    }

    /// The filter of a linear operation with so many outputs, taps and inputs.
    fn filter(&self, linear: &Linear, shape: FilterShape) -> Option<Filter<'a>> {
        let offset = linear.weights as usize;
        let bytes = linear.layout.checked_bytes(shape, linear.bits)?;
        let data = self.weights.get(offset..offset.checked_add(bytes)?)?;
        Some(Filter { data, shape, bits: linear.bits, layout: linear.layout, offset })
    }

    /// The per-channel constants of a linear operation.
    fn epilogue(&self, linear: &Linear, outputs: usize) -> Option<Epilogue<'a>> {
        let start = linear.channels as usize;
        let words = outputs.checked_mul(4)?;
        let constants = self.channels.get(start..)?;
        let (bias, rest) = constants.split_at_checked(words)?;
        let (multiplier, rest) = rest.split_at_checked(words)?;
        let shift = rest.get(..outputs)?;
        Some(Epilogue { bias, multiplier, shift, min: linear.min, max: linear.max })
    }

    /// Arguments of a convolution; `depthwise` filters have one input channel.
    pub(crate) fn conv2d(
        &self,
        window: Window,
        linear: &Linear,
        input: TensorRef<'a>,
        outputs: usize,
        depthwise: bool,
    ) -> Option<Conv2d<'a>> {
        let taps = window.kernel[0].checked_mul(window.kernel[1])?;
        let inputs = if depthwise { 1 } else { input.shape.channels };
        let filter = self.filter(linear, FilterShape { outputs, taps, inputs })?;
        Some(Conv2d {
            input,
            filter,
            epilogue: self.epilogue(linear, outputs)?,
            window,
            kernel: Kernel::Direct,
        })
    }

    /// Arguments of a matrix product. The columns are the input's channels where the output has
    /// the input's positions, otherwise the whole input, flattened.
    pub(crate) fn matmul(
        &self,
        linear: &Linear,
        input: TensorRef<'a>,
        output: &TensorInfo,
    ) -> Option<MatMul<'a>> {
        let rowwise = input.shape.pixels() == output.shape.pixels();
        let flattens = input.dtype.bits() == 8 || input.shape.channels.is_multiple_of(2);
        let (rows, columns) = match (rowwise, output.shape.pixels()) {
            (true, pixels) => (pixels, input.shape.channels),
            (false, 1) if flattens => (1, input.shape.elements()),
            _ => return None,
        };
        let outputs = output.shape.channels;
        let filter = self.filter(linear, FilterShape { outputs, taps: 1, inputs: columns })?;
        Some(MatMul {
            input: input.data,
            dtype: input.dtype,
            zero_point: input.zero_point,
            rows,
            filter,
            epilogue: self.epilogue(linear, outputs)?,
            kernel: Kernel::Direct,
        })
    }

    /// What decides the kernels of a linear operation and their scratch; `output` is the tensor
    /// that is stored. `None` for an operation without weights.
    pub fn linear_spec(&self, record: &OpRecord, output: u16) -> Option<LinearSpec> {
        let (window, linear) = match &record.op {
            Op::Conv2d(window, linear) | Op::DepthwiseConv2d(window, linear) => (*window, linear),
            Op::MatMul(linear) => (Window { kernel: [1; 2], stride: [1; 2], padding: [0; 4] }, linear),
            Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => return None,
        };
        let (input, output) = (self.tensor(record.input)?, self.tensor(output)?);
        Some(LinearSpec {
            depthwise: matches!(record.op, Op::DepthwiseConv2d(..)),
            window,
            filter: self.filter_of(record)?.shape,
            bits: linear.bits,
            layout: linear.layout,
            input: (input.shape, input.dtype),
            output: (output.shape, output.dtype),
        })
    }
}
