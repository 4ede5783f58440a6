//! A network that a firmware is built around.
#![allow(unsafe_code)]

use crate::artefact::{Artefact, Header, Verified};

/// An artefact whose content was checked when the firmware was built, and the kernels that it needs:
/// neither the check nor other kernels are linked.
///
/// A board's build script writes the constant; where there is none, [`Artefact::open`] checks.
#[derive(Clone, Copy, Debug)]
pub struct Embedded<const NEEDS: u32>(Verified<'static>);

impl<const NEEDS: u32> Embedded<NEEDS> {
    /// The network in `verified`.
    ///
    /// # Safety
    ///
    /// [`Artefact::open`] accepts these bytes. Every bit that [`needs::of`](crate::kernels::needs::of) gives for
    /// the kernels' family is in `NEEDS`: without it the logits are wrong.
    pub const unsafe fn new(verified: Verified<'static>) -> Self {
        Self(verified)
    }

    /// What the file says of itself.
    pub const fn header(&self) -> &Header {
        self.0.header()
    }

    /// The file, ready for a session with kernels for the same needs: for a `static`, which lies in flash.
    pub const fn artefact(&self) -> Artefact<'static> {
        Artefact::views(self.0, NEEDS)
    }
}
