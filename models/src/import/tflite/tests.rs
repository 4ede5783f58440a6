//! Windows and constants by hand, on files made by another writer.

use super::*;
use crate::graph::{Op, Window};
use crate::quantize::QOp;

const FLOAT: &[u8] = include_bytes!("../../../tests/import/tiny_float.tflite");
const INT8: &[u8] = include_bytes!("../../../tests/import/tiny_int8.tflite");

fn float(white: f32) -> crate::graph::Graph {
    match network(FLOAT, "tiny", white) {
        Ok(Imported::Float(graph)) => graph,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_factor_of_pixels_goes_into_the_first_weights() {
    let weights = |white| match &float(white).nodes[0].op {
        Op::Conv2d(conv) => (conv.weights[0], conv.bias[0]),
        other => panic!("{other:?}"),
    };
    let ((scaled, bias), (plain, same)) = (weights(255.0), weights(1.0));
    assert_eq!((scaled, bias), (plain * 255.0, same));
}

#[test]
fn padding_same_puts_the_odd_row_below() {
    let graph = float(255.0);
    let window = |index: usize| match &graph.nodes[index].op {
        Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) => conv.window,
        Op::MaxPool(window) | Op::AvgPool(window) => *window,
        other => panic!("{other:?}"),
    };
    // 8 to 4 by steps of 2 with a kernel of 3: (4 - 1) * 2 + 3 is one more than 8.
    assert_eq!(window(0), Window { kernel: [3, 3], stride: [2, 2], padding: [0, 1, 0, 1] });
    assert_eq!(window(1), Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] });
    assert_eq!(window(3), Window { kernel: [2, 2], stride: [2, 1], padding: [0, 0, 0, 1] });
    assert_eq!(window(5), Window { kernel: [2, 4], stride: [1, 1], padding: [0; 4] });
}

/// The file with the bytes of a constant changed.
fn changed(name: &str, change: impl Fn(&mut [u8])) -> ImportError {
    let model = Model::read(INT8).expect("a model");
    let tensors = (0..20).map(|index| model.tensor(index).expect("a tensor"));
    let data = tensors.into_iter().find(|tensor| tensor.name == name).expect("the tensor").data;
    let start = data.as_ptr().addr() - INT8.as_ptr().addr();
    let mut file = INT8.to_vec();
    change(&mut file[start..start + data.len()]);
    network(&file, "tiny", 255.0).expect_err("refused")
}

#[test]
fn constants_that_the_runtime_cannot_take() {
    let said = changed("point/weights", |weights| weights[3] = 0x80).to_string();
    assert!(said.starts_with("operation 5, CONV_2D, has the weight -128 in `point/weights`"), "{said}");
    let said = changed("dense/bias", |bias| bias[..4].copy_from_slice(&i32::MAX.to_le_bytes())).to_string();
    let begins = "operation 7, FULLY_CONNECTED, cannot be computed in integers: output 0 of node `dense1`";
    assert!(said.starts_with(begins), "{said}");
}

#[test]
fn depthwise_weights_go_by_channel() {
    let model = Model::read(INT8).expect("a model");
    let tensors = (0..20).map(|index| model.tensor(index).expect("a tensor"));
    let stored = tensors.into_iter().find(|tensor| tensor.name == "depthwise/weights").expect("the tensor");
    let Ok(Imported::Integer(graph)) = network(INT8, "tiny", 255.0) else { panic!("an int8 network") };
    let QOp::DepthwiseConv2d(_, linear) = &graph.nodes[1].op else { panic!("a depthwise convolution") };
    // Channel 4, tap 7: nine taps a channel here, six channels a tap there.
    assert_eq!(linear.weights[4 * 9 + 7], stored.data[7 * 6 + 4] as i8);
    assert_eq!((linear.shape.outputs, linear.shape.taps, linear.shape.inputs), (6, 9, 1));
}
