//! The operations of a file, one after the other, to the nodes of a float graph.
//!
//! Takes a network, gives a [`Network`]; a weight of a quantized one is its integer. Values are
//! `[1, C, H, W]` in the file and `[H, W, C]` here: weights are put into our order, and a transpose
//! or reshape only changes what is known of a value. Norms, biases and clamps go into the node before
//! them, if nothing else reads it.

mod affine;
mod operation;
mod quantization;
mod reshape;

use std::collections::HashMap;

use super::constant::Constant;
use super::proto::{FLOAT, GraphProto, INT8, NodeProto, TensorType, UINT8, ValueInfoProto, text, type_name};
use crate::graph::{Graph, Node, Op, Tensor, TensorId};
use crate::import::integer::Steps;
use crate::import::{ImportError, Names, Problem, Reason};
use affine::Affine;
use quantization::Form;

/// Most operations of a network.
const MAX_OPERATIONS: usize = 4096;
/// Largest height, width and number of channels; smallest number of values that is too many.
const MAX_EXTENT: usize = 65_535;
const TOO_MANY: usize = 1 << 31;

/// How a value of the file counts the elements of a tensor of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// `[1, C, H, W]`.
    ChannelsFirst,
    /// `[1, H, W, C]`.
    ChannelsLast,
}

/// A network, and what it takes to make integers of it.
///
/// With problems, their nodes are missing and everything else is there to be looked at as well.
#[derive(Debug)]
pub(super) struct Network<'a> {
    pub(super) graph: Graph,
    /// By tensor; `None` where nothing quantizes it.
    pub(super) steps: Vec<Option<Steps>>,
    /// By node: the place of its operation in the file.
    pub(super) operations: Vec<usize>,
    pub(super) constants: HashMap<&'a str, Constant>,
    pub(super) problems: Vec<Problem>,
}

/// Where the value of a name of the file is found.
#[derive(Clone, Debug)]
struct Value {
    id: TensorId,
    order: Order,
    /// `[1, elements]`, in the same order.
    flat: bool,
    /// Something was dropped on the way: no operation may follow.
    ended: bool,
    /// More than one operation reads it.
    shared: bool,
    /// What the file did to the image; `None` for every other value.
    image: Option<Affine>,
    form: Form,
}

/// Why an operation has no node.
enum Stop {
    Reason(Reason),
    /// An operation before it was refused: nothing more can be said.
    Unknown,
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop::Reason(reason)
    }
}

struct Walk<'a> {
    /// What a float network takes for the brightest pixel; `None` for a quantized network.
    white: Option<f32>,
    constants: HashMap<&'a str, Constant>,
    /// `None` for what a refused operation writes.
    values: HashMap<&'a str, Option<Value>>,
    /// Operations that read a value, and one more for the network's result.
    readers: HashMap<&'a str, usize>,
    tensors: Vec<Tensor>,
    /// A node writes the tensor after its place in the list.
    nodes: Vec<Node>,
    steps: Vec<Option<Steps>>,
    operations: Vec<usize>,
    /// The place of the operation that is looked at.
    operation: usize,
    names: Names,
}

/// Walks through a network; `white` is that of a float one.
pub(super) fn walk<'a>(
    graph: &'a GraphProto,
    name: &str,
    white: Option<f32>,
) -> Result<Network<'a>, ImportError> {
    let operations = graph.node.len();
    if operations == 0 || operations > MAX_OPERATIONS {
        return Err(ImportError::Operations(operations));
    }
    let (image, result) = ends(graph)?;
    let order = image_order(graph, &image.name);
    let tensor = Tensor { name: "image".to_owned(), shape: image_shape(image, order)?, range: None };
    let form = Form::of_image(image).filter(|_| white.is_none()).unwrap_or(Form::Real);
    let mut walk = Walk {
        white,
        constants: HashMap::new(),
        values: HashMap::new(),
        readers: readers(graph, result),
        tensors: vec![tensor],
        nodes: Vec::new(),
        steps: vec![None],
        operations: Vec::new(),
        operation: 0,
        names: Names::default(),
    };
    for tensor in &graph.initializer {
        let constant = Constant::read(tensor, &tensor.name);
        let whole = constant.ok_or(ImportError::Damaged("a constant has another length than its shape"))?;
        walk.constants.insert(&tensor.name, whole);
    }
    let affine = Affine::none(walk.tensors[0].shape[2]);
    let value = Value { id: 0, order, flat: false, ended: false, shared: false, image: Some(affine), form };
    walk.write(&image.name, Some(value))?;
    let mut problems = Vec::new();
    for (operation, node) in graph.node.iter().enumerate() {
        walk.operation = operation;
        match walk.step(node) {
            Ok(value) => walk.write(node.output.first().map_or("", String::as_str), value)?,
            Err(stop) => {
                let named = node.output.iter().filter(|name| !name.is_empty());
                named.into_iter().try_for_each(|name| walk.write(name, None))?;
                if let Stop::Reason(reason) = stop {
                    problems.push(Problem { operation, kind: node.kind(), reason });
                }
            }
        }
    }
    let logits = walk.values.remove(result).flatten().map_or(0, |value| value.id);
    if problems.is_empty() {
        if logits == 0 {
            return Err(ImportError::Damaged("no operation writes the network's output"));
        }
        let [height, width, _] = walk.tensors[logits].shape;
        if height * width != 1 {
            return Err(ImportError::Map { height, width });
        }
    }
    let Walk { tensors, nodes, steps, operations, constants, .. } = walk;
    let graph = Graph::imported(name, tensors, nodes, logits);
    Ok(Network { graph, steps, operations, constants, problems })
}

/// The image and the name of the result; constants may be among the inputs too.
fn ends(graph: &GraphProto) -> Result<(&ValueInfoProto, &str), ImportError> {
    let constant = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
    let inputs: Vec<_> = graph.input.iter().filter(|input| !constant(&input.name)).collect();
    match (&inputs[..], &graph.output[..]) {
        (&[image], [result]) => Ok((image, &result.name)),
        (inputs, outputs) => {
            Err(ImportError::Interface { subgraphs: 1, inputs: inputs.len(), outputs: outputs.len() })
        }
    }
}

/// Channels come last where a transpose puts them first before anything else looks at them.
fn image_order(graph: &GraphProto, image: &str) -> Order {
    let mut same = vec![image];
    for node in &graph.node {
        if !node.input.iter().any(|name| same.contains(&name.as_str())) {
            continue;
        }
        match node.op_type.as_str() {
            "Transpose" if node.ints("perm") == Some(&[0, 3, 1, 2]) => return Order::ChannelsLast,
            "Add" | "Sub" | "Mul" | "Div" | "Cast" | "Identity" | "QuantizeLinear" | "DequantizeLinear" => {
                same.extend(node.output.iter().map(String::as_str));
            }
            _ => {}
        }
    }
    Order::ChannelsFirst
}

/// Height, width and channels; the batch is 1, or left open.
fn image_shape(image: &ValueInfoProto, order: Order) -> Result<[usize; 3], ImportError> {
    let name = text(&image.name);
    let refused = |reason| {
        let kind = "the image's reader".to_owned();
        super::unsupported(vec![Problem { operation: 0, kind, reason }])
    };
    let tensor = image.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let Some(TensorType { elem_type, shape: Some(shape) }) = tensor else {
        return Err(refused(Reason::Extent { name, shape: Vec::new() }));
    };
    if !matches!(*elem_type, FLOAT | UINT8 | INT8) {
        return Err(refused(Reason::Type { name, found: type_name(*elem_type), network: "a float" }));
    }
    // Left open: -1.
    let shape: Vec<i32> =
        shape.dim.iter().map(|dim| dim.dim_value.and_then(|n| i32::try_from(n).ok()).unwrap_or(-1)).collect();
    let extents = match (&shape[..], order) {
        (&[-1..=1, channels, height, width], Order::ChannelsFirst)
        | (&[-1..=1, height, width, channels], Order::ChannelsLast) => [height, width, channels],
        _ => return Err(refused(Reason::Extent { name, shape })),
    };
    let extents = extents.map(|extent| usize::try_from(extent).unwrap_or(0));
    let inside = extents.iter().all(|extent| (1..=MAX_EXTENT).contains(extent));
    let fits = inside && extents.iter().product::<usize>() < TOO_MANY;
    if fits { Ok(extents) } else { Err(refused(Reason::Extent { name, shape })) }
}

/// How many operations read each value. Its shape is no part of it.
fn readers<'a>(graph: &'a GraphProto, result: &'a str) -> HashMap<&'a str, usize> {
    let mut readers = HashMap::from([(result, 1)]);
    for node in graph.node.iter().filter(|node| node.op_type != "Shape") {
        for name in &node.input {
            *readers.entry(name).or_default() += 1;
        }
    }
    readers
}

impl<'a> Walk<'a> {
    /// What an operation gives; `None` where that is a constant.
    fn step(&mut self, node: &'a NodeProto) -> Result<Option<Value>, Stop> {
        let kind = node.kind();
        if !super::KINDS.split(' ').any(|known| known == kind) {
            return Err(Reason::Kind.into());
        }
        let more = node.output.iter().skip(1);
        if more.filter(|name| self.readers.contains_key(name.as_str())).count() > 0 {
            return Err(Reason::Arity.into());
        }
        self.quantized(node)?;
        if let Some(constant) = self.constant_of(node)? {
            let output = node.output.first().ok_or(Reason::Arity)?;
            self.constants.insert(output, constant);
            return Ok(None);
        }
        let value = match kind.as_str() {
            "Conv" => self.conv(node)?,
            "Gemm" => self.gemm(node)?,
            "MatMul" => self.matmul(node)?,
            "AveragePool" | "MaxPool" => self.pool(node)?,
            "GlobalAveragePool" | "GlobalMaxPool" => self.global_pool(node)?,
            "ReduceMean" => self.mean(node)?,
            "Add" => self.add(node)?,
            "Sub" | "Mul" | "Div" => self.arithmetic(node)?,
            "BatchNormalization" => self.batch_norm(node)?,
            "Relu" => self.relu(node)?,
            "Clip" => self.clip(node)?,
            "Flatten" | "Reshape" | "Squeeze" => self.reshape(node)?,
            "Transpose" => self.transpose(node)?,
            "QuantizeLinear" => self.quantize(node)?,
            "DequantizeLinear" => self.dequantize(node)?,
            "Softmax" | "LogSoftmax" => Value { ended: true, ..self.any(node, 0)? },
            "Concat" | "Gather" | "Unsqueeze" => {
                self.any(node, 0)?;
                return Err(Reason::Kind.into());
            }
            "Dropout" if self.optional(node, 2)?.is_some_and(|training| training.ints() == Ok(&[1])) => {
                return Err(Reason::Training.into());
            }
            "Cast" if node.int("to", 0) != i64::from(FLOAT) => {
                let found = type_name(i32::try_from(node.int("to", 0)).unwrap_or(0));
                let name = node.input(0).unwrap_or_default();
                return Err(Reason::Type { name: text(name), found, network: "a float" }.into());
            }
            "Cast" => self.cast(node)?,
            _ => self.any(node, 0)?,
        };
        Ok(Some(value))
    }

    /// Names a value; a constant has its name already.
    fn write(&mut self, name: &'a str, value: Option<Value>) -> Result<(), ImportError> {
        let twice = ImportError::Damaged("it writes a value twice");
        if self.values.contains_key(name) {
            return Err(twice);
        }
        match (value, self.constants.contains_key(name)) {
            (Some(_), true) => return Err(twice),
            (None, true) => {}
            (value, false) => {
                let shared = self.readers.get(name).is_some_and(|&count| count > 1);
                let value = value.map(|value| Value { shared: value.shared || shared, ..value });
                self.values.insert(name, value);
            }
        }
        Ok(())
    }

    /// The value that an operation reads, at whatever place in the network.
    fn any(&self, node: &NodeProto, index: usize) -> Result<Value, Stop> {
        let name = node.input(index).ok_or(Reason::Arity)?;
        match self.values.get(name) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => Err(Stop::Unknown),
            None => Err(Reason::NotComputed(text(name)).into()),
        }
    }

    /// The value that an operation computes with.
    fn value(&self, node: &NodeProto, index: usize) -> Result<Value, Stop> {
        let value = self.any(node, index)?;
        if value.ended { Err(Reason::NotAtTheEnd.into()) } else { Ok(value) }
    }

    /// The value of four dimensions that an operation computes with, and its shape here.
    fn map(&self, node: &NodeProto) -> Result<(Value, [usize; 3]), Stop> {
        let value = self.value(node, 0)?;
        if value.flat || value.order != Order::ChannelsFirst {
            return Err(Reason::Reshaped(text(node.input(0).unwrap_or_default())).into());
        }
        let shape = self.tensors[value.id].shape;
        Ok((value, shape))
    }

    /// A constant that an operation reads.
    fn constant(&self, node: &NodeProto, index: usize) -> Result<&Constant, Stop> {
        let name = node.input(index).ok_or(Reason::Arity)?;
        match (self.constants.get(name), self.values.get(name)) {
            (Some(constant), _) => Ok(constant),
            (None, Some(None)) => Err(Stop::Unknown),
            (None, _) => Err(Reason::NoConstant(text(name)).into()),
        }
    }

    /// A constant that an operation may leave out.
    fn optional(&self, node: &NodeProto, index: usize) -> Result<Option<&Constant>, Stop> {
        node.input(index).map(|_| self.constant(node, index)).transpose()
    }

    /// Adds a node; its output is in the order of `like`.
    fn node(
        &mut self,
        op: Op,
        like: &Value,
        inputs: Vec<TensorId>,
        shape: [usize; 3],
    ) -> Result<Value, Stop> {
        let name = self.names.next(kind(&op));
        let inside = shape.iter().all(|extent| (1..=MAX_EXTENT).contains(extent));
        if !inside || shape.iter().product::<usize>() >= TOO_MANY {
            let shape = shape.map(|extent| i32::try_from(extent).unwrap_or(i32::MAX)).to_vec();
            return Err(Reason::Extent { name, shape }.into());
        }
        let id = self.tensors.len();
        self.tensors.push(Tensor { name: name.clone(), shape, range: None });
        self.nodes.push(Node { name, op, inputs, output: id });
        self.steps.push(None);
        self.operations.push(self.operation);
        Ok(Value { id, shared: false, image: None, form: Form::Real, ..like.clone() })
    }
}

/// The beginning of a node's name.
fn kind(op: &Op) -> &'static str {
    match op {
        Op::Conv2d(_) => "conv",
        Op::DepthwiseConv2d(_) => "depthwise",
        Op::Dense(_) => "dense",
        Op::Add { .. } => "add",
        Op::AvgPool(_) => "avg_pool",
        Op::MaxPool(_) => "max_pool",
    }
}
