//! Logits to the best classes with probabilities: the application's side of a classifier.
//!
//! Floating point, for people; no kernel depends on it.

use heapless::Vec;
use micromath::F32Ext;

/// The `K` best classes, best first, as (class, probability); `scale` is the logits' scale.
///
/// The probabilities are the softmax over all logits, to some 3 % of their value: `micromath`
/// trades accuracy for size. The order is exact.
pub fn top_k<const K: usize>(logits: &[i8], scale: f32) -> Vec<(usize, f32), K> {
    let largest = logits.iter().copied().max().unwrap_or(0);
    let weight = |logit: i8| F32Ext::exp(f32::from(i16::from(logit) - i16::from(largest)) * scale);
    let total: f32 = logits.iter().map(|&logit| weight(logit)).sum();
    let mut best: Vec<(usize, f32), K> = Vec::new();
    for (class, &logit) in logits.iter().enumerate() {
        let probability = weight(logit) / total;
        let rank = best.iter().position(|&(_, p)| probability > p).unwrap_or(best.len());
        if best.is_full() {
            if rank == best.len() {
                continue;
            }
            best.pop();
        }
        // There is room: the vector was not full, or has just lost its last element.
        let _ = best.insert(rank, (class, probability));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_first_and_ties_in_order() {
        let best = top_k::<3>(&[0, 10, -5, 10, 20], 0.1);
        assert_eq!([best[0].0, best[1].0, best[2].0], [4, 1, 3]);
        // e^2 / (e^0 + 2 e^1 + e^-0.5 + e^2) = 0.5260
        assert!((best[0].1 - 0.526).abs() < 0.02, "{}", best[0].1);
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert!(top_k::<3>(&[], 1.0).is_empty());
        assert_eq!(top_k::<3>(&[1, 2], 1.0).len(), 2);
    }
}
