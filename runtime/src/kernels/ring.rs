//! Which rows of a tensor lie in memory, and where: all of them, or a ring of a few lines.
//!
//! A row of pixels takes one line; lines are used again in turn, so a ring holds the newest rows.

/// Where rows lie: row `y` in line `(y - first) % lines`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// The row in the first line at first.
    pub first: usize,
    /// Lines that the memory holds; the height for a whole tensor.
    pub lines: usize,
}

impl Ring {
    /// Every row of a tensor of so many.
    pub const fn whole(height: usize) -> Self {
        Self { first: 0, lines: height }
    }

    /// The line of a row. Rows before `first` have none of their own.
    #[inline]
    pub const fn line(self, y: usize) -> usize {
        let line = y.wrapping_sub(self.first);
        // A whole tensor never wraps: no division where it costs.
        if line < self.lines || self.lines == 0 { line } else { line % self.lines }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_used_in_turn() {
        let ring = Ring { first: 2, lines: 3 };
        assert_eq!([2, 3, 4, 5, 6].map(|y| ring.line(y)), [0, 1, 2, 0, 1]);
        assert_eq!([0, 7].map(|y| Ring::whole(8).line(y)), [0, 7]);
        assert_eq!(Ring::whole(0).line(1), 1);
    }
}
