//! The operations of a file, one after the other, with everything but their numbers checked.
//!
//! Takes a model, gives a [`Network`]: shapes, windows and constants fit each other, the ends are
//! dropped, reshapes are gone. Float and integer graphs are both made of it.

mod operation;

use std::collections::HashMap;

use super::flatbuffer::Damaged;
use super::schema::{FLOAT32, Model, Operator, Tensor, UINT8};
use crate::graph::{TensorId, Window};
use crate::import::{ImportError, Names, Problem, Reason};

/// Most operations of a network.
const MAX_OPERATIONS: usize = 4096;
/// Largest height, width and number of channels; smallest number of values that is too many.
const MAX_EXTENT: i32 = 65_535;
const TOO_MANY: usize = 1 << 31;
/// Largest kernel, stride and padding.
const MAX_WINDOW: i32 = 255;

/// A network in the order of execution; the first activation is the image.
///
/// With problems, their steps are missing and everything else is there to be looked at as well.
#[derive(Debug)]
pub(super) struct Network<'a> {
    pub(super) activations: Vec<Activation<'a>>,
    pub(super) steps: Vec<Step<'a>>,
    /// The logits.
    pub(super) output: TensorId,
    pub(super) problems: Vec<Problem>,
}

/// A computed tensor.
#[derive(Debug)]
pub(super) struct Activation<'a> {
    /// `[height, width, channels]`.
    pub(super) shape: [usize; 3],
    pub(super) tensor: Tensor<'a>,
}

/// An operation; it writes the activation after its place in the list.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// Unique: `conv1`.
    pub(super) name: String,
    /// Where it stands in the file, and what it is there.
    pub(super) operation: usize,
    pub(super) kind: String,
    pub(super) op: StepOp<'a>,
    pub(super) inputs: Vec<TensorId>,
    pub(super) output: TensorId,
    pub(super) fused: Fused,
}

/// What an operation computes.
#[derive(Debug)]
pub(super) enum StepOp<'a> {
    /// Filter `[out][kernel_h][kernel_w][in]`.
    Conv(Filter<'a>),
    /// Filter `[kernel_h][kernel_w][out]`, as many outputs as input channels, or one of those.
    Depthwise(Filter<'a>),
    /// Filter `[out][in]`.
    Dense(Filter<'a>),
    Add,
    AvgPool(Window),
    MaxPool(Window),
}

/// The constants of a linear operation.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    pub(super) window: Window,
    pub(super) outputs: usize,
    pub(super) weights: Tensor<'a>,
    pub(super) bias: Option<Tensor<'a>>,
}

/// The clamp that an operation ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fused {
    None,
    Relu,
    Relu6,
}

/// Why an operation is refused, or the file is damaged.
enum Stop {
    Damaged,
    Reason(Reason),
}

impl From<Damaged> for Stop {
    fn from(Damaged: Damaged) -> Self {
        Stop::Damaged
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop::Reason(reason)
    }
}

/// Where the value of a tensor of the file is found.
#[derive(Clone, Copy)]
struct Value {
    id: TensorId,
    /// Something was dropped on the way: no operation may follow.
    ended: bool,
}

/// An operation, its inputs, its clamp and the shape of its output.
type Parts<'a> = (StepOp<'a>, Vec<TensorId>, Fused, [usize; 3]);

struct Walk<'m, 'a> {
    model: &'m Model<'a>,
    network: Network<'a>,
    values: HashMap<i32, Value>,
    names: Names,
}

impl Network<'_> {
    /// Makes a node of every step; refused where there is a problem, now or earlier.
    pub(super) fn nodes<T>(
        &self,
        make: impl Fn(&Step<'_>) -> Result<T, Reason>,
    ) -> Result<Vec<T>, ImportError> {
        let mut nodes = Vec::new();
        let mut problems = self.problems.clone();
        for step in &self.steps {
            match make(step) {
                Ok(node) => nodes.push(node),
                Err(reason) => {
                    problems.push(Problem { operation: step.operation, kind: step.kind.clone(), reason });
                }
            }
        }
        problems.sort_by_key(|problem| problem.operation);
        if problems.is_empty() { Ok(nodes) } else { Err(super::unsupported(problems)) }
    }

    /// A name for every activation: that of the step that writes it.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        std::iter::once("image".to_owned()).chain(self.steps.iter().map(|step| step.name.clone()))
    }
}

/// Walks through a model.
pub(super) fn walk<'a>(model: &Model<'a>) -> Result<Network<'a>, ImportError> {
    let operations = model.operations();
    if operations == 0 || operations > MAX_OPERATIONS {
        return Err(ImportError::Operations(operations));
    }
    let damaged = |_| ImportError::Damaged("it names a tensor or an operation that it does not hold");
    let image = model.tensor(model.input).map_err(damaged)?;
    let problem = |operation, kind: &str, reason| Problem { operation, kind: kind.to_owned(), reason };
    let shape = match extents(&image) {
        Ok(shape) => shape,
        Err(reason) => return Err(super::unsupported(vec![problem(0, "the image's reader", reason)])),
    };
    let activations = vec![Activation { shape, tensor: image }];
    let network = Network { activations, steps: Vec::new(), output: 0, problems: Vec::new() };
    let values = HashMap::from([(model.input, Value { id: 0, ended: false })]);
    let mut walk = Walk { model, network, values, names: Names::default() };
    for index in 0..operations {
        let operator = model.operator(index).map_err(damaged)?;
        match walk.step(index, &operator) {
            Ok(()) => {}
            Err(Stop::Damaged) => return Err(damaged(Damaged)),
            Err(Stop::Reason(reason)) => {
                // What follows is looked at too, as if this one had been run.
                let _ = walk.activation(&operator);
                walk.network.problems.push(problem(index, &operator.kind, reason));
            }
        }
    }
    let logits = walk.values.get(&model.output).map_or(0, |value| value.id);
    if logits == 0 && walk.network.problems.is_empty() {
        return Err(ImportError::Damaged("no operation writes the network's output"));
    }
    Ok(Network { output: logits, ..walk.network })
}

impl<'a> Walk<'_, 'a> {
    fn step(&mut self, operation: usize, operator: &Operator<'a>) -> Result<(), Stop> {
        let (op, inputs, fused, expected) = match operator.kind.as_str() {
            "RESHAPE" | "SQUEEZE" => return self.pass(operator, false),
            "SOFTMAX" | "DEQUANTIZE" => return self.pass(operator, true),
            "QUANTIZE" => return self.quantize(operator),
            "CONV_2D" => self.conv(operator)?,
            "DEPTHWISE_CONV_2D" => self.depthwise(operator)?,
            "FULLY_CONNECTED" => self.dense(operator)?,
            "ADD" => self.add(operator)?,
            "AVERAGE_POOL_2D" | "MAX_POOL_2D" => self.pool(operator)?,
            "MEAN" => self.mean(operator)?,
            _ => return Err(Reason::Kind.into()),
        };
        let found = extents(&self.output(operator)?)?;
        if found != expected {
            return Err(Reason::Shape { found, expected }.into());
        }
        let output = self.activation(operator)?;
        let name = self.name(&op);
        let kind = operator.kind.clone();
        self.network.steps.push(Step { name, operation, kind, op, inputs, output, fused });
        Ok(())
    }

    /// A name that no other step has.
    fn name(&mut self, op: &StepOp<'_>) -> String {
        let kind = match op {
            StepOp::Conv(_) => "conv",
            StepOp::Depthwise(_) => "depthwise",
            StepOp::Dense(_) => "dense",
            StepOp::Add => "add",
            StepOp::AvgPool(_) => "avg_pool",
            StepOp::MaxPool(_) => "max_pool",
        };
        self.names.next(kind)
    }

    /// The tensor that an operation writes, alone.
    fn output(&self, operator: &Operator<'a>) -> Result<Tensor<'a>, Stop> {
        let &[output] = &operator.outputs[..] else { return Err(Reason::Arity.into()) };
        Ok(self.model.tensor(output)?)
    }

    /// Makes an activation of what an operation writes.
    fn activation(&mut self, operator: &Operator<'a>) -> Result<TensorId, Stop> {
        let tensor = self.output(operator)?;
        let shape = extents(&tensor)?;
        let id = self.network.activations.len();
        self.network.activations.push(Activation { shape, tensor });
        if self.values.insert(operator.outputs[0], Value { id, ended: false }).is_some() {
            return Err(Stop::Damaged);
        }
        Ok(id)
    }

    /// Gives the value of an operation's input to its output.
    fn pass(&mut self, operator: &Operator<'a>, ends: bool) -> Result<(), Stop> {
        let (Some(&input), &[output]) = (operator.inputs.first(), &operator.outputs[..]) else {
            return Err(Reason::Arity.into());
        };
        let Value { id, ended } = self.value(input)?;
        let tensor = self.model.tensor(output)?;
        if tensor.elements() != self.model.tensor(input)?.elements() {
            let expected = self.network.activations[id].shape;
            return Err(Reason::Shape { found: extents(&tensor)?, expected }.into());
        }
        if self.values.insert(output, Value { id, ended: ended || ends }).is_some() {
            return Err(Stop::Damaged);
        }
        Ok(())
    }

    /// QUANTIZE of the image gives it its scale; anywhere else it must be at the end.
    fn quantize(&mut self, operator: &Operator<'a>) -> Result<(), Stop> {
        self.pass(operator, true)?;
        let tensor = self.output(operator)?;
        let image = &mut self.network.activations[0].tensor;
        let real = matches!(image.element, FLOAT32 | UINT8);
        let Some(value) = self.values.get_mut(&operator.outputs[0]) else { return Err(Stop::Damaged) };
        if value.id == 0 && real {
            (*image, value.ended) = (tensor, false);
        }
        Ok(())
    }

    fn value(&self, tensor: i32) -> Result<Value, Stop> {
        match self.values.get(&tensor) {
            Some(&value) => Ok(value),
            None => Err(Reason::NotComputed(self.model.tensor(tensor)?.name).into()),
        }
    }

    /// An input that operations read, whatever its shape.
    fn flat(&self, tensor: i32) -> Result<TensorId, Stop> {
        let value = self.value(tensor)?;
        if value.ended { Err(Reason::NotAtTheEnd.into()) } else { Ok(value.id) }
    }

    /// An input that has the shape that the file gives to it.
    fn spatial(&self, tensor: i32) -> Result<TensorId, Stop> {
        let id = self.flat(tensor)?;
        let tensor = self.model.tensor(tensor)?;
        if extents(&tensor)? == self.network.activations[id].shape {
            Ok(id)
        } else {
            Err(Reason::Reshaped(tensor.name).into())
        }
    }
}

/// Height, width and channels of a tensor of one to four dimensions, the batch being 1.
fn extents(tensor: &Tensor<'_>) -> Result<[usize; 3], Reason> {
    let unfit = || Reason::Extent { name: tensor.name.clone(), shape: tensor.shape.clone() };
    let extents = match tensor.shape[..] {
        [channels] => [1, 1, channels],
        [1, channels] => [1, 1, channels],
        [1, width, channels] => [1, width, channels],
        [1, height, width, channels] => [height, width, channels],
        _ => return Err(unfit()),
    };
    let inside = extents.iter().all(|extent| (1..=MAX_EXTENT).contains(extent));
    let extents = extents.map(|extent| usize::try_from(extent).unwrap_or(0));
    let many = extents.iter().product::<usize>() >= TOO_MANY;
    if inside && !many { Ok(extents) } else { Err(unfit()) }
}
