//! The files that changes start from: the committed tiny networks, then what ran or was refused
//! for a new reason.

use fourbit_tests::Rng;

/// Files kept beside the seeds.
const KEPT: usize = 400;
/// Largest file that is kept.
const MAX_BYTES: usize = 3000;

/// Networks with every operation, made by `tests/tests/artefact/tiny.rs`.
const SEEDS: [&[u8]; 2] =
    [include_bytes!("../../golden/tiny-sum.fourbit"), include_bytes!("../../golden/tiny-window.fourbit")];

/// Seeds and kept files.
#[derive(Debug)]
pub(crate) struct Corpus {
    kept: Vec<Vec<u8>>,
}

impl Corpus {
    /// Only the seeds.
    pub(crate) fn new() -> Self {
        Self { kept: Vec::new() }
    }

    /// A seed, or as often as not a kept file.
    pub(crate) fn pick(&self, rng: &mut Rng) -> &[u8] {
        if self.kept.is_empty() || rng.one_in(2) {
            rng.pick(SEEDS)
        } else {
            &self.kept[rng.size(0, self.kept.len() - 1)]
        }
    }

    /// Keeps a file, at the cost of another where there are many.
    pub(crate) fn keep(&mut self, file: Vec<u8>, rng: &mut Rng) {
        if file.len() > MAX_BYTES {
            return;
        }
        if self.kept.len() < KEPT {
            self.kept.push(file);
        } else {
            self.kept[rng.size(0, KEPT - 1)] = file;
        }
    }

    /// Files kept.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }
}
