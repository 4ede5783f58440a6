//! ONNX files made by other writers, and what ONNX Runtime computes of them.
//!
//! `tests/import` holds the networks, float and quantized, with ONNX Runtime's logits, made by
//! `make_onnx.py`. A file that is cut, changed or of another kind is refused with a sentence, and nothing panics.

mod common;

use fourbit_models::calibrate::calibrate;
use fourbit_models::compile::compile;
use fourbit_models::file::AlignedBytes;
use fourbit_models::float_forward::forward;
use fourbit_models::graph::{Graph, Op, Window};
use fourbit_models::import::{ImportError, Imported, network, open};
use fourbit_models::quantize::{QGraph, QOp, quantize};
use fourbit_models::rng::Rng;
use fourbit_models::scheme::Setting;
use fourbit_models::simulate::{Backend, Simulator, best, values};

use common::{changed, read};

/// The pixels of the images, and ONNX Runtime's logits of each.
fn expected(name: &str, image: usize, logits: usize) -> Vec<(Vec<u8>, Vec<f32>)> {
    let file = read(name);
    let count = file.len() / (image + 4 * logits);
    assert_eq!(file.len(), count * (image + 4 * logits));
    let (pixels, all) = file.split_at(count * image);
    let (words, _) = all.as_chunks();
    let floats: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    pixels.chunks(image).zip(floats.chunks(logits)).map(|(a, b)| (a.to_vec(), b.to_vec())).collect()
}

fn float(name: &str, white: f32) -> Graph {
    match network(&read(name), "net", white) {
        Ok(Imported::Float(graph)) => graph,
        Ok(other) => panic!("{other:?}"),
        Err(error) => panic!("{error}"),
    }
}

fn real(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
}

/// Asserts that every logit is ONNX Runtime's to 1e-4.
fn same_logits(graph: &Graph, expected: &[(Vec<u8>, Vec<f32>)]) {
    for (pixels, theirs) in expected {
        let ours = forward(graph, &real(pixels), |_, _| {});
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours - theirs).abs() <= 1e-4, "{ours} and {theirs}");
        }
    }
}

#[test]
fn onnx_resnet_gives_the_logits_of_onnx_runtime() {
    let expected = expected("resnet_onnx.expected", 48 * 48 * 3, 10);
    for (name, norms) in [("resnet.onnx", 20), ("resnet_folded.onnx", 0)] {
        let graph = float(name, 1.0);
        // 20 convolutions, 8 sums, 2 pools, a dense layer.
        assert_eq!(graph.nodes.len(), 31);
        assert_eq!((graph.tensors[0].shape, graph.tensors[graph.output].shape), ([48, 48, 3], [1, 1, 10]));
        let with_norm =
            graph.nodes.iter().filter(|node| matches!(&node.op, Op::Conv2d(conv) if conv.norm.is_some()));
        assert_eq!(with_norm.count(), norms);
        same_logits(&graph, &expected);
    }
}

#[test]
fn onnx_resnet_runs_in_w8a8() {
    let graph = float("resnet.onnx", 1.0);
    let expected = expected("resnet_onnx.expected", 48 * 48 * 3, 10);
    let images: Vec<_> = expected.iter().map(|(pixels, _)| real(pixels)).collect();
    let quantized =
        quantize(&calibrate(&graph, &Setting::W8a8.into(), &images).expect("calibrates")).expect("quantizes");
    let scale = quantized.tensors[quantized.output].info.scale.to_f32();
    let file = AlignedBytes::copy(&compile(&quantized, &[], "").expect("compiles"));
    let artefact = fourbit::Artefact::parse(file.bytes()).expect("parses");
    for (pixels, theirs) in &expected {
        let pixels = values(pixels);
        let logits = Simulator::new(artefact, Backend::Host).logits(&pixels).expect("runs");
        assert_eq!(logits, Simulator::new(artefact, Backend::Reference).logits(&pixels).expect("runs"));
        let top = theirs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(class, _)| class);
        assert_eq!(Some(best(&logits)), top, "{logits:?} and {theirs:?}");
        for (&ours, theirs) in logits.iter().zip(theirs) {
            // The logits reach from -3.3 to 5.4; 31 layers have rounded before them.
            let ours = f32::from(ours) * scale;
            assert!((ours - theirs).abs() <= 0.5, "{ours} and {theirs} in steps of {scale}");
        }
    }
}

fn integer(name: &str) -> QGraph {
    match network(&read(name), "net", 255.0) {
        Ok(Imported::Integer(graph)) => graph,
        Ok(other) => panic!("{other:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn onnx_quantized_resnet_gives_the_logits_of_onnx_runtime() {
    const IMAGES: usize = 16;
    let mut pixels = read("resnet_quantized_onnx.expected");
    let theirs: Vec<i8> = pixels.split_off(IMAGES * 32 * 32 * 3).into_iter().map(|byte| byte as i8).collect();
    let graph = integer("resnet_int8.onnx");
    let file = AlignedBytes::copy(&compile(&graph, &[], "").expect("compiles"));
    let artefact = fourbit::Artefact::parse(file.bytes()).expect("parses");
    let pixels = values(&pixels);
    let ours = Simulator::new(artefact, Backend::Host).logits(&pixels).expect("runs");
    assert_eq!(ours, Simulator::new(artefact, Backend::Reference).logits(&pixels).expect("runs"));
    assert_eq!(ours.len(), theirs.len());
    let apart: Vec<u8> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).collect();
    let equal = apart.iter().filter(|&&steps| steps == 0).count();
    println!("{equal} of {} logits are equal", apart.len());
    assert!(apart.iter().all(|&steps| steps <= 3), "{apart:?}");
    assert!(equal * 10 >= apart.len() * 9, "{equal} of {}: {apart:?}", apart.len());
}

#[test]
fn onnx_quantized_in_uint8_is_the_same_network() {
    let graph = integer("resnet_int8.onnx");
    assert_eq!(integer("resnet_uint8.onnx"), graph);
    // 10 convolutions, 4 sums, 2 pools, of which one changes the scale, a dense layer.
    assert_eq!(graph.nodes.len(), 17);
    assert!(matches!(graph.nodes[15].op, QOp::DepthwiseConv2d(window, _) if window.kernel == [4, 4]));
    assert_eq!((graph.tensors[0].info.zero_point, graph.tensors[1].info.zero_point), (-128, -128));
}

#[test]
fn onnx_operations_give_the_logits_of_onnx_runtime() {
    let graph = float("parts.onnx", 255.0);
    let kinds: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(kinds, ["conv1", "depthwise1", "add1", "max_pool1", "avg_pool1", "dense1", "dense2"]);
    same_logits(&graph, &expected("parts_onnx.expected", 9 * 8 * 3, 5));
    // Rows: (9 - 3) / 1 + 1 = 7, of which ceil((7 - 2) / 2) + 1 = 4 windows take one that is not there.
    assert_eq!(graph.tensors[4].shape, [4, 3, 6]);
    let padded = Window { kernel: [2, 2], stride: [2, 1], padding: [0, 1, 0, 0] };
    assert!(matches!(graph.nodes[3].op, Op::MaxPool(window) if window == padded));
}

#[test]
fn onnx_channels_last_gives_the_logits_of_onnx_runtime() {
    let graph = float("channels_last.onnx", 255.0);
    assert_eq!((graph.tensors[0].shape, graph.tensors[1].shape), ([8, 8, 3], [4, 4, 4]));
    same_logits(&graph, &expected("channels_last_onnx.expected", 8 * 8 * 3, 5));
}

fn refused(file: &[u8]) -> String {
    let said = network(file, "net", 255.0).expect_err("refused").to_string();
    assert!(!said.contains('\n'), "{said}");
    said
}

#[test]
fn onnx_operations_are_refused_all_at_once() {
    let said = refused(&read("unsupported.onnx"));
    let sentences: Vec<&str> = said.split(". ").collect();
    let begins = [
        "operation 0, Conv, has a dilation, and Fourbit runs none",
        "Operation 1, HardSwish, is not an operation that Fourbit runs",
        "Operation 2, Conv, has 2 groups",
        "Operation 4, Sigmoid, is not an operation that Fourbit runs",
        "Fourbit runs Conv, ",
    ];
    assert_eq!(sentences.len(), begins.len(), "{said}");
    for (sentence, begins) in sentences.iter().zip(begins) {
        assert!(sentence.starts_with(begins), "{sentence}");
    }
}

#[test]
fn onnx_files_of_another_kind() {
    assert!(refused(&[]).starts_with("the file is empty"));
    assert!(
        refused(b"PK\x03\x04, a checkpoint").starts_with("the file is neither a TFLite nor an ONNX model")
    );
    assert!(refused(b"\x08\x08\x12").starts_with("the file is damaged or cut short"));
    assert!(refused(b"\x08\x08").starts_with("the file is damaged or cut short: it holds no network"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = open(&folder.path().join("no.onnx"), "no", 1.0).expect_err("missing");
    assert!(matches!(missing, ImportError::Read { .. }));
    // The ending does not matter.
    let path = folder.path().join("net.bin");
    std::fs::write(&path, read("parts.onnx")).expect("writes");
    assert!(open(&path, "net", 255.0).is_ok());
}

#[test]
fn onnx_files_cut_anywhere_are_refused() {
    for name in ["parts.onnx", "channels_last.onnx", "resnet_int8.onnx"] {
        let file = read(name);
        for length in (0..file.len()).step_by(1 + file.len() / 5_000) {
            refused(&file[..length]);
        }
    }
}

#[test]
fn onnx_bytes_changed_at_random_never_panic() {
    let mut rng = Rng::new(6);
    let mut taken = 0;
    for name in ["parts.onnx", "channels_last.onnx", "unsupported.onnx", "resnet_uint8.onnx"] {
        let good = read(name);
        for _ in 0..3_000 {
            match network(&changed(&mut rng, &good), "changed", 255.0) {
                Ok(Imported::Float(graph)) => {
                    forward(&graph, &vec![0.5; graph.tensors[0].shape.iter().product()], |_, _| {});
                    taken += 1;
                }
                Ok(Imported::Integer(graph)) => taken += usize::from(compile(&graph, &[], "").is_ok()),
                Err(error) => assert!(!error.to_string().contains('\n')),
            }
        }
    }
    assert!(taken > 1_000, "{taken} of 12,000 still were networks");
}
