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
pub use header::{Aligned, Header, HeaderError, Section, Sections, Verified};
pub use op::{AddRecord, Linear, OP_BYTES, Op, OpRecord};
pub use plan::{
    CHOICE_BYTES, Choice, Fusion, MAX_ARENA, MAX_LINES, MAX_SCRATCH, PLACEMENT_BYTES, Placement, Plan,
};
pub use tensor::{TENSOR_BYTES, TensorInfo};

use crate::kernels::{
    Addend, Conv2d, ConvAdd, Epilogue, Family, Filter, Kernel, LinearSpec, MatMul, Ring, TensorRef, Window,
    needs,
};
use crate::layout::FilterShape;
use crate::shape::{DType, Shape};
use header::{ALIGN, kind};

/// A checked artefact: views into the caller's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Artefact<'a> {
    header: Header,
    bytes: &'a [u8],
    tensors: &'a [[u8; TENSOR_BYTES]],
    ops: &'a [[u8; OP_BYTES]],
    weights: &'a [u8],
    channels: &'a [u8],
    needs: u32,
}

impl<'a> Artefact<'a> {
    /// Checks CRCs and content of a file in memory, which must start at a multiple of 16.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::open(Verified::new(bytes).map_err(ParseError::Header)?)
    }

    /// Checks the content of a file whose CRCs are known to be good.
    #[inline(never)]
    pub fn open(verified: Verified<'a>) -> Result<Self, ParseError> {
        if !verified.bytes().as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(ParseError::Misaligned);
        }
        let artefact = Self::views(verified, needs::ALL);
        check::check(&artefact)?;
        Ok(artefact)
    }

    /// The sections of a file whose content is known to be good.
    pub(crate) const fn views(verified: Verified<'a>, needs: u32) -> Self {
        let (bytes, header) = (verified.bytes(), *verified.header());
        let whole = Self { header, bytes, tensors: &[], ops: &[], weights: &[], channels: &[], needs };
        Self {
            tensors: whole.known(kind::TENSORS).as_chunks().0,
            ops: whole.known(kind::OPS).as_chunks().0,
            weights: whole.known(kind::WEIGHTS),
            channels: whole.known(kind::CHANNELS),
            ..whole
        }
    }

    /// The content of a section of which there is one at most; empty where the file has none.
    const fn known(&self, kind: u16) -> &'a [u8] {
        match self.section(kind, 0) {
            Some(content) => content,
            None => &[],
        }
    }

    /// What kernels must have for it: everything, but for a network that a firmware embeds.
    pub(crate) fn needs(&self) -> u32 {
        self.needs
    }

    /// The content of a section; `None` where the file has none.
    #[inline(never)]
    const fn section(&self, kind: u16, tag: u16) -> Option<&'a [u8]> {
        let mut sections = self.sections();
        while let Some(section) = sections.take_next() {
            if section.kind == kind && section.tag == tag {
                return Some(section.content(self.bytes));
            }
        }
        None
    }

    const fn sections(&self) -> Sections<'a> {
        Sections::new(self.bytes, self.header.sections)
    }

    /// The content of a text section; empty where the file has none.
    fn text(&self, kind: u16) -> &'a str {
        self.section(kind, 0).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or("")
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// Number of operations.
    pub fn op_count(&self) -> usize {
        self.ops.len()
    }

    /// A tensor's description.
    #[inline(never)]
    pub fn tensor(&self, index: u16) -> Option<TensorInfo> {
        TensorInfo::decode(self.tensors.get(usize::from(index))?)
    }

    /// An operation's description, in execution order.
    #[inline(never)]
    pub fn op(&self, index: usize) -> Option<OpRecord> {
        OpRecord::decode(self.ops.get(index)?, index)
    }

    /// The tensor that holds the logits: the last operation's.
    pub fn output(&self) -> u16 {
        self.ops.len() as u16
    }

    /// The first and the last operation during which a tensor must keep its content: from the one that writes
    /// it, for the image from the first, to the last that reads it, for the logits to the last of all.
    pub fn lifetime(&self, tensor: u16) -> (usize, usize) {
        let first = usize::from(tensor.saturating_sub(1));
        let reads = |&index: &usize| self.op(index).is_some_and(|op| op.inputs().any(|read| read == tensor));
        let last = (first..self.ops.len()).rev().find(reads);
        (first, last.unwrap_or(first))
    }

    /// An operation's name, for people; empty where the file has none.
    pub fn name(&self, index: usize) -> &'a str {
        let (mut names, mut before) = (self.section(kind::NAMES, 0).unwrap_or(&[]), index);
        while let Some((&length, rest)) = names.split_first() {
            let Some((name, behind)) = rest.split_at_checked(length.into()) else { break };
            if before == 0 {
                return core::str::from_utf8(name).unwrap_or("");
            }
            (names, before) = (behind, before - 1);
        }
        ""
    }

    /// Class names in the order of the logits; none where the file has none.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text(kind::LABELS).lines()
    }

    /// Free text about the network.
    pub fn card(&self) -> &'a str {
        self.text(kind::CARD)
    }

    /// The weights section.
    pub fn weights(&self) -> &'a [u8] {
        self.weights
    }

    /// The plan for a kernel family.
    pub fn plan(&self, family: Family) -> Option<Plan<'a>> {
        let content = self.section(kind::PLAN, family as u16)?;
        Plan::new(content, self.header.arena_bytes(family), self.tensors)
    }

    /// The filter that an operation reads; `None` for one without.
    pub fn filter_of(&self, record: &OpRecord) -> Option<Filter<'a>> {
        self.filter(record.op.linear()?, self.filter_shape(record)?)
    }

    /// The extents of the filter that an operation reads.
    fn filter_shape(&self, record: &OpRecord) -> Option<FilterShape> {
        let (input, output) = (self.tensor(record.input)?, self.tensor(record.output)?);
        let (taps, inputs) = match &record.op {
            Op::Conv2d(window, _) => (window.taps()?, input.shape.channels),
            Op::DepthwiseConv2d(window, _) => (window.taps()?, 1),
            Op::MatMul(_) => (1, rows_and_columns(input.shape, input.dtype, &output)?.1),
            Op::Add(_) | Op::AvgPool2d(_) | Op::MaxPool2d(_) => return None,
        };
        Some(FilterShape { outputs: output.shape.channels, taps, inputs })
    }

    /// The constants of a linear operation's epilogue; `None` for another.
    pub fn epilogue_of(&self, record: &OpRecord) -> Option<Epilogue<'a>> {
        self.epilogue(record.op.linear()?, self.tensor(record.output)?.shape.channels)
    }

    /// The filter of a linear operation with so many outputs, taps and inputs.
    #[inline(never)]
    fn filter(&self, linear: &Linear, shape: FilterShape) -> Option<Filter<'a>> {
        let offset = linear.weights as usize;
        let bytes = linear.layout.checked_bytes(shape, linear.bits)?;
        let data = self.weights.get(offset..offset.checked_add(bytes)?)?;
        Some(Filter { data, shape, bits: linear.bits, layout: linear.layout, offset })
    }

    /// The per-channel constants of a linear operation.
    #[inline(never)]
    fn epilogue(&self, linear: &Linear, outputs: usize) -> Option<Epilogue<'a>> {
        let start = linear.channels as usize;
        let words = outputs.checked_mul(4)?;
        let constants = self.channels.get(start..)?;
        let (bias, rest) = constants.split_at_checked(words)?;
        let (multiplier, rest) = rest.split_at_checked(words)?;
        let shift = rest.get(..outputs)?;
        Some(Epilogue { bias, multiplier, shift, min: linear.min, max: linear.max })
    }

    /// Arguments of a convolution of some rows of `input`; `depthwise` filters have one input channel.
    #[inline(never)]
    pub(crate) fn conv2d(
        &self,
        window: &Window,
        linear: &Linear,
        (input, data, ring): (&TensorInfo, &'a [u8], Ring),
        outputs: usize,
        depthwise: bool,
    ) -> Option<Conv2d<'a>> {
        let taps = window.taps()?;
        let inputs = if depthwise { 1 } else { input.shape.channels };
        let filter = self.filter(linear, FilterShape { outputs, taps, inputs })?;
        Some(Conv2d {
            input: input.view(data, ring),
            filter,
            epilogue: self.epilogue(linear, outputs)?,
            window: *window,
            kernel: Kernel::Direct,
        })
    }

    /// The add that convolution `index` computes too, its other addend without data, and that one's tensor.
    #[inline(never)]
    pub(crate) fn conv_add<'v>(&self, index: usize) -> Option<(ConvAdd<'v>, u16)> {
        let convolution = self.op(index)?.output;
        let record = self.op(index + 1)?;
        let Op::Add(add) = &record.op else { return None };
        let first = record.input == convolution;
        let (own, others, tensor) =
            if first { (add.a, add.b, add.other) } else { (add.b, add.a, record.input) };
        let (convolved, other) = (self.tensor(convolution)?, self.tensor(tensor)?);
        let other = Addend {
            data: None,
            ring: Ring { first: 0, lines: other.shape.height },
            dtype: other.dtype,
            zero_point: i32::from(other.zero_point),
            rescale: others,
        };
        let zero_point = i32::from(convolved.zero_point);
        let add = ConvAdd { zero_point, rescale: own, other, out: add.out, min: add.min, max: add.max };
        Some((add, tensor))
    }

    /// Arguments of a matrix product.
    pub(crate) fn matmul(
        &self,
        linear: &Linear,
        input: TensorRef<'a>,
        output: &TensorInfo,
    ) -> Option<MatMul<'a>> {
        let (rows, columns) = rows_and_columns(input.shape, input.dtype, output)?;
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
            filter: self.filter_shape(record)?,
            bits: linear.bits,
            layout: linear.layout,
            input: (input.shape, input.dtype),
            output: (output.shape, output.dtype),
        })
    }
}

/// Rows and columns of a matrix product's input: the columns are the input's channels where the output has
/// the input's positions, otherwise the whole input, flattened.
fn rows_and_columns(input: Shape, dtype: DType, output: &TensorInfo) -> Option<(usize, usize)> {
    let rowwise = input.pixels() == output.shape.pixels();
    let flattens = dtype.bits() == 8 || input.channels.is_multiple_of(2);
    match (rowwise, output.shape.pixels()) {
        (true, pixels) => Some((pixels, input.channels)),
        (false, 1) if flattens => Some((1, input.elements())),
        _ => None,
    }
}
