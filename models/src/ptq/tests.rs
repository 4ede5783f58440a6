//! What each step promises, on small graphs.

use super::*;
use crate::graph::{Tensor, Window};
use crate::quantize::quantize as to_integers;
use crate::rng::Rng;
use crate::scheme::Setting;

const PADDED: Window = Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] };
const WHOLE: Window = Window { kernel: [6, 6], stride: [1, 1], padding: [0; 4] };

/// Every kind of node between an image and two logits: a residual block, a depthwise filter, a pool.
fn network(rng: &mut Rng) -> Graph {
    let mut conv = |window: Window, outputs: usize, inputs: usize, relu| {
        let taps = window.kernel[0] * window.kernel[1];
        let reach = (3.0 / (taps * inputs) as f32).sqrt();
        // The channels' ranges differ by a factor of 10.
        let weight = |at: usize| {
            let factor = 10f32.powf((at / (taps * inputs)) as f32 / outputs as f32);
            rng.uniform(-reach, reach) * factor
        };
        let weights = (0..outputs * taps * inputs).map(weight).collect();
        let bias = (0..outputs).map(|i| 0.1 * i as f32).collect();
        Conv { window, weights, bias, norm: None, relu, weight_bits: None }
    };
    let ops = [
        (Op::Conv2d(conv(PADDED, 8, 3, true)), vec![0], [6, 6, 8]),
        (Op::Conv2d(conv(PADDED, 8, 8, true)), vec![1], [6, 6, 8]),
        (Op::DepthwiseConv2d(conv(PADDED, 8, 1, true)), vec![2], [6, 6, 8]),
        (Op::Conv2d(conv(Window::default(), 8, 8, false)), vec![3], [6, 6, 8]),
        (Op::Add { relu: true }, vec![1, 4], [6, 6, 8]),
        (Op::AvgPool(WHOLE), vec![5], [1, 1, 8]),
        (Op::Dense(conv(Window::default(), 2, 8, false)), vec![6], [1, 1, 2]),
    ];
    let tensor = |shape| Tensor { name: String::new(), shape, range: None };
    let mut graph = Graph {
        name: "net".into(),
        tensors: vec![tensor([6, 6, 3])],
        nodes: vec![],
        input: 0,
        output: ops.len(),
        labels: vec![],
    };
    for (index, (op, inputs, shape)) in ops.into_iter().enumerate() {
        graph.tensors.push(tensor(shape));
        graph.nodes.push(Node { name: format!("node{index}"), op, inputs, output: index + 1 });
    }
    graph
}

fn images(rng: &mut Rng, count: usize) -> Vec<Vec<f32>> {
    (0..count).map(|_| (0..6 * 6 * 3).map(|_| rng.unit()).collect()).collect()
}

/// Mean square of what the quantized twin's logits are off by.
fn loss(float: &Graph, quantized: &Graph, images: &[Vec<f32>]) -> f64 {
    let mut walk = Walk::new(float, images);
    for index in 0..quantized.nodes.len() {
        walk.step(quantized, index);
    }
    let exact = images.iter().flat_map(|image| forward(float, image, |_, _| {}));
    let found = walk.inputs(float.output).concat();
    exact.zip(&found).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / found.len() as f64
}

fn quantized(float: &Graph, setting: Setting, images: &[Vec<f32>], steps: Steps) -> Graph {
    quantize_with(float, &setting.into(), images, steps, &mut |_, _| {}).expect("quantizes")
}

#[test]
fn equalisation_keeps_the_function_and_narrows_the_channels() {
    let mut rng = Rng::new(1);
    let (float, images) = (network(&mut rng), images(&mut rng, 4));
    let mut equal = float.clone();
    equalize::equalize(&mut equal, &reach(&float, &images));
    for image in &images {
        let pair = [&float, &equal].map(|graph| forward(graph, image, |_, _| {}));
        assert!(
            pair[0].iter().zip(&pair[1]).all(|(a, b)| (a - b).abs() < 1e-4 * a.abs().max(1.0)),
            "{pair:?}"
        );
    }
    let spread = |graph: &Graph, id: usize| {
        let reach = &reach(graph, &images)[id];
        reach.iter().copied().fold(0.0, f32::max) / reach.iter().copied().fold(f32::MAX, f32::min)
    };
    for id in [1, 2] {
        assert!(spread(&equal, id) < 0.7 * spread(&float, id), "{id}");
    }
    // The image and the logits are what others read.
    assert_eq!(reach(&float, &images)[0], reach(&equal, &images)[0]);
}

#[test]
fn corrected_biases_leave_no_mean_error() {
    let mut rng = Rng::new(2);
    let (float, images) = (network(&mut rng), images(&mut rng, 10));
    let mean_errors = |graph: &Graph, index: usize| {
        let mut walk = Walk::new(&float, &images);
        (0..index).for_each(|before| walk.step(graph, before));
        let Op::Conv2d(conv) = &graph.nodes[index].op else { panic!("a convolution") };
        let targets = walk.targets(&float.nodes[index]);
        let moments = moments::moments(&float, &float.nodes[index], conv, &walk.inputs(index), &targets);
        let error = |channel: usize| {
            let given = filter(conv, channel, false).zip(&moments[0].input_mean);
            let given: f64 = given.map(|(weight, x)| f64::from(weight) * x).sum();
            (given + f64::from(conv.bias[channel]) - moments[0].target_mean[channel]).abs()
        };
        (0..8).map(error).fold(0.0, f64::max)
    };
    let rounded =
        |bias| quantized(&float, Setting::All4, &images, Steps { bias, bounds: true, ..Steps::NONE });
    for index in [0, 1] {
        assert!(mean_errors(&rounded(true), index) < 1e-5);
        assert!(mean_errors(&rounded(false), index) > 1e-3);
    }
}

#[test]
fn four_bits_lose_less_on_images_not_seen() {
    let mut rng = Rng::new(3);
    let (float, seen, unseen) = (network(&mut rng), images(&mut rng, 40), images(&mut rng, 40));
    for setting in [Setting::W4a8, Setting::W4a4, Setting::All4] {
        let rounded = Steps { bounds: true, ..Steps::NONE };
        let [plain, all] = [rounded, Steps::ALL].map(|steps| {
            let graph = quantized(&float, setting, &seen, steps);
            to_integers(&graph).expect("becomes integers");
            loss(&float, &graph, &unseen)
        });
        assert!(all < 0.5 * plain, "{setting}: {all} and {plain}");
    }
}

#[test]
fn the_same_images_give_the_same_graph() {
    let mut rng = Rng::new(4);
    let (float, images) = (network(&mut rng), images(&mut rng, 3));
    let mut calls = Vec::new();
    let one = quantize(&float, &Setting::W4a4.into(), &images, &mut |done, all| calls.push((done, all)));
    assert_eq!(calls, (1..=7).map(|done| (done, 7)).collect::<Vec<_>>());
    let single = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let other = single.install(|| quantize(&float, &Setting::W4a4.into(), &images, &mut |_, _| {}));
    assert_eq!(one, other);
}

#[test]
fn without_images_or_steps_it_is_calibration() {
    let mut rng = Rng::new(5);
    let (float, images) = (network(&mut rng), images(&mut rng, 2));
    let calibrated = calibrate(&float, &Setting::W4a8.into(), &images).expect("calibrates");
    assert_eq!(quantized(&float, Setting::W4a8, &images, Steps::NONE), calibrated);
    let blind = calibrate(&float, &Setting::W4a8.into(), &[]).expect("calibrates");
    assert_eq!(quantized(&float, Setting::W4a8, &[], Steps::ALL), blind);
}

#[test]
fn weights_must_be_numbers() {
    let mut rng = Rng::new(6);
    let (mut float, images) = (network(&mut rng), images(&mut rng, 1));
    let Op::DepthwiseConv2d(conv) = &mut float.nodes[2].op else { panic!("a depthwise convolution") };
    conv.weights[8 + 5] = f32::NAN;
    let refused = quantize(&float, &Setting::W4a8.into(), &images, &mut |_, _| {});
    assert_eq!(refused, Err(QuantizeError::NotFinite { node: "node2".into(), channel: 5 }));
}

#[test]
fn a_channel_of_zeros_and_a_constant_image() {
    let mut rng = Rng::new(7);
    let mut float = network(&mut rng);
    let Op::Conv2d(conv) = &mut float.nodes[1].op else { panic!("a convolution") };
    conv.weights[..72].fill(0.0);
    let graph = quantized(&float, Setting::All4, &[vec![0.0; 108], vec![0.0; 108]], Steps::ALL);
    to_integers(&graph).expect("becomes integers");
}
