//! Shapes: ten outlines drawn by this crate, so that nothing has to be downloaded.
//!
//! Every image has one shape of a random place, size, angle and colouring before a textured
//! background, often with a bar across it, under noise. Image `n` of a set depends on its seed and
//! `n` alone and shows class `n % 10`; the arithmetic is exact on every machine (no functions of a
//! mathematical library), so the pixels are the same everywhere. Colour says nothing about the
//! class: a linear model stays far below a network.

mod outline;
mod scene;

use rayon::prelude::*;

use super::{Dataset, Images, Split, checksum};
use outline::Outline;

/// Training images, from which [`HELD_OUT`] may be kept out.
const TRAIN: usize = 10_000;
/// The last of the training images.
const HELD_OUT: usize = 1_000;
/// Test images.
const TEST: usize = 2_000;
/// Of every image.
const SEED: u64 = 2105;

/// Draws the set.
pub fn draw(split: Split) -> Dataset {
    let train = images(0..TRAIN as u64);
    let test = images(TRAIN as u64..(TRAIN + TEST) as u64);
    let checksum = checksum(&[&train, &test]);
    let (train, held_out) = match split {
        Split::All => (train, Images::default()),
        Split::HoldOut => {
            let all: Vec<usize> = (0..TRAIN).collect();
            let (kept, held) = all.split_at(TRAIN - HELD_OUT);
            (train.select(kept), train.select(held))
        }
    };
    let classes = Outline::ALL.map(|outline| outline.name().to_owned()).to_vec();
    Dataset { name: "shapes".into(), classes, checksum, train, held_out, test }
}

/// Images by their number; their classes take turns.
fn images(numbers: std::ops::Range<u64>) -> Images {
    let class = |number: u64| (number % Outline::ALL.len() as u64) as u8;
    let labels: Vec<u8> = numbers.clone().map(class).collect();
    let pixels: Vec<Vec<u8>> = numbers
        .into_par_iter()
        .map(|number| scene::draw(Outline::ALL[usize::from(class(number))], SEED, number))
        .collect();
    Images { pixels: pixels.concat(), labels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::IMAGE_BYTES;

    #[test]
    fn both_splits_are_the_same_pixels_on_every_machine() {
        let (all, parts) = (draw(Split::All), draw(Split::HoldOut));
        assert_eq!(all.checksum, parts.checksum);
        assert_eq!(all.checksum, "993e0a56a7c04bbf34951c284e74b2b82068912b210564fbe34ed222ca3c4538");
        assert_eq!((all.train.len(), all.held_out.len(), all.test.len()), (TRAIN, 0, TEST));
        assert_eq!((parts.train.len(), parts.held_out.len()), (TRAIN - HELD_OUT, HELD_OUT));
        assert_eq!(parts.held_out.image(0), all.train.image(TRAIN - HELD_OUT));
        assert_eq!(all.train.pixels.len(), TRAIN * IMAGE_BYTES);
    }

    #[test]
    fn classes_are_balanced_and_images_differ() {
        let some = images(0..200);
        for class in 0..10 {
            assert_eq!(some.labels.iter().filter(|&&label| label == class).count(), 20);
        }
        assert!((1..200).all(|i| some.image(i) != some.image(0)));
    }
}
