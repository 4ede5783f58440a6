//! Arm semihosting: a console, the host's standard input, and an exit code, through a debugger or
//! emulator.
//!
//! Without one attached, every call is a fault. After Arm's *Semihosting for AArch32 and AArch64*.

use core::ffi::CStr;

use crate::Sink;

const SYS_OPEN: usize = 0x01;
const SYS_WRITE0: usize = 0x04;
const SYS_READ: usize = 0x06;
const SYS_EXIT_EXTENDED: usize = 0x20;

/// Name under which [`SYS_OPEN`] gives the console; read, it is the standard input.
const STDIN: &CStr = c":tt";
/// Mode of [`SYS_OPEN`]: `rb`.
const READ_BINARY: usize = 1;
/// Reason of [`SYS_EXIT_EXTENDED`]: the application ended by itself.
const APPLICATION_EXIT: usize = 0x2_0026;
/// Bytes handed over at a time.
const PIECE: usize = 128;

/// The debugger's or emulator's console.
#[derive(Debug)]
pub struct Terminal;

impl Sink for Terminal {
    fn write(text: &str) {
        for part in text.as_bytes().chunks(PIECE) {
            let mut piece = [0; PIECE + 1];
            for (to, from) in piece.iter_mut().zip(part) {
                *to = *from;
            }
            // SAFETY: the piece is longer than the part, so it ends with a zero byte.
            unsafe { call(SYS_WRITE0, piece.as_ptr().addr()) };
        }
    }
}

/// Ends the program with an exit code.
pub fn exit(code: u8) -> ! {
    let block = [APPLICATION_EXIT, usize::from(code)];
    loop {
        // SAFETY: the block has the two words that the call reads.
        unsafe { call(SYS_EXIT_EXTENDED, block.as_ptr().addr()) };
    }
}

/// The host's standard input.
#[derive(Debug)]
pub struct Stdin {
    handle: usize,
}

impl Stdin {
    /// Opens it.
    pub fn open() -> Option<Self> {
        let block = [STDIN.as_ptr().addr(), READ_BINARY, STDIN.count_bytes()];
        // SAFETY: the block has the three words that the call reads; the name ends with a zero byte.
        let handle = unsafe { call(SYS_OPEN, block.as_ptr().addr()) };
        (handle != usize::MAX).then_some(Self { handle })
    }

    /// Waits for bytes and reads up to `bytes.len()`; gives how many there were, 0 at the end.
    pub fn read(&mut self, bytes: &mut [u8]) -> usize {
        let block = [self.handle, bytes.as_mut_ptr().addr(), bytes.len()];
        // SAFETY: the block has the three words that the call reads, and the host writes at most
        // the given length into the buffer, which is ours alone.
        let missing = unsafe { call(SYS_READ, block.as_ptr().addr()) };
        bytes.len().saturating_sub(missing)
    }
}

/// One semihosting call.
///
/// # Safety
///
/// `argument` must be what the operation documents: usually the address of a block of words.
unsafe fn call(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: the caller vouches for the argument; the host may read and write memory through it,
    // which the absence of `nomem` says, and changes no register but r0.
    unsafe {
        core::arch::asm!("bkpt 0xAB", inout("r0") operation => result, in("r1") argument, options(nostack));
    }
    result
}
