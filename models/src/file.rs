//! Artefact files in memory that the runtime can read in place.
//!
//! [`ArtefactFile::open`] takes a path and gives a checked file at a 16-aligned address; every way
//! in which it can fail is one sentence with the path.

use std::io::Read;
use std::path::{Path, PathBuf};

use fourbit::artefact::header::ALIGN;
use fourbit::{Artefact, ParseError};

/// Largest file that is read.
const MAX_BYTES: u64 = 256 << 20;

/// Why a file is not an artefact that can be run.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened or read.
    #[error("cannot read the artefact `{}`: {source}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file has no bytes.
    #[error("the artefact `{}` is empty; copy or compile it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than any artefact.
    #[error("`{}` has more than 256 MiB and is no artefact; name a .fourbit file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The runtime refuses the content.
    #[error("`{}` cannot be used: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The runtime's reason.
        source: ParseError,
    },
}

/// Bytes at an address that is a multiple of 16.
#[derive(Debug)]
pub struct AlignedBytes {
    buffer: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBytes {
    /// So many zeros.
    pub fn zeroed(length: usize) -> Self {
        let buffer = vec![0; length + ALIGN - 1];
        let start = buffer.as_ptr().align_offset(ALIGN);
        Self { buffer, start, length }
    }

    /// A copy of some bytes.
    pub fn copy(bytes: &[u8]) -> Self {
        let mut aligned = Self::zeroed(bytes.len());
        aligned.bytes_mut().copy_from_slice(bytes);
        aligned
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.length]
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + self.length]
    }
}

/// An artefact's file in memory, checked.
#[derive(Debug)]
pub struct ArtefactFile {
    path: PathBuf,
    bytes: AlignedBytes,
}

impl ArtefactFile {
    /// Reads and checks a file.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let unreadable = |source| FileError::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut content = Vec::new();
        // The length that the system names may be wrong, as for a pipe: read one byte too many.
        file.take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 > MAX_BYTES {
            return Err(FileError::TooLarge { path: path.to_owned() });
        }
        if content.is_empty() {
            return Err(FileError::Empty { path: path.to_owned() });
        }
        Self::new(path, &content)
    }

    /// Checks bytes that came from `path`, or that will go there.
    pub fn new(path: &Path, content: &[u8]) -> Result<Self, FileError> {
        let file = Self { path: path.to_owned(), bytes: AlignedBytes::copy(content) };
        file.parse()?;
        Ok(file)
    }

    /// Where the file was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.bytes()
    }

    /// The checked artefact.
    pub fn parse(&self) -> Result<Artefact<'_>, FileError> {
        let refused = |source| FileError::Parse { path: self.path.clone(), source };
        Artefact::parse(self.bytes()).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_whatever_the_length() {
        for length in 0..40 {
            let aligned = AlignedBytes::copy(&vec![7; length]);
            assert_eq!(aligned.bytes(), vec![7; length]);
            assert!(aligned.bytes().as_ptr().addr().is_multiple_of(ALIGN));
        }
    }

    #[test]
    fn each_failure_is_one_sentence_with_the_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("net.fourbit");
        let message = || {
            let message = ArtefactFile::open(&path).expect_err("bad").to_string();
            assert!(message.contains("net.fourbit") && !message.contains('\n'), "{message}");
            message
        };
        assert!(message().starts_with("cannot read"));
        std::fs::write(&path, []).expect("writes");
        assert!(message().contains("is empty"));
        std::fs::write(&path, b"not a network").expect("writes");
        assert!(message().contains("cut short"));
        std::fs::write(&path, [b'x'; 100]).expect("writes");
        assert!(message().contains("not a Fourbit artefact"));
        let file = std::fs::File::create(&path).expect("creates");
        file.set_len(MAX_BYTES + 1).expect("a sparse file");
        assert!(message().contains("256 MiB"));
    }
}
