//! The report of a firmware: one text line per result, the same over every console.
//!
//! Firmware writes a [`Line`] with `Display`; the host reads it back with [`Line::parse`]. The
//! first word says what a line is; text of any length comes last in it. Lines that are not of
//! this protocol (an emulator's warnings) parse to `None`. A complete report ends with `done`, or
//! with the reason of the failure.
//!
//! ```
//! use fourbit_tests::report::Line;
//!
//! let line = Line::Op { count: 1_200, checksum: 0xCAFE, name: "stack1.conv1", fused: None };
//! assert_eq!(line.to_string(), "op 1200 0000cafe stack1.conv1");
//! assert_eq!(Line::parse("op 1200 0000cafe stack1.conv1"), Some(line));
//! ```

use core::fmt::{self, Display};

/// Between the names of a convolution and of the add that was computed with it.
const PLUS: &str = " + ";

/// One result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// What the network gave for an image: `logits 3 [-7, 12, 0]`.
    Logits {
        /// The image's number, from 0.
        image: u32,
        /// One value per class.
        values: Logits<'a>,
    },
    /// The best class of an image: `label 3 973 star`.
    Label {
        /// The image's number, from 0.
        image: u32,
        /// Its probability in thousandths.
        permille: u32,
        /// The class.
        label: &'a str,
    },
    /// What an operation took: `op 1200 0000cafe stack1.conv1`, or with the add that was computed
    /// with it `op 1300 0000beef stack1.conv2 + stack1.add`.
    Op {
        /// Instructions on an emulator, cycles on a chip.
        count: u64,
        /// CRC-32 of its output.
        checksum: u32,
        /// Its name in the artefact.
        name: &'a str,
        /// The name of the add.
        fused: Option<&'a str>,
    },
    /// What an image took, from its values to the logits: `total 8500000`.
    Total {
        /// Instructions on an emulator, cycles on a chip.
        count: u64,
    },
    /// What the network needs: `memory 26000 1200`.
    Memory {
        /// Bytes of activations.
        arena_bytes: u32,
        /// Bytes of stack, at its highest.
        stack_bytes: u32,
    },
    /// A suite that passed: `passed 100 seeds of conv2d`.
    Passed {
        /// Cases in it.
        cases: u32,
        /// Which.
        suite: &'a str,
    },
    /// The firmware gave up: `failed` and a sentence.
    Failed {
        /// Why.
        reason: &'a str,
    },
    /// The report is complete: `done`.
    Done,
}

/// Logits: values to write, or the text in which they arrived.
#[derive(Clone, Copy, Debug)]
pub enum Logits<'a> {
    /// As the network gave them.
    Values(&'a [i8]),
    /// As they stand in a line, between the brackets.
    Text(&'a str),
}

/// A failure for any reason that can be written in a line.
#[derive(Clone, Copy, Debug)]
pub struct Failed<T>(pub T);

impl<'a> Line<'a> {
    /// What a line says; `None` where it is not a whole line of a report.
    pub fn parse(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "logits" => {
                let (image, values) = rest.split_once(' ')?;
                let values = values.strip_prefix('[')?.strip_suffix(']')?;
                let whole = values.split(", ").all(|value| value.parse::<i8>().is_ok());
                let values = Logits::Text(values);
                whole.then_some(Self::Logits { image: image.parse().ok()?, values })
            }
            "label" => {
                let mut fields = rest.splitn(3, ' ');
                let (image, permille) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
                Some(Self::Label { image, permille, label: fields.next()? })
            }
            "op" => {
                let mut fields = rest.splitn(3, ' ');
                let count = fields.next()?.parse().ok()?;
                let checksum = u32::from_str_radix(fields.next()?, 16).ok()?;
                let name = fields.next()?;
                let (name, fused) = name.rsplit_once(PLUS).map_or((name, None), |(a, b)| (a, Some(b)));
                Some(Self::Op { count, checksum, name, fused })
            }
            "total" => Some(Self::Total { count: rest.parse().ok()? }),
            "memory" => {
                let (arena, stack) = rest.split_once(' ')?;
                Some(Self::Memory { arena_bytes: arena.parse().ok()?, stack_bytes: stack.parse().ok()? })
            }
            "passed" => {
                let (cases, suite) = rest.split_once(' ')?;
                Some(Self::Passed { cases: cases.parse().ok()?, suite })
            }
            "failed" => Some(Self::Failed { reason: rest }),
            "done" => rest.is_empty().then_some(Self::Done),
            _ => None,
        }
    }
}

impl Logits<'_> {
    /// One value per class.
    pub fn iter(&self) -> impl Iterator<Item = i8> {
        let (values, text) = match *self {
            Self::Values(values) => (values, ""),
            Self::Text(text) => (&[][..], text),
        };
        values.iter().copied().chain(text.split(", ").filter_map(|value| value.parse().ok()))
    }
}

impl PartialEq for Logits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Logits<'_> {}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Logits { image, values } => {
                write!(f, "logits {image} [")?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Label { image, permille, label } => write!(f, "label {image} {permille} {label}"),
            Self::Op { count, checksum, name, fused } => {
                write!(f, "op {count} {checksum:08x} {name}")?;
                fused.map_or(Ok(()), |add| write!(f, "{PLUS}{add}"))
            }
            Self::Total { count } => write!(f, "total {count}"),
            Self::Memory { arena_bytes, stack_bytes } => write!(f, "memory {arena_bytes} {stack_bytes}"),
            Self::Passed { cases, suite } => write!(f, "passed {cases} {suite}"),
            Self::Failed { reason } => Failed(reason).fmt(f),
            Self::Done => f.write_str("done"),
        }
    }
}

impl<T: Display> Display for Failed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn lines_come_back() {
        let lines = [
            Line::Logits { image: 7, values: Logits::Values(&[-128, 0, 127]) },
            Line::Label { image: 0, permille: 973, label: "sea horse" },
            Line::Op { count: u64::MAX, checksum: 0xCAFE, name: "a b", fused: None },
            Line::Op { count: 0, checksum: 0, name: "", fused: None },
            Line::Op { count: 1, checksum: 2, name: "a", fused: Some("b") },
            Line::Total { count: 8_500_000 },
            Line::Memory { arena_bytes: 26_000, stack_bytes: 1_200 },
            Line::Passed { cases: 100, suite: "seeds of conv2d" },
            Line::Failed { reason: "the arena has 3 bytes" },
            Line::Done,
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
    }

    #[test]
    fn text_is_as_written() {
        let line = Line::Logits { image: 7, values: Logits::Values(&[-128, 0, 127]) };
        assert_eq!(line.to_string(), "logits 7 [-128, 0, 127]");
        assert_eq!(Failed("no plan").to_string(), "failed no plan");
    }

    #[test]
    fn other_lines_and_torn_ones_are_refused() {
        let torn = [
            "logits",
            "logits 1",
            "logits 1 [2, x]",
            "logits 1 [128]",
            "logits 1 [2, 3",
            "op 12 zz conv",
            "op 12",
            "total",
            "done it",
        ];
        for line in torn.iter().chain(&["", "warning: x", "qemu-system-arm: terminating"]) {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }
}
