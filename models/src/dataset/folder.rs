//! A user's own images: a folder with a subfolder for each class.
//!
//! Class names are those of the subfolders, sorted; each holds PNG or JPEG files of any size (ending in
//! `.png`, `.jpg` or `.jpeg`), which [`photo`] makes 32x32 as the device does: the square in the
//! middle, resized. Other files, hidden files and deeper folders are not looked at.
//!
//! Of every class a fifth is test images, at least one; of the rest a tenth is held out where the
//! split asks for it, at least one of five. Which ones depends on a fixed seed and the sorted file
//! names alone. In each part the classes take turns, so that its first images show all of them.

use std::fs;
use std::path::{Path, PathBuf};

use fourbit::shape::Shape;
use rayon::prelude::*;

use super::photo::{self, PhotoError};
use super::{DATA_VARIABLE, Dataset, Images, SIDE, Split, checksum};
use crate::rng::Rng;

const SEED: u64 = 20;
/// Endings of image files, in lower case.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Labels are bytes.
const MOST_CLASSES: usize = 256;
/// Images of a class: one to train on and one to test with.
const LEAST_IMAGES: usize = 2;

/// Why a folder is no data set.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Neither an argument nor the variable names a folder.
    #[error(
        "a folder of images is needed, with a subfolder for each class: name it with --data FOLDER or {DATA_VARIABLE}"
    )]
    NotNamed,
    /// There is no such folder.
    #[error("no folder `{}`: name a folder that holds a subfolder of images for each class", path.display())]
    Missing {
        /// What was named.
        path: PathBuf,
    },
    /// A folder cannot be read.
    #[error("cannot read the folder `{}`: {source}; make it readable", path.display())]
    Read {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Too few or too many classes.
    #[error(
        "`{}` holds {found} class folders: put the images of each class into a subfolder of its own, from 2 to {MOST_CLASSES} of them",
        path.display()
    )]
    Classes {
        /// The folder.
        path: PathBuf,
        /// Subfolders in it.
        found: usize,
    },
    /// A subfolder's name cannot be the name of a class.
    #[error("the class folder `{}` has a name that is not one line of UTF-8: rename it", path.display())]
    Name {
        /// The subfolder.
        path: PathBuf,
    },
    /// Two classes that some file systems cannot tell apart.
    #[error("the class folders `{first}` and `{second}` differ in letter case only: rename or merge them")]
    Alike {
        /// A class.
        first: String,
        /// The other.
        second: String,
    },
    /// A class without images.
    #[error("the class folder `{}` holds no PNG or JPEG file: add at least {LEAST_IMAGES} images or remove it", path.display())]
    NoImage {
        /// The subfolder.
        path: PathBuf,
    },
    /// A class that cannot be trained and tested.
    #[error(
        "the class folder `{}` holds one image, and one to train on and one to test with are needed: add images or remove it",
        path.display()
    )]
    OneImage {
        /// The subfolder.
        path: PathBuf,
    },
    /// An image cannot be used.
    #[error(transparent)]
    Photo(#[from] PhotoError),
}

/// A class and its files, sorted.
struct Class {
    name: String,
    files: Vec<PathBuf>,
}

/// Loads the folder `root`.
pub fn load(root: &Path, split: Split) -> Result<Dataset, FolderError> {
    let classes = classes(root)?;
    let labelled = |(label, class): (usize, &Class)| vec![label as u8; class.files.len()];
    let labels: Vec<u8> = classes.iter().enumerate().flat_map(labelled).collect();
    let files: Vec<&PathBuf> = classes.iter().flat_map(|class| &class.files).collect();
    let size = Shape::new(SIDE, SIDE, 3);
    // The first bad file in order is the one that is named.
    let read: Vec<_> = files.par_iter().map(|file| photo::read(file, size)).collect();
    let pixels = read.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let all = Images { pixels, labels };

    let mut parts: [Vec<Vec<usize>>; 3] = Default::default();
    let mut first = 0;
    for class in &classes {
        let count = class.files.len();
        for (part, indices) in parts.iter_mut().zip(divide(count)) {
            part.push(indices.into_iter().map(|index| first + index).collect());
        }
        first += count;
    }
    let [train, held_out, test] = parts.map(|part| all.select(&in_turns(&part)));
    let checksum = checksum(&[&train, &held_out, &test]);
    let (train, held_out) = match split {
        Split::HoldOut => (train, held_out),
        Split::All => (joined(train, held_out), Images::default()),
    };
    let whole = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let classes = classes.into_iter().map(|class| class.name).collect();
    Ok(Dataset { name: format!("folder {name}"), classes, train, held_out, test, checksum })
}

/// The classes, sorted by name, with at least [`LEAST_IMAGES`] files each.
fn classes(root: &Path) -> Result<Vec<Class>, FolderError> {
    if !root.is_dir() {
        return Err(FolderError::Missing { path: root.to_owned() });
    }
    let mut classes = vec![];
    for path in entries(root)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().and_then(|name| name.to_str());
        let one_line = name.filter(|name| !name.contains(['\n', '\r']));
        let Some(name) = one_line.map(str::to_owned) else { return Err(FolderError::Name { path }) };
        classes.push((name, path));
    }
    classes.sort();
    let found = classes.len();
    if !(2..=MOST_CLASSES).contains(&found) {
        return Err(FolderError::Classes { path: root.to_owned(), found });
    }
    for (index, (second, _)) in classes.iter().enumerate() {
        let mut before = classes[..index].iter().map(|(name, _)| name);
        if let Some(first) = before.find(|first| first.to_lowercase() == second.to_lowercase()) {
            return Err(FolderError::Alike { first: first.clone(), second: second.clone() });
        }
    }
    let class = |(name, path): (String, PathBuf)| {
        let mut files: Vec<_> = entries(&path)?.into_iter().filter(|file| is_image(file)).collect();
        files.sort();
        match files.len() {
            0 => Err(FolderError::NoImage { path }),
            LEAST_IMAGES.. => Ok(Class { name, files }),
            _ => Err(FolderError::OneImage { path }),
        }
    };
    classes.into_iter().map(class).collect()
}

/// What a folder holds, without what is hidden.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let refused = |source| FolderError::Read { path: folder.to_owned(), source };
    let mut paths = vec![];
    for entry in fs::read_dir(folder).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}

/// Whether a file is named like an image.
fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && !path.is_dir()
}

/// Places of the training, held-out and test images among `count` of a class, in order.
fn divide(count: usize) -> [Vec<usize>; 3] {
    let mut order: Vec<usize> = (0..count).collect();
    Rng::new(SEED).shuffle(&mut order);
    let test = ((count + 2) / 5).max(1);
    let rest = count - test;
    let held = if rest < 5 { 0 } else { ((rest + 5) / 10).max(1) };
    let mut train = order.split_off(test + held);
    let mut held_out = order.split_off(test);
    for part in [&mut train, &mut held_out, &mut order] {
        part.sort_unstable();
    }
    [train, held_out, order]
}

/// The first of each class, then the second of each, and so on.
fn in_turns(classes: &[Vec<usize>]) -> Vec<usize> {
    let longest = classes.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|turn| classes.iter().filter_map(move |class| class.get(turn))).copied().collect()
}

fn joined(mut first: Images, second: Images) -> Images {
    first.pixels.extend(second.pixels);
    first.labels.extend(second.labels);
    first
}

#[cfg(test)]
mod tests;
