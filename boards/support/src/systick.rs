//! The SysTick timer as a counter of 64 bits: ticks of the core's clock.
//!
//! Under an emulator that gives each instruction one nanosecond, a tick is a fixed number of
//! instructions ([`Instructions`]). The timer itself has 24 bits; its interrupt counts the wraps.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;

/// Ticks until the timer wraps.
const PERIOD: u32 = 1 << 24;

static WRAPS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    // The only writer: a load and a store are enough, on cores without atomic additions too.
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Starts the timer on the core's clock.
pub fn start(mut timer: SYST) {
    timer.set_clock_source(SystClkSource::Core);
    timer.set_reload(PERIOD - 1);
    timer.clear_current();
    timer.enable_interrupt();
    timer.enable_counter();
}

/// Ticks since the start. A function of its own in every firmware: a trace of what was executed is cut
/// where it was called.
#[inline(never)]
pub fn ticks() -> u64 {
    loop {
        let wraps = WRAPS.load(Ordering::Relaxed);
        let left = SYST::get_current();
        if WRAPS.load(Ordering::Relaxed) == wraps {
            // The wrap is counted when the timer reaches 0, one tick before it is full again.
            let passed = if left == 0 { 0 } else { PERIOD - left };
            return u64::from(wraps) * u64::from(PERIOD) + u64::from(passed);
        }
    }
}

/// Ticks to instructions of one nanosecond each.
#[derive(Clone, Copy, Debug)]
pub struct Instructions {
    per_ticks: u64,
    ticks: u64,
}

impl Instructions {
    /// For a timer of `clock_hz`.
    pub const fn at(clock_hz: u32) -> Self {
        let (mut a, mut b) = (1_000_000_000, clock_hz as u64);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Self { per_ticks: 1_000_000_000 / a, ticks: clock_hz as u64 / a }
    }

    /// Instructions since the start.
    pub fn count(self) -> u64 {
        ticks() * self.per_ticks / self.ticks
    }
}
