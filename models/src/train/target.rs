//! What a network is to say of an image: its label, smoothed, mixed with what a teacher says.
//!
//! Of a label, `smoothing` is spread evenly over all classes (arXiv 1512.00567); of the target, the
//! teacher's part is what it says (arXiv 1503.02531, at temperature 1), which is soft as it is and
//! not smoothed again.

use burn::tensor::{Device, activation::softmax};

use crate::qat::tape::{floats, images};
use crate::qat::{Network, NetworkError};
use crate::train::batches::Shard;
use crate::train::curriculum::resized;

/// How the targets of a run are made.
#[derive(Debug, Default)]
pub struct Target {
    /// A network whose probabilities are part of the target.
    pub teacher: Option<Teacher>,
    /// Part of a label, in [0, 1), that all classes share.
    pub smoothing: f32,
}

/// A float network that says how likely each class is.
#[derive(Debug)]
pub struct Teacher {
    /// Norms folded.
    pub network: Network,
    /// Of its parameters.
    pub values: Vec<Vec<f32>>,
    /// Its part of the target, in [0, 1]; the label has the rest.
    pub part: f32,
}

impl Target {
    /// The same for images of `side` x `side` ([`crate::train::curriculum`]).
    pub fn resized(&self, side: usize) -> Result<Self, NetworkError> {
        let small = |teacher: &Teacher| {
            let (network, _) = Network::new(resized(teacher.network.structure(), side))?;
            Ok(Teacher { network, values: teacher.values.clone(), part: teacher.part })
        };
        Ok(Self { teacher: self.teacher.as_ref().map(small).transpose()?, smoothing: self.smoothing })
    }

    /// Targets `[images][classes]` of a shard, divided by its images, so that all of them add up to 1.
    pub fn of(&self, shard: &Shard, classes: usize, device: &Device) -> Vec<f32> {
        let batch = shard.labels.len() as f32;
        let mut targets = vec![self.smoothing / classes as f32 / batch; shard.labels.len() * classes];
        for (row, &label) in targets.chunks_exact_mut(classes).zip(&shard.labels) {
            row[usize::from(label)] += (1.0 - self.smoothing) / batch;
        }
        if let Some(teacher) = &self.teacher {
            for (target, probability) in targets.iter_mut().zip(teacher.probabilities(shard, device)) {
                *target += teacher.part * (probability / batch - *target);
            }
        }
        targets
    }
}

impl Teacher {
    /// What it gives for each image and class.
    fn probabilities(&self, shard: &Shard, device: &Device) -> Vec<f32> {
        let device = device.clone().inner();
        let leaves = self.network.leaves(&self.values, &device);
        let images = images(shard.pixels.clone(), shard.labels.len(), &device);
        floats(softmax(self.network.forward(&leaves, images, |_, _| {}).0, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::IMAGE_BYTES;
    use crate::fold::folded_graph;
    use crate::scheme::Setting;
    use crate::zoo;

    fn shard() -> Shard {
        let pixels = (0..2 * IMAGE_BYTES).map(|i| (i % 251) as f32 / 250.0).collect();
        Shard { pixels, labels: vec![1, 0] }
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6), "{found:?}, not {expected:?}");
    }

    #[test]
    fn labels_alone_by_hand() {
        let target = Target::default();
        assert_eq!(target.of(&shard(), 4, &Device::flex()), [0.0, 0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_smoothed_label_by_hand() {
        let target = Target { teacher: None, smoothing: 0.2 };
        let found = target.of(&shard(), 4, &Device::flex());
        assert_close(&found, &[0.025, 0.425, 0.025, 0.025, 0.425, 0.025, 0.025, 0.025]);
    }

    #[test]
    fn a_teachers_part_is_not_smoothed() {
        let mut graph = zoo::resnet8(7, Setting::W8a8).expect("calibrates");
        graph.tensors.iter_mut().for_each(|tensor| tensor.range = None);
        for node in &mut graph.nodes {
            if let crate::graph::Op::Conv2d(conv) | crate::graph::Op::Dense(conv) = &mut node.op {
                conv.weight_bits = None;
            }
        }
        let of = |part, smoothing| {
            let (network, values) = Network::new(folded_graph(&graph)).expect("a network");
            let target = Target { teacher: Some(Teacher { network, values, part }), smoothing };
            target.of(&shard(), 10, &Device::flex())
        };
        let (teacher, label) = (of(1.0, 0.2), of(0.0, 0.2));
        assert_close(&teacher, &of(1.0, 0.0));
        let mixed: Vec<f32> = teacher.iter().zip(&label).map(|(t, l)| 0.25 * t + 0.75 * l).collect();
        assert_close(&of(0.25, 0.2), &mixed);
        assert!((mixed.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
