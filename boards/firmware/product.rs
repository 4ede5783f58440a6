//! What a product adds to flash: one network with the kernels that it needs, and no console.
//!
//! Neither the check of the artefact, which its build has made, nor code for other networks is linked. The
//! image and the logits are what another part of a product would write and read.

#![no_std]
#![no_main]

use core::hint::black_box;

use board::Active;
use cortex_m_rt::entry;
use fourbit::{Aligned, Arena, Session};

// `NEEDS`, `ARTEFACT`, `ARENA`, `PIXELS`, `CLASSES`.
include!(concat!(env!("OUT_DIR"), "/network.rs"));

#[entry]
fn main() -> ! {
    static mut MEMORY: Arena<ARENA> = Aligned([0; ARENA]);
    static mut IMAGE: [i8; PIXELS] = [0; PIXELS];
    static mut LOGITS: [i8; CLASSES] = [0; CLASSES];

    if let Ok(mut session) = Session::new(&ARTEFACT, Active::<NEEDS>::default(), &mut MEMORY.0) {
        while session.run(black_box(IMAGE), black_box(LOGITS)).is_ok() {}
    }
    loop {
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        /// Defined nowhere: a firmware that can panic does not link.
        safe fn a_panic_is_linked_into_this_firmware() -> !;
    }
    a_panic_is_linked_into_this_firmware()
}
