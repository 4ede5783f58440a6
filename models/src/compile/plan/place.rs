//! Blocks of bytes with lifetimes, packed into as little memory as a short search finds.

use fourbit::artefact::header::ALIGN;

use crate::rng::Rng;

/// Orders tried after the fixed ones.
const TRIALS: usize = 2000;

/// Bytes that must keep their content from one node to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) bytes: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// An offset per block, multiples of 16, and the bytes of all; blocks of no bytes lie at 0.
///
/// First fit in several orders, then in orders that differ from the best in two places, until
/// `goal` is reached. Always the same for the same blocks.
pub(super) fn place(blocks: &[Block], goal: usize) -> (usize, Vec<usize>) {
    let mut order: Vec<usize> = (0..blocks.len()).filter(|&i| blocks[i].bytes > 0).collect();
    let mut best = first_fit(blocks, &order);
    let mut best_order = order.clone();
    let span = |b: &Block| b.last - b.first + 1;
    let keys: [&dyn Fn(&Block) -> usize; 3] =
        [&|b| b.bytes, &|b| b.bytes * span(b), &|b| span(b) * (1 << 32) + b.bytes];
    for key in keys {
        order.sort_by_key(|&i| std::cmp::Reverse(key(&blocks[i])));
        let found = first_fit(blocks, &order);
        if found.0 < best.0 {
            (best, best_order) = (found, order.clone());
        }
    }
    let mut rng = Rng::new(1);
    for _ in 0..TRIALS {
        if best.0 <= goal || best_order.len() < 2 {
            break;
        }
        let mut order = best_order.clone();
        order.swap(rng.below(best_order.len()), rng.below(best_order.len()));
        let found = first_fit(blocks, &order);
        if found.0 <= best.0 {
            (best, best_order) = (found, order);
        }
    }
    best
}

/// Every block, in this order, at the lowest place that no earlier one of its lifetime takes.
fn first_fit(blocks: &[Block], order: &[usize]) -> (usize, Vec<usize>) {
    let mut offsets = vec![0; blocks.len()];
    let mut arena = 0;
    for (rank, &index) in order.iter().enumerate() {
        let block = blocks[index];
        let mut taken: Vec<(usize, usize)> = order[..rank]
            .iter()
            .filter(|&&other| blocks[other].first <= block.last && block.first <= blocks[other].last)
            .map(|&other| (offsets[other], offsets[other] + blocks[other].bytes))
            .collect();
        taken.sort_unstable();
        let mut offset: usize = 0;
        for (start, end) in taken {
            if offset + block.bytes <= start {
                break;
            }
            offset = offset.max(end.next_multiple_of(ALIGN));
        }
        offsets[index] = offset;
        arena = arena.max(offset + block.bytes);
    }
    (arena, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize, first: usize, last: usize) -> Block {
        Block { bytes, first, last }
    }

    #[test]
    fn blocks_that_meet_lie_apart() {
        let mut rng = Rng::new(7);
        for _ in 0..50 {
            let blocks: Vec<Block> = (0..12)
                .map(|_| {
                    let first = rng.below(10);
                    block(rng.below(500), first, first + rng.below(4))
                })
                .collect();
            let live = |t| blocks.iter().filter(|b| b.first <= t && t <= b.last).map(|b| b.bytes).sum();
            let bound: usize = (0..14).map(live).max().expect("some");
            let (arena, offsets) = place(&blocks, bound);
            assert!(arena >= bound && arena <= blocks.iter().map(|b| b.bytes + 15).sum());
            for (i, a) in blocks.iter().enumerate() {
                assert!(offsets[i] % 16 == 0 && offsets[i] + a.bytes <= arena);
                for (j, b) in blocks.iter().enumerate().take(i) {
                    let apart = a.last < b.first
                        || b.last < a.first
                        || offsets[i] + a.bytes <= offsets[j]
                        || offsets[j] + b.bytes <= offsets[i];
                    assert!(apart || a.bytes * b.bytes == 0, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn the_order_of_sizes_is_not_always_best() {
        // By size first fit puts 48 at 0 and 32 above it, and then 64 fits nowhere below 112.
        let blocks = [block(48, 0, 1), block(32, 1, 2), block(64, 2, 3)];
        assert_eq!(place(&blocks, 96).0, 96);
    }
}
