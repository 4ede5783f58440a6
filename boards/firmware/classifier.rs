//! A classifier without a console: shows that no panic is in it, and how large its code is.
//!
//! The panic handler calls a function that exists nowhere, so this links only if no panic is
//! reachable. The artefact, the image and the buffers are hidden from the optimizer, which must
//! expect any of each.

#![no_std]
#![no_main]

use core::hint::black_box;

use board::Active;
use cortex_m_rt::entry;
use fourbit::{Artefact, Session};

#[entry]
fn main() -> ! {
    loop {
        let (file, image): (&[u8], &[i8]) = (black_box(&[]), black_box(&[]));
        let (arena, logits): (&mut [u8], &mut [i8]) = (black_box(&mut []), black_box(&mut []));
        if let Ok(artefact) = Artefact::parse(file)
            && let Ok(mut session) = Session::new(&artefact, Active::default(), arena)
        {
            let _ = black_box(session.run(image, logits));
        }
        if cfg!(feature = "planted-panic") {
            black_box(logits[image.len()]);
        }
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
