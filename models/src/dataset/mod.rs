//! Labelled images as plain arrays: fixed splits, fixed order, checksummed.
//!
//! Every set has 32x32 RGB images in `[height][width][channel]` order, up to 256 classes, and three
//! parts: what is trained on, what is held out from training, and the test images. Nothing here
//! augments or normalises, and nothing is written to disk.

pub mod cifar10;
pub mod folder;
mod jpeg;
pub mod photo;
pub mod shapes;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Height and width of every image.
pub const SIDE: usize = 32;

/// Bytes of one image.
pub const IMAGE_BYTES: usize = SIDE * SIDE * 3;

/// The variable that says where data sets lie.
pub const DATA_VARIABLE: &str = "FOURBIT_DATA";

/// Images and their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Images {
    /// [`IMAGE_BYTES`] for each label.
    pub pixels: Vec<u8>,
    /// Class indices.
    pub labels: Vec<u8>,
}

/// A data set.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// As it is to be quoted: `CIFAR-10 (JPEG)`.
    pub name: String,
    /// Class names, in the order of the label indices.
    pub classes: Vec<String>,
    /// For training.
    pub train: Images,
    /// Kept out of training, to choose by; may be empty.
    pub held_out: Images,
    /// For the final figure only.
    pub test: Images,
    /// SHA-256 of all pixels and labels in their fixed order, in hex; the same for both splits.
    pub checksum: String,
}

/// Which set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Drawn by this crate, see [`shapes`].
    Shapes,
    /// Read from files, see [`cifar10`].
    Cifar10,
    /// A user's own images, see [`folder`].
    Folder,
}

/// How the training images are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Train on all of them; nothing is held out.
    All,
    /// Hold some out, the same number of each class.
    HoldOut,
}

/// Why a data set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Neither an argument nor the variable names a place.
    #[error(
        "CIFAR-10 is needed: download it from {} and name the file or its folder with --data PATH or {DATA_VARIABLE}",
        cifar10::ADDRESS
    )]
    NotNamed,
    /// The named place holds no such set.
    #[error(
        "no CIFAR-10 in `{}`: it holds neither cifar-10-binary.tar.gz, cifar10-jpeg.tar.gz nor their unpacked files; the set is at {}",
        path.display(),
        cifar10::ADDRESS
    )]
    NotFound {
        /// The place.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An image does not decode, or has another size.
    #[error("`{name}` in `{}` is not a 32x32 RGB image; get the set again from {}", path.display(), cifar10::ADDRESS)]
    Image {
        /// The archive or folder.
        path: PathBuf,
        /// The file within it.
        name: String,
    },
    /// The set is not complete.
    #[error(
        "the CIFAR-10 in `{}` is incomplete: {found} {part} images instead of {expected}; get it again from {}",
        path.display(),
        cifar10::ADDRESS
    )]
    Count {
        /// The archive or folder.
        path: PathBuf,
        /// `training` or `test`.
        part: &'static str,
        /// Images there.
        found: usize,
        /// Images that there must be.
        expected: usize,
    },
    /// A user's folder.
    #[error(transparent)]
    Folder(#[from] folder::FolderError),
}

impl Kind {
    /// Every set.
    pub const ALL: [Kind; 3] = [Kind::Shapes, Kind::Cifar10, Kind::Folder];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Shapes => "shapes",
            Kind::Cifar10 => "cifar10",
            Kind::Folder => "folder",
        }
    }

    /// The set that lies at a path: CIFAR-10 where it is a file or holds that set's, else a folder
    /// of the user's.
    pub fn of(data: &Path) -> Self {
        if data.is_file() || cifar10::is_in(data) { Kind::Cifar10 } else { Kind::Folder }
    }

    /// Loads the set. `data` says where its files lie; without it [`DATA_VARIABLE`] does.
    pub fn load(self, data: Option<&Path>, split: Split) -> Result<Dataset, DatasetError> {
        let path = || {
            let variable = || std::env::var_os(DATA_VARIABLE).filter(|path| !path.is_empty());
            data.map(Path::to_owned).or_else(|| variable().map(PathBuf::from))
        };
        match self {
            Kind::Shapes => Ok(shapes::draw(split)),
            Kind::Cifar10 => cifar10::load(&path().ok_or(DatasetError::NotNamed)?, split),
            Kind::Folder => Ok(folder::load(&path().ok_or(folder::FolderError::NotNamed)?, split)?),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let unknown = || format!("unknown data set `{s}`: it is one of shapes, cifar10, folder");
        Kind::ALL.into_iter().find(|kind| kind.name() == s).ok_or_else(unknown)
    }
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Pixels of one image.
    pub fn image(&self, index: usize) -> &[u8] {
        &self.pixels[index * IMAGE_BYTES..(index + 1) * IMAGE_BYTES]
    }

    /// Pixels of some images as networks see them: divided by 255.
    pub fn scaled(&self, images: std::ops::Range<usize>) -> Vec<f32> {
        let bytes = &self.pixels[images.start * IMAGE_BYTES..images.end * IMAGE_BYTES];
        bytes.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
    }

    /// The images at these places, in this order.
    pub fn select(&self, indices: &[usize]) -> Images {
        let mut out = Images::default();
        for &index in indices {
            out.pixels.extend_from_slice(self.image(index));
            out.labels.push(self.labels[index]);
        }
        out
    }

    /// `count` images at even distances, or all where there are fewer: files may come class by class.
    pub fn spread(&self, count: usize) -> Images {
        let count = count.min(self.len());
        let places: Vec<usize> = (0..count).map(|index| index * self.len() / count).collect();
        self.select(&places)
    }

    /// The first `count` images, or all where there are fewer.
    pub fn first(&self, count: usize) -> Images {
        let count = count.min(self.len());
        Images { pixels: self.pixels[..count * IMAGE_BYTES].to_vec(), labels: self.labels[..count].to_vec() }
    }
}

/// SHA-256 over the parts' pixels and labels, in hex.
fn checksum(parts: &[&Images]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(&part.pixels);
        hash.update(&part.labels);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Kind>(), Ok(kind));
        }
        assert!("cifar100".parse::<Kind>().is_err());
    }

    #[test]
    fn selection_keeps_order() {
        let images = Images { pixels: [[1; IMAGE_BYTES], [2; IMAGE_BYTES]].concat(), labels: vec![7, 8] };
        let picked = images.select(&[1, 0, 1]);
        assert_eq!(picked.labels, [8, 7, 8]);
        assert_eq!(picked.image(1), [1; IMAGE_BYTES]);
        assert_eq!((images.first(5), images.spread(5)), (images.clone(), images.clone()));
        assert_eq!(images.first(1).labels, [7]);
    }
}
