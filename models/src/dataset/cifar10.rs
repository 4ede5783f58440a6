//! CIFAR-10 (Krizhevsky, 2009) from its official binary files, or re-encoded as JPEGs.
//!
//! Takes an archive, its unpacked folder, or a folder that holds one of them:
//! `cifar-10-binary.tar.gz` (`data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin`) or
//! `cifar10-jpeg.tar.gz` (`train/CLASS/NNNN.jpg`, `test/CLASS/NNNN.jpg`). Images keep the order
//! of their sorted paths, so every copy of a set gives the same arrays. The JPEGs are harder than
//! the originals, so the set has another name.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::{Dataset, DatasetError, IMAGE_BYTES, Images, SIDE, Split, checksum, jpeg};
use crate::rng::Rng;

/// Where the set is published.
pub const ADDRESS: &str = "https://www.cs.toronto.edu/~kriz/cifar.html";

/// Class names, in label order.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

const TRAIN: usize = 50_000;
const TEST: usize = 10_000;
const HELD_OUT_PER_CLASS: usize = 500;
const HOLD_OUT_SEED: u64 = 10;

/// Loads the set from `path`.
pub fn load(path: &Path, split: Split) -> Result<Dataset, DatasetError> {
    let (name, train, test) = match find(path)? {
        Source::Binary(files) => {
            let (train, test) = binary(path, files)?;
            ("CIFAR-10", train, test)
        }
        Source::Jpeg(files) => {
            let (train, test) = jpegs(path, files)?;
            ("CIFAR-10 (JPEG)", train, test)
        }
    };
    for (part, images, expected) in [("training", &train, TRAIN), ("test", &test, TEST)] {
        if images.len() != expected {
            return Err(DatasetError::Count { path: path.to_owned(), part, found: images.len(), expected });
        }
    }
    let checksum = checksum(&[&train, &test]);
    let (train, held_out) = match split {
        Split::All => (train, Images::default()),
        Split::HoldOut => hold_out(&train),
    };
    let classes = CLASSES.map(String::from).to_vec();
    Ok(Dataset { name: name.into(), classes, train, held_out, test, checksum })
}

/// Files as `(path within the set, content)`.
type Files = Vec<(String, Vec<u8>)>;

enum Source {
    Binary(Files),
    Jpeg(Files),
}

/// Looks at `path`, then at what it may hold.
fn find(path: &Path) -> Result<Source, DatasetError> {
    let io = |source| DatasetError::Io { path: path.to_owned(), source };
    let meta = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DatasetError::NotFound { path: path.to_owned() },
        _ => io(source),
    })?;
    let not_found = || DatasetError::NotFound { path: path.to_owned() };
    if meta.is_file() {
        return classify(unpack(path)?).ok_or_else(not_found);
    }
    if let Some(archive) = archive_in(path) {
        return classify(unpack(&archive)?).ok_or_else(not_found);
    }
    if let Some(folder) = unpacked_in(path) {
        return classify(read_folder(&folder)?).ok_or_else(not_found);
    }
    Err(not_found())
}

/// Whether a folder holds the set, packed or not.
pub(super) fn is_in(folder: &Path) -> bool {
    archive_in(folder).is_some() || unpacked_in(folder).is_some()
}

fn archive_in(folder: &Path) -> Option<PathBuf> {
    let archives = ["cifar-10-binary.tar.gz", "cifar10-jpeg.tar.gz"].map(|name| folder.join(name));
    archives.into_iter().find(|archive| archive.is_file())
}

fn unpacked_in(folder: &Path) -> Option<PathBuf> {
    let folders = [folder.to_owned(), folder.join("cifar-10-batches-bin"), folder.join("cifar10-jpeg")];
    let holds_test = |folder: &PathBuf| {
        folder.join("test_batch.bin").is_file() || folder.join("test").join(CLASSES[0]).is_dir()
    };
    folders.into_iter().find(holds_test)
}

fn classify(files: Files) -> Option<Source> {
    if files.iter().any(|(name, _)| name.ends_with("test_batch.bin")) {
        Some(Source::Binary(files))
    } else if files.iter().any(|(name, _)| name.ends_with(".jpg")) {
        Some(Source::Jpeg(files))
    } else {
        None
    }
}

fn wanted(name: &str) -> bool {
    name.ends_with(".bin") || name.ends_with(".jpg")
}

/// Reads a `.tar.gz`.
fn unpack(path: &Path) -> Result<Files, DatasetError> {
    let io = |source| DatasetError::Io { path: path.to_owned(), source };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(File::open(path).map_err(io)?));
    let mut files = vec![];
    for entry in archive.entries().map_err(io)? {
        let mut entry = entry.map_err(io)?;
        let name = entry.path().map_err(io)?.to_string_lossy().into_owned();
        if wanted(&name) {
            let mut content = vec![];
            entry.read_to_end(&mut content).map_err(io)?;
            files.push((name, content));
        }
    }
    Ok(files)
}

/// Reads the files of an unpacked set.
fn read_folder(root: &Path) -> Result<Files, DatasetError> {
    let mut paths = vec![];
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let io = |source| DatasetError::Io { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let path: PathBuf = entry.map_err(io)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path.to_string_lossy()) {
                paths.push(path);
            }
        }
    }
    let read = |path: PathBuf| {
        let content =
            std::fs::read(&path).map_err(|source| DatasetError::Io { path: path.clone(), source })?;
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        Ok((name, content))
    };
    paths.into_par_iter().map(read).collect()
}

/// Records of a label and three 32x32 planes.
fn binary(path: &Path, mut files: Files) -> Result<(Images, Images), DatasetError> {
    files.sort();
    let (mut train, mut test) = (Images::default(), Images::default());
    for (name, content) in &files {
        let images = if name.ends_with("test_batch.bin") {
            &mut test
        } else if name.contains("data_batch_") {
            &mut train
        } else {
            continue;
        };
        if content.len() % (1 + IMAGE_BYTES) != 0 {
            return Err(DatasetError::Image { path: path.to_owned(), name: name.clone() });
        }
        for record in content.chunks_exact(1 + IMAGE_BYTES) {
            let planes = &record[1..];
            if usize::from(record[0]) >= CLASSES.len() {
                return Err(DatasetError::Image { path: path.to_owned(), name: name.clone() });
            }
            images.labels.push(record[0]);
            for pixel in 0..SIDE * SIDE {
                images.pixels.extend((0..3).map(|plane| planes[plane * SIDE * SIDE + pixel]));
            }
        }
    }
    Ok((train, test))
}

/// One JPEG for each image, in a folder named like its class.
fn jpegs(path: &Path, mut files: Files) -> Result<(Images, Images), DatasetError> {
    files.sort();
    let decoded = files.par_iter().map(|(name, content)| decode(name, content).ok_or(name));
    let decoded: Vec<(bool, u8, Vec<u8>)> = decoded
        .collect::<Result<_, _>>()
        .map_err(|name| DatasetError::Image { path: path.to_owned(), name: name.clone() })?;
    let (mut train, mut test) = (Images::default(), Images::default());
    for (is_test, label, pixels) in decoded {
        let images = if is_test { &mut test } else { &mut train };
        images.labels.push(label);
        images.pixels.extend(pixels);
    }
    Ok((train, test))
}

fn decode(name: &str, content: &[u8]) -> Option<(bool, u8, Vec<u8>)> {
    let mut parts = name.rsplit('/').skip(1);
    let class = parts.next()?;
    let label = CLASSES.iter().position(|known| *known == class)? as u8;
    let is_test = match parts.next()? {
        "test" => true,
        "train" => false,
        _ => return None,
    };
    let image = jpeg::decode(content).ok()?;
    (image.dimensions() == (SIDE as u32, SIDE as u32)).then(|| (is_test, label, image.into_raw()))
}

/// Takes the same number of images of every class, chosen by a fixed seed.
fn hold_out(all: &Images) -> (Images, Images) {
    let mut order: Vec<usize> = (0..all.len()).collect();
    Rng::new(HOLD_OUT_SEED).shuffle(&mut order);
    let mut taken = [0; CLASSES.len()];
    let (mut held, mut kept): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|&index| {
        let count = &mut taken[usize::from(all.labels[index])];
        *count += 1;
        *count <= HELD_OUT_PER_CLASS
    });
    held.sort_unstable();
    kept.sort_unstable();
    (all.select(&kept), all.select(&held))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A gray JPEG of `size` pixels a side.
    fn jpeg(gray: u8, size: u32) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(vec![]);
        image::RgbImage::from_pixel(size, size, image::Rgb([gray; 3]))
            .write_to(&mut bytes, image::ImageFormat::Jpeg)
            .expect("encodes");
        bytes.into_inner()
    }

    fn archive(path: &Path, files: &[(&str, Vec<u8>)]) {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
            File::create(path).expect("creates"),
            flate2::Compression::fast(),
        ));
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, content.as_slice()).expect("appends");
        }
        tar.into_inner().expect("ends").finish().expect("ends").flush().expect("flushes");
    }

    #[test]
    fn binary_records_become_interleaved_pixels() {
        let mut record = vec![3u8];
        for plane in [10, 20, 30] {
            record.extend([plane; SIDE * SIDE]);
        }
        let files = vec![("test_batch.bin".into(), record.clone()), ("data_batch_1.bin".into(), record)];
        let (train, test) = binary(Path::new("x"), files).expect("reads");
        assert_eq!(
            (train.labels.as_slice(), &test.pixels[..6]),
            ([3].as_slice(), [10, 20, 30, 10, 20, 30].as_slice())
        );
        let short = vec![("test_batch.bin".into(), vec![0; 5])];
        assert!(binary(Path::new("x"), short).is_err());
    }

    #[test]
    fn jpegs_are_labelled_by_folder_and_sorted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("cifar10-jpeg.tar.gz");
        archive(
            &path,
            &[
                ("train/truck/0001.jpg", jpeg(200, 32)),
                ("train/bird/0001.jpg", jpeg(90, 32)),
                ("test/cat/0000.jpg", jpeg(50, 32)),
            ],
        );
        let Source::Jpeg(files) = find(folder.path()).expect("finds") else { panic!("JPEGs") };
        let (train, test) = jpegs(&path, files).expect("decodes");
        assert_eq!((train.labels, test.labels), (vec![2, 9], vec![3]));
        assert!(test.pixels.iter().all(|p| p.abs_diff(50) <= 2));
        let message = load(&path, Split::All).expect_err("incomplete").to_string();
        assert!(message.contains("2 training images instead of 50000"), "{message}");
    }

    #[test]
    fn bad_input_gives_one_sentence() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let message = load(folder.path(), Split::All).expect_err("empty").to_string();
        assert!(message.contains(ADDRESS) && !message.contains('\n'), "{message}");
        let message = load(&folder.path().join("no"), Split::All).expect_err("missing").to_string();
        assert!(message.contains("no CIFAR-10 in"), "{message}");
        let path = folder.path().join("cifar10-jpeg.tar.gz");
        std::fs::write(&path, b"not an archive").expect("writes");
        assert!(matches!(load(&path, Split::All), Err(DatasetError::Io { .. })));
        archive(&path, &[("test/cat/0000.jpg", jpeg(50, 16))]);
        let message = load(&path, Split::All).expect_err("small").to_string();
        assert!(message.contains("`test/cat/0000.jpg`"), "{message}");
    }

    #[test]
    fn hold_out_is_stratified() {
        let labels: Vec<u8> = (0..6000).map(|i| (i % 10) as u8).collect();
        let pixels = vec![0; labels.len() * IMAGE_BYTES];
        let (kept, held) = hold_out(&Images { pixels, labels });
        assert_eq!((kept.len(), held.len()), (1000, 5000));
        for class in 0..10 {
            assert_eq!(held.labels.iter().filter(|&&l| l == class).count(), 500);
        }
    }
}
