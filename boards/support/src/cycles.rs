//! The core's cycle counter (DWT CYCCNT) as a counter of 64 bits.
//!
//! CYCCNT has 32 bits and counts every cycle; SysTick, on the same clock, says how often it has
//! wrapped. Cores without a DWT, and emulators of those that have one, count nothing here.

use cortex_m::peripheral::{DCB, DWT, SYST};

use crate::systick;

/// Starts both counters.
pub fn start(mut dcb: DCB, mut dwt: DWT, timer: SYST) {
    dcb.enable_trace();
    dwt.set_cycle_count(0);
    dwt.enable_cycle_counter();
    systick::start(timer);
}

/// Cycles since the start.
pub fn count() -> u64 {
    let ticks = systick::ticks();
    // The two were started together: of all counts with these lower 32 bits, the one near the ticks.
    let ahead = DWT::cycle_count().wrapping_sub(ticks as u32) as i32;
    ticks.saturating_add_signed(ahead.into())
}
