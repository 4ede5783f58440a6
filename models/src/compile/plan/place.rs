//! Blocks of bytes with lifetimes, packed into as little memory as a short search finds.

use fourbit::artefact::header::ALIGN;

use crate::rng::Rng;

/// Bytes that must keep their content from one step to another, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) bytes: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// How far apart every two blocks must start: `at(i, j)` for block i below block j.
#[derive(Clone, Debug)]
pub(super) struct Distances {
    blocks: usize,
    least: Vec<i64>,
}

impl Block {
    /// A block beside all others.
    pub(super) fn at_once(bytes: usize) -> Self {
        Self { bytes, first: 0, last: 0 }
    }

    fn meets(&self, other: &Block) -> bool {
        self.first <= other.last && other.first <= self.last && self.bytes > 0 && other.bytes > 0
    }
}

impl Distances {
    /// Blocks that live at once as near as the distances of what lies in them allow: `block_of` says
    /// where a tensor lies; a pair without a distance may share bytes.
    pub(super) fn new<'d>(
        blocks: &[Block],
        block_of: &[usize],
        known: impl Iterator<Item = (&'d (usize, usize), &'d i64)>,
    ) -> Self {
        let mut distances = Self::disjoint(blocks);
        let mut nearest = vec![i64::MIN; blocks.len() * blocks.len()];
        for (&(a, b), &least) in known {
            let pair = &mut nearest[block_of[a] * blocks.len() + block_of[b]];
            *pair = (*pair).max(least);
        }
        let mut occupied: Vec<usize> = block_of.to_vec();
        occupied.sort_unstable();
        occupied.dedup();
        for &i in &occupied {
            for &j in occupied.iter().filter(|&&j| j != i) {
                distances.set(i, j, nearest[i * blocks.len() + j]);
            }
        }
        distances
    }

    /// Blocks that live at once lie apart, others anyhow.
    pub(super) fn disjoint(blocks: &[Block]) -> Self {
        let pairs = blocks.iter().flat_map(|a| blocks.iter().map(move |b| (a, b)));
        let least = pairs.map(|(a, b)| if a.meets(b) { a.bytes as i64 } else { i64::MIN });
        Self { blocks: blocks.len(), least: least.collect() }
    }

    /// Blocks that may come nearer, or share bytes at any distance (the least number).
    fn set(&mut self, below: usize, above: usize, least: i64) {
        let known = &mut self.least[below * self.blocks + above];
        *known = (*known).min(least);
    }

    fn at(&self, below: usize, above: usize) -> i64 {
        self.least[below * self.blocks + above]
    }

    /// Whether two blocks at these offsets are far enough apart.
    fn hold(&self, (i, at): (usize, usize), (j, other): (usize, usize)) -> bool {
        let up = other as i64 - at as i64;
        up >= self.at(i, j) || -up >= self.at(j, i)
    }
}

/// An offset per block, multiples of 16, and the bytes of all; blocks of no bytes lie at 0.
///
/// First fit in several orders, then in orders that differ from the best in two places, until
/// `goal` is reached or `trials` are made. Always the same for the same blocks.
pub(super) fn place(
    blocks: &[Block],
    distances: &Distances,
    goal: usize,
    trials: usize,
) -> (usize, Vec<usize>) {
    let mut order: Vec<usize> = (0..blocks.len()).filter(|&i| blocks[i].bytes > 0).collect();
    let mut best = first_fit(blocks, distances, &order);
    let mut best_order = order.clone();
    let span = |b: &Block| b.last - b.first + 1;
    let keys: [&dyn Fn(&Block) -> usize; 3] =
        [&|b| b.bytes, &|b| b.bytes * span(b), &|b| span(b) * (1 << 32) + b.bytes];
    for key in keys {
        order.sort_by_key(|&i| std::cmp::Reverse(key(&blocks[i])));
        let found = first_fit(blocks, distances, &order);
        if found.0 < best.0 {
            (best, best_order) = (found, order.clone());
        }
    }
    let mut rng = Rng::new(1);
    for _ in 0..trials {
        if best.0 <= goal || best_order.len() < 2 {
            break;
        }
        let [one, other] = [(); 2].map(|()| rng.below(best_order.len()));
        if one == other {
            continue;
        }
        best_order.swap(one, other);
        let found = first_fit(blocks, distances, &best_order);
        if found.0 <= best.0 {
            best = found;
        } else {
            best_order.swap(one, other);
        }
    }
    best
}

/// Every block, in this order, at the lowest place that is far enough from the earlier ones.
fn first_fit(blocks: &[Block], distances: &Distances, order: &[usize]) -> (usize, Vec<usize>) {
    let mut offsets = vec![0; blocks.len()];
    let mut arena: usize = 0;
    for (rank, &index) in order.iter().enumerate() {
        let placed = &order[..rank];
        let above = placed.iter().map(|&other| {
            let least = distances.at(other, index).max(-(offsets[other] as i64));
            (offsets[other] as i64 + least).max(0) as usize
        });
        let fits =
            |at: usize| placed.iter().all(|&other| distances.hold((index, at), (other, offsets[other])));
        // Above every other block there is always room.
        let mut offset = arena.next_multiple_of(ALIGN);
        for at in [0].into_iter().chain(above.map(|at| at.next_multiple_of(ALIGN))) {
            if at < offset && fits(at) {
                offset = at;
            }
        }
        offsets[index] = offset;
        arena = arena.max(offset + blocks[index].bytes);
    }
    (arena, offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(bytes: usize, first: usize, last: usize) -> Block {
        Block { bytes, first, last }
    }

    fn packed(blocks: &[Block], goal: usize) -> (usize, Vec<usize>) {
        place(blocks, &Distances::disjoint(blocks), goal, 2000)
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
            let (arena, offsets) = packed(&blocks, bound);
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
        assert_eq!(packed(&blocks, 96).0, 96);
    }

    #[test]
    fn blocks_overlap_as_far_as_they_may() {
        let blocks = [block(160, 0, 0), block(64, 0, 0)];
        let mut distances = Distances::disjoint(&blocks);
        assert_eq!(place(&blocks, &distances, 0, 9).0, 224);
        // The large one may grow over the small one from 112 bytes below it.
        distances.set(0, 1, 112);
        assert_eq!(place(&blocks, &distances, 0, 9), (176, vec![0, 112]));
        distances.set(1, 0, i64::MIN);
        assert_eq!(place(&blocks, &distances, 0, 9).0, 160);
    }
}
