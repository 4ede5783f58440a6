//! The MPS2 board with image AN386: a Cortex-M4 that QEMU emulates.
//!
//! Console, host file and exit go through semihosting. SysTick runs at the core's clock; with
//! `-icount shift=0` an instruction takes a nanosecond, so ticks give instructions.

#![no_std]

use core::convert::Infallible;

use board_support::Board;
use board_support::semihosting::{self, File};
use board_support::systick::{self, Instructions};
use embedded_hal::digital::{ErrorType, OutputPin};

/// The kernels of this core.
pub type Active = fourbit::kernels::Armv7em;

/// The file, in the emulator's working folder, that holds the host's values.
const INPUT: &core::ffi::CStr = c"input.bin";
/// LEDs of the FPGA's I/O block, a bit each.
const FPGAIO_LED: *mut u32 = 0x4002_8000 as *mut u32;

const INSTRUCTIONS: Instructions = Instructions::at(clock_hz());

/// The board, brought up.
#[derive(Debug)]
pub struct Device {
    input: Option<File>,
    led: Led,
}

impl Board for Device {
    type Led = Led;

    fn start() -> Self {
        if let Some(peripherals) = cortex_m::Peripherals::take() {
            systick::start(peripherals.SYST);
        }
        Self { input: File::open(INPUT), led: Led }
    }

    fn write(text: &str) {
        semihosting::print(text);
    }

    fn exit(passed: bool) -> ! {
        semihosting::exit(if passed { 0 } else { 1 })
    }

    fn read(&mut self, values: &mut [i8]) -> usize {
        self.input.as_mut().map_or(0, |file| file.read(values))
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
