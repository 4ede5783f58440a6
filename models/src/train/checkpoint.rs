//! Checkpoints: everything that a run needs to go on, in one file.
//!
//! The magic `FBCHECK1`, a CRC-32 of the rest, and the content in postcard. Written beside and
//! renamed after every epoch, so a killed run continues with the epoch it was in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{Config, ConfigError};
use crate::graph::Graph;
use crate::graph_file::{GraphFileError, write_beside};
use crate::metrics::Epoch;
use crate::train::TrainError;
use crate::train::optimizer::State;

const MAGIC: &[u8; 8] = b"FBCHECK1";

/// State of a run after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The configuration, as TOML.
    pub config: String,
    /// Checksum of the data set.
    pub data: String,
    /// The network that is trained, with its initial values.
    pub graph: Graph,
    /// Parameters.
    pub state: State,
    /// Finished epochs.
    pub epochs: Vec<Epoch>,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be read.
    #[error("cannot read the checkpoint `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It cannot be written; the one before stays.
    #[error(
        "cannot write the checkpoint `{}`: {source}; make room and start again: the run goes on after epoch {kept}",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
        /// The last epoch that a checkpoint holds; 0 for none.
        kept: usize,
    },
    /// Checksum or content is wrong.
    #[error("the checkpoint `{}` is damaged; remove it to start the run again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The run folder belongs to another configuration or another data set.
    #[error("the run folder `{}` was made with another {what}; name an empty folder, or remove this one", path.display())]
    Different {
        /// The run folder.
        path: PathBuf,
        /// `configuration` or `data set`.
        what: &'static str,
    },
}

impl Checkpoint {
    /// Where a run keeps its checkpoint.
    pub fn path(run: &Path) -> PathBuf {
        run.join("checkpoint")
    }

    /// Writes the checkpoint of `run`.
    pub fn save(&self, run: &Path) -> Result<(), CheckpointError> {
        let path = Self::path(run);
        let kept = self.epochs.len().saturating_sub(1);
        let failed = |source| CheckpointError::Write { path: path.clone(), source, kept };
        let body = postcard::to_stdvec(self).map_err(|e| failed(std::io::Error::other(e)))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(crc32fast::hash(&body).to_le_bytes());
        bytes.extend(body);
        write_beside(&path, &bytes).map_err(failed)
    }

    /// Reads the checkpoint of `run`; `None` where there is none yet.
    pub fn load(run: &Path) -> Result<Option<Self>, CheckpointError> {
        let path = Self::path(run);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CheckpointError::Read { path, source }),
        };
        let damaged = || CheckpointError::Damaged { path: path.clone() };
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (crc, body) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(damaged());
        }
        postcard::from_bytes(body).map(Some).map_err(|_| damaged())
    }

    /// Refuses a checkpoint of another configuration or data set.
    pub fn check(&self, run: &Path, config: &str, data: &str) -> Result<(), CheckpointError> {
        let different = |what| Err(CheckpointError::Different { path: run.to_owned(), what });
        match (self.config == config, self.data == data) {
            (true, true) => Ok(()),
            (false, _) => different("configuration"),
            (true, false) => different("data set"),
        }
    }
}

/// What a run is recognized by: its configuration, with the digest of each graph that it starts or learns from
/// instead of its path, since a run may go on after its folder has moved.
pub(super) fn identity(config: &Config) -> Result<String, TrainError> {
    let digest = |graph: &PathBuf| {
        let bytes =
            std::fs::read(graph).map_err(|source| GraphFileError::Read { path: graph.clone(), source })?;
        let digits = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok::<_, GraphFileError>(PathBuf::from(digits))
    };
    let [init, teacher] = [&config.init, &config.teacher].map(|graph| graph.as_ref().map(digest).transpose());
    let config = Config { init: init?, teacher: teacher?, ..config.clone() };
    Ok(toml::to_string(&config).map_err(|e| ConfigError::Parse(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Tensor;

    fn checkpoint() -> Checkpoint {
        let image = Tensor { name: "image".into(), shape: [1, 1, 3], range: None };
        Checkpoint {
            config: "seed = 1".into(),
            data: "00ff".into(),
            graph: Graph {
                name: "empty".into(),
                tensors: vec![image],
                nodes: vec![],
                input: 0,
                output: 0,
                labels: vec![],
            },
            state: State::new(vec![vec![1.0, 2.0]]),
            epochs: vec![],
        }
    }

    #[test]
    fn round_trip_damage_and_mismatch() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(Checkpoint::load(folder.path()).expect("nothing yet").is_none());
        checkpoint().save(folder.path()).expect("saves");
        assert_eq!(Checkpoint::load(folder.path()).expect("loads"), Some(checkpoint()));
        assert!(checkpoint().check(folder.path(), "seed = 1", "00ff").is_ok());
        let other = checkpoint().check(folder.path(), "seed = 2", "00ff").expect_err("differs");
        assert!(other.to_string().contains("another configuration"), "{other}");
        let other = checkpoint().check(folder.path(), "seed = 1", "").expect_err("differs");
        assert!(other.to_string().contains("another data set"), "{other}");
        let path = Checkpoint::path(folder.path());
        let bytes = std::fs::read(&path).expect("reads");
        for bad in [&bytes[..bytes.len() - 1], &bytes[..5], &[]] {
            std::fs::write(&path, bad).expect("writes");
            assert!(matches!(Checkpoint::load(folder.path()), Err(CheckpointError::Damaged { .. })));
        }
    }
}
