//! A linear model: multinomial logistic regression on pixels, the floor for every network.
//!
//! Takes labelled images, gives the accuracy on others. A data set on which it does well tells
//! little about a network. Sums run in a fixed order, so the figure is reproducible.

use crate::dataset::{IMAGE_BYTES, Images};
use crate::rng::Rng;

/// Training images seen, repetitions included; at least every image once.
const SEEN: usize = 100_000;
/// Images per update, or all where there are fewer.
const BATCH: usize = 50;
/// First learning rate; falls linearly to 0.
const RATE: f32 = 0.002;
const MOMENTUM: f32 = 0.9;

/// Trains on some images and gives the accuracy on others; labels are below `classes`.
pub fn accuracy(train: &Images, test: &Images, classes: usize) -> f64 {
    let model = fit(train, classes);
    let right = (0..test.len()).filter(|&i| {
        let logits = logits(&model, &centred(test.image(i)));
        let best =
            (1..classes).fold(0, |best, class| if logits[class] > logits[best] { class } else { best });
        best == usize::from(test.labels[i])
    });
    right.count() as f64 / test.len().max(1) as f64
}

/// A row of weights per class, the bias last.
fn fit(images: &Images, classes: usize) -> Vec<Vec<f32>> {
    let mut model = vec![vec![0.0; IMAGE_BYTES + 1]; classes];
    let mut momentum = model.clone();
    let mut order: Vec<usize> = (0..images.len()).collect();
    let passes = (SEEN / images.len().max(1)).max(1);
    let size = BATCH.min(images.len()).max(1);
    let updates = passes * (images.len() / size);
    let mut rng = Rng::new(1);
    for pass in 0..passes {
        rng.shuffle(&mut order);
        for (number, batch) in order.chunks_exact(size).enumerate() {
            let done = (pass * (images.len() / size) + number) as f32 / updates as f32;
            momentum.iter_mut().flatten().for_each(|m| *m *= MOMENTUM);
            for &index in batch {
                let image = centred(images.image(index));
                let mut errors = softmax(logits(&model, &image));
                errors[usize::from(images.labels[index])] -= 1.0;
                for (momentum, error) in momentum.iter_mut().zip(&errors) {
                    momentum.iter_mut().zip(&image).for_each(|(m, x)| *m += error * x);
                }
            }
            let rate = RATE * (1.0 - done) / size as f32;
            for (weight, momentum) in model.iter_mut().flatten().zip(momentum.iter().flatten()) {
                *weight -= rate * momentum;
            }
        }
    }
    model
}

/// Pixels around zero, and a one for the bias.
fn centred(pixels: &[u8]) -> Vec<f32> {
    pixels.iter().map(|&p| (f32::from(p) - 127.5) / 64.0).chain([1.0]).collect()
}

fn logits(model: &[Vec<f32>], image: &[f32]) -> Vec<f32> {
    model.iter().map(|weights| dot(weights, image)).collect()
}

/// Eight partial sums, which one core computes side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
    }
    sums.iter().sum()
}

fn softmax(mut logits: Vec<f32>) -> Vec<f32> {
    let largest = logits.iter().fold(f32::MIN, |max, &x| max.max(x));
    logits.iter_mut().for_each(|x| *x = (*x - largest).exp());
    let total: f32 = logits.iter().sum();
    logits.iter_mut().for_each(|x| *x /= total);
    logits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images whose class is their brightness, or has nothing to do with it.
    fn images(count: usize, told: bool) -> Images {
        let mut rng = Rng::new(count as u64);
        let mut images = Images::default();
        for i in 0..count {
            let label = (i % 2) as u8;
            let base = if told { 60 + 100 * i32::from(label) } else { 110 };
            images.labels.push(label);
            images.pixels.extend((0..IMAGE_BYTES).map(|_| (base + rng.between(-40, 40)) as u8));
        }
        images
    }

    #[test]
    fn what_brightness_tells_is_learned_and_nothing_else() {
        assert_eq!(accuracy(&images(500, true), &images(200, true), 2), 1.0);
        assert_eq!(accuracy(&images(20, true), &images(200, true), 2), 1.0);
        let chance = accuracy(&images(500, false), &images(400, false), 2);
        assert!((0.3..0.7).contains(&chance), "{chance}");
    }
}
