//! Folders of images, good and bad.

use super::*;
use crate::dataset::Kind;
use image::{ImageFormat, Rgb, RgbImage};

struct Folder(tempfile::TempDir);

impl Folder {
    /// `count` images in each class, whose brightness tells class and number.
    fn new(classes: &[(&str, usize)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary folder"));
        for (class, (name, count)) in classes.iter().enumerate() {
            fs::create_dir_all(folder.path(name)).expect("creates");
            for number in 0..*count {
                folder.write(&format!("{name}/{number:03}.png"), &png(brightness(class, number)));
            }
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("writes");
    }

    fn load(&self) -> Dataset {
        load(self.0.path(), Split::HoldOut).expect("loads")
    }

    /// The sentence with which it is refused, the folder's own path left out.
    fn refused(&self) -> String {
        let error = load(self.0.path(), Split::All).expect_err("refused").to_string();
        assert!(!error.contains('\n'), "{error}");
        error.replace(&self.0.path().display().to_string(), "ROOT").replace('\\', "/")
    }
}

fn brightness(class: usize, number: usize) -> u8 {
    (100 * class + number) as u8
}

fn png(value: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(vec![]);
    RgbImage::from_pixel(5, 7, Rgb([value; 3])).write_to(&mut bytes, ImageFormat::Png).expect("encodes");
    bytes.into_inner()
}

/// The images by their brightness.
fn shown(images: &Images) -> Vec<u8> {
    (0..images.len()).map(|index| images.image(index)[0]).collect()
}

#[test]
fn a_fifth_of_each_class_is_for_the_test() {
    let folder = Folder::new(&[("dog", 40), ("Cat", 10)]);
    let set = folder.load();
    assert_eq!(set.classes, ["Cat", "dog"]);
    assert!(set.name.starts_with("folder ") && !set.name.contains('/'), "{}", set.name);
    let count = |images: &Images, class| images.labels.iter().filter(|&&label| label == class).count();
    let counts = |class| [&set.train, &set.held_out, &set.test].map(|part| count(part, class));
    assert_eq!((counts(0), counts(1)), ([7, 1, 2], [29, 3, 8]));
    // Every image is in one part, with its label.
    let parts = [shown(&set.train), shown(&set.held_out), shown(&set.test)].concat();
    let labels = [&set.train.labels[..], &set.held_out.labels, &set.test.labels].concat();
    let mut seen: Vec<_> = labels.into_iter().zip(parts).collect();
    seen.sort_unstable();
    let cats = (0..10).map(|number| (0, brightness(1, number)));
    let dogs = (0..40).map(|number| (1, brightness(0, number)));
    assert_eq!(seen, cats.chain(dogs).collect::<Vec<_>>());
    assert_eq!(set.test.labels[..4], [0, 1, 0, 1]);
}

#[test]
fn the_split_is_fixed_and_both_splits_have_one_checksum() {
    let folder = Folder::new(&[("a", 20), ("b", 20)]);
    let (parts, again) = (folder.load(), folder.load());
    assert_eq!((&parts.train, &parts.test), (&again.train, &again.test));
    let all = load(folder.0.path(), Split::All).expect("loads");
    assert_eq!((all.checksum, &all.test), (parts.checksum.clone(), &parts.test));
    assert_eq!((all.train.len(), all.held_out.len()), (32, 0));
    folder.write("a/000.png", &png(77));
    assert_ne!(folder.load().checksum, parts.checksum);
}

#[test]
fn parts_of_small_classes() {
    let sizes = |count| divide(count).map(|part| part.len());
    for (count, expected) in [
        (2, [1, 0, 1]),
        (5, [4, 0, 1]),
        (6, [4, 1, 1]),
        (8, [5, 1, 2]),
        (80, [58, 6, 16]),
        (1000, [720, 80, 200]),
    ] {
        assert_eq!(sizes(count), expected, "{count}");
    }
}

#[test]
fn what_is_not_an_image_is_not_looked_at() {
    let folder = Folder::new(&[("a", 3), ("b", 2), (".git", 0)]);
    folder.write("notes.txt", b"");
    folder.write("a/list.csv", b"");
    folder.write("a/.hidden.png", b"");
    fs::create_dir(folder.path("a/more.png")).expect("creates");
    folder.write("b/UPPER.PNG", &png(9));
    let set = folder.load();
    assert_eq!((set.classes.len(), set.train.len() + set.held_out.len() + set.test.len()), (2, 6));
}

#[test]
fn classes_that_cannot_be_used() {
    let of = |classes: &[(&str, usize)]| Folder::new(classes).refused();
    let few =
        "class folders: put the images of each class into a subfolder of its own, from 2 to 256 of them";
    assert_eq!(of(&[]), format!("`ROOT` holds 0 {few}"));
    assert_eq!(of(&[("a", 3)]), format!("`ROOT` holds 1 {few}"));
    assert_eq!(
        of(&[("a", 3), ("b", 0)]),
        "the class folder `ROOT/b` holds no PNG or JPEG file: add at least 2 images or remove it"
    );
    assert_eq!(
        of(&[("a", 1), ("b", 3)]),
        "the class folder `ROOT/a` holds one image, and one to train on and one to test with are needed: \
         add images or remove it"
    );
    let many: Vec<String> = (0..257).map(|class| format!("c{class}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), 0)).collect();
    assert!(of(&many).starts_with("`ROOT` holds 257 class folders: "));
    let missing = load(Path::new("no-such-folder"), Split::All).expect_err("missing").to_string();
    assert!(missing.starts_with("no folder `no-such-folder`: name a folder"), "{missing}");
}

#[test]
fn folders_that_differ_in_letter_case() {
    let folder = Folder::new(&[("cat", 2), ("dog", 2), ("Cat", 2)]);
    // Where the file system cannot tell them apart there is nothing to refuse.
    if fs::read_dir(folder.0.path()).expect("reads").count() == 3 {
        let sentence = "the class folders `Cat` and `cat` differ in letter case only: rename or merge them";
        assert_eq!(folder.refused(), sentence);
    }
}

#[test]
fn a_bad_image_is_named() {
    let folder = Folder::new(&[("a", 3), ("b", 3)]);
    let good = png(1);
    folder.write("b/001.png", &good[..good.len() / 2]);
    let sentence = folder.refused();
    assert!(sentence.starts_with("the image `ROOT/b/001.png` is damaged ("), "{sentence}");
    folder.write("a/002.png", b"hello");
    assert_eq!(folder.refused(), "`ROOT/a/002.png` is neither PNG nor JPEG: convert or remove it");
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_named() {
    let folder = Folder::new(&[("a", 3), ("b", 3)]);
    std::os::unix::fs::symlink("gone.png", folder.path("a/zzz.png")).expect("links");
    let sentence = folder.refused();
    assert!(sentence.starts_with("cannot read the image `ROOT/a/zzz.png`: "), "{sentence}");
}

#[test]
fn a_folder_of_classes_is_told_from_cifar10() {
    let folder = Folder::new(&[("a", 2), ("b", 2)]);
    assert_eq!(Kind::of(folder.0.path()), Kind::Folder);
    assert_eq!(Kind::of(&folder.path("missing")), Kind::Folder);
    assert_eq!(Kind::of(&folder.path("a/000.png")), Kind::Cifar10);
    folder.write("cifar10-jpeg.tar.gz", b"");
    assert_eq!(Kind::of(folder.0.path()), Kind::Cifar10);
    let set = Kind::Folder.load(Some(&folder.path("no")), Split::All);
    assert!(set.expect_err("missing").to_string().starts_with("no folder `"));
}
