//! Global average pool, in float or fake-quantized.

use crate::qat::fake_quant::{integer, round_half_up};
use crate::qat::tape::SliceOp;

/// Mean over all positions of each image; reads the first input only.
#[derive(Debug)]
pub struct GlobalPool {
    /// Images.
    pub batch: usize,
    /// `[height, width, channels]` of the input.
    pub input: [usize; 3],
    /// Steps of input and output, where they are fake-quantized.
    pub quant: Option<PoolQuant>,
}

/// Quantization of a pool: both sides share one bound.
#[derive(Clone, Copy, Debug)]
pub struct PoolQuant {
    /// Value of one step of the input.
    pub input_scale: f32,
    /// Value of one step of the output.
    pub output_scale: f32,
    /// Output steps in one input step: 1, or 17 where 4 bits are widened to 8.
    pub widening: f32,
}

impl GlobalPool {
    fn positions(&self) -> usize {
        self.input[0] * self.input[1]
    }
}

impl SliceOp for GlobalPool {
    fn output_shape(&self) -> Vec<usize> {
        vec![self.batch, 1, 1, self.input[2]]
    }

    fn forward(&self, [x, _, _]: [&[f32]; 3]) -> Vec<f32> {
        let channels = self.input[2];
        let mut out = vec![0.0; self.batch * channels];
        for (image, out) in x.chunks_exact(self.positions() * channels).zip(out.chunks_exact_mut(channels)) {
            for row in image.chunks_exact(channels) {
                for (sum, &x) in out.iter_mut().zip(row) {
                    *sum += self.quant.map_or(x, |q| integer(x, q.input_scale));
                }
            }
            for sum in out {
                *sum = match self.quant {
                    None => *sum / self.positions() as f32,
                    Some(q) => round_half_up(*sum * q.widening / self.positions() as f32) * q.output_scale,
                };
            }
        }
        out
    }

    fn backward(&self, _: [&[f32]; 3], grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let channels = self.input[2];
        let grad_x = wanted[0].then(|| {
            let mut out = Vec::with_capacity(grad.len() * self.positions());
            for grad in grad.chunks_exact(channels) {
                for _ in 0..self.positions() {
                    out.extend(grad.iter().map(|g| g / self.positions() as f32));
                }
            }
            out
        });
        [grad_x, None, None]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_by_hand() {
        let x = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 4.0, 41.0];
        let float = GlobalPool { batch: 1, input: [2, 2, 2], quant: None };
        assert_eq!(float.forward([&x, &[], &[]]), [2.5, 25.25]);
        assert_eq!(
            float.backward([&x, &[], &[]], &[4.0, 8.0], [true, false, false])[0],
            Some([1.0, 2.0].repeat(4))
        );
        let quant = PoolQuant { input_scale: 1.0, output_scale: 1.0, widening: 1.0 };
        let rounded = GlobalPool { quant: Some(quant), ..float };
        assert_eq!(rounded.forward([&x, &[], &[]]), [3.0, 25.0]);
        // 10 * 17 / 4 = 42.5 and 101 * 17 / 4 = 429.25 in steps of 1/17.
        let quant = PoolQuant { input_scale: 1.0, output_scale: 0.5, widening: 17.0 };
        let widened = GlobalPool { batch: 1, input: [2, 2, 2], quant: Some(quant) };
        assert_eq!(widened.forward([&x, &[], &[]]), [21.5, 214.5]);
    }
}
