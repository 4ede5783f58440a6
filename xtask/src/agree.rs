//! Whether a board computes what the reference kernels compute here, operation by operation.

use anyhow::{bail, ensure};
use fourbit_models::simulate::{Backend, Simulator, Trace};
use fourbit_tests::image;

use crate::board::{Bench, OpBench};
use crate::model::Model;

/// Fails with the first operation in which a board's bench differs from the reference.
pub(crate) fn check(model: &Model, bench: &Bench) -> anyhow::Result<()> {
    let simulator = Simulator::new(model.artefact()?, Backend::Reference);
    let mut image = vec![0; simulator.artefact().header().input_shape.elements()];
    image::noise(image::BENCH_SEED, &mut image);
    compare(&simulator.trace(&image)?, &bench.ops)?;
    let logits = simulator.logits(&image)?;
    ensure!(logits == bench.logits, "the outputs agree and the logits differ: the report is damaged");
    Ok(())
}

fn compare(expected: &[Trace], found: &[OpBench]) -> anyhow::Result<()> {
    ensure!(expected.len() == found.len(), "{} of {} operations ran", found.len(), expected.len());
    for (Trace { name, crc, .. }, op) in expected.iter().zip(found) {
        if (name, crc) != (&op.name, &op.checksum) {
            bail!("the board gives another output than the reference, first in {name}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let expected = [("a", 1), ("b", 2), ("c", 3)];
        let expected = expected.map(|(name, crc)| Trace { name: name.to_owned(), kind: "add", crc });
        let op = |name: &str, checksum| OpBench { name: name.to_owned(), count: 9, checksum };
        assert!(compare(&expected, &[op("a", 1), op("b", 2), op("c", 3)]).is_ok());
        let error = compare(&expected, &[op("a", 1), op("b", 7), op("c", 8)]).unwrap_err().to_string();
        assert!(error.ends_with("first in b"), "{error}");
        assert!(compare(&expected, &[op("a", 1)]).is_err());
    }
}
