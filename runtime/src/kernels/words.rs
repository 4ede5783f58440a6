//! Scratch as words, without a copy: the bytes before the first aligned word and behind the last are left out.
#![allow(unsafe_code)]

/// The whole words of scratch.
#[cfg(feature = "armv7em")]
pub(super) fn unsigned(scratch: &mut [u8]) -> &mut [u32] {
    // SAFETY: any four bytes are a `u32`, and any `u32` is four bytes.
    unsafe { scratch.align_to_mut() }.1
}

/// The whole words of scratch.
pub(super) fn signed(scratch: &mut [u8]) -> &mut [i32] {
    // SAFETY: any four bytes are an `i32`, and any `i32` is four bytes.
    unsafe { scratch.align_to_mut() }.1
}

/// The bytes of words.
#[cfg(feature = "mve")]
pub(super) fn bytes(words: &mut [i32]) -> &mut [u8] {
    // SAFETY: any `i32` is four bytes, at any address.
    unsafe { words.align_to_mut() }.1
}
