//! Hand-written operations on Burn's autodiff tape.
//!
//! A [`SliceOp`] is a pure function of up to three float arrays with its own gradient, written on
//! plain slices and tested without Burn. [`apply`] records it on the tape of its inputs, on every
//! backend that computes on the CPU. Tensors are row-major; inputs are saved by reference, never
//! copied, on the `flex` backend.

// `NdArray` is named here, once, as long as Burn has it.
#![allow(deprecated)]

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, NdArray, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};

/// A differentiable function of three arrays; a function of fewer gets one-element arrays in the
/// places that it does not read.
pub trait SliceOp: Debug + Send + Sync + 'static {
    /// Shape of the result.
    fn output_shape(&self) -> Vec<usize>;

    /// The result, `output_shape` elements.
    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32>;

    /// Gradients of the inputs for which `wanted` holds, given the gradient of the result.
    fn backward(&self, inputs: [&[f32]; 3], grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3];
}

/// Applies `op` on the CPU. Inputs that the tape does not track are constants.
pub fn apply(op: Arc<dyn SliceOp>, a: Tensor<4>, b: Tensor<1>, c: Tensor<1>) -> Tensor<4> {
    let out =
        <Dispatch as TapeBackend>::slice_op(a.into_dispatch(), b.into_dispatch(), c.into_dispatch(), op);
    Tensor::from_dispatch(out)
}

/// Pixels `[batch][height][width][3]` as a tensor.
pub fn images(pixels: Vec<f32>, batch: usize, device: &Device) -> Tensor<4> {
    let side = (pixels.len() / (3 * batch.max(1))).isqrt();
    Tensor::from_data(TensorData::new(pixels, [batch, side, side, 3]), device)
}

/// Elements of a tensor.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("the network computes in f32")
}

/// Backends that can run a [`SliceOp`]: their tensors lie in the CPU's memory.
#[backend_extension(Flex, NdArray, Autodiff)]
pub trait TapeBackend: Backend {
    /// Runs `op` on three tensors.
    fn slice_op(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        op: Arc<dyn SliceOp>,
    ) -> FloatTensor<Self>;
}

/// A backend whose tensors can be read as float slices.
pub trait Floats: Backend {
    /// Calls `read` with the elements of `tensor` in row-major order.
    fn with_floats<R>(tensor: &FloatTensor<Self>, read: impl FnOnce(&[f32]) -> R) -> R;
}

impl Floats for Flex {
    fn with_floats<R>(tensor: &FloatTensor<Self>, read: impl FnOnce(&[f32]) -> R) -> R {
        match tensor.as_slice::<f32>() {
            Some(floats) => read(floats),
            None => read_copy::<Self, R>(tensor, read),
        }
    }
}

impl Floats for NdArray {
    fn with_floats<R>(tensor: &FloatTensor<Self>, read: impl FnOnce(&[f32]) -> R) -> R {
        read_copy::<Self, R>(tensor, read)
    }
}

fn read_copy<B: Backend, R>(tensor: &FloatTensor<B>, read: impl FnOnce(&[f32]) -> R) -> R {
    let data = burn::tensor::read_sync(B::float_into_data(tensor.clone()))
        .expect("a CPU backend always gives its data");
    read(data.as_slice::<f32>().expect("the network computes in f32"))
}

fn with_three<B: Floats, R>([a, b, c]: [&FloatTensor<B>; 3], read: impl FnOnce([&[f32]; 3]) -> R) -> R {
    B::with_floats(a, |a| B::with_floats(b, |b| B::with_floats(c, |c| read([a, b, c]))))
}

fn run<B: Floats>(inputs: [&FloatTensor<B>; 3], op: &dyn SliceOp) -> FloatTensor<B> {
    use burn::backend::TensorMetadata;
    let values = with_three::<B, _>(inputs, |inputs| op.forward(inputs));
    B::float_from_data(TensorData::new(values, op.output_shape()), &inputs[0].device())
}

impl TapeBackend for Flex {
    fn slice_op(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        op: Arc<dyn SliceOp>,
    ) -> FloatTensor<Self> {
        run::<Self>([&a, &b, &c], &*op)
    }
}

impl TapeBackend for NdArray {
    fn slice_op(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        op: Arc<dyn SliceOp>,
    ) -> FloatTensor<Self> {
        run::<Self>([&a, &b, &c], &*op)
    }
}

#[derive(Debug)]
struct SliceBackward;

/// What the backward step of a [`SliceOp`] needs: the inputs and the operation.
struct Saved<B: Backend> {
    inputs: [FloatTensor<B>; 3],
    op: Arc<dyn SliceOp>,
}

impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { inputs: self.inputs.clone(), op: Arc::clone(&self.op) }
    }
}

impl<B: Backend> Debug for Saved<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.op.fmt(f)
    }
}

impl<B: Floats> Backward<B, 3> for SliceBackward {
    type State = Saved<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        use burn::backend::TensorMetadata;
        let grad = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let Saved { inputs, op } = ops.state;
        let results = with_three::<B, _>(inputs.each_ref(), |inputs| {
            B::with_floats(&grad, |grad| op.backward(inputs, grad, wanted))
        });
        for ((parent, input), result) in ops.parents.into_iter().zip(&inputs).zip(results) {
            if let (Some(parent), Some(values)) = (parent, result) {
                let data = TensorData::new(values, input.shape());
                grads.register::<B>(parent.id, B::float_from_data(data, &input.device()));
            }
        }
    }
}

impl<B: Floats + TapeBackend, C: CheckpointStrategy> TapeBackend for Autodiff<B, C> {
    fn slice_op(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        op: Arc<dyn SliceOp>,
    ) -> FloatTensor<Self> {
        let inputs = [a.primitive().clone(), b.primitive().clone(), c.primitive().clone()];
        let output = run::<B>(inputs.each_ref(), &*op);
        match SliceBackward.prepare::<C>([a.node(), b.node(), c.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Saved { inputs, op }, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
