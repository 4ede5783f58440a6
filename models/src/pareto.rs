//! Costs of a network by its bits, and which of many networks no other beats.
//!
//! [`price`] takes a graph and gives its MACs, its MACs weighted by bits and the bytes of its parameters;
//! [`frontier`] takes costs and accuracies and gives the non-dominated set; [`below`] says where one
//! frontier lies under another. Pure functions: nothing is trained or measured here.
//!
//! The weighted MACs are the linear compute cost of *Pareto-Optimal Quantized ResNet Is Mostly 4-bit*
//! (arXiv 2105.03536), as its authors' library AQT computes it (`estimate_compute_cost`): the sum over all
//! convolutions and dense layers of `MACs * max(w, a)`, where `w` and `a` are the bits of the weights and of
//! the layer's input, each rounded up to 4, 8 or 16. An operation with unequal bits thus costs what hardware
//! without mixed multipliers pays, that of the wider operand: a MAC of w4a8 counts as much as one of w8a8. A
//! float network counts as bfloat16, 16 bits on both sides.
//!
//! ```
//! use fourbit_models::pareto::frontier;
//!
//! // The second costs more than the first and is no better.
//! assert_eq!(frontier(&[(1.0, 0.80), (2.0, 0.79), (3.0, 0.85)]), [0, 2]);
//! ```

use crate::graph::{Graph, Op};

/// Bits of a bfloat16 operand.
const FLOAT_BITS: u8 = 16;
/// Widths that multipliers have.
const WIDTHS: [u8; 3] = [4, 8, 16];

/// What a network costs before it is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Multiplications and additions of all convolutions and dense layers, for one image.
    pub macs: u64,
    /// The same, each times the bits of its wider operand.
    pub weighted_macs: u64,
    /// Weights and biases at 2 bytes each, as bfloat16 would store them, norms folded.
    pub bfloat16_bytes: usize,
}

/// The price of a graph; weights and activations without bits count as bfloat16.
pub fn price(graph: &Graph) -> Price {
    let mut price = Price::default();
    for node in &graph.nodes {
        let (Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) = &node.op else { continue };
        let [height, width, _] = graph.tensors[node.output].shape;
        // A weight is used once at every position of the output.
        let macs = (height * width * conv.weights.len()) as u64;
        let input = graph.tensors[node.inputs[0]].range.map_or(FLOAT_BITS, |range| range.bits);
        let bits = conv.weight_bits.unwrap_or(FLOAT_BITS).max(input);
        price.macs += macs;
        price.weighted_macs += macs * u64::from(multiplier(bits));
        price.bfloat16_bytes += 2 * (conv.weights.len() + conv.bias.len());
    }
    price
}

/// The narrowest multiplier for so many bits.
fn multiplier(bits: u8) -> u8 {
    WIDTHS.into_iter().find(|&width| bits <= width).unwrap_or(bits)
}

/// Indices of the points `(cost, accuracy)` that no other beats, by rising cost: a point is left out where
/// another costs at most as much and is at least as accurate, and better in one of them. Of equal points the
/// first stays. Values that are no numbers are left out.
pub fn frontier(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len())
        .filter(|&index| points[index].0.is_finite() && points[index].1.is_finite())
        .collect();
    // Stable: of equal points the first comes first.
    order.sort_by(|&a, &b| points[a].0.total_cmp(&points[b].0).then(points[b].1.total_cmp(&points[a].1)));
    let mut best = f64::NEG_INFINITY;
    order.retain(|&index| {
        let better = points[index].1 > best;
        best = best.max(points[index].1);
        better
    });
    order
}

/// How one frontier lies under another within the costs that both cover.
#[derive(Clone, Debug, PartialEq)]
pub struct Below {
    /// The costs that both cover.
    pub covered: (f64, f64),
    /// The costs at which it is lower, rising; none where it nowhere is.
    pub parts: Vec<Part>,
}

/// Costs at which one curve is lower than another, by the same two points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// From the first to the last of them.
    pub costs: (f64, f64),
    /// Index of the point that the lower curve has there, and of the other's.
    pub points: (usize, usize),
    /// How much lower, in accuracy.
    pub gap: f64,
}

/// Where the curve of `ours` lies below that of `theirs`. A curve's value at a cost is the best accuracy of its
/// points that cost no more; they cover a common range from the dearer of the two cheapest points to the
/// cheaper of the two dearest. `None` where there is no such range.
pub fn below(ours: &[(f64, f64)], theirs: &[(f64, f64)]) -> Option<Below> {
    let ends = |points: &[(f64, f64)]| {
        let costs = || points.iter().map(|point| point.0);
        (!points.is_empty()).then(|| (costs().fold(f64::MAX, f64::min), costs().fold(f64::MIN, f64::max)))
    };
    let ((low, high), (their_low, their_high)) = (ends(ours)?, ends(theirs)?);
    let covered = (low.max(their_low), high.min(their_high));
    if covered.0 > covered.1 {
        return None;
    }
    let best = |points: &[(f64, f64)], cost: f64| {
        let reached = points.iter().enumerate().filter(|(_, point)| point.0 <= cost);
        reached.max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(index, _)| index)
    };
    let mut steps: Vec<f64> = ours.iter().chain(theirs).map(|point| point.0).collect();
    steps.push(covered.0);
    steps.retain(|cost| (covered.0..=covered.1).contains(cost));
    steps.sort_by(f64::total_cmp);
    let mut parts: Vec<Part> = Vec::new();
    for (index, &cost) in steps.iter().enumerate() {
        let points = (best(ours, cost)?, best(theirs, cost)?);
        let gap = theirs[points.1].1 - ours[points.0].1;
        if gap > 0.0 {
            // The curves keep their values up to the next step.
            let until = steps.get(index + 1).copied().unwrap_or(covered.1);
            match parts.last_mut() {
                Some(last) if last.points == points => last.costs.1 = until,
                _ => parts.push(Part { costs: (cost, until), points, gap }),
            }
        }
    }
    Some(Below { covered, parts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::Setting;
    use crate::zoo;

    /// MACs of ResNet-8 by hand: 32x32, then 16x16, then 8x8 positions.
    const STEM: u64 = 1024 * 27 * 16;
    const INNER: u64 =
        1024 * (2 * 144 * 16) + 256 * (144 * 32 + 288 * 32 + 16 * 32) + 64 * (288 * 64 + 576 * 64 + 32 * 64);
    const DENSE: u64 = 640;

    #[test]
    fn a_float_network_counts_as_bfloat16() {
        let graph = crate::nets::resnet::ResNet { blocks: 1, width: 1.0 };
        let price = price(&graph.graph((0..10).map(|i| i.to_string()).collect(), 1));
        assert_eq!(price.macs, 12_501_632);
        assert_eq!(price.macs, STEM + INNER + DENSE);
        assert_eq!(price.weighted_macs, 16 * price.macs);
        // 77,360 weights, 336 biases of convolutions and shortcuts, 10 of the dense layer.
        assert_eq!(price.bfloat16_bytes, 2 * (77_360 + 346));
    }

    #[test]
    fn the_wider_operand_counts() {
        let weighted = |setting| price(&zoo::resnet8(1, setting).expect("calibrates")).weighted_macs;
        assert_eq!(weighted(Setting::W8a8), 8 * (STEM + INNER + DENSE));
        assert_eq!(weighted(Setting::W4a8), weighted(Setting::W8a8));
        assert_eq!(weighted(Setting::W4a4), 8 * (STEM + DENSE) + 4 * INNER);
        // The image has 8 bits always.
        assert_eq!(weighted(Setting::All4), 8 * STEM + 4 * (INNER + DENSE));
        assert_eq!([3, 4, 5, 8, 16].map(multiplier), [4, 4, 8, 8, 16]);
    }

    #[test]
    fn dominated_points_are_left_out() {
        assert_eq!(frontier(&[]), [0; 0]);
        let points =
            [(5.0, 0.9), (1.0, 0.5), (2.0, 0.5), (1.0, 0.6), (5.0, 0.9), (3.0, f64::NAN), (9.0, 0.8)];
        assert_eq!(frontier(&points), [3, 0]);
    }

    #[test]
    fn a_curve_below_another_is_found() {
        let ours = [(1.0, 0.5), (4.0, 0.8)];
        assert_eq!(below(&ours, &[]), None);
        assert_eq!(below(&ours, &[(5.0, 0.9)]), None);
        let found = below(&ours, &[(2.0, 0.4), (6.0, 0.9)]).expect("they meet");
        assert_eq!(found, Below { covered: (2.0, 4.0), parts: vec![] });
        let found = below(&ours, &[(2.0, 0.75), (3.0, 0.4)]).expect("they meet");
        assert_eq!(found.covered, (2.0, 3.0));
        assert_eq!(found.parts, [Part { costs: (2.0, 3.0), points: (0, 0), gap: 0.25 }]);
        let theirs = [(1.0, 0.625), (2.0, 0.75), (4.5, 0.875), (5.0, 1.0)];
        let found = below(&[(1.0, 0.5), (4.0, 0.8125), (6.0, 0.9)], &theirs).expect("they meet");
        let part = |costs, points, gap| Part { costs, points, gap };
        assert_eq!(
            found.parts,
            [
                part((1.0, 2.0), (0, 0), 0.125),
                part((2.0, 4.0), (0, 1), 0.25),
                part((4.5, 5.0), (1, 2), 0.0625),
                part((5.0, 5.0), (1, 3), 0.1875),
            ]
        );
    }
}
