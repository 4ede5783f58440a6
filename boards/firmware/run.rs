//! Classifies the images that the host sends: a line of logits per image.

#![no_std]
#![no_main]

use board::{Active, Device};
use board_support::Board;
use cortex_m_rt::entry;
use fourbit::{Aligned, Arena, Session};
use fourbit_tests::report::{Line, Logits};

// `NEEDS`, `ARTEFACT`, `ARENA`, `PIXELS`, `CLASSES`.
include!(concat!(env!("OUT_DIR"), "/network.rs"));

#[entry]
fn main() -> ! {
    static mut MEMORY: Arena<ARENA> = Aligned([0; ARENA]);
    static mut IMAGE: [i8; PIXELS] = [0; PIXELS];
    static mut LOGITS: [i8; CLASSES] = [0; CLASSES];

    let mut device = Device::start();
    let mut session = Device::expect(Session::new(&ARTEFACT, Active::<NEEDS>::default(), &mut MEMORY.0));
    let mut image = 0;
    loop {
        match device.read(IMAGE) {
            0 => Device::done(),
            PIXELS => Device::expect(session.run(IMAGE, LOGITS)),
            values => Device::failed(format_args!("image {image} has {values} values, not {PIXELS}")),
        }
        Device::report(Line::Logits { image, values: Logits::Values(LOGITS) });
        image += 1;
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    Device::failed(info)
}
