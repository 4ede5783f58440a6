//! What has been seen: how many inputs parsed and ran, and each reason for a refusal.

use std::fmt;

use fourbit::artefact::{OpProblem, PlanProblem};
use fourbit::{HeaderError, ParseError};

use crate::execute::Outcome;

/// Every reason for a refusal, in the order in which the parser looks.
const REASONS: [&str; 30] = [
    "truncated",
    "trailing bytes",
    "bad magic",
    "version",
    "header CRC",
    "section place",
    "section CRC",
    "misaligned",
    "unknown section",
    "text",
    "counts",
    "tensor",
    "interface",
    "op: unknown",
    "op: order",
    "op: shape",
    "op: type",
    "op: constants",
    "op: clamp",
    "op: rescale",
    "op: accumulator",
    "plan: length",
    "plan: arena",
    "plan: place",
    "plan: overlap",
    "plan: scratch",
    "plan: kernel",
    "plan: fusion",
    "plan: group",
    "plan: ring",
];

/// Counts of outcomes.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    executions: u64,
    parsed: u64,
    ran: u64,
    refused: [u64; REASONS.len()],
}

impl Coverage {
    /// Counts an outcome; true for a refusal whose reason is new.
    pub(crate) fn count(&mut self, outcome: &Outcome) -> bool {
        self.executions += 1;
        match outcome {
            Outcome::Refused(error) => {
                let seen = &mut self.refused[reason(error)];
                *seen += 1;
                return *seen == 1;
            }
            Outcome::Skipped => self.parsed += 1,
            Outcome::Ran => (self.parsed, self.ran) = (self.parsed + 1, self.ran + 1),
        }
        false
    }

    /// Whether enough was seen for the run to mean something.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        if self.parsed == 0 || self.ran == 0 {
            return Err("no input ran: give it more --seconds".to_owned());
        }
        Ok(())
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for pair in REASONS.iter().zip(self.refused).collect::<Vec<_>>().chunks(2) {
            for (reason, count) in pair {
                write!(f, "{reason:<18}{count:>10}    ")?;
            }
            writeln!(f)?;
        }
        let seen = self.refused.iter().filter(|&&count| count > 0).count();
        writeln!(f, "{seen} of {} reasons for a refusal were seen", REASONS.len())?;
        write!(f, "{} artefacts, {} parsed, {} ran", self.executions, self.parsed, self.ran)
    }
}

/// The place of an error in the list of reasons.
fn reason(error: &ParseError) -> usize {
    match error {
        ParseError::Header(error) => match error {
            HeaderError::Truncated { .. } => 0,
            HeaderError::TrailingBytes { .. } => 1,
            HeaderError::BadMagic => 2,
            HeaderError::Version { .. } => 3,
            HeaderError::HeaderCrc => 4,
            HeaderError::SectionPlace { .. } => 5,
            HeaderError::SectionCrc { .. } => 6,
        },
        ParseError::Misaligned => 7,
        ParseError::UnknownSection { .. } => 8,
        ParseError::Text { .. } => 9,
        ParseError::Counts { .. } => 10,
        ParseError::Tensor { .. } => 11,
        ParseError::Interface => 12,
        ParseError::Op { problem, .. } => match problem {
            OpProblem::Unknown => 13,
            OpProblem::Order => 14,
            OpProblem::Shape => 15,
            OpProblem::Type => 16,
            OpProblem::Constants => 17,
            OpProblem::Clamp => 18,
            OpProblem::Rescale { .. } => 19,
            OpProblem::Accumulator { .. } => 20,
        },
        ParseError::Plan { problem, .. } => match problem {
            PlanProblem::Length => 21,
            PlanProblem::Arena => 22,
            PlanProblem::Place { .. } => 23,
            PlanProblem::Overlap { .. } => 24,
            PlanProblem::Scratch { .. } => 25,
            PlanProblem::Kernel { .. } => 26,
            PlanProblem::Fusion { .. } => 27,
            PlanProblem::Group { .. } => 28,
            PlanProblem::Ring { .. } => 29,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_run_is_a_failure() {
        let mut coverage = Coverage::default();
        assert!(coverage.verdict().is_err());
        assert!(coverage.count(&Outcome::Refused(ParseError::Interface)));
        assert!(!coverage.count(&Outcome::Refused(ParseError::Interface)));
        assert!(coverage.verdict().is_err());
        assert!(!coverage.count(&Outcome::Ran));
        assert_eq!(coverage.verdict(), Ok(()));
        let text = coverage.to_string();
        assert!(text.contains("interface                  2"), "{text}");
        assert!(text.ends_with("3 artefacts, 1 parsed, 1 ran"), "{text}");
    }
}
