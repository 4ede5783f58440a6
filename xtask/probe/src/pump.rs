//! Moves bytes between a running firmware and the host's pipes until the firmware ends.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use anyhow::bail;

/// Bytes that are taken from the firmware at a time.
const PIECE: usize = 4096;
/// How long to wait where nothing moved.
const PAUSE: Duration = Duration::from_millis(1);

/// A chip that runs a firmware.
pub(crate) trait Target {
    /// Takes bytes that the firmware has written; gives how many, 0 where there are none now.
    fn up(&mut self, bytes: &mut [u8]) -> anyhow::Result<usize>;

    /// Offers bytes to the firmware; gives how many it has room for.
    fn down(&mut self, bytes: &[u8]) -> anyhow::Result<usize>;

    /// Whether the firmware goes on.
    fn state(&mut self) -> anyhow::Result<State>;
}

/// Whether a firmware goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Running,
    /// It has ended, and says whether it did its work.
    Ended {
        /// Its exit code is 0.
        passed: bool,
    },
    /// The core stands still for another reason.
    Stopped(String),
}

/// Moves bytes until the firmware ends; gives whether it did its work. What it wrote before the end
/// arrives.
pub(crate) fn pump(
    target: &mut impl Target,
    input: &Receiver<Vec<u8>>,
    mut output: impl FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let (mut piece, mut waiting) = ([0; PIECE], Vec::new());
    loop {
        // Asked before the bytes are taken: after the end no more of them come.
        let state = target.state()?;
        let mut moved = 0;
        loop {
            let count = target.up(&mut piece)?;
            output(&piece[..count])?;
            moved += count;
            if count == 0 || state == State::Running {
                break;
            }
        }
        match state {
            State::Running => {}
            State::Ended { passed } => return Ok(passed),
            State::Stopped(why) => bail!("the firmware stopped: {why}"),
        }
        if waiting.is_empty() {
            waiting = input.try_recv().unwrap_or_default();
        }
        if !waiting.is_empty() {
            let taken = target.down(&waiting)?;
            waiting.drain(..taken);
            moved += taken;
        }
        if moved == 0 {
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::mpsc;

    /// A fake: its firmware gives every byte back plus one, through channels of three bytes, and
    /// ends after `left` of them, with four more on their way.
    struct FakeTarget {
        down: VecDeque<u8>,
        up: VecDeque<u8>,
        left: usize,
        end: State,
    }

    impl Target for FakeTarget {
        fn up(&mut self, bytes: &mut [u8]) -> anyhow::Result<usize> {
            let count = bytes.len().min(self.up.len()).min(3);
            bytes.iter_mut().zip(self.up.drain(..count)).for_each(|(to, from)| *to = from);
            Ok(count)
        }

        fn down(&mut self, bytes: &[u8]) -> anyhow::Result<usize> {
            let count = bytes.len().min(3 - self.down.len());
            self.down.extend(&bytes[..count]);
            Ok(count)
        }

        fn state(&mut self) -> anyhow::Result<State> {
            while self.up.len() < 3 && self.left > 0 {
                let Some(byte) = self.down.pop_front() else { break };
                self.up.push_back(byte + 1);
                self.left -= 1;
                if self.left == 0 {
                    self.up.extend(*b"done");
                }
            }
            Ok(if self.left == 0 { self.end.clone() } else { State::Running })
        }
    }

    fn pumped(end: State) -> (Result<bool, String>, Vec<u8>) {
        let mut target = FakeTarget { down: VecDeque::new(), up: VecDeque::new(), left: 100, end };
        let (sender, input) = mpsc::channel();
        (0..100).collect::<Vec<u8>>().chunks(7).for_each(|piece| sender.send(piece.to_vec()).expect("sends"));
        let mut output = Vec::new();
        let result = pump(&mut target, &input, |bytes| {
            output.extend_from_slice(bytes);
            Ok(())
        });
        (result.map_err(|error| error.to_string()), output)
    }

    #[test]
    fn every_byte_arrives_in_order_and_the_last_words_too() {
        let expected: Vec<u8> = (1..=100).chain(*b"done").collect();
        assert_eq!(pumped(State::Ended { passed: true }), (Ok(true), expected.clone()));
        assert_eq!(pumped(State::Ended { passed: false }), (Ok(false), expected.clone()));
        let fault = Err("the firmware stopped: fault at 0x00000042".to_owned());
        assert_eq!(pumped(State::Stopped("fault at 0x00000042".to_owned())), (fault, expected));
    }
}
