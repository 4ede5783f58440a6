//! How a kernel failed, and the comparison that finds out.

use core::fmt;

use crate::case::Kind;

/// Bytes on either side of an output that a kernel must leave alone.
const GUARD: usize = 16;
const GUARD_BYTE: u8 = 0x5A;

/// A kernel that did not give the expected bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The operation.
    pub kind: Kind,
    /// The seed of a property case, or the place of a vector in its file.
    pub number: u64,
    /// What was wrong.
    pub fault: Fault,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A byte of the output has another value, or was not written.
    Value {
        /// Its place in the output.
        at: usize,
        /// What it should be.
        expected: u8,
        /// What it is.
        found: u8,
    },
    /// Bytes next to the output were overwritten.
    Outside,
    /// The buffer for the output is too small.
    Buffer {
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
}

/// Runs a kernel on an output inside `buffer` and compares every byte. The output starts at a
/// multiple of 16 bytes of `buffer`; before the run it holds `initial`, or else what differs from
/// the expected value everywhere.
pub(crate) fn compare(
    buffer: &mut [u8],
    expected: &[u8],
    initial: Option<&[u8]>,
    run: impl FnOnce(&mut [u8]),
) -> Result<(), Fault> {
    let (need, have) = (expected.len() + 2 * GUARD, buffer.len());
    let Some((before, rest)) = buffer.get_mut(..need).and_then(|b| b.split_at_mut_checked(GUARD)) else {
        return Err(Fault::Buffer { need, have });
    };
    let Some((output, after)) = rest.split_at_mut_checked(expected.len()) else {
        return Err(Fault::Buffer { need, have });
    };
    before.fill(GUARD_BYTE);
    after.fill(GUARD_BYTE);
    for (i, (to, want)) in output.iter_mut().zip(expected).enumerate() {
        *to = initial.and_then(|bytes| bytes.get(i)).map_or(!want, |&byte| byte);
    }
    run(output);
    if let Some((at, (&found, &expected))) =
        output.iter().zip(expected).enumerate().find(|(_, (a, b))| a != b)
    {
        return Err(Fault::Value { at, expected, found });
    }
    if before.iter().chain(after.iter()).any(|&byte| byte != GUARD_BYTE) {
        return Err(Fault::Outside);
    }
    Ok(())
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.kind, self.number)?;
        match self.fault {
            Fault::Value { at, expected, found } => {
                write!(f, "byte {at} of the output is {found:#04x} and should be {expected:#04x}")
            }
            Fault::Outside => f.write_str("bytes next to the output were overwritten"),
            Fault::Buffer { need, have } => {
                write!(f, "the output needs a buffer of {need} bytes, not {have}")
            }
        }
    }
}

impl core::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_not_written_differs() {
        let mut buffer = [0; 34];
        let value = Fault::Value { at: 1, expected: 0xA5, found: 0x5A };
        assert_eq!(compare(&mut buffer, &[7, 0xA5], None, |out| out[0] = 7), Err(value));
        assert_eq!(compare(&mut buffer, &[7, 9], Some(&[7, 9]), |_| ()), Ok(()));
    }

    #[test]
    fn a_small_buffer_is_refused() {
        let error = Err(Fault::Buffer { need: 34, have: 33 });
        assert_eq!(compare(&mut [0; 33], &[7, 9], None, |_| ()), error);
    }
}
