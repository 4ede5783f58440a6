//! Cases that every kernel family must pass, shared by the host and the boards.
//!
//! Two judges: [`oracle`] compares a kernel with vectors that TOSA's reference model made, and
//! [`cases`] with the reference kernels, on shapes and values that grow from a seed. Neither
//! allocates; a failure is a [`Mismatch`] that names the operation and the vector or seed.
//!
//! ```
//! use fourbit::kernels::Reference;
//! use fourbit_tests::cases;
//!
//! assert_eq!(cases::add(&mut Reference, 1), Ok(()));
//! ```

#![no_std]

mod case;
pub mod cases;
pub mod frame;
pub mod image;
mod mismatch;
pub mod oracle;
pub mod report;
mod rng;

pub use case::{Args, Case, Kind};
pub use mismatch::{Fault, Mismatch};
pub use rng::Rng;
