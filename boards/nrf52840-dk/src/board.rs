//! Nordic's nRF52840 development kit: a Cortex-M4F at 64 MHz, 1 MiB of flash, 256 KiB of RAM.
//!
//! Results are frames of defmt on RTT channel 0, and the host's values arrive on down channel 0. A
//! full channel waits for the host, so nothing is lost, and nothing goes on without one. The end is
//! a semihosting exit, at which a debugger halts the core. Registers after the nRF52840 Product
//! Specification v1.7.

#![no_std]

use core::convert::Infallible;

use board_support::{Board, Log, cycles, semihosting};
use embedded_hal::digital::{ErrorType, OutputPin};
use fourbit_tests::frame::Receiver;
use rtt_target::ChannelMode::BlockIfFull;
use rtt_target::{DownChannel, rtt_init, set_defmt_channel};

/// The kernels of this core: all, or what one network needs.
pub type Active<const NEEDS: u32 = { fourbit::kernels::needs::ALL }> = fourbit::kernels::Armv7em<NEEDS>;

/// The instruction cache of the flash: off after a reset.
const NVMC_ICACHECNF: *mut u32 = 0x4001_E540 as *mut u32;
/// Port 0: the pins that are set, cleared and made outputs by a one.
const P0_OUTSET: *mut u32 = 0x5000_0508 as *mut u32;
const P0_OUTCLR: *mut u32 = 0x5000_050C as *mut u32;
const P0_DIRSET: *mut u32 = 0x5000_0518 as *mut u32;
/// LED 1, lit while its pin is low.
const LED: u32 = 1 << 13;

/// The board, brought up.
pub struct Device {
    host: DownChannel,
    values: Receiver,
    led: Led,
}

impl Board for Device {
    type Report = Log;
    type Led = Led;

    fn start() -> Self {
        let channels = rtt_init! {
            up: { 0: { size: 1024, mode: BlockIfFull, name: "defmt" } }
            down: { 0: { size: 1024, mode: BlockIfFull, name: "values" } }
        };
        set_defmt_channel(channels.up.0);
        // SAFETY: the register lies at this address on this chip, and nothing else writes it.
        unsafe { NVMC_ICACHECNF.write_volatile(1) };
        if let Some(peripherals) = cortex_m::Peripherals::take() {
            cycles::start(peripherals.DCB, peripherals.DWT, peripherals.SYST);
        }
        Self { host: channels.down.0, values: Receiver::new(), led: Led::new() }
    }

    fn exit(passed: bool) -> ! {
        semihosting::exit(if passed { 0 } else { 1 })
    }

    fn read(&mut self, values: &mut [i8]) -> usize {
        let receive = |bytes: &mut [u8]| loop {
            match self.host.read(bytes) {
                0 => core::hint::spin_loop(),
                count => return count,
            }
        };
        Self::expect(self.values.fill(values, receive))
    }

    fn count(&mut self) -> u64 {
        cycles::count()
    }

    fn led(&mut self) -> &mut Led {
        &mut self.led
    }
}

/// The first LED.
#[derive(Debug)]
pub struct Led(());

impl Led {
    /// Dark.
    fn new() -> Self {
        // SAFETY: the registers lie at these addresses on this chip, a one in them touches no other
        // pin, and only this driver uses this one.
        unsafe {
            P0_OUTSET.write_volatile(LED);
            P0_DIRSET.write_volatile(LED);
        }
        Self(())
    }
}

impl ErrorType for Led {
    type Error = Infallible;
}

impl OutputPin for Led {
    fn set_low(&mut self) -> Result<(), Infallible> {
        // SAFETY: as in `new`.
        unsafe { P0_OUTSET.write_volatile(LED) };
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        // SAFETY: as in `new`.
        unsafe { P0_OUTCLR.write_volatile(LED) };
        Ok(())
    }
}
