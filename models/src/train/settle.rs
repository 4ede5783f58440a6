//! Statistics of batch norms for weights that are final.
//!
//! Training moves running statistics after weights that change with every update. What is exported is the
//! average of the weights, which rounds to integers that no update had, and on four bits the statistics of
//! those are others. Takes a network and its values, gives the values with the statistics that its norms
//! measure on training images as they are (batch-norm re-estimation, arXiv 2203.11086).

use burn::tensor::Device;

use crate::dataset::Images;
use crate::qat::Network;
use crate::qat::network::statistics;
use crate::qat::tape::images;

/// Images that the statistics come from.
const SAMPLE: usize = 4096;
/// Batches that they are normalised in, at most.
const BATCHES: usize = 16;

/// Replaces the statistics among `values`; a network without norms keeps its values.
pub fn settle(network: &Network, values: &mut [Vec<f32>], train: &Images, device: &Device) {
    let sample = train.spread(SAMPLE);
    let mut totals: Vec<(usize, Vec<f32>, Vec<f32>)> = Vec::new();
    let batches = BATCHES.min(sample.len());
    for batch in 0..batches {
        // Images of all classes, should they come class by class.
        let places: Vec<usize> = (batch..sample.len()).step_by(batches).collect();
        let batch = sample.select(&places);
        let leaves = network.leaves(values, device);
        let pixels = images(batch.scaled(0..batch.len()), batch.len(), device);
        let (_, measured) = network.forward(&leaves, pixels, |_, _| {});
        for (place, (index, _, found)) in measured.iter().filter_map(statistics).enumerate() {
            if place == totals.len() {
                totals.push((index, vec![0.0; found.mean.len()], vec![0.0; found.var.len()]));
            }
            let (_, mean, var) = &mut totals[place];
            mean.iter_mut().zip(found.mean).for_each(|(total, value)| *total += value / batches as f32);
            var.iter_mut().zip(found.var).for_each(|(total, value)| *total += value / batches as f32);
        }
    }
    for (index, mean, var) in totals {
        values[index] = mean;
        values[index + 1] = var;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::Setting;
    use crate::zoo;

    #[test]
    fn norms_measure_what_the_weights_give() {
        let graph = zoo::resnet8(7, Setting::W4a4).expect("calibrates");
        let (network, given) = Network::new(graph).expect("a network");
        let pixels = (0..2 * BATCHES as u64).flat_map(|seed| zoo::image([32, 32, 3], seed));
        let pixels: Vec<u8> = pixels.map(|value| value as u8 ^ 0x80).collect();
        let train = Images { pixels, labels: vec![0; 2 * BATCHES] };
        let mut values = given.clone();
        settle(&network, &mut values, &train, &Device::flex());
        // All images at once have the mean of equal batches; what the first norm sees follows from no other.
        let leaves = network.leaves(&given, &Device::flex());
        let all = images(train.scaled(0..train.len()), train.len(), &Device::flex());
        let (_, measured) = network.forward(&leaves, all, |_, _| {});
        let (index, _, expected) = measured.first().and_then(statistics).expect("a norm");
        let near =
            |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4 * b.abs().max(1.0));
        assert!(near(&values[index], &expected.mean), "{:?}, not {:?}", values[index], expected.mean);
        assert!(!near(&given[index], &expected.mean));
        for (place, parameter) in network.parameters().iter().enumerate() {
            let moved = values[place] != given[place];
            assert_eq!(moved, parameter.kind == crate::qat::Kind::Statistic, "{}", parameter.name);
        }
    }
}
