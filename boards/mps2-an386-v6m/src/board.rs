//! The MPS2 board with image AN386, of whose Cortex-M4 only the instructions of Armv6-M are used: it counts
//! what a Cortex-M0 or M0+ would execute.
//!
//! Results, the host's values and the exit go through semihosting. SysTick runs at the core's clock; with
//! `-icount shift=0` an instruction takes a nanosecond, so ticks give instructions.

#![no_std]

use core::convert::Infallible;

use board_support::Board;
use board_support::semihosting::{self, Stdin};
use board_support::systick::{self, Instructions};
#[cfg(feature = "defmt")]
use defmt_semihosting as _;
use embedded_hal::digital::{ErrorType, OutputPin};
use fourbit_tests::frame::Receiver;

/// The kernels of this core.
pub type Active = fourbit::kernels::Portable;

/// LEDs of the FPGA's I/O block, a bit each.
const FPGAIO_LED: *mut u32 = 0x4002_8000 as *mut u32;

const INSTRUCTIONS: Instructions = Instructions::at(clock_hz());

/// The board, brought up.
#[derive(Debug)]
pub struct Device {
    stdin: Option<Stdin>,
    values: Receiver,
    led: Led,
}

impl Board for Device {
    #[cfg(not(feature = "defmt"))]
    type Report = board_support::Console<semihosting::Terminal>;
    #[cfg(feature = "defmt")]
    type Report = board_support::Log;
    type Led = Led;

    fn start() -> Self {
        if let Some(peripherals) = cortex_m::Peripherals::take() {
            systick::start(peripherals.SYST);
        }
        Self { stdin: Stdin::open(), values: Receiver::new(), led: Led }
    }

    fn exit(passed: bool) -> ! {
        semihosting::exit(if passed { 0 } else { 1 })
    }

    fn read(&mut self, values: &mut [i8]) -> usize {
        let receive = |bytes: &mut [u8]| self.stdin.as_mut().map_or(0, |stdin| stdin.read(bytes));
        Self::expect(self.values.fill(values, receive))
    }

    fn count(&mut self) -> u64 {
        INSTRUCTIONS.count()
    }

    fn led(&mut self) -> &mut Led {
        &mut self.led
    }
}

/// The first LED.
#[derive(Debug)]
pub struct Led;

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        // SAFETY: the register lies at this address on this board, and only this driver writes it.
        unsafe { FPGAIO_LED.write_volatile(0) };
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        // SAFETY: as above.
        unsafe { FPGAIO_LED.write_volatile(1) };
        Ok(())
    }
}

/// `clock_hz` of `board.toml`.
const fn clock_hz() -> u32 {
    match u32::from_str_radix(env!("BOARD_CLOCK_HZ"), 10) {
        Ok(clock_hz) => clock_hz,
        Err(_) => panic!("clock_hz is not a number"),
    }
}
