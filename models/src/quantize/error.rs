//! Why a graph cannot be quantized: which node or tensor, the numbers, and what to do.

/// Why a graph cannot be quantized.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuantizeError {
    /// A tensor or weight count contradicts the rest of the graph.
    #[error("the graph is malformed at `{at}`: {problem}; export it again")]
    Malformed {
        /// Node, tensor or graph.
        at: String,
        /// What contradicts what.
        problem: Malformed,
    },
    /// A tensor was not calibrated.
    #[error("tensor `{tensor}` has no range: calibrate or train the graph with a bit setting first")]
    NoRange {
        /// Its name.
        tensor: String,
    },
    /// A range cannot be a scale.
    #[error(
        "tensor `{tensor}` has {bits} bits and bound {bound}: calibrate it again, with 4 or 8 bits and a positive bound"
    )]
    Range {
        /// Its name.
        tensor: String,
        /// Bits of the range.
        bits: u8,
        /// Bound of the range.
        bound: f32,
    },
    /// The image is not 8-bit pixels, or the logits are not 8-bit.
    #[error("tensor `{tensor}` is the network's {role} and must be {must}: set its range again")]
    Interface {
        /// Its name.
        tensor: String,
        /// Image or logits.
        role: &'static str,
        /// What is asked of it.
        must: &'static str,
    },
    /// A filter has no bit width.
    #[error("node `{node}` has no weight bits: train or calibrate the graph with a bit setting first")]
    NoWeightBits {
        /// Its name.
        node: String,
    },
    /// A filter has another width than 4 or 8 bits.
    #[error("node `{node}` has {bits}-bit weights: the widths are 4 and 8")]
    WeightBits {
        /// Its name.
        node: String,
        /// The width.
        bits: u8,
    },
    /// A weight, bias or norm is not a finite number.
    #[error("node `{node}` has a weight or bias that is not finite in output {channel}: train it again")]
    NotFinite {
        /// Its name.
        node: String,
        /// Output channel.
        channel: usize,
    },
    /// A rescale's real factor has no multiplier and shift.
    #[error(
        "node `{node}` needs the factor {factor:e} between accumulator and output, outside 2^-32 to 2^29: bring the ranges of its input and output closer"
    )]
    Factor {
        /// Its name.
        node: String,
        /// Scale of the accumulator over scale of the output.
        factor: f64,
    },
    /// A sum can leave 32 bits.
    #[error(
        "output {channel} of node `{node}` can sum to {bound}, past 32 bits: use fewer inputs, fewer bits or a smaller bias"
    )]
    Accumulator {
        /// Its name.
        node: String,
        /// Output channel.
        channel: usize,
        /// Largest magnitude.
        bound: u64,
    },
    /// A sum can leave the range that its rescale takes.
    #[error(
        "output {channel} of node `{node}` can sum to {bound}, and its rescale by 2^-{shift} takes less than 2^({shift} - 1): widen the output's range"
    )]
    Rescale {
        /// Its name.
        node: String,
        /// Output channel; for an add 0, 1 or 2: first, second input, output.
        channel: usize,
        /// Largest magnitude.
        bound: u64,
        /// Shift of the rescale.
        shift: u8,
    },
    /// A pool's output is quantized otherwise than its input.
    #[error(
        "pool `{node}` takes steps of {input} and gives steps of {output}: a pool keeps its input's range, or widens 4 bits to 8 exactly"
    )]
    PoolRange {
        /// Its name.
        node: String,
        /// Scale of the input.
        input: f32,
        /// Scale of the output.
        output: f32,
    },
    /// A dense layer would read rows of an odd number of nibbles as one.
    #[error(
        "dense node `{node}` flattens a 4-bit tensor of {channels} channels: use an even number of channels or 8 bits"
    )]
    OddRows {
        /// Its name.
        node: String,
        /// Channels of its input.
        channels: usize,
    },
}

/// What in a graph contradicts the rest of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Empty, or tensors that no node writes.
    #[error("{tensors} tensors for {nodes} nodes, and it must be one more")]
    Counts {
        /// Tensors.
        tensors: usize,
        /// Nodes.
        nodes: usize,
    },
    /// A tensor is empty or huge.
    #[error("height, width and channels are 1 to 65535, and fewer than 2^31 values in all")]
    Extent,
    /// An index is outside the list of tensors.
    #[error("tensor {0} does not exist")]
    NoTensor(usize),
    /// A node has the wrong number of inputs.
    #[error("{found} inputs instead of {expected}")]
    Inputs {
        /// In the graph.
        found: usize,
        /// That the operation has.
        expected: usize,
    },
    /// A tensor is read before it is written, or written twice.
    #[error("tensor {0} is read before it is written, or written twice")]
    Order(usize),
    /// The image is the output, or another node writes it.
    #[error("the image or the logits are not where they should be")]
    Interface,
    /// The output's shape is not what the operation gives.
    #[error("an output of {found:?} where the operation gives {expected:?}")]
    Shape {
        /// In the graph.
        found: [usize; 3],
        /// From inputs and window.
        expected: [usize; 3],
    },
    /// A kernel, stride or padding outside what the runtime takes.
    #[error("kernels and strides are 1 to 255, paddings 0 to 255, and the kernel fits the padded input")]
    Window,
    /// A list has the wrong length.
    #[error("{found} values of {what} instead of {expected}")]
    Length {
        /// Weights, bias or norm.
        what: &'static str,
        /// In the graph.
        found: usize,
        /// That the shapes ask for.
        expected: usize,
    },
}
