//! The MPS3 board with image AN547: a Cortex-M55 with Helium that QEMU emulates.
//!
//! The runtime's start code gives the program the FPU's registers, which are Helium's too, and moves
//! the vector table to the program's memory.

#![no_std]

use board_support::mps::{Mps, number};
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

/// The kernels of this core: all, or what one network needs.
pub type Active<const NEEDS: u32 = { fourbit::kernels::needs::ALL }> = fourbit::kernels::Mve<NEEDS>;

/// The board, brought up.
pub type Device = Mps<0x5930_2000, { number(env!("BOARD_CLOCK_HZ")) }>;

/// Where the stack starts and the program: what the core reads at address 0 after a reset.
#[repr(C)]
struct Boot {
    stack: *const u32,
    reset: unsafe extern "C" fn() -> !,
}

// SAFETY: two addresses that nothing writes.
unsafe impl Sync for Boot {}

unsafe extern "C" {
    static _stack_start: u32;
    fn Reset() -> !;
}

#[used]
#[unsafe(link_section = ".boot")]
static BOOT: Boot = Boot { stack: &raw const _stack_start, reset: Reset };
