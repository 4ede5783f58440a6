//! Bytes of RAM on the command line, and models planned again for so many.

use std::str::FromStr;

use fourbit_models::compile::{compile_within, read};

use crate::failure::OrBadInput;
use crate::model::Model;
use crate::paths;

/// Units and their bytes; the longer names come first.
const UNITS: [(&str, usize); 6] =
    [("KiB", 1024), ("MiB", 1 << 20), ("KB", 1000), ("MB", 1_000_000), ("K", 1000), ("M", 1_000_000)];

/// A number of bytes, as `26000`, `26K`, `26KB` (1,000 bytes each) or `24KiB` (1,024) say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) usize);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = UNITS.into_iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, bytes)));
        let (number, unit) = unit.unwrap_or((text, 1));
        let bytes = number.trim_end().parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| "give bytes as 26000, 26K or 24KiB".to_owned())
    }
}

/// The artefact of a model planned again: the same bits under another limit, or under the usual one.
pub(crate) fn planned(model: &Model, max_ram: Option<Bytes>) -> anyhow::Result<Vec<u8>> {
    let artefact = model.artefact()?;
    let graph = read(&artefact, &model.name);
    let file = compile_within(&graph, &graph.labels, artefact.card(), max_ram.map(|bytes| bytes.0));
    file.or_bad_input(|| format!("{} cannot be planned", model.name))
}

/// A model planned again for a limit, in a file beside the build's other results.
pub(crate) fn within(model: &Model, max_ram: Bytes) -> anyhow::Result<Model> {
    let name = format!("{}-{}", model.name, max_ram.0);
    let path = paths::out(None, "planned").join(format!("{name}.fourbit"));
    paths::write(&path, &planned(model, Some(max_ram))?)?;
    Model::read(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_a_thousand_and_of_1024() {
        let bytes = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0).ok();
        assert_eq!(bytes("26000"), Some(26_000));
        assert_eq!(["26K", "26KB", "26 KB"].map(bytes), [Some(26_000); 3]);
        assert_eq!(["24KiB", "1MiB", "1M"].map(bytes), [Some(24_576), Some(1 << 20), Some(1_000_000)]);
        assert_eq!(["", "K", "-1", "26G", "99999999999999999999K"].map(bytes), [None; 5]);
    }
}
