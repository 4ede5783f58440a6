//! Fourbit's runtime: 4-bit neural networks without an operating system, a heap or a panic.
//!
//! ```text
//! artefact (flash) ──> Artefact::parse ──> Session::run(image) ──> logits
//!                                             │
//!                              kernels that the board names, caller's arena
//! ```
//!
//! An [`Artefact`] is checked once; after that only a buffer of the wrong size can fail. The
//! [`kernels::Reference`] kernels are the specification of the arithmetic (TOSA 1.0, integer
//! profile, 4-bit weights); every other kernel gives the same bits.
//!
//! Modules from the bottom up: [`int4`] and [`requant`] (the only packing and rounding),
//! [`shape`], [`layout`], [`kernels`], [`artefact`], [`session`], [`image`] (camera pixels to the input).
//!
//! ```
//! use fourbit::{Artefact, ParseError, HeaderError};
//!
//! let error = Artefact::parse(b"not a network").unwrap_err();
//! assert_eq!(error, ParseError::Header(HeaderError::Truncated { need: 60, have: 13 }));
//! ```

#![cfg_attr(not(any(test, feature = "host")), no_std)]

pub mod artefact;
mod bytes;
#[cfg(feature = "classify")]
pub mod classify;
mod crc;
pub mod embedded;
pub mod image;
pub mod int4;
pub mod kernels;
pub mod layout;
pub mod requant;
pub mod session;
pub mod shape;

pub use artefact::{Aligned, Artefact, HeaderError, ParseError, Verified};
pub use crc::{Crc32, crc32};
pub use embedded::Embedded;
pub use session::{Event, Observer, Session, SessionError};

/// Memory for activations: `N` bytes at a 16-aligned address.
pub type Arena<const N: usize> = Aligned<[u8; N]>;

/// The code in the README runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
