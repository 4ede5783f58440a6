//! The fast kernels, the reference and the float network on one another.

use super::*;
use crate::calibrate::calibrate;
use crate::compile::compile;
use crate::file::AlignedBytes;
use crate::float_forward::forward;
use crate::graph::{Conv, Graph, Node, Op, Tensor, Window};
use crate::quantize::quantize;
use crate::rng::Rng;
use crate::scheme::Setting;
use crate::zoo;

fn artefact(graph: &Graph) -> AlignedBytes {
    let graph = quantize(graph).expect("quantizes");
    AlignedBytes::copy(&compile(&graph, &graph.labels, "").expect("compiles"))
}

fn simulator(file: &AlignedBytes, backend: Backend) -> Simulator<'_> {
    Simulator::new(Artefact::parse(file.bytes()).expect("parses"), backend)
}

/// Every operation, with channels that do not fill bytes or vectors.
fn odd(seed: u64, setting: Setting) -> Graph {
    let mut rng = Rng::new(seed);
    let mut net = Graph {
        name: "odd".into(),
        tensors: vec![Tensor { name: "image".into(), shape: [9, 7, 3], range: None }],
        nodes: vec![],
        input: 0,
        output: 0,
        labels: vec![],
    };
    let mut push = |name: &str, op: Op, inputs: Vec<usize>, shape: [usize; 3]| {
        net.tensors.push(Tensor { name: name.into(), shape, range: None });
        net.output = net.tensors.len() - 1;
        net.nodes.push(Node { name: name.into(), op, inputs, output: net.output });
        net.output
    };
    let mut conv = |window: Window, weights: usize, outputs: usize, relu| Conv {
        window,
        weights: (0..weights).map(|_| rng.uniform(-0.4, 0.4)).collect(),
        bias: (0..outputs).map(|_| rng.uniform(-0.2, 0.2)).collect(),
        norm: None,
        relu,
        weight_bits: None,
    };
    let same = Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] };
    let strided = Window { kernel: [3, 2], stride: [2, 1], padding: [1, 0, 0, 1] };
    let x = push("conv", Op::Conv2d(conv(same, 9 * 3 * 5, 5, true)), vec![0], [9, 7, 5]);
    let y = push("depthwise", Op::DepthwiseConv2d(conv(same, 9 * 5, 5, false)), vec![x], [9, 7, 5]);
    let x = push("add", Op::Add { relu: true }, vec![y, x], [9, 7, 5]);
    let x = push("max", Op::MaxPool(strided), vec![x], [4, 7, 5]);
    let x = push("conv2", Op::Conv2d(conv(strided, 6 * 5 * 18, 18, true)), vec![x], [2, 7, 18]);
    let y = push("wide", Op::Conv2d(conv(Window::default(), 18 * 18, 18, false)), vec![x], [2, 7, 18]);
    let x = push("twice", Op::Add { relu: false }, vec![y, y], [2, 7, 18]);
    let x = push("mean", Op::AvgPool(Window { kernel: [2, 3], ..strided }), vec![x], [1, 6, 18]);
    push("dense", Op::Dense(conv(Window::default(), 6 * 18 * 11, 11, false)), vec![x], [1, 1, 11]);
    let image = zoo::real(&zoo::image([9, 7, 3], seed));
    calibrate(&net, &setting.into(), &[image]).expect("calibrates")
}

#[test]
fn fast_kernels_equal_the_reference() {
    for setting in Setting::ALL {
        for (shape, graph) in
            [([32, 32, 3], zoo::resnet8(3, setting).expect("calibrates")), ([9, 7, 3], odd(5, setting))]
        {
            let file = artefact(&graph);
            let [host, reference] =
                [Backend::Host, Backend::Reference].map(|backend| simulator(&file, backend));
            for seed in 0..3 {
                let image = zoo::image(shape, seed);
                let traces = host.trace(&image).expect("runs");
                assert_eq!(traces, reference.trace(&image).expect("runs"), "{} {setting}", graph.name);
                assert_eq!(traces.len(), graph.nodes.len());
                assert_eq!(host.logits(&image), reference.logits(&image));
            }
        }
    }
}

#[test]
fn activations_are_steps_from_zero() {
    for setting in Setting::ALL {
        let graph = odd(5, setting);
        let file = artefact(&graph);
        let simulator = simulator(&file, Backend::Reference);
        let image = zoo::image([9, 7, 3], 1);
        let outputs = simulator.activations(&image).expect("runs");
        assert_eq!(outputs.len(), graph.nodes.len());
        for (node, output) in graph.nodes.iter().zip(&outputs) {
            let tensor = &graph.tensors[node.output];
            assert_eq!(output.len(), tensor.shape.iter().product::<usize>(), "{}", node.name);
            let (low, high) = tensor.range.expect("calibrated").levels();
            assert!(output.iter().all(|&step| (low..=high).contains(&(step as f32))), "{}", node.name);
            assert!(output.iter().any(|&step| step != output[0]), "{}", node.name);
        }
        let logits: Vec<i32> = simulator.logits(&image).expect("runs").into_iter().map(i32::from).collect();
        assert_eq!(outputs.last(), Some(&logits));
    }
}

#[test]
fn many_images_give_what_each_gives() {
    let file = artefact(&zoo::resnet8(3, Setting::W4a4).expect("calibrates"));
    let simulator = simulator(&file, Backend::Host);
    let images: Vec<Vec<i8>> = (0..21).map(|seed| zoo::image([32, 32, 3], seed)).collect();
    let together = simulator.logits(&images.concat()).expect("runs");
    let alone: Vec<i8> = images.iter().flat_map(|image| simulator.logits(image).expect("runs")).collect();
    assert_eq!(together, alone);
    let distinct: std::collections::HashSet<&[i8]> = together.chunks(10).collect();
    assert!(distinct.len() > 15);
}

/// Correlation of two lists.
fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
    let (ma, mb) = (mean(a), mean(b));
    let product = |x: &[f32], mx: f32, y: &[f32], my: f32| -> f32 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    product(a, ma, b, mb) / (product(a, ma, a, ma) * product(b, mb, b, mb)).sqrt()
}

#[test]
fn integers_follow_the_float_network() {
    for (setting, least) in
        [(Setting::W8a8, 0.998), (Setting::W4a8, 0.97), (Setting::W4a4, 0.93), (Setting::All4, 0.85)]
    {
        for graph in [zoo::resnet8(2, setting).expect("calibrates"), odd(4, setting)] {
            let file = artefact(&graph);
            let simulator = simulator(&file, Backend::Host);
            let image = zoo::image(graph.tensors[0].shape, 2);
            let logits = simulator.logits(&image).expect("runs");
            let scale = graph.tensors[graph.output].range.expect("calibrated").scale();
            let integers: Vec<f32> = logits.iter().map(|&logit| f32::from(logit) * scale).collect();
            let float = forward(&graph, &zoo::real(&image), |_, _| {});
            let found = correlation(&integers, &float);
            assert!(found > least, "{} {setting}: {found}", graph.name);
        }
    }
}

#[test]
fn evaluation_counts() {
    let file = artefact(&zoo::resnet8(3, Setting::W8a8).expect("calibrates"));
    let simulator = simulator(&file, Backend::Host);
    let images: Vec<i8> = (0..8).flat_map(|seed| zoo::image([32, 32, 3], seed)).collect();
    let logits = simulator.logits(&images).expect("runs");
    let mut labels: Vec<u8> = logits.chunks(10).map(|scores| best(scores) as u8).collect();
    labels[5] = (labels[5] + 1) % 10;
    let evaluation = simulator.evaluate(&images, &labels).expect("runs");
    assert_eq!((evaluation.images, evaluation.correct), (8, 7));
    assert_eq!(evaluation.accuracy(), 0.875);
    assert_eq!(evaluation.confusion.iter().flatten().sum::<usize>(), 8);
    assert_eq!(evaluation.logits, logits);
}

#[test]
fn wrong_sizes_are_refused() {
    let file = artefact(&odd(5, Setting::W8a8));
    let simulator = simulator(&file, Backend::Host);
    let message = |error: SimulateError| error.to_string();
    let images = simulator.logits(&[0; 100]).expect_err("refused");
    assert!(message(images).starts_with("100 values are not whole images of 189 values"));
    let labels = simulator.evaluate(&[0; 189], &[1, 2]).expect_err("refused");
    assert_eq!(labels, SimulateError::Labels { labels: 2, images: 1 });
    let label = simulator.evaluate(&[0; 189], &[11]).expect_err("refused");
    assert_eq!(label, SimulateError::Label { label: 11, logits: 11 });
    assert!(simulator.trace(&[0; 3]).is_err());
}

#[test]
fn pixels_and_ties() {
    assert_eq!(values(&[0, 127, 128, 255]), [-128, -1, 0, 127]);
    assert_eq!(best(&[3, 9, 9, -2]), 1);
}
