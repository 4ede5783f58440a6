//! The model that a command was given: an artefact's file, its name and its checksum.

use std::path::Path;

use fourbit::Artefact;
use fourbit_models::file::ArtefactFile;
use sha2::{Digest, Sha256};

use crate::failure::OrBadInput;
use crate::paths;

/// A checked artefact and what it is called.
#[derive(Debug)]
pub(crate) struct Model {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// SHA-256 of the file, in hex.
    pub(crate) sha256: String,
    file: ArtefactFile,
}

impl Model {
    /// Opens and checks what `--model` names.
    pub(crate) fn open(model: &str) -> anyhow::Result<Self> {
        Self::read(&paths::model(model)?)
    }

    /// Reads and checks a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = ArtefactFile::open(path).or_bad_input(|| "the model cannot be used".to_owned())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let sha256 = Sha256::digest(file.bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name, sha256, file })
    }

    /// Where the file was read from.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The file's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.file.bytes()
    }

    /// The checked artefact.
    pub(crate) fn artefact(&self) -> anyhow::Result<Artefact<'_>> {
        Ok(self.file.parse()?)
    }
}
