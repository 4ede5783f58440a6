//! TFLite files made by another writer, and what LiteRT computes of them.
//!
//! `tests/import` holds small networks with LiteRT's logits, made by `make_networks.py`. A file that
//! is cut, changed or of another kind is refused with a sentence, and nothing panics.

mod common;

use fourbit_models::calibrate::calibrate;
use fourbit_models::compile::compile;
use fourbit_models::file::AlignedBytes;
use fourbit_models::float_forward::forward;
use fourbit_models::graph::Graph;
use fourbit_models::import::{ImportError, Imported, network, open};
use fourbit_models::quantize::{QGraph, QOp, quantize};
use fourbit_models::rng::Rng;
use fourbit_models::scheme::Setting;
use fourbit_models::simulate::{Backend, Simulator, values};

use common::{changed, read};

const IMAGES: usize = 16;
const IMAGE: usize = 8 * 8 * 3;

/// The images of a network, and what LiteRT made of them.
fn expected(name: &str) -> (Vec<u8>, Vec<u8>) {
    let mut pixels = read(name);
    let logits = pixels.split_off(IMAGES * IMAGE);
    (pixels, logits)
}

fn float() -> Graph {
    match network(&read("tiny_float.tflite"), "tiny", 255.0) {
        Ok(Imported::Float(graph)) => graph,
        other => panic!("{other:?}"),
    }
}

fn integer() -> QGraph {
    match network(&read("tiny_int8.tflite"), "tiny", 255.0) {
        Ok(Imported::Integer(graph)) => graph,
        other => panic!("{other:?}"),
    }
}

fn real(pixels: &[u8]) -> Vec<Vec<f32>> {
    pixels.chunks(IMAGE).map(|image| image.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()).collect()
}

fn logits(graph: &QGraph, pixels: &[u8], backend: Backend) -> Vec<i8> {
    let file = AlignedBytes::copy(&compile(graph, &[], "").expect("compiles"));
    let artefact = fourbit::Artefact::parse(file.bytes()).expect("parses");
    Simulator::new(artefact, backend).logits(&values(pixels)).expect("runs")
}

#[test]
fn imported_float_network_gives_litert_logits() {
    let graph = float();
    assert_eq!(graph.nodes.len(), 7);
    assert_eq!((graph.tensors[0].shape, graph.tensors[graph.output].shape), ([8, 8, 3], [1, 1, 5]));
    let (pixels, logits) = expected("tiny_float.expected");
    let (logits, _) = logits.as_chunks();
    for (image, litert) in real(&pixels).iter().zip(logits.chunks(5)) {
        for (ours, &theirs) in forward(&graph, image, |_, _| {}).iter().zip(litert) {
            let theirs = f32::from_le_bytes(theirs);
            assert!((ours - theirs).abs() <= 1e-4, "{ours} and {theirs}");
        }
    }
}

#[test]
fn imported_int8_network_gives_litert_logits() {
    let graph = integer();
    let (pixels, litert) = expected("tiny_int8.expected");
    let ours = logits(&graph, &pixels, Backend::Host);
    assert_eq!(ours, logits(&graph, &pixels, Backend::Reference));
    assert_eq!(ours.len(), litert.len());
    let apart = ours.iter().zip(&litert).map(|(&a, &b)| a.abs_diff(b as i8));
    let apart: Vec<u8> = apart.collect();
    assert!(apart.iter().all(|&steps| steps <= 1), "{apart:?}");
    assert!(apart.iter().filter(|&&steps| steps == 0).count() * 20 >= apart.len() * 19, "{apart:?}");
}

#[test]
fn imported_grey_network_gives_litert_logits() {
    let Ok(Imported::Integer(graph)) = network(&read("grey_int8.tflite"), "grey", 255.0) else {
        panic!("an int8 network")
    };
    // One input channel and four outputs are no depthwise convolution; the pool's ties fall.
    let kinds = graph.nodes.iter().map(|node| match node.op {
        QOp::Conv2d(..) => "conv2d",
        QOp::DepthwiseConv2d(..) => "depthwise_conv2d",
        QOp::MatMul(_) => "matmul",
        _ => "another",
    });
    assert!(kinds.eq(["conv2d", "depthwise_conv2d", "matmul"]));
    let mut pixels = read("grey_int8.expected");
    let litert = pixels.split_off(IMAGES * 8 * 8);
    let ours = logits(&graph, &pixels, Backend::Host);
    assert_eq!(ours, logits(&graph, &pixels, Backend::Reference));
    // Averages above the stored 0 rise in LiteRT, a step at most.
    let apart: Vec<u8> = ours.iter().zip(&litert).map(|(&a, &b)| a.abs_diff(b as i8)).collect();
    assert!(apart.iter().all(|&steps| steps <= 1), "{apart:?}");
    assert!(apart.iter().filter(|&&steps| steps == 0).count() * 4 >= apart.len() * 3, "{apart:?}");
}

#[test]
fn imported_integers_are_those_of_the_file() {
    let graph = integer();
    let zero_points: Vec<i8> = graph.tensors.iter().map(|tensor| tensor.info.zero_point).collect();
    assert_eq!(zero_points, [-128, -128, 33, -128, -128, -128, -128, -22]);
    let clamps: Vec<_> =
        graph.nodes.iter().filter_map(|node| node.op.linear()).map(|l| (l.min, l.max)).collect();
    // ReLU, none, ReLU6 of steps of 0.033 (182 of them), the mean, none.
    assert_eq!(clamps, [(-128, 127), (-128, 127), (-128, 54), (-128, 127), (-128, 127)]);
    // The mean changes the scale.
    assert!(matches!(graph.nodes[5].op, QOp::DepthwiseConv2d(..)));
}

#[test]
fn imported_float_network_is_quantized_without_training() {
    let graph = float();
    let (pixels, _) = expected("tiny_float.expected");
    let images = real(&pixels);
    let calibrated = calibrate(&graph, &Setting::W8a8.into(), &images).expect("calibrates");
    let quantized = quantize(&calibrated).expect("quantizes");
    let scale = quantized.tensors[quantized.output].info.scale.to_f32();
    let integers = logits(&quantized, &pixels, Backend::Host);
    for (image, integers) in images.iter().zip(integers.chunks(5)) {
        for (float, &integer) in forward(&graph, image, |_, _| {}).iter().zip(integers) {
            let apart = (float / scale - f32::from(integer)).abs();
            assert!(apart <= 6.0, "{float} is {integer} steps of {scale}");
        }
    }
}

fn refused(file: &[u8]) -> String {
    let said = network(file, "tiny", 255.0).expect_err("refused").to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn imported_operations_are_refused_all_at_once() {
    let said = refused(&read("unsupported.tflite"));
    let sentences: Vec<&str> = said.split(". ").collect();
    assert_eq!(sentences.len(), 5, "{said}");
    for (sentence, begins) in sentences.iter().zip([
        "operation 0, CONV_2D, has a dilation",
        "Operation 1, HARD_SWISH, is not an operation that Fourbit runs",
        "Operation 2, LOGISTIC, is not an operation that Fourbit runs",
        "Operation 3, ADD, has the activation RELU6",
        "Fourbit runs CONV_2D, ",
    ]) {
        assert!(sentence.starts_with(begins), "{sentence}");
    }
}

#[test]
fn imported_files_of_another_kind() {
    assert!(refused(&[]).starts_with("the file is empty"));
    assert!(refused(b"FBGRAPH1 and more").starts_with("the file is neither a TFLite nor an ONNX model"));
    assert!(refused(&[0; 64]).starts_with("the file is neither a TFLite nor an ONNX model"));
    assert!(refused(b"\x10\0\0\0TFL3").starts_with("the file is damaged or cut short"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = open(&folder.path().join("no.tflite"), "no", 1.0).expect_err("missing");
    assert!(matches!(missing, ImportError::Read { .. }));
}

#[test]
fn imported_image_must_be_pixels() {
    // The image's scale of 1 is the only 1.0 beside the softmax's.
    let mut file = read("tiny_int8.tflite");
    let one = 1.0f32.to_le_bytes();
    let places: Vec<usize> = (0..file.len() - 3).step_by(4).filter(|&at| file[at..at + 4] == one).collect();
    assert!(!places.is_empty());
    for at in places {
        file[at..at + 4].copy_from_slice(&0.5f32.to_le_bytes());
    }
    assert!(refused(&file).starts_with("the image has scale 0.5 and zero point -128"));
}

#[test]
fn imported_files_cut_anywhere_are_refused() {
    for name in ["tiny_float.tflite", "tiny_int8.tflite", "grey_int8.tflite"] {
        let file = read(name);
        // The writer puts the largest tables last; padding behind them may be missing.
        for length in 0..file.len() - 8 {
            refused(&file[..length]);
        }
    }
}

#[test]
fn imported_bytes_changed_at_random_never_panic() {
    let mut rng = Rng::new(6);
    let mut taken = 0;
    for name in ["tiny_float.tflite", "tiny_int8.tflite", "grey_int8.tflite"] {
        let good = read(name);
        for _ in 0..4_000 {
            match network(&changed(&mut rng, &good), "changed", 255.0) {
                Ok(Imported::Integer(graph)) => {
                    // Constants that changed may be refused; a panic is what must not be.
                    taken += usize::from(compile(&graph, &[], "").is_ok());
                }
                Ok(Imported::Float(_)) => taken += 1,
                Err(error) => assert!(!error.to_string().contains('\n')),
            }
        }
    }
    assert!(taken > 1_000, "{taken} of 12,000 still were networks");
}
