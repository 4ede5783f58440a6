//! Arm semihosting: console, a file of the host, and an exit code, through a debugger or emulator.
//!
//! Without one attached, every call is a fault. After Arm's *Semihosting for AArch32 and AArch64*.

use core::ffi::CStr;

const SYS_OPEN: usize = 0x01;
const SYS_WRITE0: usize = 0x04;
const SYS_READ: usize = 0x06;
const SYS_EXIT_EXTENDED: usize = 0x20;

/// Mode of [`SYS_OPEN`]: `rb`.
const READ_BINARY: usize = 1;
/// Reason of [`SYS_EXIT_EXTENDED`]: the application ended by itself.
const APPLICATION_EXIT: usize = 0x2_0026;
/// Bytes handed over at a time.
const PIECE: usize = 128;

/// Writes text to the console.
pub fn print(text: &str) {
    for part in text.as_bytes().chunks(PIECE) {
        let mut piece = [0; PIECE + 1];
        for (to, from) in piece.iter_mut().zip(part) {
            *to = *from;
        }
        // SAFETY: the piece is longer than the part, so it ends with a zero byte.
        unsafe { call(SYS_WRITE0, piece.as_ptr().addr()) };
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

/// A file of the host, open for reading.
#[derive(Debug)]
pub struct File {
    handle: usize,
}

impl File {
    /// Opens a file in the emulator's working folder.
    pub fn open(name: &CStr) -> Option<Self> {
        let block = [name.as_ptr().addr(), READ_BINARY, name.count_bytes()];
        // SAFETY: the block has the three words that the call reads; the name ends with a zero byte.
        let handle = unsafe { call(SYS_OPEN, block.as_ptr().addr()) };
        (handle != usize::MAX).then_some(Self { handle })
    }

    /// Reads up to `values.len()` bytes; gives how many there were.
    pub fn read(&mut self, values: &mut [i8]) -> usize {
        let block = [self.handle, values.as_mut_ptr().addr(), values.len()];
        // SAFETY: the block has the three words that the call reads, and the host writes at most
        // the given length into the buffer, which is ours alone.
        let missing = unsafe { call(SYS_READ, block.as_ptr().addr()) };
        values.len().saturating_sub(missing)
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
