//! A graph as a trainable network.
//!
//! [`Network::new`] lists a graph's parameters; [`Network::forward`] runs it on Burn tensors for
//! given values of them; [`Network::graph`] puts values back into a graph. Where tensors have
//! ranges every operation is fake-quantized, so training, export and the agreement tests share
//! one forward pass. Activations are NHWC and hold real values, fake-quantized or not.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::fold::factor;
use crate::graph::{Conv, Graph, Node, Op, Range, TensorId};
use crate::qat::add::QuantAdd;
use crate::qat::conv::{Conv2d, ConvQuant};
use crate::qat::fake_quant::FakeQuant;
use crate::qat::norm::{BatchNorm, Statistics};
use crate::qat::pool::{GlobalPool, PoolQuant};
use crate::qat::tensors::apply;
use crate::scheme::{largest_magnitude, least_bound};

/// Why a graph cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// An operation has no gradient here.
    #[error("node `{node}`: {what} cannot be trained")]
    Unsupported {
        /// Name of the node.
        node: String,
        /// What it is.
        what: &'static str,
    },
    /// Some tensors or weights have bits and some have none.
    #[error("node `{node}`: a quantized network needs bits for its weights and a range for its {what}")]
    Unquantized {
        /// Name of the node.
        node: String,
        /// What lacks a range.
        what: &'static str,
    },
}

/// What a parameter is; decides how it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Weights of a convolution or a dense layer.
    Weight,
    /// Bias, or a batch norm's gamma or beta.
    Offset,
    /// Bound of an activation.
    Bound,
    /// Running mean or variance of a batch norm: measured, not trained.
    Statistic,
}

/// An array of the network.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// `stack1.conv1.weight`.
    pub name: String,
    /// How it is trained.
    pub kind: Kind,
}

/// Indices into the parameters of one node.
#[derive(Clone, Copy, Debug)]
struct Layer {
    weight: usize,
    /// Bias, or where there is a norm, gamma followed by beta, mean and variance.
    offset: usize,
}

/// A graph and the list of its parameters.
#[derive(Clone, Debug)]
pub struct Network {
    graph: Graph,
    parameters: Vec<Parameter>,
    /// Per node, where it is linear.
    layers: Vec<Option<Layer>>,
    /// Per tensor, the parameter that is its bound; a pool's output shares its input's.
    bounds: Vec<Option<usize>>,
    /// Per tensor, the quantized linear node with 4-bit inputs that writes it.
    makers: Vec<Option<Maker>>,
}

/// What the least bound of an output follows from.
#[derive(Clone, Copy, Debug)]
struct Maker {
    /// Index of the node.
    node: usize,
    weight_bits: u8,
    input: TensorId,
}

/// Parameters on the tape of one forward pass.
pub struct Leaves<'a> {
    values: &'a [Vec<f32>],
    tensors: Vec<Tensor<1>>,
    none: Tensor<1>,
}

/// Running statistics measured by a forward pass: index of the mean's parameter, and the values.
pub type Measured = Vec<(usize, Arc<BatchNorm>)>;

impl Network {
    /// A network of this graph, and the values of its parameters.
    pub fn new(graph: Graph) -> Result<(Self, Vec<Vec<f32>>), NetworkError> {
        let mut parameters = vec![];
        let mut values = vec![];
        let mut layers = vec![];
        let mut bounds = vec![None; graph.tensors.len()];
        let mut makers = vec![None; graph.tensors.len()];
        let mut add = |name: String, kind, value: &[f32]| {
            parameters.push(Parameter { name, kind });
            values.push(value.to_vec());
            values.len() - 1
        };
        for (index, node) in graph.nodes.iter().enumerate() {
            check(&graph, node)?;
            let layer = match &node.op {
                Op::Conv2d(conv) | Op::Dense(conv) => {
                    let weight = add(format!("{}.weight", node.name), Kind::Weight, &conv.weights);
                    let offset = match &conv.norm {
                        None => add(format!("{}.bias", node.name), Kind::Offset, &conv.bias),
                        Some(norm) => {
                            let first = add(format!("{}.gamma", node.name), Kind::Offset, &norm.gamma);
                            add(format!("{}.beta", node.name), Kind::Offset, &norm.beta);
                            add(format!("{}.mean", node.name), Kind::Statistic, &norm.mean);
                            add(format!("{}.var", node.name), Kind::Statistic, &norm.var);
                            first
                        }
                    };
                    let input = node.inputs[0];
                    makers[node.output] = conv
                        .weight_bits
                        .filter(|_| graph.tensors[input].range.is_some_and(|range| range.bits == 4))
                        .map(|weight_bits| Maker { node: index, weight_bits, input });
                    Some(Layer { weight, offset })
                }
                _ => None,
            };
            layers.push(layer);
            bounds[node.output] = match (&node.op, graph.tensors[node.output].range) {
                (_, None) => None,
                (Op::AvgPool(_), Some(_)) => bounds[node.inputs[0]],
                (_, Some(range)) => Some(add(format!("{}.bound", node.name), Kind::Bound, &[range.bound])),
            };
        }
        Ok((Self { graph, parameters, layers, bounds, makers }, values))
    }

    /// The graph that was given, whose values are the initial ones.
    pub fn structure(&self) -> &Graph {
        &self.graph
    }

    /// What each parameter is.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The graph with these values of the parameters.
    pub fn graph(&self, values: &[Vec<f32>]) -> Graph {
        let mut graph = self.graph.clone();
        for (node, layer) in graph.nodes.iter_mut().zip(&self.layers) {
            let (Op::Conv2d(conv) | Op::Dense(conv), Some(layer)) = (&mut node.op, layer) else { continue };
            conv.weights.clone_from(&values[layer.weight]);
            match &mut conv.norm {
                None => conv.bias.clone_from(&values[layer.offset]),
                Some(norm) => {
                    norm.gamma.clone_from(&values[layer.offset]);
                    norm.beta.clone_from(&values[layer.offset + 1]);
                    norm.mean.clone_from(&values[layer.offset + 2]);
                    norm.var.clone_from(&values[layer.offset + 3]);
                }
            }
        }
        for id in 0..graph.tensors.len() {
            graph.tensors[id].range = self.range(id, values);
        }
        graph
    }

    /// The largest magnitude of a linear node's weights with its norm folded, for these values.
    fn largest_weight(&self, index: usize, values: &[Vec<f32>]) -> f32 {
        let (Op::Conv2d(conv) | Op::Dense(conv), Some(layer)) =
            (&self.graph.nodes[index].op, self.layers[index])
        else {
            return 0.0;
        };
        let weights = &values[layer.weight];
        let Some(norm) = &conv.norm else { return largest_magnitude(weights) };
        let (gamma, var) = (&values[layer.offset], &values[layer.offset + 3]);
        let filters = weights.chunks_exact(weights.len() / gamma.len()).zip(gamma.iter().zip(var));
        let folded = filters
            .map(|(filter, (&gamma, &var))| largest_magnitude(filter) * factor(gamma, var, norm.eps).abs());
        folded.fold(0.0, f32::max)
    }

    /// Range of a tensor with the current value of its bound, or the least that it may have.
    fn range(&self, id: TensorId, values: &[Vec<f32>]) -> Option<Range> {
        let range = self.graph.tensors[id].range?;
        let range = self.bounds[id].map_or(range, |bound| Range { bound: values[bound][0], ..range });
        let least = match self.makers[id] {
            // The input has 4 bits, so there is no least bound behind it.
            Some(Maker { node, weight_bits, input }) if range.bits == 8 => {
                least_bound(self.range(input, values)?, self.largest_weight(node, values), weight_bits, range)
            }
            _ => 0.0,
        };
        Some(Range { bound: range.bound.max(least), ..range })
    }

    /// Parameters as leaves of a tape (`device.autodiff()`) or as constants (a plain device).
    pub fn leaves<'a>(&self, values: &'a [Vec<f32>], device: &Device) -> Leaves<'a> {
        let tensors = values.iter().zip(&self.parameters).map(|(values, parameter)| {
            let tensor = Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), device);
            let trained = device.is_autodiff() && parameter.kind != Kind::Statistic;
            if trained { tensor.require_grad() } else { tensor }
        });
        Leaves { values, tensors: tensors.collect(), none: Tensor::zeros([1], device) }
    }

    /// Logits `[batch, classes]` of images `[batch, height, width, channels]`. A batch norm uses
    /// the batch's own statistics, which are returned. `observe` sees every activation. Panics for images of
    /// another size than the graph's.
    pub fn forward(
        &self,
        leaves: &Leaves<'_>,
        images: Tensor<4>,
        mut observe: impl FnMut(TensorId, &Tensor<4>),
    ) -> (Tensor<2>, Measured) {
        let [height, width, channels] = self.graph.tensors[self.graph.input].shape;
        assert_eq!(images.dims()[1..], [height, width, channels], "images of the network's size");
        let mut measured = vec![];
        let mut activations: Vec<Option<Tensor<4>>> = vec![None; self.graph.tensors.len()];
        observe(self.graph.input, &images);
        activations[self.graph.input] = Some(images);
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let inputs = node
                .inputs
                .iter()
                .map(|&id| activations[id].clone().expect("nodes follow the producers of their inputs"));
            let output = self.node(index, leaves, inputs.collect(), &mut measured);
            observe(node.output, &output);
            activations[node.output] = Some(output);
        }
        let logits = activations[self.graph.output].take().expect("the output has a producer");
        let [batch, height, width, channels] = logits.dims();
        (logits.reshape([batch, height * width * channels]), measured)
    }

    /// Output of one node, given its inputs.
    pub fn node(
        &self,
        index: usize,
        leaves: &Leaves<'_>,
        inputs: Vec<Tensor<4>>,
        measured: &mut Measured,
    ) -> Tensor<4> {
        let node = &self.graph.nodes[index];
        let batch = inputs[0].dims()[0];
        let [height, width, channels] = self.graph.tensors[node.output].shape;
        let shape = [batch, height, width, channels];
        let mut inputs = inputs.into_iter();
        let mut next = || inputs.next().expect("as many inputs as the operation reads");
        match (&node.op, self.layers[index]) {
            (Op::Conv2d(conv) | Op::Dense(conv), Some(layer)) => {
                let x = self.linear(node, conv, layer, leaves, next());
                let x = match &conv.norm {
                    Some(norm) => {
                        let op = Arc::new(BatchNorm::new(shape, norm.eps, conv.relu));
                        measured.push((layer.offset + 2, Arc::clone(&op)));
                        apply(op, x, leaves.tensor(layer.offset), leaves.tensor(layer.offset + 1))
                    }
                    None => x,
                };
                self.activation(node, leaves, x, conv.relu && conv.norm.is_none())
            }
            (Op::Add { relu }, _) => {
                let (a, b) = (next(), next());
                self.add(node, leaves, [a, b], *relu)
            }
            (Op::AvgPool(_), _) => self.pool(node, leaves, next()),
            _ => unreachable!("`Network::new` refuses every other operation"),
        }
    }

    fn linear(&self, node: &Node, conv: &Conv, layer: Layer, leaves: &Leaves<'_>, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let flat = matches!(node.op, Op::Dense(_));
        let input = if flat { [1, 1, height * width * channels] } else { [height, width, channels] };
        let quant = conv.weight_bits.zip(self.range(node.inputs[0], leaves.values));
        let op = Conv2d {
            batch,
            input,
            output: self.graph.tensors[node.output].shape,
            window: conv.window,
            bias: conv.norm.is_none(),
            quant: quant.map(|(weight_bits, range)| ConvQuant { weight_bits, input_scale: range.scale() }),
        };
        let offset = if op.bias { leaves.tensor(layer.offset) } else { leaves.none.clone() };
        apply(Arc::new(op), x, leaves.tensor(layer.weight), offset)
    }

    /// Clamp and fake quantization after a linear operation.
    fn activation(&self, node: &Node, leaves: &Leaves<'_>, x: Tensor<4>, relu: bool) -> Tensor<4> {
        match (self.range(node.output, leaves.values), self.bounds[node.output]) {
            (Some(range), Some(bound)) => {
                let op = FakeQuant { shape: x.dims(), range };
                apply(Arc::new(op), x, leaves.tensor(bound), leaves.none.clone())
            }
            _ if relu => burn::tensor::activation::relu(x),
            _ => x,
        }
    }

    fn add(&self, node: &Node, leaves: &Leaves<'_>, [a, b]: [Tensor<4>; 2], relu: bool) -> Tensor<4> {
        let range = |id| self.range(id, leaves.values);
        let sides = range(node.inputs[0]).zip(range(node.inputs[1]));
        match (sides, range(node.output), self.bounds[node.output]) {
            (Some((side_a, side_b)), Some(output), Some(bound)) => {
                let op = QuantAdd { shape: a.dims(), sides: [side_a, side_b], output };
                let count = b.shape().num_elements();
                apply(Arc::new(op), a, b.reshape([count]), leaves.tensor(bound))
            }
            _ if relu => burn::tensor::activation::relu(a + b),
            _ => a + b,
        }
    }

    fn pool(&self, node: &Node, leaves: &Leaves<'_>, x: Tensor<4>) -> Tensor<4> {
        let [batch, height, width, channels] = x.dims();
        let ranges = self.range(node.inputs[0], leaves.values).zip(self.range(node.output, leaves.values));
        let quant = ranges.map(|(input, output)| PoolQuant {
            input_scale: input.scale(),
            output_scale: output.scale(),
            widening: output.levels().1 / input.levels().1,
        });
        let op = GlobalPool { batch, input: [height, width, channels], quant };
        apply(Arc::new(op), x, leaves.none.clone(), leaves.none.clone())
    }
}

impl Leaves<'_> {
    fn tensor(&self, index: usize) -> Tensor<1> {
        self.tensors[index].clone()
    }

    /// The leaf of each parameter, in order.
    pub fn tensors(&self) -> &[Tensor<1>] {
        &self.tensors
    }
}

/// Statistics that a forward pass measured.
pub fn statistics(measured: &(usize, Arc<BatchNorm>)) -> Option<(usize, usize, Statistics)> {
    let (index, norm) = measured;
    let [batch, height, width, _] = norm.shape;
    norm.statistics().map(|statistics| (*index, batch * height * width, statistics))
}

/// Refuses what has no gradient, and half-quantized nodes.
fn check(graph: &Graph, node: &Node) -> Result<(), NetworkError> {
    let unsupported = |what| Err(NetworkError::Unsupported { node: node.name.clone(), what });
    let unquantized = |what| Err(NetworkError::Unquantized { node: node.name.clone(), what });
    let input = &graph.tensors[node.inputs[0]];
    match &node.op {
        Op::DepthwiseConv2d(_) => return unsupported("a depthwise convolution"),
        Op::MaxPool(_) => return unsupported("a max pool"),
        Op::AvgPool(window) if window.kernel != input.shape[..2] || window.padding != [0; 4] => {
            return unsupported("an average pool over less than the whole image");
        }
        Op::Conv2d(conv) | Op::Dense(conv) => {
            if conv.weight_bits.is_some() != input.range.is_some() {
                return unquantized("input");
            }
        }
        Op::AvgPool(_) | Op::Add { .. } => {}
    }
    match input.range.is_some() == graph.tensors[node.output].range.is_some() {
        true => Ok(()),
        false => unquantized("output"),
    }
}
