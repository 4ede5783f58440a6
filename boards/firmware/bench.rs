//! Measures one image of noise: what each operation takes, the whole, arena and stack.

#![no_std]
#![no_main]

use board::{Active, Device};
use board_support::{Board, OpCosts, overhead, stack};
use cortex_m_rt::entry;
use fourbit::{Aligned, Arena, Session};
use fourbit_tests::image;
use fourbit_tests::report::{Line, Logits};

// `NEEDS`, `ARTEFACT`, `ARENA`, `PIXELS`, `CLASSES`.
include!(concat!(env!("OUT_DIR"), "/network.rs"));

#[entry]
fn main() -> ! {
    static mut MEMORY: Arena<ARENA> = Aligned([0; ARENA]);
    static mut IMAGE: [i8; PIXELS] = [0; PIXELS];
    static mut LOGITS: [i8; CLASSES] = [0; CLASSES];

    let mut device = Device::start();
    image::noise(image::BENCH_SEED, IMAGE);
    let overhead = overhead(&mut device);

    // Everything that an application does: bind the artefact, run it.
    let (count, stack_bytes) = stack::depth(|| {
        let mut session = Device::expect(Session::new(&ARTEFACT, Active::<NEEDS>::default(), &mut MEMORY.0));
        let begin = device.count();
        Device::expect(session.run(IMAGE, LOGITS));
        device.count() - begin
    });
    Device::report(Line::Total { count: count.saturating_sub(overhead) });
    Device::report(Line::Memory { arena_bytes: ARENA as u32, stack_bytes: stack_bytes as u32 });

    let mut session = Device::expect(Session::new(&ARTEFACT, Active::<NEEDS>::default(), &mut MEMORY.0));
    Device::expect(session.run_observed(IMAGE, LOGITS, &mut OpCosts::new(&mut device, overhead)));
    Device::report(Line::Logits { image: 0, values: Logits::Values(LOGITS) });
    Device::done()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    Device::failed(info)
}
