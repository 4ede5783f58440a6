//! Names what is on the host's images; the lamp is on while the network runs.

#![no_std]
#![no_main]

use board::{Active, Device};
use board_support::Board;
use cortex_m_rt::entry;
use embedded_hal::digital::OutputPin;
use fourbit::{Aligned, Arena, Session, classify};
use fourbit_tests::report::Line;

// `NEEDS`, `ARTEFACT`, `ARENA`, `PIXELS`, `CLASSES`.
include!(concat!(env!("OUT_DIR"), "/network.rs"));

#[entry]
fn main() -> ! {
    static mut MEMORY: Arena<ARENA> = Aligned([0; ARENA]);
    static mut IMAGE: [i8; PIXELS] = [0; PIXELS];
    static mut LOGITS: [i8; CLASSES] = [0; CLASSES];

    let mut device = Device::start();
    let mut session = Device::expect(Session::new(&ARTEFACT, Active::<NEEDS>::default(), &mut MEMORY.0));
    let scale = ARTEFACT.tensor(ARTEFACT.output()).map_or(1.0, |logits| logits.scale.to_f32());
    for image in 0.. {
        if device.read(IMAGE) < PIXELS {
            break;
        }
        // The lamp's driver cannot fail.
        let _ = device.led().set_high();
        let result = session.run(IMAGE, LOGITS);
        let _ = device.led().set_low();
        Device::expect(result);
        for (class, probability) in classify::top_k::<1>(LOGITS, scale) {
            let label = ARTEFACT.labels().nth(class).unwrap_or("");
            Device::report(Line::Label { image, permille: (1000.0 * probability) as u32, label });
        }
    }
    Device::done()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    Device::failed(info)
}
