//! Instructions by class, and the cycles that cores would take for them: an estimate.
//!
//! What Arm documents of the cores, with code and data in memory without wait states. Caches, flash
//! wait states and waiting for operands are left out, so a chip takes more.

use std::ops::AddAssign;

use serde::Serialize;

use super::thumb::{Class, Instruction};

/// Executed instructions by class; words are those of loads and stores of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Mix {
    pub(crate) simple: u64,
    pub(crate) multiplies: u64,
    pub(crate) long_multiplies: u64,
    pub(crate) divisions: u64,
    pub(crate) loads: u64,
    pub(crate) stores: u64,
    pub(crate) multiple_loads: u64,
    pub(crate) words_loaded: u64,
    pub(crate) multiple_stores: u64,
    pub(crate) words_stored: u64,
    /// Branches among them that were taken.
    pub(crate) taken: u64,
}

/// Estimated cycles, by core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cycles {
    pub(crate) cortex_m4: u64,
    pub(crate) cortex_m7: u64,
}

/// Cycles that a taken branch waits for the pipeline: Arm states 1 to 3.
const REFILL: u64 = 2;
/// Cycles of a division: Arm states 2 to 12.
const DIVISION: u64 = 7;
/// Products of the int8 kernel's loop and its instructions: 26, of which 8 are loads and, two products
/// each, 8 are multiplications.
const INT8_MACS: u64 = 16;
const INT8: Mix = Mix { simple: 10, loads: 8, multiplies: 8, ..Mix::NONE };

impl Mix {
    const NONE: Self = Self {
        simple: 0,
        multiplies: 0,
        long_multiplies: 0,
        divisions: 0,
        loads: 0,
        stores: 0,
        multiple_loads: 0,
        words_loaded: 0,
        multiple_stores: 0,
        words_stored: 0,
        taken: 0,
    };

    /// Adds an instruction.
    pub(super) fn add(&mut self, instruction: Instruction) {
        let (count, words) = match instruction.class {
            Class::Simple => (&mut self.simple, None),
            Class::Multiply => (&mut self.multiplies, None),
            Class::LongMultiply => (&mut self.long_multiplies, None),
            Class::Divide => (&mut self.divisions, None),
            Class::Load => (&mut self.loads, None),
            Class::Store => (&mut self.stores, None),
            Class::LoadMany(words) => (&mut self.multiple_loads, Some((&mut self.words_loaded, words))),
            Class::StoreMany(words) => (&mut self.multiple_stores, Some((&mut self.words_stored, words))),
        };
        *count += 1;
        if let Some((sum, words)) = words {
            *sum += u64::from(words);
        }
    }

    /// All of them.
    pub(crate) fn instructions(&self) -> u64 {
        self.simple + self.multiplies() + self.divisions + self.transfers()
    }

    fn multiplies(&self) -> u64 {
        self.multiplies + self.long_multiplies
    }

    /// Instructions that load or store.
    fn transfers(&self) -> u64 {
        self.loads + self.stores + self.multiple_loads + self.multiple_stores
    }

    /// Cortex-M4, by the table of its Technical Reference Manual (3.3.1): a load takes 2, several words
    /// one each and one more, stores as loads but a single one 1, every multiplication 1, a taken
    /// branch 1 and the pipeline's refill. Neighbouring loads that would overlap are counted apart.
    fn cortex_m4(&self) -> u64 {
        let words = self.words_loaded + self.words_stored;
        self.instructions() + self.loads + words + REFILL * self.taken + (DIVISION - 1) * self.divisions
    }

    /// Cortex-M7 for these instructions in a row: two a cycle, of which at most one multiplies and one
    /// loads or stores, up to two words; taken branches are predicted.
    fn cortex_m7(&self) -> u64 {
        let words = self.words_loaded + self.words_stored;
        // Two words a cycle, and every instruction one cycle.
        let transfers =
            self.loads + self.stores + words.div_ceil(2).max(self.multiple_loads + self.multiple_stores);
        let several = transfers - self.transfers();
        let issue = (self.instructions() + several).div_ceil(2);
        issue.max(self.multiplies()).max(transfers) + (DIVISION - 1) * self.divisions
    }

    /// Both, for these instructions in a row.
    pub(super) fn cycles(&self) -> Cycles {
        Cycles { cortex_m4: self.cortex_m4(), cortex_m7: self.cortex_m7() }
    }
}

impl Cycles {
    /// The same estimate for a network of so many products whose every product goes through an int8
    /// kernel of 26 instructions for 16 products, and nothing else is done.
    pub(crate) fn int8(macs: u64) -> Self {
        let (loops, one) = (macs.div_ceil(INT8_MACS), INT8.cycles());
        Self { cortex_m4: loops * one.cortex_m4, cortex_m7: loops * one.cortex_m7 }
    }
}

impl AddAssign for Mix {
    fn add_assign(&mut self, other: Self) {
        self.simple += other.simple;
        self.multiplies += other.multiplies;
        self.long_multiplies += other.long_multiplies;
        self.divisions += other.divisions;
        self.loads += other.loads;
        self.stores += other.stores;
        self.multiple_loads += other.multiple_loads;
        self.words_loaded += other.words_loaded;
        self.multiple_stores += other.multiple_stores;
        self.words_stored += other.words_stored;
        self.taken += other.taken;
    }
}

impl AddAssign for Cycles {
    fn add_assign(&mut self, other: Self) {
        self.cortex_m4 += other.cortex_m4;
        self.cortex_m7 += other.cortex_m7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_by_hand() {
        let cycles = |mix: Mix| [mix.cortex_m4(), mix.cortex_m7()];
        assert_eq!(cycles(Mix { simple: 4, ..Mix::NONE }), [4, 2]);
        assert_eq!(cycles(Mix { loads: 3, ..Mix::NONE }), [6, 3]);
        assert_eq!(cycles(Mix { multiple_loads: 1, words_loaded: 6, ..Mix::NONE }), [7, 3]);
        assert_eq!(cycles(Mix { multiple_stores: 1, words_stored: 1, ..Mix::NONE }), [2, 1]);
        assert_eq!(cycles(Mix { multiplies: 2, long_multiplies: 1, ..Mix::NONE }), [3, 3]);
        assert_eq!(cycles(Mix { simple: 1, taken: 1, ..Mix::NONE }), [3, 1]);
        assert_eq!(cycles(Mix { divisions: 1, ..Mix::NONE }), [7, 7]);
    }

    #[test]
    fn the_int8_kernel_has_26_instructions() {
        assert_eq!(INT8.instructions(), 26);
        assert_eq!(INT8.cycles(), Cycles { cortex_m4: 34, cortex_m7: 13 });
        assert_eq!(Cycles::int8(12_501_632).cortex_m4, 781_352 * 34);
    }
}
