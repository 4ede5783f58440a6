//! Why a model file cannot be imported: what in it, and what to do.

use std::fmt;
use std::path::PathBuf;

use crate::quantize::QuantizeError;

/// Why a model file cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("cannot read `{}`: {source}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("the file is empty; copy or convert it again")]
    Empty,
    /// The file is larger than any network for a microcontroller.
    #[error("the file has more than 256 MiB; name the file of a small network")]
    TooLarge,
    /// The file has another format.
    #[error("the file is neither a TFLite nor an ONNX model: convert the network to .tflite or .onnx")]
    Foreign,
    /// An offset or length in the file leads outside it.
    #[error("the file is damaged or cut short: {0}; copy or convert it again")]
    Damaged(&'static str),
    /// The network is not one from one image to one list of logits.
    #[error(
        "the network has {subgraphs} subgraphs, {inputs} inputs and {outputs} outputs, and it must be one of each"
    )]
    Interface {
        /// Subgraphs in the file.
        subgraphs: usize,
        /// Inputs of the first.
        inputs: usize,
        /// Outputs of the first.
        outputs: usize,
    },
    /// The network computes nothing, or more than an artefact can hold.
    #[error("the network has {0} operations, and it must have 1 to 4096")]
    Operations(usize),
    /// The image is quantized so that `pixel - 128` is not what the network expects.
    #[error(
        "the image has scale {scale} and zero point {zero_point}, and pixels enter as pixel - 128: convert the network with an input of scale 1 or 1/255 and zero point -128, in uint8 0"
    )]
    Image {
        /// Its scale.
        scale: f32,
        /// Its zero point.
        zero_point: i64,
    },
    /// Some operations cannot be run; all of them are listed.
    #[error("{}", sentences(problems, runs))]
    Unsupported {
        /// In the order of the file.
        problems: Vec<Problem>,
        /// What Fourbit runs of such files.
        runs: &'static str,
    },
    /// An ONNX file of an older or newer standard.
    #[error(
        "the file uses version {found} of ONNX's operators, and 11 to 21 are read: export it again with one of those"
    )]
    Opset {
        /// Its version.
        found: i64,
    },
    /// Weights are in another file.
    #[error(
        "the file keeps its weights in a file beside it: save it as one file, in Python with `onnx.save(onnx.load(\"IN.onnx\"), \"OUT.onnx\")`"
    )]
    External,
    /// An ONNX file of operations on integers.
    #[error(
        "the network is quantized with {0}, and quantized ONNX networks are read with QuantizeLinear and DequantizeLinear: quantize it with `quant_format=QuantFormat.QDQ`, or import the file that it was quantized from"
    )]
    Quantized(String),
    /// The result is no list of logits, and its order in memory would be another one.
    #[error("the network ends in a map of {height}x{width}, and it must end in one list of logits")]
    Map {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The graph contradicts itself.
    #[error(transparent)]
    Graph(#[from] QuantizeError),
}

/// An operation that cannot be run as the file means it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// Its place in the file's list, from 0.
    pub operation: usize,
    /// Its kind: `HARD_SWISH`.
    pub kind: String,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What keeps an operation from being run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    /// The kind is unknown to the runtime.
    #[error("is not an operation that Fourbit runs")]
    Kind,
    /// Softmax and the change of types are dropped at the ends, and mean something elsewhere.
    #[error("is dropped at the end of a network, and here other operations follow")]
    NotAtTheEnd,
    /// Too few or too many inputs or outputs.
    #[error("has another number of inputs or outputs than it should")]
    Arity,
    /// An activation is a constant, or nothing writes it.
    #[error("reads `{0}`, which no operation before it writes")]
    NotComputed(String),
    /// A filter or bias is computed, or its bytes are missing.
    #[error("takes its constants from `{0}`, which is not in the file with the size that its shape asks for")]
    NoConstant(String),
    /// Batch above 1, a dynamic extent, more than four dimensions, or too many values.
    #[error("has the tensor `{name}` of shape {shape:?}: Fourbit runs batch 1, up to 65535 a side")]
    Extent {
        /// Of the tensor.
        name: String,
        /// In the file.
        shape: Vec<i32>,
    },
    /// The shapes contradict each other.
    #[error("gives a tensor of {found:?} where its inputs make {expected:?}")]
    Shape {
        /// In the file.
        found: [usize; 3],
        /// From inputs and window.
        expected: [usize; 3],
    },
    /// A reshape that is not for a dense layer.
    #[error("reads `{0}` after a reshape, and only a dense layer may do so")]
    Reshaped(String),
    /// A filter does not fit its input.
    #[error("has a filter of shape {0:?}, which does not fit its input")]
    Filter(Vec<i32>),
    /// A kernel, stride or padding that the runtime does not take.
    #[error("has a kernel, stride or padding outside 1 to 255, or an unknown padding")]
    Window,
    /// Taps with gaps.
    #[error("has a dilation, and Fourbit runs none: convert the network without it")]
    Dilation,
    /// Several outputs for one input channel.
    #[error("has the channel multiplier {0}, and Fourbit runs 1, or any for an input of one channel")]
    Multiplier(i32),
    /// A mean over something else than height and width.
    #[error("averages over the axes {0:?}, and Fourbit does over height and width, [1, 2]")]
    Axes(Vec<i32>),
    /// Neither one filter for all channels nor one for each.
    #[error("has {0} groups, and Fourbit runs 1, or one for each channel with one output each")]
    Groups(i64),
    /// A mean over zeros that are not there.
    #[error(
        "counts the zeros of its padding, and Fourbit averages what is there: export it with count_include_pad=False"
    )]
    CountedPadding,
    /// A norm or dropout that still learns.
    #[error("is in training mode: call `eval()` on the network before its export")]
    Training,
    /// What only works together with something else.
    #[error("needs {0}")]
    Needs(&'static str),
    /// A constant that is neither one value nor one for each channel.
    #[error("has the constant `{0}` of shape {1:?}, and Fourbit takes one value, or one for each channel")]
    PerChannel(String, Vec<usize>),
    /// A mean is taken from the image before zeros are put around it.
    #[error(
        "pads an image from which a mean was subtracted, and Fourbit pads pixels, with black: train without the mean, or without this padding"
    )]
    ShiftedPadding,
    /// A shape that is not one list of values.
    #[error("reshapes to {0:?}, and Fourbit to [1, values] alone, before a dense layer")]
    Target(Vec<i64>),
    /// A transpose that is no change between the two orders of channels.
    #[error("transposes by {0:?}, and Fourbit between NCHW and NHWC alone")]
    Permutation(Vec<i64>),
    /// An activation function that has no form in the graph.
    #[error("has the activation {0}, for which the graph has no form here: {1}")]
    Activation(&'static str, &'static str),
    /// A tensor of another type than the network.
    #[error(
        "has the tensor `{name}` of type {found} in {network} network: convert it to float32 or to int8 throughout"
    )]
    Type {
        /// Of the tensor.
        name: String,
        /// In the file.
        found: String,
        /// `a float` or `an int8`.
        network: &'static str,
    },
    /// A scale or zero point that cannot be used.
    #[error(
        "has the tensor `{0}` without a usable scale and zero point: quantize the network again, weights symmetric"
    )]
    Quantization(String),
    /// A weight of -128.
    #[error(
        "has the weight -128 in `{0}`, and weights reach from -127 to 127: convert it with symmetric weights"
    )]
    Weight(String),
    /// A pool changes the scale.
    #[error(
        "is a pool from steps of {input} to steps of {output}, and a pool keeps its input's scale and zero point"
    )]
    Pool {
        /// Scale of the input.
        input: f32,
        /// Scale of the output.
        output: f32,
    },
    /// A value that should be quantized is read in float32, or integers are read as they are.
    #[error(
        "reads `{0}`, which no DequantizeLinear writes: quantize the network with this operation among the others"
    )]
    Undequantized(String),
    /// DequantizeLinear does not undo what QuantizeLinear did.
    #[error(
        "reads `{0}` with another type, scale or zero point than it is written with: quantize the network again, both alike"
    )]
    Dequantized(String),
    /// A value is quantized twice, differently.
    #[error(
        "brings values from steps of {input} to steps of {output}, and a value keeps its scale and zero point: quantize the network with asymmetric activations, without a pair of its own before a Relu or reshape"
    )]
    Requantized {
        /// Scale before.
        input: f32,
        /// Scale after.
        output: f32,
    },
    /// The constants leave what the runtime can compute.
    #[error("cannot be computed in integers: {0}")]
    Constants(#[from] QuantizeError),
    /// The image goes into something else than a linear operation.
    #[error(
        "reads the image, whose pixels are 0 to {0} here: only a convolution or a dense layer can take that factor"
    )]
    Image(f32),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, kind, reason } = self;
        write!(f, "operation {operation}, {kind}, {reason}")
    }
}

/// Every problem in a sentence of its own, and what Fourbit runs where that is the question.
fn sentences(problems: &[Problem], runs: &str) -> String {
    let mut text: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for sentence in text.iter_mut().skip(1) {
        sentence.replace_range(..1, "O");
    }
    if problems.iter().any(|problem| problem.reason == Reason::Kind) {
        text.push(format!("Fourbit runs {runs}"));
    }
    text.join(". ")
}
