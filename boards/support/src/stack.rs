//! How much stack a call takes: the stack below is painted, the call runs, the paint is searched.

use core::arch::asm;
use core::ptr;

const PAINT: u32 = 0xC5C5_C5C5;
/// Words between the stack pointer and the paint: this function's own calls.
const MARGIN: usize = 16;

unsafe extern "C" {
    /// The lowest address of the stack, from the link script.
    static mut _stack_end: u32;
}

/// Runs `call`; gives its result and the most bytes of stack that it had in use.
#[inline(never)]
pub fn depth<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let lowest = &raw mut _stack_end;
    let top: *mut u32;
    // SAFETY: reads the stack pointer and nothing else.
    unsafe { asm!("mov {}, sp", out(reg) top, options(nomem, nostack, preserves_flags)) };
    let words = (top.addr() - lowest.addr()) / 4;
    let free = words.saturating_sub(MARGIN);
    for i in 0..free {
        // SAFETY: the words lie between the end of the stack's region and the stack pointer,
        // where nothing lives; an interrupt may write there, which the search then finds.
        unsafe { ptr::write_volatile(lowest.add(i), PAINT) };
    }
    let result = apart(call);
    // SAFETY: the same words, which the loop above has written.
    let painted = (0..free).take_while(|&i| unsafe { ptr::read_volatile(lowest.add(i)) } == PAINT);
    let untouched = painted.count();
    (result, 4 * (words - untouched))
}

/// Keeps the call's frame below the one that paints.
#[inline(never)]
fn apart<T>(call: impl FnOnce() -> T) -> T {
    call()
}
