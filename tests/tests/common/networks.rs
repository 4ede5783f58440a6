//! The large networks that are compared with the oracle: seeded weights, quantized and compiled.
//!
//! [`NETWORKS`] names them; each gives a graph, an artefact and an image. [`digest`] covers all
//! that decides the logits, so that logits which differ because the network is another one are
//! told from logits that a kernel gets wrong.

use fourbit::artefact::TensorInfo;
use fourbit::crc32;
use fourbit::kernels::Window;
use fourbit_models::compile::compile;
use fourbit_models::quantize::{QGraph, QOp, quantize};
use fourbit_models::scheme::Setting;
use fourbit_models::zoo;

/// Pixels a side.
const SIZE: usize = 224;
/// Seed of the image; the ranges come from another one.
const IMAGE: u64 = 224;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    ResNet18,
    ResNet50,
}

/// A network with random weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// Of the files: `NAME.fourbit`, `NAME.image`, `NAME.logits`.
    pub(crate) name: &'static str,
    /// Of the network and the image whose logits are committed.
    pub(crate) digest: u32,
    depth: Depth,
    setting: Setting,
}

/// What is compared.
pub(crate) const NETWORKS: [Network; 7] = [
    network("resnet18-w8a8", 0x22b01234, Depth::ResNet18, Setting::W8a8),
    network("resnet18-w4a8", 0xe35605cd, Depth::ResNet18, Setting::W4a8),
    network("resnet18-w4a4", 0x070157f4, Depth::ResNet18, Setting::W4a4),
    network("resnet18-all4", 0x541efaf1, Depth::ResNet18, Setting::All4),
    network("resnet50-w4a8", 0x2ac0ddd5, Depth::ResNet50, Setting::W4a8),
    network("resnet50-w4a4", 0x7f8f091e, Depth::ResNet50, Setting::W4a4),
    network("resnet50-all4", 0xcc4ce201, Depth::ResNet50, Setting::All4),
];

const fn network(name: &'static str, digest: u32, depth: Depth, setting: Setting) -> Network {
    Network { name, digest, depth, setting }
}

impl Network {
    /// In integers.
    pub(crate) fn graph(&self) -> QGraph {
        let graph = match self.depth {
            Depth::ResNet18 => zoo::resnet18(SIZE, 18, self.setting),
            Depth::ResNet50 => zoo::resnet50(SIZE, 50, self.setting),
        };
        quantize(&graph.expect("the network calibrates")).expect("the network quantizes")
    }
}

/// The file of a network.
pub(crate) fn artefact(graph: &QGraph) -> Vec<u8> {
    compile(graph, &graph.labels, "seeded random weights").expect("the network compiles")
}

/// What the networks look at.
pub(crate) fn image() -> Vec<i8> {
    zoo::image([SIZE, SIZE, 3], IMAGE)
}

/// CRC-32 of every constant, window and edge, of every tensor's shape and type, and of the image.
pub(crate) fn digest(graph: &QGraph, image: &[i8]) -> u32 {
    let mut bytes: Vec<u8> = graph.tensors.iter().flat_map(|tensor| described(&tensor.info)).collect();
    for node in &graph.nodes {
        let window = match &node.op {
            QOp::Conv2d(window, _) | QOp::DepthwiseConv2d(window, _) => *window,
            QOp::AvgPool2d(window) | QOp::MaxPool2d(window) => *window,
            QOp::MatMul(_) | QOp::Add(_) => Window { kernel: [0; 2], stride: [0; 2], padding: [0; 4] },
        };
        let edges = node.inputs.iter().chain([&node.output]);
        let numbers = edges.chain(&window.kernel).chain(&window.stride).chain(&window.padding);
        bytes.extend(numbers.flat_map(|&number| (number as u32).to_le_bytes()));
        let (rescales, clamp) = match &node.op {
            QOp::Conv2d(_, linear) | QOp::DepthwiseConv2d(_, linear) | QOp::MatMul(linear) => {
                bytes.extend(linear.weights.iter().map(|&weight| weight as u8));
                bytes.extend(linear.bias.iter().flat_map(|bias| bias.to_le_bytes()));
                (&linear.rescale[..], [linear.min, linear.max])
            }
            QOp::Add(add) => (&[add.a, add.b, add.out][..], [add.min, add.max]),
            QOp::AvgPool2d(_) | QOp::MaxPool2d(_) => continue,
        };
        bytes.extend(rescales.iter().flat_map(|rescale| rescale.multiplier.to_le_bytes()));
        bytes.extend(rescales.iter().map(|rescale| rescale.shift));
        bytes.extend(clamp.map(|limit| limit as u8));
    }
    bytes.extend(image.iter().map(|&value| value as u8));
    crc32(&bytes)
}

/// All of a tensor but its name.
fn described(info: &TensorInfo) -> Vec<u8> {
    let mut bytes = vec![info.dtype as u8, info.zero_point as u8];
    let numbers = [info.scale.to_bits(), info.shape.height as u16, info.shape.width as u16];
    bytes.extend(numbers.into_iter().flat_map(u16::to_le_bytes));
    bytes.extend((info.shape.channels as u64).to_le_bytes());
    bytes
}
