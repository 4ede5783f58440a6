//! Graph files: the magic `FBGRAPH2`, a CRC-32 (IEEE, little-endian) of the rest, the graph in postcard and
//! zlib. Files of version 1, not compressed, are read too.
//!
//! Saving writes a file beside the target and renames it, so a reader sees the old graph or the
//! new one and never half of one.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::graph::Graph;

const MAGIC: &[u8; 8] = b"FBGRAPH2";
/// Of files that are not compressed.
const PLAIN: &[u8; 8] = b"FBGRAPH1";
/// Longest graph, unpacked.
const MAX_BYTES: u64 = 1 << 32;

/// Why a graph file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GraphFileError {
    /// The file cannot be read.
    #[error("cannot read the graph `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the graph `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file does not begin with the magic.
    #[error("`{}` is not a graph file: it does not begin with FBGRAPH; make it again with `fourbit-train`", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// The checksum does not hold, or the content does not decode.
    #[error("the graph `{}` is damaged: its checksum or content is wrong; make it again with `fourbit-train`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl Graph {
    /// Writes the graph to `path`, which is replaced only once everything is written.
    pub fn save(&self, path: &Path) -> Result<(), GraphFileError> {
        let failed = |source| GraphFileError::Write { path: path.to_owned(), source };
        let graph = postcard::to_stdvec(self).map_err(|e| failed(std::io::Error::other(e)))?;
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::best());
        let body = packer.write_all(&graph).and_then(|()| packer.finish()).map_err(failed)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        write_beside(path, &bytes).map_err(failed)
    }

    /// Reads a graph that [`Graph::save`] wrote.
    pub fn load(path: &Path) -> Result<Graph, GraphFileError> {
        let bytes =
            std::fs::read(path).map_err(|source| GraphFileError::Read { path: path.to_owned(), source })?;
        let (packed, plain) = (bytes.strip_prefix(MAGIC), bytes.strip_prefix(PLAIN));
        let rest = packed.or(plain).ok_or_else(|| GraphFileError::Magic { path: path.to_owned() })?;
        let damaged = || GraphFileError::Damaged { path: path.to_owned() };
        let (crc, body) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        if packed.is_none() {
            return postcard::from_bytes(body).map_err(|_| damaged());
        }
        let mut graph = Vec::new();
        ZlibDecoder::new(body).take(MAX_BYTES).read_to_end(&mut graph).map_err(|_| damaged())?;
        postcard::from_bytes(&graph).map_err(|_| damaged())
    }
}

/// Writes `bytes` to a new file in the folder of `path`, then renames it to `path`.
pub fn write_beside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // As for any new file: the system takes away what the user's mask forbids.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Range, Tensor};

    fn graph() -> Graph {
        Graph {
            name: "empty".into(),
            tensors: vec![Tensor { name: "image".into(), shape: [1, 2, 3], range: Some(Range::IMAGE) }],
            nodes: vec![],
            input: 0,
            output: 0,
            labels: vec!["cat".into()],
        }
    }

    #[test]
    fn round_trip_and_damage() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.graph");
        graph().save(&path).expect("saves");
        assert_eq!(Graph::load(&path).expect("loads"), graph());
        let good = std::fs::read(&path).expect("reads");
        for (index, expected) in [(0, "not a graph"), (9, "damaged"), (good.len() - 1, "damaged")] {
            let mut bad = good.clone();
            bad[index] ^= 1;
            std::fs::write(&path, &bad).expect("writes");
            let message = Graph::load(&path).expect_err("damaged").to_string();
            assert!(message.contains(expected), "{message}");
        }
        for len in 0..good.len() {
            std::fs::write(&path, &good[..len]).expect("writes");
            assert!(Graph::load(&path).is_err());
        }
        let mut plain = PLAIN.to_vec();
        let body = postcard::to_stdvec(&graph()).expect("encodes");
        plain.extend(crc32fast::hash(&body).to_le_bytes());
        plain.extend(body);
        std::fs::write(&path, &plain).expect("writes");
        assert_eq!(Graph::load(&path).expect("loads"), graph());
        let missing = Graph::load(&folder.path().join("b.graph")).expect_err("missing").to_string();
        assert!(missing.starts_with("cannot read the graph"), "{missing}");
    }
}
