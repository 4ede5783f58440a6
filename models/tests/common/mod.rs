//! What the importers' tests share.

use std::path::PathBuf;

use fourbit_models::rng::Rng;

/// A committed file of `tests/import`.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name);
    std::fs::read(path).expect("the file is committed")
}

/// A file with one to four bytes changed: to 255, by one, or to anything.
pub(crate) fn changed(rng: &mut Rng, good: &[u8]) -> Vec<u8> {
    let mut file = good.to_vec();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(file.len());
        file[at] = match rng.below(3) {
            0 => 0xFF,
            1 => file[at].wrapping_add(1),
            _ => rng.below(256) as u8,
        };
    }
    file
}
