//! Values from the host to a firmware, over any pipe of bytes: an emulator's, a debug probe's.
//!
//! The host sends values as frames ([`send`]); the firmware takes them out again ([`Receiver`]), as
//! many at a time as it likes. A frame is a [`postcard`] message in COBS, so a zero byte ends it:
//! the frame's number from 0, the CRC-32 of its values, up to [`VALUES`] values. One without values
//! is the last. A frame that is lost, torn or changed is an error, never other values.
//!
//! ```
//! use fourbit_tests::frame::{Receiver, send};
//!
//! let (mut pipe, mut length) = ([0; 64], 0);
//! send::<()>(&[3, -7, 12], |bytes| {
//!     pipe[length..length + bytes.len()].copy_from_slice(bytes);
//!     length += bytes.len();
//!     Ok(())
//! })?;
//! let mut sent = &pipe[..length];
//! let mut receiver = Receiver::new();
//! let mut receive = |bytes: &mut [u8]| {
//!     let (now, later) = sent.split_at(bytes.len().min(sent.len()));
//!     bytes[..now.len()].copy_from_slice(now);
//!     sent = later;
//!     now.len()
//! };
//! let mut values = [0; 2];
//! assert_eq!(receiver.fill(&mut values, &mut receive), Ok(2));
//! assert_eq!(values, [3, -7]);
//! assert_eq!(receiver.fill(&mut values, &mut receive), Ok(1));
//! assert_eq!(receiver.fill(&mut values, &mut receive), Ok(0));
//! # Ok::<(), ()>(())
//! ```

use core::fmt::{self, Display};
use core::ops::Range;

use fourbit::crc32;
use postcard::accumulator::{CobsAccumulator, FeedResult};

/// Values of a frame, at most.
pub const VALUES: usize = 256;

/// Bytes of a frame, at most: two numbers of up to 5 bytes, a length of 2, the values; COBS adds
/// one byte for every 254 begun, and the zero.
const ENCODED: usize = 5 + 5 + 2 + VALUES + 2 + 1;
/// Bytes that are received at a time.
const RECEIVED: usize = 64;

/// A frame's number, the CRC-32 of its values, and those, a byte each.
type Frame<'a> = (u32, u32, &'a [u8]);

/// Why there are no more values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The pipe ended before the last frame.
    Closed,
    /// The bytes before a zero are no frame.
    Torn,
    /// Frames are missing or come again.
    Lost {
        /// The number that had to come.
        expected: u32,
        /// The one that came.
        found: u32,
    },
    /// The values are not those that were sent.
    Changed {
        /// The frame's number.
        number: u32,
    },
}

/// Writes values as frames, and the last one.
///
/// # Errors
///
/// Those of `write`.
pub fn send<E>(values: &[i8], mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    for (number, values) in (0..).zip(values.chunks(VALUES).chain([&[][..]])) {
        write(encode(number, values, &mut [0; ENCODED]))?;
    }
    Ok(())
}

/// A frame's bytes, with the zero.
fn encode<'a>(number: u32, values: &[i8], buffer: &'a mut [u8; ENCODED]) -> &'a [u8] {
    let mut bytes = [0; VALUES];
    let bytes = &mut bytes[..values.len()];
    bytes.iter_mut().zip(values).for_each(|(byte, &value)| *byte = value as u8);
    let frame: Frame<'_> = (number, crc32(bytes), bytes);
    postcard::to_slice_cobs(&frame, buffer).expect("the buffer holds every frame")
}

/// Takes values out of frames.
pub struct Receiver {
    frames: CobsAccumulator<ENCODED>,
    received: [u8; RECEIVED],
    /// Of the received bytes, those that no frame has yet.
    unread: Range<usize>,
    values: [i8; VALUES],
    /// Of the last frame's values, those that nobody has yet.
    left: Range<usize>,
    next: u32,
    ended: bool,
}

impl Receiver {
    /// At the start of a pipe.
    pub const fn new() -> Self {
        Self {
            frames: CobsAccumulator::new(),
            received: [0; RECEIVED],
            unread: 0..0,
            values: [0; VALUES],
            left: 0..0,
            next: 0,
            ended: false,
        }
    }

    /// Fills `values` with the next ones; gives how many there were, fewer only at the end.
    ///
    /// `receive` waits for the next bytes, as many as there are and fit, and gives their number: 0
    /// at the end of the pipe.
    ///
    /// # Errors
    ///
    /// The pipe or a frame in it is damaged; what was filled is of no use.
    pub fn fill(
        &mut self,
        values: &mut [i8],
        mut receive: impl FnMut(&mut [u8]) -> usize,
    ) -> Result<usize, FrameError> {
        let mut filled = 0;
        while let Some(slots) = values.get_mut(filled..).filter(|slots| !slots.is_empty()) {
            if self.left.is_empty() {
                if self.ended {
                    break;
                }
                self.frame(&mut receive)?;
            }
            let left = self.values.get(self.left.clone()).unwrap_or(&[]);
            slots.iter_mut().zip(left).for_each(|(slot, &value)| *slot = value);
            let taken = slots.len().min(left.len());
            self.left.start += taken;
            filled += taken;
        }
        Ok(filled)
    }

    /// Receives the next frame.
    fn frame(&mut self, mut receive: impl FnMut(&mut [u8]) -> usize) -> Result<(), FrameError> {
        loop {
            if self.unread.is_empty() {
                self.unread = 0..receive(&mut self.received);
            }
            let unread = self.received.get(self.unread.clone()).unwrap_or(&[]);
            if unread.is_empty() {
                return Err(FrameError::Closed);
            }
            let (number, checksum, bytes) = match self.frames.feed_ref::<Frame<'_>>(unread) {
                FeedResult::Consumed => {
                    self.unread = 0..0;
                    continue;
                }
                FeedResult::OverFull(_) | FeedResult::DeserError(_) => return Err(FrameError::Torn),
                FeedResult::Success { data, remaining } => {
                    self.unread.start = self.unread.end - remaining.len();
                    data
                }
            };
            if number != self.next {
                return Err(FrameError::Lost { expected: self.next, found: number });
            }
            if checksum != crc32(bytes) {
                return Err(FrameError::Changed { number });
            }
            self.values.iter_mut().zip(bytes).for_each(|(value, &byte)| *value = byte as i8);
            self.left = 0..bytes.len().min(VALUES);
            self.ended = bytes.is_empty();
            self.next = self.next.wrapping_add(1);
            return Ok(());
        }
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("next", &self.next).field("left", &self.left).finish_non_exhaustive()
    }
}

impl Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the host's values end before their last frame"),
            Self::Torn => f.write_str("what the host sent is no frame"),
            Self::Lost { expected, found } => write!(f, "frame {found} of the host came for {expected}"),
            Self::Changed { number } => write!(f, "the CRC of the host's frame {number} is wrong"),
        }
    }
}

impl core::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn sent(values: &[i8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        send::<()>(values, |frame| {
            bytes.extend_from_slice(frame);
            Ok(())
        })
        .unwrap();
        bytes
    }

    /// Receives in pieces of `piece` bytes what `bytes` hold, `count` values at a time.
    fn received(bytes: &[u8], piece: usize, count: usize) -> Result<Vec<i8>, FrameError> {
        let mut bytes = bytes.iter().copied();
        let mut receive = |to: &mut [u8]| {
            let slots = to.iter_mut().take(piece);
            slots.zip(&mut bytes).map(|(slot, byte)| *slot = byte).count()
        };
        let (mut receiver, mut all) = (Receiver::new(), Vec::new());
        loop {
            let mut values = std::vec![0; count];
            let filled = receiver.fill(&mut values, &mut receive)?;
            all.extend_from_slice(&values[..filled]);
            if filled < count {
                return Ok(all);
            }
        }
    }

    #[test]
    fn a_frame_is_what_postcard_and_cobs_say() {
        // Varint 0; CRC-32 of the bytes 1, 0, 255 as a varint (computed with Python's zlib:
        // 0xD3815CA8); varint 3; the bytes. COBS puts the distance to the next zero before each run.
        let crc = 0xD381_5CA8_u32;
        let varint: Vec<u8> =
            (0..5).map(|i| (crc >> (7 * i) & 0x7F) as u8 | if i < 4 { 0x80 } else { 0 }).collect();
        let mut expected = std::vec![1, 8];
        expected.extend(varint);
        expected.extend([3, 1, 2, 255, 0]);
        // The last frame: number 1, CRC-32 of nothing is 0, length 0.
        expected.extend([2, 1, 1, 1, 0]);
        assert_eq!(sent(&[1, 0, -1]), expected);
    }

    #[test]
    fn values_come_back_however_they_are_cut() {
        let values: Vec<i8> = (0..1_000).map(|i: u32| (i * 37 % 251) as u8 as i8).collect();
        for length in [0, 1, VALUES - 1, VALUES, VALUES + 1, 1_000] {
            let bytes = sent(&values[..length]);
            for (piece, count) in [(1, 1), (7, 300), (64, 3), (1_000, 2_000)] {
                assert_eq!(received(&bytes, piece, count).as_deref(), Ok(&values[..length]));
            }
        }
    }

    #[test]
    fn every_damage_is_an_error() {
        let values = [5; 600];
        let bytes = sent(&values);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(received(&damaged, 64, 100).is_err(), "byte {at}");
            assert!(received(&bytes[..at], 64, 100).is_err(), "cut at {at}");
        }
        let first = bytes.iter().position(|&byte| byte == 0).unwrap() + 1;
        let lost = Err(FrameError::Lost { expected: 0, found: 1 });
        assert_eq!(received(&bytes[first..], 64, 100), lost);
        assert_eq!(received(&[7; 400], 64, 100), Err(FrameError::Torn));
        assert_eq!(received(&[], 64, 100), Err(FrameError::Closed));
    }

    #[test]
    fn the_longest_frame_fits() {
        // No zero among the bytes but the number's own is the worst case of COBS.
        assert!(encode(u32::MAX, &[-1; VALUES], &mut [0; ENCODED]).len() <= ENCODED);
    }
}
