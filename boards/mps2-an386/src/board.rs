//! The MPS2 board with image AN386: a Cortex-M4 that QEMU emulates.

#![no_std]

use board_support::mps::{Mps, number};
#[cfg(feature = "defmt")]
use defmt_semihosting as _;

/// The kernels of this core.
pub type Active = fourbit::kernels::Armv7em;

/// The board, brought up.
pub type Device = Mps<0x4002_8000, { number(env!("BOARD_CLOCK_HZ")) }>;
