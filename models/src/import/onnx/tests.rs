//! Constants by hand, and a sentence for everything that is refused, on networks of a few operations.

mod quantized;

use super::proto::{
    AttributeProto, Dimension, FLOAT, GraphProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};
use super::*;
use crate::graph::{Conv, Graph, Op};

/// An operation; an attribute is a name and integers, of which the first stands for itself too.
fn node(kind: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> NodeProto {
    let attribute = |&(name, ints): &(&str, &[i64])| AttributeProto {
        name: name.into(),
        i: ints[0],
        ints: ints.to_vec(),
        ..AttributeProto::default()
    };
    NodeProto {
        input: inputs.iter().map(|name| (*name).into()).collect(),
        output: vec![output.into()],
        op_type: kind.into(),
        attribute: attributes.iter().map(attribute).collect(),
        ..NodeProto::default()
    }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let (dims, float_data) = (dims.to_vec(), values.to_vec());
    TensorProto { name: name.into(), dims, data_type: FLOAT, float_data, ..TensorProto::default() }
}

/// A value of these extents; -1 is left open.
fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&extent| Dimension { dim_value: Some(extent).filter(|&n| n >= 0) }).collect();
    let tensor = TensorType { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

/// From `image` of these extents to `out`.
fn model(image: &[i64], node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let graph =
        GraphProto { node, initializer, input: vec![value("image", image)], output: vec![value("out", &[])] };
    let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
    ModelProto { graph: Some(graph), opset_import: vec![opset] }
}

/// The file of a model: the format's version stands first.
fn file(model: &ModelProto) -> Vec<u8> {
    [&[0x08, 8][..], &model.encode_to_vec()].concat()
}

fn read(model: &ModelProto, white: f32) -> Graph {
    match network(&file(model), "net", white) {
        Ok(Imported::Float(graph)) => graph,
        other => panic!("{other:?}"),
    }
}

fn linear(graph: &Graph, index: usize) -> &Conv {
    match &graph.nodes[index].op {
        Op::Conv2d(conv) | Op::Dense(conv) => conv,
        other => panic!("{other:?}"),
    }
}

fn refused(model: &ModelProto) -> String {
    network(&file(model), "net", 255.0).expect_err("refused").to_string()
}

#[test]
fn the_mean_of_the_pixels_goes_into_the_bias() {
    let nodes = vec![
        node("Sub", &["image", "mean"], "a", &[]),
        node("Conv", &["a", "w", "b"], "out", &[("group", &[1])]),
    ];
    let constants = vec![
        floats("mean", &[3, 1, 1], &[1.0, 2.0, 3.0]),
        floats("w", &[1, 3, 1, 1], &[1.0, 10.0, 100.0]),
        floats("b", &[1], &[5.0]),
    ];
    let graph = read(&model(&[-1, 3, 1, 1], nodes, constants), 255.0);
    let conv = linear(&graph, 0);
    assert_eq!((&conv.weights[..], &conv.bias[..]), (&[255.0, 2550.0, 25500.0][..], &[5.0 - 321.0][..]));
}

#[test]
fn zeros_are_not_put_around_an_image_without_its_mean() {
    let padded = |kind: &str| {
        let nodes = vec![
            node(kind, &["image", "mean"], "a", &[]),
            node("Conv", &["a", "w"], "b", &[("pads", &[1, 1, 1, 1])]),
            node("GlobalAveragePool", &["b"], "out", &[]),
        ];
        model(&[1, 1, 4, 4], nodes, vec![floats("mean", &[], &[2.0]), floats("w", &[1, 1, 3, 3], &[1.0; 9])])
    };
    assert!(refused(&padded("Sub")).starts_with("operation 1, Conv, pads an image from which a mean"));
    assert_eq!(linear(&read(&padded("Div"), 255.0), 0).weights, [127.5; 9]);
}

#[test]
fn a_dense_layer_reads_channels_last_here() {
    let nodes =
        vec![node("Flatten", &["image"], "a", &[]), node("Gemm", &["a", "w"], "out", &[("transB", &[1])])];
    // Channel 0 at both columns, then channel 1.
    let weights = vec![floats("w", &[1, 4], &[1.0, 2.0, 3.0, 4.0])];
    let graph = read(&model(&[1, 2, 1, 2], nodes, weights), 1.0);
    assert_eq!(linear(&graph, 0).weights, [1.0, 3.0, 2.0, 4.0]);
}

#[test]
fn norms_and_factors_after_each_other() {
    let nodes = vec![
        node("Conv", &["image", "w"], "a", &[("group", &[1])]),
        node("BatchNormalization", &["a", "g", "b", "m", "v"], "c", &[]),
        node("Mul", &["c", "two"], "d", &[]),
        node("Add", &["d", "two"], "out", &[]),
    ];
    let one = |name, value| floats(name, &[1], &[value]);
    let constants = vec![
        floats("w", &[1, 1, 1, 1], &[1.0]),
        one("g", 3.0),
        one("b", 0.5),
        one("m", 7.0),
        one("v", 4.0),
        one("two", 2.0),
    ];
    let graph = read(&model(&[1, 1, 1, 1], nodes, constants), 1.0);
    let norm = linear(&graph, 0).norm.as_ref().expect("a norm");
    assert_eq!((norm.gamma[0], norm.beta[0], norm.mean[0], norm.var[0]), (6.0, 3.0, 7.0, 4.0));
}

#[test]
fn whole_files_that_are_refused() {
    let good = || {
        let nodes = vec![node("Conv", &["image", "w"], "out", &[("group", &[1])])];
        model(&[1, 1, 1, 1], nodes, vec![floats("w", &[1, 1, 1, 1], &[1.0])])
    };
    read(&good(), 1.0);
    let changed = |change: fn(&mut ModelProto)| {
        let mut model = good();
        change(&mut model);
        refused(&model)
    };
    let graph = |model: &mut ModelProto| model.graph.take().expect("a graph");
    let image = |extents: &[i64]| {
        let mut model = good();
        let graph = GraphProto { input: vec![value("image", extents)], ..graph(&mut model) };
        refused(&ModelProto { graph: Some(graph), ..model })
    };
    let extent =
        |shape: &str| format!("operation 0, the image's reader, has the tensor `image` of shape {shape}");
    for (said, begins) in [
        (changed(|m| m.opset_import[0].version = 10), "the file uses version 10 of ONNX's operators"),
        (changed(|m| m.opset_import[0].version = 22), "the file uses version 22 of ONNX's operators"),
        (changed(|m| m.opset_import.clear()), "the file is damaged or cut short: it names no version"),
        (changed(|m| m.graph = None), "the file is damaged or cut short: it holds no network"),
        (
            changed(|m| m.graph.as_mut().expect("a graph").initializer[0].data_location = 1),
            "the file keeps its weights in a file beside it: save it as one file",
        ),
        (
            changed(|m| m.graph.as_mut().expect("a graph").node[0].op_type = "QLinearConv".into()),
            "the network is quantized with QLinearConv, and quantized ONNX networks are read with Quan",
        ),
        (
            changed(|m| m.graph.as_mut().expect("a graph").input.push(value("more", &[1]))),
            "the network has 1 subgraphs, 2 inputs and 1 outputs",
        ),
        (changed(|m| m.graph.as_mut().expect("a graph").node.clear()), "the network has 0 operations"),
        (
            changed(|m| m.graph.as_mut().expect("a graph").initializer[0].dims[0] = 2),
            "the file is damaged or cut short: a constant has another length",
        ),
        (
            changed(|m| {
                let graph = m.graph.as_mut().expect("a graph");
                graph.node.push(graph.node[0].clone());
            }),
            "the file is damaged or cut short: it writes a value twice",
        ),
        (image(&[2, 1, 1, 1]), &extent("[2, 1, 1, 1]")),
        (image(&[1, 1, -1, 1]), &extent("[1, 1, -1, 1]")),
        (image(&[1, 1]), &extent("[1, 1]")),
        (image(&[1, 1, 2, 3]), "the network ends in a map of 2x3"),
    ] {
        assert!(said.starts_with(begins), "{said}");
    }
}

#[test]
fn operations_that_are_refused() {
    let plain = || node("Conv", &["image", "w"], "a", &[("group", &[1])]);
    let case = |nodes: Vec<NodeProto>| {
        let constants = vec![
            floats("w", &[2, 2, 1, 1], &[1.0; 4]),
            floats("row", &[3], &[1.0; 3]),
            floats("two", &[2], &[1.0; 2]),
            floats("zero", &[], &[0.0]),
            floats("six", &[], &[6.0]),
        ];
        refused(&model(&[1, 2, 3, 3], [vec![plain()], nodes].concat(), constants))
    };
    let after = |kind, inputs: &[&str], attributes: &[(&str, &[i64])]| {
        case(vec![node(kind, inputs, "out", attributes)])
    };
    let norm = ["a", "two", "two", "two", "two"];
    for (said, ends) in [
        (
            after("Conv", &["a", "w"], &[("group", &[2])]),
            "has 2 groups, and Fourbit runs 1, or one for each channel",
        ),
        (after("Conv", &["a", "w"], &[("dilations", &[2, 1])]), "has a dilation"),
        (after("Conv", &["a", "b"], &[("group", &[1])]), "takes its constants from `b`"),
        (after("Conv", &["a", "row"], &[("group", &[1])]), "has a filter of shape [3]"),
        (after("BatchNormalization", &norm, &[("training_mode", &[1])]), "is in training mode"),
        (
            after(
                "AveragePool",
                &["a"],
                &[("kernel_shape", &[3, 3]), ("pads", &[1, 1, 1, 1]), ("count_include_pad", &[1])],
            ),
            "counts the zeros of its padding",
        ),
        (
            after("MaxPool", &["image"], &[("kernel_shape", &[3, 3])]),
            "reads the image, whose pixels are 0 to 255",
        ),
        (after("Mul", &["a", "a"], &[("x", &[0])]), "needs a constant: both of its inputs are computed"),
        (after("Div", &["zero", "a"], &[("x", &[0])]), "needs a constant to divide by"),
        (after("Add", &["a", "row"], &[("x", &[0])]), "has the constant `row` of shape [3]"),
        (after("Clip", &["a", "zero", "six"], &[("x", &[0])]), "has the activation RELU6"),
        (after("Cast", &["a"], &[("to", &[10])]), "has the tensor `a` of type float16 in a float network"),
        (after("ReduceMean", &["a"], &[("axes", &[1])]), "averages over the axes [1]"),
        (after("Transpose", &["a"], &[("perm", &[0, 1, 3, 2])]), "transposes by [0, 1, 3, 2]"),
        (after("Flatten", &["a"], &[("axis", &[2])]), "reshapes to [2], and Fourbit to [1, values] alone"),
        (after("Gemm", &["a", "w"], &[("transB", &[1])]), "has a filter of shape [2, 2, 1, 1]"),
        (after("Relu", &["nothing"], &[("x", &[0])]), "reads `nothing`, which no operation before it writes"),
        (
            case(vec![node("Relu", &["a"], "b", &[]), node("Add", &["a", "b"], "out", &[])]),
            "needs a convolution, a dense layer or an addition before it whose result nothing else reads",
        ),
        (
            case(vec![node("Softmax", &["a"], "b", &[]), node("Relu", &["b"], "out", &[])]),
            "is dropped at the end of a network, and here other operations follow",
        ),
    ] {
        assert!(said.contains(ends) && said.starts_with("operation "), "{said}");
        assert!(!said.contains(". Operation "), "{said}");
    }
}
