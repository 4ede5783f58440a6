//! Integers by hand, and a sentence for everything that is refused of a quantized network.

use super::super::proto::{INT8, INT32, UINT8};
use super::*;
use crate::quantize::{QGraph, QLinear, QOp};
use fourbit::requant::Rescale;

const INT16: i32 = 5;

fn integers(name: &str, data_type: i32, dims: &[i64], values: &[i32]) -> TensorProto {
    let (dims, int32_data) = (dims.to_vec(), values.to_vec());
    TensorProto { name: name.into(), dims, data_type, int32_data, ..TensorProto::default() }
}

/// QuantizeLinear from `x` to `x q`, and DequantizeLinear to `x d`.
fn pair(x: &str, scale: &str, zero: &str) -> [NodeProto; 2] {
    let [q, d] = ["q", "d"].map(|end| format!("{x} {end}"));
    [
        node("QuantizeLinear", &[x, scale, zero], &q, &[]),
        node("DequantizeLinear", &[&q, scale, zero], &d, &[]),
    ]
}

/// Steps of 1 for the image and of 2 for what follows; weights of two outputs behind `w`, biases behind `b`.
fn constants(element: i32) -> Vec<TensorProto> {
    let shift = if element == UINT8 { 128 } else { 0 };
    vec![
        floats("one", &[], &[1.0]),
        floats("two", &[], &[2.0]),
        floats("three", &[], &[3.0]),
        integers("black", element, &[], &[shift - 128]),
        integers("zero", element, &[], &[shift + 3]),
        integers("w q", INT8, &[2, 1, 1, 1], &[-5, 127]),
        floats("w s", &[2], &[0.5, 0.25]),
        floats("b s", &[2], &[0.5, 0.25]),
        integers("w z", INT8, &[2], &[0, 0]),
        integers("b q", INT32, &[2], &[16_777_217, -7]),
        integers("b z", INT32, &[2], &[0, 0]),
    ]
}

fn stored() -> Vec<NodeProto> {
    vec![
        node("DequantizeLinear", &["w q", "w s", "w z"], "w", &[("axis", &[0])]),
        node("DequantizeLinear", &["b q", "b s", "b z"], "b", &[("axis", &[0])]),
    ]
}

/// The image, a convolution with a ReLU, and the pair after it: `out`.
fn good(element: i32) -> ModelProto {
    let mut nodes = stored();
    nodes.extend(pair("image", "one", "black"));
    nodes.push(node("Conv", &["image d", "w", "b"], "a", &[("group", &[1])]));
    nodes.push(node("Relu", &["a"], "r", &[]));
    nodes.extend(pair("r", "two", "zero"));
    nodes.push(node("Identity", &["r d"], "out", &[]));
    model(&[-1, 1, 1, 1], nodes, constants(element))
}

fn quantized(model: &ModelProto) -> QGraph {
    match network(&file(model), "net", 255.0) {
        Ok(Imported::Integer(graph)) => graph,
        Ok(other) => panic!("{other:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// The good network with its graph changed.
fn changed(change: impl FnOnce(&mut GraphProto)) -> ModelProto {
    let mut model = good(INT8);
    change(model.graph.as_mut().expect("a graph"));
    model
}

fn constant<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut TensorProto {
    graph.initializer.iter_mut().find(|tensor| tensor.name == name).expect("the constant")
}

fn linear(graph: &QGraph) -> &QLinear {
    graph.nodes[0].op.linear().expect("a linear operation")
}

#[test]
fn integers_of_the_file_stay() {
    let graph = quantized(&good(INT8));
    let conv = linear(&graph);
    assert_eq!((&conv.weights[..], &conv.bias[..]), (&[-5, 127][..], &[16_777_217, -7][..]));
    // 1 * 0.5 / 2 and 1 * 0.25 / 2.
    let rescale = [32, 33].map(|shift| Rescale { multiplier: 1 << 30, shift });
    assert_eq!((&conv.rescale[..], conv.min, conv.max), (&rescale[..], 3, 127));
    let zero_points: Vec<i8> = graph.tensors.iter().map(|tensor| tensor.info.zero_point).collect();
    assert_eq!(zero_points, [-128, 3]);
    assert_eq!(quantized(&good(UINT8)), graph);
}

#[test]
fn without_a_zero_point_it_is_0_of_uint8() {
    let model = changed(|graph| {
        for node in &mut graph.node {
            node.input.retain(|name| name != "black");
        }
    });
    assert_eq!(quantized(&model), quantized(&good(INT8)));
}

#[test]
fn a_mean_that_changes_the_scale_is_a_convolution() {
    let mut nodes = pair("image", "one", "black").to_vec();
    nodes.push(node("GlobalAveragePool", &["image d"], "a", &[]));
    nodes.extend(pair("a", "two", "zero"));
    nodes.push(node("Softmax", &["a d"], "out", &[]));
    let graph = quantized(&model(&[1, 3, 2, 2], nodes, constants(INT8)));
    let QOp::DepthwiseConv2d(window, linear) = &graph.nodes[0].op else { panic!("a convolution") };
    assert_eq!((window.kernel, &linear.weights[..]), ([2, 2], &[1; 12][..]));
    // 1 / (2 * 4).
    assert_eq!(linear.rescale, [Rescale { multiplier: 1 << 30, shift: 33 }; 3]);
}

#[test]
fn constants_that_are_refused() {
    let weights = "without a usable scale and zero point: quantize the network again, weights symmetric";
    type Change = fn(&mut GraphProto);
    let cases: [(Change, &str); 10] = [
        (|graph| constant(graph, "w z").int32_data = vec![0, 1], weights),
        (|graph| constant(graph, "w s").float_data[1] = 0.0, weights),
        (|graph| graph.node[0].attribute[0].i = 1, weights),
        (
            |graph| {
                graph.initializer.push(floats("f", &[2, 1, 1, 1], &[1.0; 2]));
                graph.node[4].input[1] = "f".into();
            },
            "has the tensor `f` without a usable scale",
        ),
        (|graph| constant(graph, "w q").int32_data[1] = -128, "has the weight -128 in `w`"),
        (|graph| constant(graph, "w q").data_type = UINT8, "a constant has another length than its shape"),
        (
            |graph| {
                constant(graph, "w q").int32_data[0] = 5;
                constant(graph, "w q").data_type = UINT8;
            },
            "has the tensor `w q` of type uint8 in an int8 network",
        ),
        (
            |graph| constant(graph, "zero").data_type = INT16,
            "QuantizeLinear, has the tensor `r` of type int16 in an int8 network",
        ),
        (|graph| constant(graph, "one").float_data[0] = 0.5, "the image has scale 0.5 and zero point -128"),
        (
            |graph| constant(graph, "b q").int32_data[0] = i32::MAX,
            "operation 4, Conv, cannot be computed in integers: output 0 of node `conv1`",
        ),
    ];
    for (change, says) in cases {
        let said = refused(&changed(change));
        assert!(said.contains(says) && !said.contains(". Operation"), "{said} and not {says}");
    }
}

#[test]
fn pairs_that_are_refused() {
    let after = |nodes: Vec<NodeProto>| {
        refused(&changed(|graph| {
            graph.node.pop();
            graph.node.extend(nodes);
            graph.initializer.push(floats("g", &[2], &[1.0; 2]));
        }))
    };
    let pool = |input| node("GlobalMaxPool", &[input], "p", &[]);
    for (said, says) in [
        (
            refused(&changed(|graph| graph.node[7].input[1] = "three".into())),
            "operation 7, DequantizeLinear, reads `r q` with another type, scale or zero point",
        ),
        (
            refused(&changed(|graph| {
                graph.initializer.push(integers("unsigned", UINT8, &[], &[131]));
                graph.node[7].input[2] = "unsigned".into();
            })),
            "operation 7, DequantizeLinear, reads `r q` with another type, scale or zero point",
        ),
        (
            refused(&changed(|graph| graph.node[4].input[0] = "image".into())),
            "operation 4, Conv, reads `image`, which no DequantizeLinear writes",
        ),
        (
            after(vec![pool("r q"), node("Identity", &["p"], "out", &[])]),
            "operation 8, GlobalMaxPool, reads `r q`, which no DequantizeLinear writes",
        ),
        (
            after(vec![pool("r d"), node("Identity", &["p"], "out", &[])]),
            "operation 8, GlobalMaxPool, has the tensor `max_pool1` without a usable scale and zero point",
        ),
        (
            after(
                [&[pool("r d")], &pair("p", "three", "zero")[..], &[node("Identity", &["p d"], "out", &[])]]
                    .concat(),
            ),
            "operation 8, GlobalMaxPool, is a pool from steps of 2 to steps of 3",
        ),
        (
            after([&pair("r d", "three", "zero")[..], &[node("Identity", &["r d d"], "out", &[])]].concat()),
            "operation 8, QuantizeLinear, brings values from steps of 2 to steps of 3",
        ),
        (
            after(vec![node("BatchNormalization", &["r d", "g", "g", "g", "g"], "out", &[])]),
            "operation 8, BatchNormalization, needs integers: have it folded",
        ),
        (
            after(vec![node("Add", &["r d", "two"], "out", &[])]),
            "operation 8, Add, needs integers: have it folded",
        ),
        (
            after(vec![node("Gemm", &["r d", "g"], "out", &[("alpha", &[0])])]),
            "operation 8, Gemm, needs an alpha and beta of 1",
        ),
        (
            after(vec![node("QuantizeLinear", &["r q", "two", "zero"], "out", &[])]),
            "operation 8, QuantizeLinear, needs real values, and reads integers",
        ),
        (
            after(vec![node("DequantizeLinear", &["r d", "two", "zero"], "out", &[])]),
            "operation 8, DequantizeLinear, needs integers, and reads real values",
        ),
    ] {
        assert!(said.starts_with(says) && !said.contains(". Operation"), "{said} and not {says}");
    }
}

#[test]
fn refused_all_at_once() {
    let said = refused(&changed(|graph| {
        constant(graph, "w q").int32_data[1] = -128;
        graph.node[7].input[1] = "three".into();
        graph.node.insert(8, node("Sigmoid", &["image d"], "s", &[]));
    }));
    let sentences: Vec<&str> = said.split(". ").collect();
    let begins = [
        "operation 4, Conv, has the weight",
        "Operation 7, DequantizeLinear, reads",
        "Operation 8, Sigmoid, is not",
    ];
    assert_eq!(sentences.len(), 4, "{said}");
    for (sentence, begins) in sentences.iter().zip(begins) {
        assert!(sentence.starts_with(begins), "{sentence}");
    }
}
