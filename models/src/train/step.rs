//! Gradients and predictions: a batch split over threads, each part on its own tape.
//!
//! Parts are combined in their order, so the result depends on how many there are and not on
//! which thread is faster. A GPU, which is parallel in itself, takes one part after the other.

use burn::tensor::{Device, Tensor, TensorData, activation::log_softmax};

use crate::dataset::Images;
use crate::qat::Network;
use crate::qat::network::statistics;
use crate::qat::tape::{floats, images};
use crate::qat::tensors::on_cpu;
use crate::train::batches::Shard;
use crate::train::target::Target;

/// Images per forward pass in evaluation.
const EVALUATION_BATCH: usize = 100;

/// What one batch gave.
#[derive(Debug)]
pub struct Step {
    /// Per parameter, the mean gradient, or `None` where it is not trained.
    pub gradients: Vec<Option<Vec<f32>>>,
    /// Measured statistics: index of the mean's parameter, mean, unbiased variance.
    pub statistics: Vec<(usize, Vec<f32>, Vec<f32>)>,
    /// Mean loss.
    pub loss: f32,
    /// Right predictions.
    pub correct: usize,
}

/// Mean gradients of the cross entropy over all parts, which have one size.
pub fn gradients(
    network: (&Network, &[Vec<f32>]),
    target: &Target,
    device: &Device,
    shards: Vec<Shard>,
) -> Step {
    let part = |shard| part(network, target, device, shard);
    let mut parts: Vec<Step> = match on_cpu(device) {
        true => std::thread::scope(|scope| {
            let spawn = |shard| scope.spawn(move || part(shard));
            let threads: Vec<_> = shards.into_iter().map(spawn).collect();
            threads.into_iter().map(join).collect()
        }),
        false => shards.into_iter().map(part).collect(),
    };
    let count = parts.len() as f32;
    let mut total = parts.remove(0);
    for part in parts {
        for (total, part) in total.gradients.iter_mut().zip(part.gradients) {
            if let (Some(total), Some(part)) = (total, part) {
                total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
            }
        }
        for (total, part) in total.statistics.iter_mut().zip(part.statistics) {
            total.1.iter_mut().zip(part.1).for_each(|(t, p)| *t += p);
            total.2.iter_mut().zip(part.2).for_each(|(t, p)| *t += p);
        }
        total.loss += part.loss;
        total.correct += part.correct;
    }
    total.gradients.iter_mut().flatten().flatten().for_each(|g| *g /= count);
    for (_, mean, var) in &mut total.statistics {
        mean.iter_mut().chain(var).for_each(|value| *value /= count);
    }
    total.loss /= count;
    total
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn part((network, values): (&Network, &[Vec<f32>]), target: &Target, device: &Device, shard: Shard) -> Step {
    let batch = shard.labels.len();
    let graph = network.structure();
    let classes = graph.tensors[graph.output].shape.iter().product();
    let targets = target.of(&shard, classes, device);
    let leaves = network.leaves(values, device);
    let (logits, measured) = network.forward(&leaves, images(shard.pixels, batch, device), |_, _| {});
    let targets = Tensor::<2>::from_data(TensorData::new(targets, [batch, classes]), device);
    let loss = -(log_softmax(logits.clone(), 1) * targets).sum();
    let mut grads = loss.backward();
    let gradients = leaves.tensors().iter().map(|leaf| leaf.grad_remove(&mut grads).map(floats)).collect();
    let statistics = measured.iter().filter_map(statistics).map(|(index, count, measured)| {
        let unbiased = count as f32 / (count as f32 - 1.0).max(1.0);
        (index, measured.mean, measured.var.iter().map(|v| v * unbiased).collect())
    });
    Step {
        gradients,
        statistics: statistics.collect(),
        loss: floats(loss)[0],
        correct: correct(&floats(logits), &shard.labels),
    }
}

/// Logits of every image, in order, on `threads` threads.
pub fn logits(
    network: &Network,
    values: &[Vec<f32>],
    device: &Device,
    set: &Images,
    threads: usize,
) -> Vec<f32> {
    let evaluate = |start: usize, end: usize| {
        let leaves = network.leaves(values, device);
        let mut out = vec![];
        for first in (start..end).step_by(EVALUATION_BATCH) {
            let range = first..(first + EVALUATION_BATCH).min(end);
            let batch = range.len();
            let images = images(set.scaled(range), batch, device);
            out.extend(floats(network.forward(&leaves, images, |_, _| {}).0));
        }
        out
    };
    if !on_cpu(device) {
        return evaluate(0, set.len());
    }
    let per_thread = set.len().div_ceil(threads.max(1)).next_multiple_of(EVALUATION_BATCH);
    std::thread::scope(|scope| {
        let evaluate = &evaluate;
        let spawn = |start: usize| {
            let end = (start + per_thread).min(set.len());
            scope.spawn(move || evaluate(start, end))
        };
        let threads: Vec<_> = (0..set.len()).step_by(per_thread.max(1)).map(spawn).collect();
        threads.into_iter().flat_map(join).collect()
    })
}

/// Part of the images whose largest logit is that of their label.
pub fn accuracy(logits: &[f32], labels: &[u8]) -> f64 {
    correct(logits, labels) as f64 / labels.len().max(1) as f64
}

fn correct(logits: &[f32], labels: &[u8]) -> usize {
    let classes = logits.len() / labels.len().max(1);
    let rows = logits.chunks_exact(classes.max(1));
    rows.zip(labels).filter(|(row, label)| top1(row) == usize::from(**label)).count()
}

/// Index of the largest value, the first where several are equal.
pub fn top1(row: &[f32]) -> usize {
    let best = |best: usize, (index, value): (usize, &f32)| if *value > row[best] { index } else { best };
    row.iter().enumerate().fold(0, best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_by_hand() {
        let logits = [0.0, 1.0, 1.0, 3.0, 2.0, 1.0];
        assert_eq!((top1(&logits[..3]), top1(&logits[3..])), (1, 0));
        assert_eq!(accuracy(&logits, &[1, 2]), 0.5);
    }
}
