//! Counts what each operation of a network takes and reports it with its output's checksum.

use fourbit::{Event, Observer, crc32};
use fourbit_tests::report::Line;

use crate::Board;

/// Readings of the counter that [`overhead`] averages over.
const READINGS: u64 = 1024;

/// What one reading of the counter takes, on average.
pub fn overhead(board: &mut impl Board) -> u64 {
    let begin = board.count();
    for _ in 1..READINGS {
        board.count();
    }
    (board.count() - begin) / READINGS
}

/// Reports a line per operation.
#[derive(Debug)]
pub struct OpCosts<'a, B> {
    board: &'a mut B,
    overhead: u64,
    begin: u64,
}

impl<'a, B: Board> OpCosts<'a, B> {
    /// Measures with a board's counter, whose own cost is known.
    pub fn new(board: &'a mut B, overhead: u64) -> Self {
        Self { board, overhead, begin: 0 }
    }
}

impl<B: Board> Observer for OpCosts<'_, B> {
    fn begin(&mut self, _event: &Event<'_>) {
        self.begin = self.board.count();
    }

    fn end(&mut self, event: &Event<'_>) {
        let count = (self.board.count() - self.begin).saturating_sub(self.overhead);
        B::report(Line::Op { count, checksum: crc32(event.output.data), name: event.name });
    }
}
