//! Both forms of every operation, on one device: the same values, the same gradients.

use burn::tensor::TensorData;

use super::*;
use crate::graph::{Range, Window};
use crate::qat::pool::PoolQuant;
use crate::qat::tape::floats;
use crate::rng::Rng;

/// Result and gradients of the three inputs.
type Run = (Vec<f32>, [Option<Vec<f32>>; 3]);

/// Inputs of an operation, row-major.
struct Inputs {
    shape: [usize; 4],
    x: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Inputs {
    /// `x` on the grid of `scale`, as a quantized network's activations are; the others between -1 and 1.
    fn draw(seed: u64, shape: [usize; 4], scale: f32, [b, c]: [usize; 2]) -> Self {
        let mut rng = Rng::new(seed);
        let mut real = |count| (0..count).map(|_| rng.below(2001) as f32 / 1000.0 - 1.0).collect::<Vec<_>>();
        let x = real(shape.iter().product()).iter().map(|x| (x / scale).round() * scale).collect();
        Self { shape, x, b: real(b), c: real(c) }
    }

    fn run<O: TensorOp>(
        &self,
        op: O,
        form: impl FnOnce(Arc<O>, Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>,
    ) -> Run {
        let device = Device::flex().autodiff();
        let array = |values: &[f32]| {
            Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device).require_grad()
        };
        let x = Tensor::<4>::from_data(TensorData::new(self.x.clone(), self.shape), &device).require_grad();
        let (b, c) = (array(&self.b), array(&self.c));
        let out = form(Arc::new(op), x.clone(), b.clone(), c.clone());
        let mut rng = Rng::new(9);
        let probe: Vec<f32> = (0..out.shape().num_elements()).map(|_| rng.below(7) as f32 - 3.0).collect();
        let probe = Tensor::<4>::from_data(TensorData::new(probe, out.dims()), &device);
        let mut grads = (out.clone() * probe).sum().backward();
        let gradients = [
            x.grad_remove(&mut grads).map(floats),
            b.grad_remove(&mut grads).map(floats),
            c.grad_remove(&mut grads).map(floats),
        ];
        (floats(out), gradients)
    }

    /// Runs both forms; results may differ by `tolerance`, gradients by 1e-4 of the largest.
    fn compare<O: TensorOp>(&self, make: impl Fn() -> O, tolerance: f32) {
        let slices = self.run(make(), |op, x, b, c| tape::apply(op, x, b, c));
        let tensors = self.run(make(), |op, x, b, c| op.on_tensors(x, b, c));
        let op = make();
        assert_close(&slices.0, &tensors.0, tolerance, &format!("{op:?}"));
        for (index, (slices, tensors)) in slices.1.iter().zip(&tensors.1).enumerate() {
            let what = format!("gradient {index} of {op:?}");
            match (slices, tensors) {
                (Some(slices), Some(tensors)) => {
                    let largest = slices.iter().fold(0.0, |max: f32, g| max.max(g.abs()));
                    assert_close(slices, tensors, 1e-4 * largest, &what);
                }
                // What one form does not read, the other may give zeros for.
                (one, other) => {
                    let zeros = |g: &Option<Vec<f32>>| g.iter().flatten().all(|&g| g == 0.0);
                    assert!(zeros(one) && zeros(other), "{what}");
                }
            }
        }
    }
}

fn assert_close(expected: &[f32], found: &[f32], tolerance: f32, what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    for (at, (expected, found)) in expected.iter().zip(found).enumerate() {
        assert!((expected - found).abs() <= tolerance, "{what}: {found} for {expected} at {at}");
    }
}

const SCALE: f32 = 1.0 / 127.0;

#[test]
fn convolutions() {
    // An even size at stride 2 with padding on one side, and a plain 3x3.
    for (stride, padding, side) in [(2, [0, 1, 0, 1], 3), (1, [1, 1, 1, 1], 6)] {
        let window = Window { kernel: [3, 3], stride: [stride, stride], padding };
        for bias in [false, true] {
            for bits in [None, Some(4), Some(8)] {
                let quant = bits.map(|weight_bits| ConvQuant { weight_bits, input_scale: SCALE });
                let op =
                    || Conv2d { batch: 2, input: [6, 6, 3], output: [side, side, 5], window, bias, quant };
                let mut inputs = Inputs::draw(1, [2, 6, 6, 3], SCALE, [5 * 27, if bias { 5 } else { 1 }]);
                // A filter of zeros has a scale too.
                inputs.b[..27].fill(0.0);
                inputs.compare(op, 1e-5);
            }
        }
    }
}

#[test]
fn convolutions_of_many_widths() {
    let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] };
    for channels in 1..=24 {
        let (input, output) = ([4, 4, channels], [4, 4, 2]);
        let op = || Conv2d { batch: 1, input, output, window, bias: false, quant: None };
        Inputs::draw(4, [1, 4, 4, channels], SCALE, [2 * 9 * channels, 1]).compare(op, 1e-4);
    }
}

#[test]
fn a_dense_layer_reads_a_flat_image() {
    let window = Window { kernel: [1, 1], stride: [1, 1], padding: [0; 4] };
    let quant = Some(ConvQuant { weight_bits: 8, input_scale: SCALE });
    let op = || Conv2d { batch: 3, input: [1, 1, 8], output: [1, 1, 4], window, bias: true, quant };
    Inputs::draw(2, [3, 2, 2, 2], SCALE, [32, 4]).compare(op, 1e-5);
}

#[test]
fn fake_quantization_to_the_bit() {
    for (bits, signed) in [(8, false), (8, true), (4, false), (4, true)] {
        let op = || FakeQuant { shape: [2, 4, 4, 3], range: Range { bits, signed, bound: 0.7 } };
        let mut inputs = Inputs::draw(3, [2, 4, 4, 3], 1e-3, [1, 1]);
        // Half a step, and both ends.
        let scale = op().range.scale();
        inputs.x[..4].copy_from_slice(&[0.5 * scale, -0.5 * scale, 0.7, -0.7]);
        inputs.compare(op, 0.0);
    }
}

#[test]
fn residual_adds() {
    let range = |signed, bound| Range { bits: 8, signed, bound };
    // Scales whose sums are no ties.
    let shape = [2, 4, 4, 3];
    let op = || QuantAdd {
        shape,
        sides: [range(true, 127.0 * 0.01), range(true, 1.0)],
        output: range(false, 1.777),
    };
    let mut inputs = Inputs::draw(6, shape, 0.01, [96, 1]);
    inputs.b.iter_mut().for_each(|b| *b = (*b * 127.0).round() / 127.0);
    inputs.compare(op, 0.0);
}

#[test]
fn norms_and_their_statistics() {
    let shape = [2, 4, 4, 3];
    for relu in [false, true] {
        let inputs = Inputs::draw(4, shape, 1e-3, [3, 3]);
        inputs.compare(|| BatchNorm::new(shape, 1e-3, relu), 1e-5);
        let device = Device::flex();
        let array = |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [3]), &device);
        let x = Tensor::<4>::from_data(TensorData::new(inputs.x.clone(), shape), &device);
        let [slices, tensors] = [(); 2].map(|()| Arc::new(BatchNorm::new(shape, 1e-3, relu)));
        let (gamma, beta) = (array(&inputs.b), array(&inputs.c));
        tape::apply(slices.clone(), x.clone(), gamma.clone(), beta.clone());
        tensors.on_tensors(x, gamma, beta);
        let [slices, tensors] = [slices, tensors].map(|norm| norm.statistics().expect("measured"));
        assert_close(&slices.mean, &tensors.mean, 1e-6, "mean");
        assert_close(&slices.var, &tensors.var, 1e-6, "variance");
    }
}

#[test]
fn pools() {
    for widening in [None, Some(1.0), Some(17.0)] {
        let quant = widening.map(|widening| PoolQuant {
            input_scale: 1.0 / 15.0,
            output_scale: 1.0 / 15.0 / widening,
            widening,
        });
        let op = || GlobalPool { batch: 2, input: [4, 4, 3], quant };
        Inputs::draw(5, [2, 4, 4, 3], 1.0 / 15.0, [1, 1])
            .compare(op, if quant.is_some() { 0.0 } else { 1e-6 });
    }
}
