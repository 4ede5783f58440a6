//! A classifier without a console: shows that no panic is in it, and how large its code is.
//!
//! The panic handler calls a function that exists nowhere, so this links only if no panic is
//! reachable. The artefact, the image and the buffers are hidden from the optimizer, which must
//! expect any of each. With the feature `camera` the image comes from a camera's pixels.

#![no_std]
#![no_main]

use core::hint::black_box;

use board::Active;
use cortex_m_rt::entry;
use fourbit::image::{Crop, Format, Source, to_int8, to_rgb};
use fourbit::shape::Shape;
use fourbit::{Artefact, Session};

#[entry]
fn main() -> ! {
    loop {
        let (file, image): (&[u8], &[i8]) = (black_box(&[]), black_box(&[]));
        let (arena, logits): (&mut [u8], &mut [i8]) = (black_box(&mut []), black_box(&mut []));
        if let Ok(artefact) = Artefact::parse(file)
            && let Ok(mut session) = Session::new(&artefact, <Active>::default(), arena)
        {
            let _ = black_box(session.run(image, logits));
        }
        if cfg!(feature = "camera") {
            camera();
        }
        if cfg!(feature = "planted-panic") {
            black_box(logits[image.len()]);
        }
    }
}

/// Pixels of any format and size to the input of any network.
fn camera() {
    let [width, height] = black_box([0; 2]);
    let source = Source { bytes: black_box(&[]), format: black_box(Format::Yuyv), width, height };
    let [height, width, channels] = black_box([0; 3]);
    let shape = Shape::new(height, width, channels);
    let crop = Crop::fitting(source.width, source.height, shape);
    let _ = black_box(to_int8(&source, crop, shape, black_box(&mut [])));
    let _ = black_box(to_rgb(&source, black_box(crop), shape, black_box(&mut [])));
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        /// Defined nowhere: a firmware that can panic does not link.
        safe fn a_panic_is_linked_into_this_firmware() -> !;
    }
    a_panic_is_linked_into_this_firmware()
}
