//! Results as lines of text, handed over in pieces instead of one call per character.

use core::fmt::{self, Display, Write};
use core::marker::PhantomData;

use fourbit_tests::report::{Failed, Line};

use crate::Report;

/// Where text goes.
pub trait Sink {
    /// Writes text for the host.
    fn write(text: &str);
}

/// Gathers text and writes it in pieces; a line feed inside a line becomes a space.
pub struct Console<S> {
    piece: [u8; 120],
    length: usize,
    sink: PhantomData<S>,
}

impl<S: Sink> Report for Console<S> {
    fn line(line: Line<'_>) {
        Self::write(line);
    }

    fn failed(reason: impl Display) {
        Self::write(Failed(reason));
    }
}

impl<S: Sink> Console<S> {
    /// Writes one line.
    fn write(line: impl Display) {
        let mut console = Self { piece: [0; 120], length: 0, sink: PhantomData };
        // The console takes everything; an error would be the value's own.
        let _ = write!(console, "{line}");
        console.push(b'\n');
        console.flush();
    }

    fn push(&mut self, byte: u8) {
        if self.length == self.piece.len() {
            self.flush();
        }
        if let Some(slot) = self.piece.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// Writes what is there up to the last whole character.
    fn flush(&mut self) {
        let piece = self.piece.get(..self.length).unwrap_or(&[]);
        let chunk = piece.utf8_chunks().next();
        let whole = chunk.map_or("", |chunk| chunk.valid());
        S::write(whole);
        let written = whole.len().max(usize::from(whole.is_empty()));
        self.piece.copy_within(written.min(self.length)..self.length, 0);
        self.length -= written.min(self.length);
    }
}

impl<S: Sink> Write for Console<S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.push(if byte == b'\n' { b' ' } else { byte });
        }
        Ok(())
    }
}
