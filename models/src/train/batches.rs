//! Batches of augmented images, made ahead of time on a thread of their own.
//!
//! The order and the augmentation of an epoch depend only on the seed and the epoch's number, so
//! a resumed run sees what an uninterrupted one would have seen.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use crate::config::Config;
use crate::dataset::{IMAGE_BYTES, Images, SIDE};
use crate::rng::Rng;
use crate::train::curriculum::Shrink;

/// Batches made before they are asked for.
const AHEAD: usize = 8;

/// Part of a batch: pixels, 0 black and 1 white, NHWC, and labels.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    /// `[side][side][3]` for each label.
    pub pixels: Vec<f32>,
    /// Class indices.
    pub labels: Vec<u8>,
}

/// Updates in one epoch; images that do not fill a batch wait for another epoch's order.
pub fn updates_per_epoch(config: &Config, images: &Images) -> usize {
    images.len() / config.batch
}

/// Starts making the batches of `epoch`, counted from 1, each as `config.shards` parts.
pub fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    config: &'scope Config,
    images: &'scope Images,
    epoch: usize,
) -> Receiver<Vec<Shard>> {
    let (sender, receiver) = sync_channel(AHEAD);
    scope.spawn(move || {
        let mut rng = Rng::fork(config.seed, epoch as u64);
        let side = config.side(epoch);
        let shrink = (side < SIDE).then(|| Shrink::new(side));
        let mut image = Vec::with_capacity(IMAGE_BYTES);
        let mut order: Vec<usize> = (0..images.len()).collect();
        rng.shuffle(&mut order);
        for batch in order.chunks_exact(config.batch) {
            let mut shard = |part: &[usize]| {
                let mut shard = Shard::default();
                for &index in part {
                    let given = images.image(index);
                    match &shrink {
                        None => augment(given, config, &mut rng, &mut shard.pixels),
                        Some(shrink) => {
                            image.clear();
                            augment(given, config, &mut rng, &mut image);
                            shrink.append(&image, &mut shard.pixels);
                        }
                    }
                    shard.labels.push(images.labels[index]);
                }
                shard
            };
            let shards = batch.chunks_exact(config.batch / config.shards).map(&mut shard).collect();
            if sender.send(shards).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Moves the image by up to `crop` pixels a side over its reflection, and perhaps mirrors it.
fn augment(image: &[u8], config: &Config, rng: &mut Rng, out: &mut Vec<f32>) {
    let crop = config.crop as i32;
    let (dy, dx) = (rng.between(-crop, crop), rng.between(-crop, crop));
    let mirror = config.flip && rng.below(2) == 1;
    let side = SIDE as i32;
    for y in 0..side {
        let row = reflect(y + dy) * SIDE;
        for x in 0..side {
            let x = if mirror { side - 1 - x } else { x };
            let pixel = (row + reflect(x + dx)) * 3;
            out.extend(image[pixel..pixel + 3].iter().map(|&p| f32::from(p) / 255.0));
        }
    }
}

/// A coordinate reflected into the image, without repeating the border.
fn reflect(at: i32) -> usize {
    let last = SIDE as i32 - 1;
    let at = at.abs();
    (if at > last { 2 * last - at } else { at }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(crop: usize, flip: bool) -> Config {
        let text = "dataset = 'shapes'\narch = 'resnet8'\nwidth = 1.0\nsetting = 'float'\nepochs = 1\nlr = 0.1\nseed = 1\nbatch = 4\n";
        Config { crop, flip, ..Config::parse(text).expect("parses") }
    }

    #[test]
    fn reflection_by_hand() {
        assert_eq!([-4, -1, 0, 31, 32, 35].map(reflect), [4, 1, 0, 31, 30, 27]);
    }

    #[test]
    fn without_augmentation_pixels_are_scaled() {
        let image: Vec<u8> = (0..IMAGE_BYTES).map(|i| (i % 256) as u8).collect();
        let mut out = vec![];
        augment(&image, &config(0, false), &mut Rng::new(1), &mut out);
        assert!(out.iter().zip(&image).all(|(o, i)| *o == f32::from(*i) / 255.0));
    }

    #[test]
    fn an_epoch_is_reproducible_and_complete() {
        let config = config(0, false);
        let labels: Vec<u8> = (0..10).collect();
        let images = Images { pixels: vec![0; 10 * IMAGE_BYTES], labels };
        let labels = |epoch| {
            std::thread::scope(|scope| {
                let batches = start(scope, &config, &images, epoch);
                batches.iter().flatten().flat_map(|shard| shard.labels).collect::<Vec<_>>()
            })
        };
        assert_eq!(labels(1), labels(1));
        assert_ne!(labels(1), labels(2));
        let mut seen = labels(1);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 8);
        assert_eq!(updates_per_epoch(&config, &images), 2);
    }
}
