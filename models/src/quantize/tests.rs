//! Numbers by hand, and every refusal.

use fourbit::layout::WeightBits;
use fourbit::requant::Rescale;

use super::*;
use crate::graph::{BatchNorm, Conv, Tensor};

/// Scale 2^-6, zero point -128.
const IMAGE: Range = Range { bits: 8, signed: false, bound: 255.0 / 64.0 };
/// Scale 2^-5.
const OUT: Range = Range { bits: 8, signed: false, bound: 255.0 / 32.0 };

fn tensor(name: &str, shape: [usize; 3], range: Range) -> Tensor {
    Tensor { name: name.into(), shape, range: Some(range) }
}

/// Two inputs, two outputs: the first weights have scale 2^-7, the second 2^-8.
fn conv() -> Conv {
    let weights = vec![127.0 / 128.0, -63.5 / 128.0, 127.0 / 256.0, 2.5 / 256.0];
    Conv {
        window: graph::Window::default(),
        weights,
        bias: vec![0.75, -0.25],
        norm: None,
        relu: true,
        weight_bits: Some(8),
    }
}

fn one(op: Op, input: Tensor, output: Tensor) -> Graph {
    let inputs = if matches!(op, Op::Add { .. }) { vec![0, 0] } else { vec![0] };
    Graph {
        name: "net".into(),
        tensors: vec![input, output],
        nodes: vec![Node { name: "op".into(), op, inputs, output: 1 }],
        input: 0,
        output: 1,
        labels: vec![],
    }
}

fn graph(conv: Conv) -> Graph {
    one(Op::Conv2d(conv), tensor("image", [1, 1, 2], IMAGE), tensor("out", [1, 1, 2], OUT))
}

fn error(graph: &Graph) -> String {
    let message = quantize(graph).err().map(|error| error.to_string()).expect("refused");
    assert!(!message.contains('\n'));
    message
}

#[test]
fn a_convolution_by_hand() {
    let quantized = quantize(&graph(conv())).expect("quantizes");
    let QOp::Conv2d(_, linear) = &quantized.nodes[0].op else { panic!("a convolution") };
    assert_eq!(linear.bits, WeightBits::Eight);
    // -63.5 and 2.5 go to the even neighbour.
    assert_eq!(linear.weights, [127, -64, 127, 2]);
    // 0.75 in steps of 2^-13, -0.25 in steps of 2^-14.
    assert_eq!(linear.bias, [6144, -4096]);
    // 2^-13 to 2^-5 is 2^30 / 2^38.
    let rescale = |shift| Rescale { multiplier: 1 << 30, shift };
    assert_eq!(linear.rescale, [rescale(38), rescale(39)]);
    assert_eq!((linear.min, linear.max), (-128, 127));
    assert_eq!(quantized.tensors[1].info.zero_point, -128);
    assert_eq!(quantized.tensors[1].info.scale, f16::from_f32(1.0 / 32.0));
}

#[test]
fn a_norm_folds_into_weights_and_bias() {
    let norm = BatchNorm {
        gamma: vec![2.0, 4.0],
        beta: vec![0.5, 0.0],
        mean: vec![0.25, 0.25],
        var: vec![3.0, 3.0],
        eps: 1.0,
    };
    let quantized = quantize(&graph(Conv { norm: Some(norm), ..conv() })).expect("quantizes");
    let linear = quantized.nodes[0].op.linear().expect("a linear node");
    // Factors 1 and 2: the second scale is 2^-7 now.
    assert_eq!(linear.weights, [127, -64, 127, 2]);
    // 0.5 + (0.75 - 0.25), and 2 * (-0.25 - 0.25).
    assert_eq!(linear.bias, [8192, -8192]);
}

#[test]
fn types_and_clamps_follow_from_ranges() {
    let range = |bits, signed| Range { bits, signed, bound: 3.5 };
    for (range, relu, dtype, clamp) in [
        (range(4, false), true, DType::U4, (0, 15)),
        (range(4, true), false, DType::S4, (-7, 7)),
        (range(8, true), false, DType::I8, (-127, 127)),
        (range(8, true), true, DType::I8, (0, 127)),
        (range(8, false), false, DType::I8, (-128, 127)),
    ] {
        assert_eq!(super::dtype(range), dtype);
        assert_eq!(super::clamp(range, relu), clamp);
    }
    assert_eq!(magnitude(range(8, false)), 255);
    assert_eq!(magnitude(range(4, true)), 8);
}

#[test]
fn depthwise_weights_go_by_channel() {
    let window = graph::Window { kernel: [1, 2], ..graph::Window::default() };
    let weights = vec![127.0 / 128.0, 1.0 / 128.0, -1.0 / 128.0, 127.0 / 128.0];
    let op = Op::DepthwiseConv2d(Conv { window, weights, ..conv() });
    let graph = one(op, tensor("image", [1, 2, 2], IMAGE), tensor("out", [1, 1, 2], OUT));
    let quantized = quantize(&graph).expect("quantizes");
    let linear = quantized.nodes[0].op.linear().expect("a linear node");
    assert_eq!(linear.weights, [127, -1, 1, 127]);
    assert_eq!((linear.shape.outputs, linear.shape.taps, linear.shape.inputs), (2, 2, 1));
}

#[test]
fn an_add_meets_at_twice_the_larger_scale() {
    let mut graph =
        one(Op::Add { relu: true }, tensor("image", [1, 1, 2], IMAGE), tensor("out", [1, 1, 2], OUT));
    let quarter = Range { bound: IMAGE.bound / 4.0, ..IMAGE };
    graph.tensors.insert(1, tensor("pooled", [1, 1, 2], IMAGE));
    graph.tensors[2].range = Some(OUT);
    graph.nodes[0] = Node { inputs: vec![0, 1], output: 2, ..graph.nodes[0].clone() };
    let pool = Node { name: "conv".into(), op: Op::Conv2d(conv()), inputs: vec![0], output: 1 };
    graph.nodes.insert(0, pool);
    graph.output = 2;
    graph.tensors[1].range = Some(quarter);
    let quantized = quantize(&graph).expect("quantizes");
    let QOp::Add(add) = &quantized.nodes[1].op else { panic!("an add") };
    // Common scale 2^-5: a is half of it, b an eighth, 20 bits up.
    assert_eq!(add.a, Rescale { multiplier: 1 << 30, shift: 11 });
    assert_eq!(add.b, Rescale { multiplier: 1 << 30, shift: 13 });
    // 2^-25 to 2^-5.
    assert_eq!(add.out, Rescale { multiplier: 1 << 30, shift: 50 });
    assert_eq!((add.min, add.max), (-128, 127));
}

#[test]
fn a_channel_of_vanishing_weights_is_its_bias() {
    let weights = vec![1e-30, -1e-30, 127.0 / 256.0, 0.0];
    let quantized = quantize(&graph(Conv { weights, ..conv() })).expect("quantizes");
    let linear = quantized.nodes[0].op.linear().expect("a linear node");
    assert_eq!(linear.weights[..2], [0, 0]);
    // 0.75 is 24 steps of the output.
    assert_eq!(linear.rescale[0].apply(linear.bias[0]), 24);
    assert_eq!(linear.rescale[0].apply(linear.bias[0] / 2), 12);
}

#[test]
fn ranges_and_bits_must_be_set() {
    let mut bad = graph(conv());
    bad.tensors[1].range = None;
    assert!(error(&bad).starts_with("tensor `out` has no range"));
    for (bits, bound) in [(5, 1.0), (8, 0.0), (8, f32::NAN), (8, f32::INFINITY), (4, -1.0)] {
        bad.tensors[1].range = Some(Range { bits, signed: false, bound });
        assert!(error(&bad).starts_with(&format!("tensor `out` has {bits} bits and bound {bound}")));
    }
    bad.tensors[1].range = Some(Range { bits: 4, ..OUT });
    assert!(error(&bad).contains("`out` is the network's output and must be 8 bits"));
    bad.tensors[0].range = Some(Range { signed: true, ..IMAGE });
    assert!(error(&bad).contains("`image` is the network's image and must be 8 bits unsigned"));
    assert!(error(&graph(Conv { weight_bits: None, ..conv() })).starts_with("node `op` has no weight bits"));
    assert!(error(&graph(Conv { weight_bits: Some(3), ..conv() })).contains("3-bit weights"));
}

#[test]
fn a_channel_of_tiny_weights_shifts_no_further_than_kernels_can() {
    let [large, tiny] = [1.0, 1e-7].map(|second| {
        let weights = vec![0.5, -0.25, second, -second];
        let quantized = quantize(&graph(Conv { weights, ..conv() })).expect("quantizes");
        let QOp::Conv2d(_, linear) = &quantized.nodes[0].op else { panic!("a convolution") };
        linear.clone()
    });
    assert_eq!((tiny.rescale[0], tiny.bias[0]), (large.rescale[0], large.bias[0]));
    assert_eq!(tiny.rescale[1].shift, 52);
    assert_eq!(tiny.weights[2..], [0, 0]);
}

#[test]
fn numbers_that_fit_no_accumulator() {
    let bad = |bias| error(&graph(Conv { bias, ..conv() }));
    assert!(bad(vec![0.0, f32::NAN]).contains("not finite in output 1"));
    let mut narrow = graph(conv());
    narrow.tensors[1].range = Some(Range { bound: 1e-6, ..OUT });
    assert!(error(&narrow).contains("widen the output's range"));
    narrow.tensors[1].range = Some(Range { bound: 1e-30, ..OUT });
    assert!(error(&narrow).contains("needs the factor"));

    let columns = 65_535;
    let dense = Conv { weights: vec![1.0; columns], bias: vec![1e5], relu: false, ..conv() };
    let wide = Range { bound: 1e6, ..OUT };
    let dense =
        one(Op::Dense(dense), tensor("image", [1, 1, columns], IMAGE), tensor("out", [1, 1, 1], wide));
    assert!(error(&dense).contains("past 32 bits"));
}

#[test]
fn pools_keep_or_widen_their_range() {
    let window = graph::Window { kernel: [1, 2], ..graph::Window::default() };
    let pool = |from, to| {
        let hidden = Conv { weights: vec![0.5; 2], bias: vec![0.0; 2], ..conv() };
        let mut net =
            one(Op::DepthwiseConv2d(hidden), tensor("image", [1, 2, 2], IMAGE), tensor("x", [1, 2, 2], from));
        net.tensors.push(tensor("out", [1, 1, 2], to));
        net.nodes.push(Node { name: "pool".into(), op: Op::AvgPool(window), inputs: vec![1], output: 2 });
        net.output = 2;
        quantize(&net)
    };
    let range = |bits, signed, bound| Range { bits, signed, bound };
    assert!(pool(range(8, false, 3.0), range(8, false, 3.0)).is_ok());
    assert!(pool(range(4, false, 3.0), range(8, false, 3.0)).is_ok());
    assert!(pool(range(4, true, 3.0), range(8, true, 3.0 * 127.0 / 126.0)).is_ok());
    for (from, to) in [
        (range(8, false, 3.0), range(8, false, 3.1)),
        (range(8, false, 3.0), range(8, true, 1.5)),
        (range(4, true, 3.0), range(8, true, 3.0)),
        (range(4, true, 3.0), range(8, false, 3.0)),
    ] {
        assert!(matches!(pool(from, to), Err(QuantizeError::PoolRange { .. })), "{from:?} {to:?}");
    }
}

#[test]
fn a_flattened_row_of_odd_nibbles_is_refused() {
    let hidden = Conv { weights: vec![0.5; 3], bias: vec![0.0; 3], ..conv() };
    let x = tensor("x", [1, 2, 3], Range { bits: 4, ..OUT });
    let mut net = one(Op::DepthwiseConv2d(hidden), tensor("image", [1, 2, 3], IMAGE), x);
    net.tensors.push(tensor("out", [1, 1, 1], OUT));
    let dense = Conv { weights: vec![0.5; 6], bias: vec![0.0], ..conv() };
    net.nodes.push(Node { name: "dense".into(), op: Op::Dense(dense), inputs: vec![1], output: 2 });
    net.output = 2;
    assert!(error(&net).contains("4-bit tensor of 3 channels"));
}

#[test]
fn malformed_graphs() {
    let good = graph(conv());
    let refused = |change: &dyn Fn(&mut Graph)| {
        let mut bad = good.clone();
        change(&mut bad);
        match quantize(&bad) {
            Err(QuantizeError::Malformed { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    };
    let conv_of = |graph: &mut Graph, change: &dyn Fn(&mut Conv)| {
        let Op::Conv2d(conv) = &mut graph.nodes[0].op else { panic!("a convolution") };
        change(conv);
    };
    assert_eq!(refused(&|g| g.nodes.clear()), Malformed::Counts { tensors: 2, nodes: 0 });
    assert_eq!(refused(&|g| g.tensors[0].shape[1] = 0), Malformed::Extent);
    assert_eq!(refused(&|g| g.tensors[0].shape[1] = usize::MAX), Malformed::Extent);
    assert_eq!(refused(&|g| g.input = 9), Malformed::NoTensor(9));
    assert_eq!(refused(&|g| g.nodes[0].inputs = vec![7]), Malformed::NoTensor(7));
    assert_eq!(refused(&|g| g.nodes[0].inputs.clear()), Malformed::Inputs { found: 0, expected: 1 });
    assert_eq!(refused(&|g| g.nodes[0].inputs = vec![1]), Malformed::Order(1));
    assert_eq!(refused(&|g| g.nodes[0].output = 0), Malformed::Order(0));
    assert_eq!(refused(&|g| g.output = 0), Malformed::Interface);
    assert_eq!(
        refused(&|g| g.tensors[1].shape = [2, 1, 2]),
        Malformed::Shape { found: [2, 1, 2], expected: [1, 1, 2] }
    );
    assert_eq!(refused(&|g| conv_of(g, &|c| c.window.stride = [0, 1])), Malformed::Window);
    assert_eq!(refused(&|g| conv_of(g, &|c| c.window.padding = [999; 4])), Malformed::Window);
    assert_eq!(
        refused(&|g| conv_of(g, &|c| c.weights.truncate(3))),
        Malformed::Length { what: "weights", found: 3, expected: 4 }
    );
    assert_eq!(
        refused(&|g| conv_of(g, &|c| c.bias.push(0.0))),
        Malformed::Length { what: "bias", found: 3, expected: 2 }
    );
}
