//! Low frequencies first: early epochs on smaller images, from which the high frequencies are cut away.
//!
//! A network learns coarse structure before fine one, and a smaller image costs less (EfficientTrain,
//! arXiv 2211.09703, section 4.1). Takes images of 32x32 and gives smaller ones whose spectrum is the middle
//! of theirs, and the same network for images of that size.

use std::f32::consts::PI;

use crate::dataset::SIDE;
use crate::graph::{Graph, Op};

/// Low-frequency cropping of images to one size.
#[derive(Clone, Debug)]
pub struct Shrink {
    /// `[side][SIDE]`: what each pixel of a row adds to each of the smaller row.
    rows: Vec<[f32; SIDE]>,
}

impl Shrink {
    /// To images of `side` x `side`, an even number of pixels up to 32.
    pub fn new(side: usize) -> Self {
        let row = |to: usize| {
            let to = (to as f32 + 0.5) / side as f32;
            std::array::from_fn(|from| {
                let distance = 2.0 * PI * (to - (from as f32 + 0.5) / SIDE as f32);
                let kept: f32 = (1..side / 2).map(|k| 2.0 * (k as f32 * distance).cos()).sum();
                (1.0 + kept + (side as f32 / 2.0 * distance).cos()) / SIDE as f32
            })
        };
        Self { rows: (0..side).map(row).collect() }
    }

    /// Appends the smaller image `[side][side][3]` of an image `[SIDE][SIDE][3]`.
    pub fn append(&self, image: &[f32], out: &mut Vec<f32>) {
        for factors in &self.rows {
            let mut row = [0.0; SIDE * 3];
            for (line, factor) in image.chunks_exact(SIDE * 3).zip(factors) {
                row.iter_mut().zip(line).for_each(|(sum, pixel)| *sum += factor * pixel);
            }
            for factors in &self.rows {
                let mut pixel = [0.0; 3];
                for (from, factor) in row.chunks_exact(3).zip(factors) {
                    pixel.iter_mut().zip(from).for_each(|(sum, value)| *sum += factor * value);
                }
                out.extend(pixel);
            }
        }
    }
}

/// The network for images of `side` x `side`; `side` is a multiple of what its strides divide by.
pub fn resized(graph: &Graph, side: usize) -> Graph {
    let mut graph = graph.clone();
    let [full, ..] = graph.tensors[graph.input].shape;
    for tensor in &mut graph.tensors {
        for length in tensor.shape[..2].iter_mut().filter(|length| **length > 1) {
            *length = *length * side / full;
        }
    }
    for node in &mut graph.nodes {
        if let Op::AvgPool(window) = &mut node.op {
            let [height, width, _] = graph.tensors[node.inputs[0]].shape;
            window.kernel = [height, width];
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::qat::Network;
    use crate::qat::tape::images;
    use crate::scheme::Setting;
    use crate::zoo;

    fn wave(side: usize, (down, right): (f32, f32)) -> Vec<f32> {
        let at = |place: usize| (place as f32 + 0.5) / side as f32 * 2.0 * PI;
        let pixel = |y: usize, x: usize| [0.5, (down * at(y)).cos(), (right * at(x)).sin()];
        (0..side * side).flat_map(|place| pixel(place / side, place % side)).collect()
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-4), "{found:?}, not {expected:?}");
    }

    #[test]
    fn low_frequencies_stay_and_high_ones_go() {
        for side in [16, 24, SIDE] {
            let shrunk = |waves| {
                let mut out = vec![];
                Shrink::new(side).append(&wave(SIDE, waves), &mut out);
                out
            };
            assert_close(&shrunk((3.0, 7.0)), &wave(side, (3.0, 7.0)));
            if side < SIDE {
                let flat: Vec<f32> = [0.5, 0.0, 0.0].repeat(side * side);
                assert_close(&shrunk((13.0, 15.0)), &flat);
            }
        }
    }

    #[test]
    fn a_smaller_network_has_the_same_parameters() {
        let graph = zoo::resnet8(7, Setting::W4a8).expect("calibrates");
        let (network, values) = Network::new(graph.clone()).expect("a network");
        let (small, same) = Network::new(resized(&graph, 24)).expect("a network");
        assert_eq!((network.parameters().len(), &values), (small.parameters().len(), &same));
        assert_eq!(small.structure().tensors[1].shape[..2], [24, 24]);
        let device = Device::flex();
        let image = images(wave(24, (1.0, 2.0)), 1, &device);
        let (logits, _) = small.forward(&small.leaves(&values, &device), image, |_, _| {});
        assert_eq!(logits.dims(), [1, 10]);
        assert_eq!(resized(&graph, SIDE), graph);
    }
}
