//! Counts tests: cargo's own result lines, and one for every other check.

use std::ops::AddAssign;

/// Tests that passed, failed, and were not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tally {
    /// Held.
    pub(crate) passed: usize,
    /// Did not hold.
    pub(crate) failed: usize,
    /// Were not run.
    pub(crate) skipped: usize,
}

impl Tally {
    /// One check, by its result; an error is shown on stderr.
    pub(crate) fn one(result: anyhow::Result<()>) -> Self {
        match result {
            Ok(()) => Self { passed: 1, ..Self::default() },
            Err(error) => {
                eprintln!("error: {}", crate::failure::chain(&error));
                Self { failed: 1, ..Self::default() }
            }
        }
    }

    /// Adds the counts of a line such as
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`.
    pub(crate) fn see(&mut self, line: &str) {
        let Some(counts) = line.trim_start().strip_prefix("test result: ") else { return };
        let count = |what: &str| {
            let words = counts.split([';', '.']).map(str::trim);
            words.filter_map(|part| part.strip_suffix(what)).find_map(|n| n.trim().parse::<usize>().ok())
        };
        self.passed += count("passed").unwrap_or(0);
        self.failed += count("failed").unwrap_or(0);
        self.skipped += count("ignored").unwrap_or(0);
    }

    /// The closing line.
    pub(crate) fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_lines_add_up() {
        let mut tally = Tally::default();
        tally.see("running 4 tests");
        tally.see(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
        );
        tally.see("test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s");
        assert_eq!(tally, Tally { passed: 13, failed: 2, skipped: 1 });
        assert_eq!(tally.line(), "13 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn a_check_counts_once() {
        let mut tally = Tally::one(Ok(()));
        tally += Tally::one(Err(anyhow::anyhow!("planted")));
        assert_eq!(tally, Tally { passed: 1, failed: 1, skipped: 0 });
    }
}
