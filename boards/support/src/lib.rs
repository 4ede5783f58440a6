//! What firmware asks of a board, and the parts that boards share.
//!
//! [`Board`] is the contract: a way for results to the host and for values from it, a counter, a
//! lamp, an end. The rest is what boards are made of: [`Console`] and `Log` (results as text, and
//! with the feature `defmt` as frames), [`semihosting`] (pipes to a host, an exit), [`systick`] and
//! `cycles` (counters), [`stack`] (how deep a call goes), [`OpCosts`] (what each operation of a
//! network takes), [`mps`] (the boards that QEMU emulates). All `unsafe` code of the firmware is here and in the boards.

#![no_std]

mod console;
#[cfg(feature = "cycles")]
pub mod cycles;
#[cfg(feature = "defmt")]
mod log;
pub mod mps;
mod observer;
pub mod semihosting;
pub mod stack;
pub mod systick;

use core::fmt::Display;

use embedded_hal::digital::OutputPin;
use fourbit_tests::report::Line;

pub use console::{Console, Sink};
#[cfg(feature = "defmt")]
pub use log::Log;
pub use observer::{OpCosts, overhead};

/// How results reach the host.
pub trait Report {
    /// Reports a result.
    fn line(line: Line<'_>);

    /// Reports why the firmware cannot go on.
    fn failed(reason: impl Display);
}

/// A board, brought up.
pub trait Board: Sized {
    /// How results reach the host.
    type Report: Report;
    /// A lamp, on while a network runs.
    type Led: OutputPin;

    /// Brings the board up; to be called once.
    fn start() -> Self;

    /// Ends the firmware and tells the host how.
    fn exit(passed: bool) -> !;

    /// Fills `values` with the next of the host's; gives how many there were.
    fn read(&mut self, values: &mut [i8]) -> usize;

    /// Instructions or cycles since the start.
    fn count(&mut self) -> u64;

    /// The lamp.
    fn led(&mut self) -> &mut Self::Led;

    /// Reports a result.
    fn report(line: Line<'_>) {
        Self::Report::line(line);
    }

    /// Reports that everything was done and ends the firmware.
    fn done() -> ! {
        Self::report(Line::Done);
        Self::exit(true)
    }

    /// Reports why the firmware cannot go on, and ends it.
    fn failed(reason: impl Display) -> ! {
        Self::Report::failed(reason);
        Self::exit(false)
    }

    /// The value of a result; ends the firmware with the error's sentence where there is none.
    fn expect<T, E: Display>(result: Result<T, E>) -> T {
        match result {
            Ok(value) => value,
            Err(error) => Self::failed(error),
        }
    }
}
