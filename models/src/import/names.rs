//! Names for the operations of a network: `conv1`, `conv2`, `dense1`.

use std::collections::HashMap;

/// Counts the operations of each kind.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<&'static str, usize>);

impl Names {
    /// A name that no other operation has.
    pub(super) fn next(&mut self, kind: &'static str) -> String {
        let count = self.0.entry(kind).or_default();
        *count += 1;
        format!("{kind}{count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_counted_by_itself() {
        let mut names = Names::default();
        assert_eq!(["conv", "add", "conv"].map(|kind| names.next(kind)), ["conv1", "add1", "conv2"]);
    }
}
