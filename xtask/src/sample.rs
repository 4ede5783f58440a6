//! Unlabelled images out of a folder: what calibration looks at.

use std::path::{Path, PathBuf};

use fourbit::shape::Shape;
use fourbit_models::dataset::{Split, cifar10};

use crate::failure::{OrBadInput, bad_input};
use crate::{image_file, paths};

/// Folders below the named one that are looked into.
const DEPTH: usize = 4;

/// Up to `most` images as networks see them, `pixel / 255`, spread evenly over the sorted paths.
///
/// A folder with a subfolder `train` means that; one without any image may hold CIFAR-10 as a
/// data set, of which the training images count.
pub(crate) fn real(folder: &Path, shape: [usize; 3], most: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    if !folder.exists() {
        return Err(bad_input(format!("no folder {}: name one with images", paths::shown(folder))));
    }
    let train = folder.join("train");
    let mut files = Vec::new();
    collect(if train.is_dir() { &train } else { folder }, DEPTH, &mut files)
        .or_bad_input(|| format!("cannot look into {}", paths::shown(folder)))?;
    if files.is_empty() {
        return data_set(folder, shape, most);
    }
    files.sort();
    let [height, width, channels] = shape;
    let read = |at: usize| {
        let values = image_file::read(&files[at], Shape::new(height, width, channels))?;
        Ok(values.iter().map(|&value| (f32::from(value) + 128.0) / 255.0).collect())
    };
    spread(files.len(), most).map(read).collect()
}

/// Indices of at most `most` of `count` things, evenly apart.
fn spread(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    (0..taken).map(move |i| i * count / taken)
}

/// Adds the PNG and JPEG files of a folder and of those in it.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        let is_image = ["png", "jpg", "jpeg"].iter().any(|known| ending.eq_ignore_ascii_case(known));
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, files)?;
        } else if is_image && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Training images of CIFAR-10.
fn data_set(folder: &Path, shape: [usize; 3], most: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let loaded = cifar10::load(folder, Split::All);
    let name = paths::shown(folder);
    let train = loaded.or_bad_input(|| format!("no PNG or JPEG image in {name}"))?.train;
    if shape != [32, 32, 3] {
        let [height, width, channels] = shape;
        return Err(bad_input(format!(
            "{name} holds CIFAR-10, of 32x32x3 values, and the network takes {height}x{width}x{channels}"
        )));
    }
    let image = |index| train.scaled(index..index + 1);
    Ok(spread(train.len(), most).map(image).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_spread_over_all() {
        assert_eq!(spread(10, 5).collect::<Vec<_>>(), [0, 2, 4, 6, 8]);
        assert_eq!(spread(3, 5).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(spread(0, 5).count(), 0);
    }

    #[test]
    fn folders_that_do_not_serve() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let said = |path: &Path| real(path, [2, 2, 3], 9).expect_err("refused").to_string();
        assert!(said(&folder.path().join("none")).starts_with("no folder "));
        assert!(said(folder.path()).starts_with("no PNG or JPEG image in "));
        let image = image::RgbImage::from_pixel(2, 2, image::Rgb([0, 51, 255]));
        std::fs::create_dir(folder.path().join("train")).expect("creates");
        image.save(folder.path().join("train/a.png")).expect("saves");
        assert_eq!(real(folder.path(), [2, 2, 3], 9).expect("reads")[0][..3], [0.0, 0.2, 1.0]);
        image::RgbImage::new(3, 2).save(folder.path().join("train/b.png")).expect("saves");
        assert!(said(folder.path()).contains("has 3x2 pixels and the network takes 2x2"));
    }
}
