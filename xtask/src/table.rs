//! Tables for people: plain text, aligned, as wide as needed.

use std::fmt;
use std::ops::Range;

use comfy_table::{CellAlignment, ContentArrangement, presets};

/// A table with a line under its head and no other rules.
#[derive(Debug)]
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// A table with these column heads.
    pub(crate) fn new<const N: usize>(head: [&str; N]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(head);
        Self(table)
    }

    /// Adds a row.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.0.add_row(cells.into_iter().map(|cell| cell.as_ref().to_owned()));
    }

    /// Aligns some columns.
    pub(crate) fn align(&mut self, columns: Range<usize>, alignment: CellAlignment) {
        for column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(alignment);
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.0.lines().enumerate() {
            let line = line.trim_end();
            let line = line.strip_prefix(' ').unwrap_or(line);
            if i > 0 {
                f.write_str("\n")?;
            }
            f.write_str(line)?;
            if i == 0 {
                write!(f, "\n{}", "-".repeat(self.width()))?;
            }
        }
        Ok(())
    }
}

impl Table {
    fn width(&self) -> usize {
        self.0.lines().map(|line| line.trim().chars().count()).max().unwrap_or(0)
    }
}

/// A count with its thousands set apart: `1,234,567`.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A fraction as a percentage with two decimals.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_line_up_under_the_head() {
        let mut table = Table::new(["op", "count"]);
        table.row(["conv1", "7"]);
        table.align(1..2, CellAlignment::Right);
        assert_eq!(table.to_string(), "op     count\n------------\nconv1      7");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(percent(0.12345), "12.35 %");
    }
}
