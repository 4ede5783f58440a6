//! The MPS2 board with image AN500: a Cortex-M7 that QEMU emulates.

#![no_std]

use board_support::mps::{Mps, number};
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

/// The kernels of this core: all, or what one network needs.
pub type Active<const NEEDS: u32 = { fourbit::kernels::needs::ALL }> = fourbit::kernels::Armv7em<NEEDS>;

/// The board, brought up.
pub type Device = Mps<0x4002_8000, { number(env!("BOARD_CLOCK_HZ")) }>;
