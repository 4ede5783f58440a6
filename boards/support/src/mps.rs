//! Arm's MPS2 and MPS3 boards as QEMU emulates them: everything but the core and the memory.
//!
//! Results, the host's values and the exit go through semihosting. SysTick runs at the core's clock; with
//! `-icount shift=0` an instruction takes a nanosecond, so ticks give instructions.

use core::convert::Infallible;

use embedded_hal::digital::{ErrorType, OutputPin};
use fourbit_tests::frame::Receiver;

use crate::Board;
use crate::semihosting::{self, Stdin};
use crate::systick::{self, Instructions};

/// A board, brought up: `LEDS` is the address of the LED register of its FPGA's I/O block, a bit for each,
/// `CLOCK_HZ` the core's clock.
#[derive(Debug)]
pub struct Mps<const LEDS: usize, const CLOCK_HZ: u32> {
    stdin: Option<Stdin>,
    values: Receiver,
    led: Led<LEDS>,
}

impl<const LEDS: usize, const CLOCK_HZ: u32> Mps<LEDS, CLOCK_HZ> {
    const INSTRUCTIONS: Instructions = Instructions::at(CLOCK_HZ);
}

impl<const LEDS: usize, const CLOCK_HZ: u32> Board for Mps<LEDS, CLOCK_HZ> {
    #[cfg(not(feature = "defmt"))]
    type Report = crate::Console<semihosting::Terminal>;
    #[cfg(feature = "defmt")]
    type Report = crate::Log;
    type Led = Led<LEDS>;

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
        Self::INSTRUCTIONS.count()
    }

    fn led(&mut self) -> &mut Led<LEDS> {
        &mut self.led
    }
}

/// The first LED.
#[derive(Debug)]
pub struct Led<const LEDS: usize>;

impl<const LEDS: usize> ErrorType for Led<LEDS> {
    type Error = Infallible;
}

impl<const LEDS: usize> OutputPin for Led<LEDS> {
    fn set_low(&mut self) -> Result<(), Infallible> {
        // SAFETY: the board gives the register's address, and only this driver writes it.
        unsafe { (LEDS as *mut u32).write_volatile(0) };
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        // SAFETY: as above.
        unsafe { (LEDS as *mut u32).write_volatile(1) };
        Ok(())
    }
}

/// The number that a build script's variable holds.
pub const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("not a number"),
    }
}
