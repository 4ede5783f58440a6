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

/// Every output that the board reports is the reference's, and none is missing; a convolution that
/// computes the add behind it reports the sum.
fn compare(expected: &[Trace], found: &[OpBench]) -> anyhow::Result<()> {
    let ran = found.len() + found.iter().filter(|op| op.fused.is_some()).count();
    ensure!(expected.len() == ran, "{ran} of {} operations ran", expected.len());
    for op in found {
        let stored = op.fused.as_ref().unwrap_or(&op.name);
        if !expected.iter().any(|Trace { name, crc, .. }| (name, crc) == (stored, &op.checksum)) {
            bail!("the board gives another output than the reference, first in {stored}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(name: &str, checksum: u32, fused: Option<&str>) -> OpBench {
        OpBench { name: name.to_owned(), count: 9, checksum, fused: fused.map(str::to_owned) }
    }

    #[test]
    fn the_first_difference_is_named() {
        let expected = [("a", 1), ("b", 2), ("c", 3)];
        let expected = expected.map(|(name, crc)| Trace { name: name.to_owned(), kind: "add", crc });
        assert!(compare(&expected, &[op("a", 1, None), op("b", 2, None), op("c", 3, None)]).is_ok());
        assert!(compare(&expected, &[op("a", 1, None), op("b", 3, Some("c"))]).is_ok());
        let error = compare(&expected, &[op("a", 1, None), op("b", 7, None), op("c", 8, None)]).unwrap_err();
        assert!(error.to_string().ends_with("first in b"), "{error}");
        assert!(compare(&expected, &[op("a", 1, None)]).is_err());
    }
}
