//! An artefact back to the integer graph that it was compiled from, to be planned again.
//!
//! Takes a checked artefact, gives operations, tensors and weights in the compiler's order; plans
//! and layouts are left behind. Compiling the graph gives the same bits.

use fourbit::Artefact;
use fourbit::artefact::{Op, OpRecord};
use fourbit::layout::FilterShape;

use crate::quantize::{QAdd, QGraph, QLinear, QNode, QOp, QTensor};

/// The graph of an artefact; `name` is for people.
pub fn read(artefact: &Artefact<'_>, name: &str) -> QGraph {
    let records: Vec<OpRecord> = (0..artefact.op_count()).filter_map(|index| artefact.op(index)).collect();
    let tensors = (0..artefact.tensor_count()).filter_map(|index| {
        let name = index.checked_sub(1).map_or("image", |maker| artefact.name(maker)).to_owned();
        Some(QTensor { name, info: artefact.tensor(index as u16)? })
    });
    let nodes = records.iter().enumerate().map(|(index, record)| QNode {
        name: artefact.name(index).to_owned(),
        op: operation(artefact, record),
        inputs: record.inputs().map(usize::from).collect(),
        output: usize::from(record.output),
    });
    QGraph {
        name: name.to_owned(),
        tensors: tensors.collect(),
        nodes: nodes.collect(),
        input: 0,
        output: usize::from(artefact.output()),
        labels: artefact.labels().map(str::to_owned).collect(),
    }
}

fn operation(artefact: &Artefact<'_>, record: &OpRecord) -> QOp {
    match record.op {
        Op::Conv2d(window, _) => QOp::Conv2d(window, linear(artefact, record)),
        Op::DepthwiseConv2d(window, _) => QOp::DepthwiseConv2d(window, linear(artefact, record)),
        Op::MatMul(_) => QOp::MatMul(linear(artefact, record)),
        Op::Add(add) => QOp::Add(QAdd { a: add.a, b: add.b, out: add.out, min: add.min, max: add.max }),
        Op::AvgPool2d(window) => QOp::AvgPool2d(window),
        Op::MaxPool2d(window) => QOp::MaxPool2d(window),
    }
}

fn linear(artefact: &Artefact<'_>, record: &OpRecord) -> QLinear {
    let constants = "a checked artefact has the constants of its linear operations";
    let filter = artefact.filter_of(record).expect(constants);
    let epilogue = artefact.epilogue_of(record).expect(constants);
    let FilterShape { outputs, taps, inputs } = filter.shape;
    let places = (0..outputs)
        .flat_map(|output| (0..taps).flat_map(move |tap| (0..inputs).map(move |input| (output, tap, input))));
    QLinear {
        shape: filter.shape,
        bits: filter.bits,
        weights: places.map(|(output, tap, input)| filter.get(output, tap, input) as i8).collect(),
        bias: (0..outputs).map(|output| epilogue.bias(output)).collect(),
        rescale: (0..outputs).map(|output| epilogue.rescale(output)).collect(),
        min: epilogue.min,
        max: epilogue.max,
    }
}
