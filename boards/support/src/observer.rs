//! Counts what each operation of a network takes and reports it with its output's checksum.

use fourbit::artefact::schedule::MAX_GROUP;
use fourbit::{Crc32, Event, Observer};
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

/// Reports a line per operation, when its last rows are made.
#[derive(Debug)]
pub struct OpCosts<'a, B> {
    board: &'a mut B,
    overhead: u64,
    begin: u64,
    /// The operations of the group that runs, each at its number's remainder.
    running: [Cost; MAX_GROUP],
}

/// What an operation's rows have taken so far, and their checksum.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    count: u64,
    checksum: Crc32,
}

impl<'a, B: Board> OpCosts<'a, B> {
    /// Measures with a board's counter, whose own cost is known.
    pub fn new(board: &'a mut B, overhead: u64) -> Self {
        Self { board, overhead, begin: 0, running: [Cost::default(); MAX_GROUP] }
    }
}

impl<B: Board> Observer for OpCosts<'_, B> {
    fn begin(&mut self, _event: &Event<'_>) {
        self.begin = self.board.count();
    }

    fn end(&mut self, event: &Event<'_>) {
        let count = (self.board.count() - self.begin).saturating_sub(self.overhead);
        let Some(cost) = self.running.get_mut(event.index % MAX_GROUP) else { return };
        cost.count += count;
        cost.checksum = event.checksum(cost.checksum);
        if event.is_last() {
            let Cost { count, checksum } = core::mem::take(cost);
            let checksum = checksum.value();
            B::report(Line::Op { count, checksum, name: event.name, fused: event.fused });
        }
    }
}
