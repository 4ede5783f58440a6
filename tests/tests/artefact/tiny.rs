//! Networks whose artefacts have less than 1.5 KB and between them every operation.
//!
//! Their files are committed as `tests/golden/tiny-*.fourbit`, for the fuzzer and for Miri, which
//! shall not need the compiler. `BLESS=1 cargo test --package fourbit-tests --test artefact` writes
//! them anew.

use fourbit::artefact::TensorInfo;
use fourbit::kernels::Window;
use fourbit::layout::{FilterShape, WeightBits};
use fourbit::requant::Rescale;
use fourbit::shape::{DType, Shape};
use fourbit_models::compile::compile_within;
use fourbit_models::quantize::{QAdd, QGraph, QLinear, QNode, QOp, QTensor};
use fourbit_tests::Rng;

use DType::{I8, S4, U4};
use WeightBits::{Eight, Four};

/// Bytes with which the second network's operations must take turns.
const WINDOW_BYTES: usize = 72;

/// Name and bytes of each.
pub(crate) fn files() -> [(&'static str, Vec<u8>); 2] {
    [("tiny-sum", sum(), "", None), ("tiny-window", window(), "a card", Some(WINDOW_BYTES))].map(
        |(name, graph, card, max_ram)| {
            let file = compile_within(&graph, &graph.labels, card, max_ram);
            (name, file.expect("the network compiles"))
        },
    )
}

/// Two convolutions, their sum in place, and a dense layer over the flattened map.
fn sum() -> QGraph {
    let mut net = Net::new("tiny-sum", [4, 4, 2]);
    let conv = QOp::Conv2d(square(2, 2), net.linear([4, 4, 2], Eight, 43, (0, 15)));
    let a = net.push("conv1", conv, &[0], [2, 2, 4], U4, 0);
    let conv = QOp::Conv2d(square(1, 1), net.linear([4, 1, 4], Four, 33, (0, 15)));
    let b = net.push("conv2", conv, &[a], [2, 2, 4], U4, 0);
    let to_common = Rescale { multiplier: 1 << 30, shift: 11 };
    let out = Rescale { multiplier: 1 << 30, shift: 49 };
    let add = QOp::Add(QAdd { a: to_common, b: to_common, out, min: 0, max: 15 });
    let c = net.push("add", add, &[a, b], [2, 2, 4], U4, 0);
    let dense = QOp::MatMul(net.linear([2, 1, 16], Four, 34, (-128, 127)));
    net.push("dense", dense, &[c], [1, 1, 2], I8, 0);
    net.graph
}

/// A depthwise convolution with padding and two strides, both pools on an odd number of
/// channels, and a dense layer.
fn window() -> QGraph {
    let mut net = Net::new("tiny-window", [5, 4, 3]);
    let sliding = Window { kernel: [3, 3], stride: [1, 2], padding: [1, 1, 0, 1] };
    let depthwise = QOp::DepthwiseConv2d(sliding, net.linear([3, 9, 1], Four, 39, (-7, 7)));
    let a = net.push("depthwise", depthwise, &[0], [5, 2, 3], S4, 0);
    let sliding = Window { kernel: [2, 2], stride: [2, 1], padding: [0, 1, 0, 0] };
    let b = net.push("max", QOp::MaxPool2d(sliding), &[a], [3, 1, 3], S4, 0);
    let all = Window { kernel: [3, 1], stride: [1, 1], padding: [0; 4] };
    let c = net.push("mean", QOp::AvgPool2d(all), &[b], [1, 1, 3], I8, 0);
    let dense = QOp::MatMul(net.linear([2, 1, 3], Eight, 38, (-127, 127)));
    net.push("dense", dense, &[c], [1, 1, 2], I8, 0);
    net.graph
}

/// A square kernel that moves by `stride`.
fn square(kernel: usize, stride: usize) -> Window {
    Window { kernel: [kernel, kernel], stride: [stride, stride], padding: [0; 4] }
}

/// A graph under construction, with seeded constants.
struct Net {
    graph: QGraph,
    rng: Rng,
}

impl Net {
    fn new(name: &str, image: [usize; 3]) -> Self {
        let labels = ["no", "yes"].map(str::to_owned).to_vec();
        let graph = QGraph { name: name.into(), tensors: vec![], nodes: vec![], input: 0, output: 0, labels };
        let mut net = Self { graph, rng: Rng::new(5) };
        net.tensor("image", image, I8, -128);
        net
    }

    fn tensor(&mut self, name: &str, [height, width, channels]: [usize; 3], dtype: DType, zero_point: i8) {
        let shape = Shape::new(height, width, channels);
        let info = TensorInfo { shape, dtype, zero_point, scale: Default::default() };
        self.graph.tensors.push(QTensor { name: name.into(), info });
    }

    /// Appends an operation; its output is the network's so far.
    fn push(
        &mut self,
        name: &str,
        op: QOp,
        inputs: &[usize],
        shape: [usize; 3],
        dtype: DType,
        zero_point: i8,
    ) -> usize {
        let output = self.graph.tensors.len();
        self.tensor(name, shape, dtype, zero_point);
        self.graph.nodes.push(QNode { name: name.into(), op, inputs: inputs.to_vec(), output });
        self.graph.output = output;
        output
    }

    /// Seeded weights, biases and multipliers.
    fn linear(
        &mut self,
        [outputs, taps, inputs]: [usize; 3],
        bits: WeightBits,
        shift: u8,
        (min, max): (i8, i8),
    ) -> QLinear {
        let largest = if bits == Four { 7 } else { 127 };
        let shape = FilterShape { outputs, taps, inputs };
        let rng = &mut self.rng;
        let weights = (0..outputs * taps * inputs).map(|_| rng.range(-largest, largest) as i8).collect();
        let bias = (0..outputs).map(|_| rng.range(-50, 50)).collect();
        let mut rescale = || Rescale { multiplier: rng.range(1 << 30, i32::MAX), shift };
        let rescale = (0..outputs).map(|_| rescale()).collect();
        QLinear { shape, bits, weights, bias, rescale, min, max }
    }
}
