//! Wrong input on the command line: exit code 2, one sentence on stderr that says what to do, no
//! word on stdout, and no file touched.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn xtask(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(args).env_remove("FOURBIT_DATA").output().expect("starts")
}

/// The sentence with which a command refuses.
fn refused(args: &[&str]) -> String {
    let output = xtask(args);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{args:?}: {said}");
    errors[0].trim_start_matches("error: ").to_owned()
}

/// A committed artefact, to be damaged in a copy.
fn artefact() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/artefacts/resnet8-shapes-w4a8.fourbit");
    std::fs::read(path).expect("the artefact is committed")
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn damaged_artefacts() {
    let folder = Folder::new();
    let good = artefact();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut newer = good.clone();
    newer[8] = 4;
    let long = [&good[..], &[0]].concat();
    for (what, bytes, sentence) in [
        ("empty", vec![], "is empty; copy or compile it again"),
        ("short", good[..good.len() / 2].to_vec(), "is cut short"),
        ("long", long, "copy or build it again"),
        ("flipped", changed(good.len() - 1), "is corrupt (CRC of section"),
        ("header", changed(17), "header is corrupt (CRC)"),
        ("newer", newer, "has format version 4, this runtime reads 3; compile the network again"),
        ("other", vec![b'x'; 4096], "is not a Fourbit artefact"),
    ] {
        let path = folder.write(&format!("{what}.fourbit"), &bytes);
        for command in [&["inspect", "--model"][..], &["bench", "--board", "sim", "--model"]] {
            let said = refused(&[command, &[&path]].concat());
            assert!(said.contains(sentence) && said.contains(what), "{said}");
        }
        assert_eq!(std::fs::read(&path).expect("reads"), bytes);
    }
}

#[test]
fn images_that_do_not_fit() {
    let folder = Folder::new();
    let run = |image: &str| refused(&["run", "--model", "resnet8-shapes-w4a8", image]);
    let png = |width, height| {
        let mut bytes = std::io::Cursor::new(vec![]);
        let image = image::RgbImage::new(width, height);
        image.write_to(&mut bytes, image::ImageFormat::Png).expect("encodes");
        bytes.into_inner()
    };
    let whole = png(32, 32);
    for (content, sentence) in [
        (png(64, 32), "has 64x32 pixels and the network takes 32x32: resize it first"),
        (vec![], "is empty: give a PNG or JPEG file"),
        (b"GIF89a....".to_vec(), "is neither PNG nor JPEG: convert it first"),
        (whole[..whole.len() - 20].to_vec(), "is damaged"),
    ] {
        let said = run(&folder.write("image.png", &content));
        assert!(said.contains(sentence), "{said}");
    }
    assert!(run(folder.path("missing.png").to_str().expect("UTF-8")).starts_with("cannot read the image"));
}

#[test]
fn names_and_data_that_do_not_exist() {
    let said = refused(&["eval", "--model", "resnet8-shapes-w4a8", "--dataset", "cifar10"]);
    assert!(said.contains("--data PATH") && said.contains("https://www.cs.toronto.edu"), "{said}");
    let folder = Folder::new();
    let empty = folder.0.path().to_str().expect("UTF-8");
    let said = refused(&["eval", "--model", "resnet8-shapes-w4a8", "--dataset", "cifar10", "--data", empty]);
    assert!(said.contains("no CIFAR-10 in"), "{said}");
    assert!(refused(&["inspect", "--model", "nothing"]).contains("give the path of a .fourbit file"));
    let said = refused(&["run", "--model", "resnet8-shapes-w4a8", "--board", "mps9", "x.png"]);
    assert!(said.starts_with("no board mps9: the boards are sim, "), "{said}");
    assert!(refused(&["train", "nothing"]).contains("models/configs"));
    let graph = folder.write("net.graph", b"FBGRAPH1 and nothing else");
    assert!(refused(&["compile", &graph]).contains("is damaged"));
}

#[test]
fn firmware_that_cannot_be_flashed() {
    let said = refused(&["flash", "--board", "mps2-an386", "--model", "resnet8-shapes-w4a8"]);
    assert!(said.starts_with("mps2-an386 is emulated and has nothing to flash: use "), "{said}");
    let folder = Folder::new();
    let text = folder.write("text.elf", b"no firmware");
    for path in [text.as_str(), "no-such.elf"] {
        let said = refused(&["flash", "--board", "nrf52840-dk", "--dry-run", "--elf", path]);
        assert!(said.contains(path.rsplit('/').next().unwrap_or(path)), "{said}");
    }
}

#[test]
fn limits_that_no_plan_keeps() {
    let folder = Folder::new();
    let model = folder.write("net.fourbit", &artefact());
    let out = folder.0.path().to_str().expect("UTF-8").to_owned();
    for command in [&["compile", &model, "--out", &out][..], &["bench", "--board", "sim", "--model", &model]]
    {
        let said = refused(&[command, &["--max-ram", "1K"]].concat());
        assert!(
            said.contains("needs at least") && said.contains("more than 1000: allow that many"),
            "{said}"
        );
    }
    assert_eq!(std::fs::read(&model).expect("reads"), artefact());
    let said = refused(&["compile", &model, "--max-ram", "26G"]);
    assert!(said.contains("give bytes as 26000, 26K or 24KiB"), "{said}");
}

#[test]
fn folders_of_images() {
    let folder = Folder::new();
    let root = folder.0.path().to_str().expect("UTF-8").to_owned();
    let eval = || {
        refused(&["eval", "--model", "resnet8-shapes-w4a8", "--dataset", "folder", "--data", &root])
            .replace(&root, "ROOT")
    };
    assert!(eval().contains("`ROOT` holds 0 class folders: put the images of each class into a subfolder"));
    let photo = || image::RgbImage::new(40, 30);
    for class in ["cat", "dog"] {
        std::fs::create_dir(folder.path(class)).expect("creates");
        photo().save(folder.path(&format!("{class}/1.jpg"))).expect("encodes");
    }
    assert!(eval().contains("the class folder `ROOT/cat` holds one image"));
    for class in ["cat", "dog"] {
        photo().save(folder.path(&format!("{class}/2.png"))).expect("encodes");
    }
    assert!(eval().contains("tells 10 classes apart and the data set has 2"));
    folder.write("dog/3.png", b"no image");
    assert!(eval().contains("`ROOT/dog/3.png` is neither PNG nor JPEG: convert or remove it"));
    let quantize = refused(&["quantize", "--data", &root]).replace(&root, "ROOT");
    assert!(quantize.contains("`ROOT/dog/3.png` is neither PNG nor JPEG"), "{quantize}");
}

#[test]
fn choices_without_a_table_or_a_board() {
    let folder = Folder::new();
    let table = folder.write("t.csv", b"name,accuracy\n");
    let choose = |args: &[&str]| refused(&[&["choose"], args].concat());
    let said = choose(&["--frontier", &table, "--board", "mps2-an386"]);
    assert!(said.contains("line 1: this is no table of `cargo xtask pareto`"), "{said}");
    assert!(choose(&["--frontier", &table, "--board", "mps9"]).starts_with("no board mps9: the boards are "));
    assert!(
        choose(&["--frontier", "no-such.csv", "--board", "mps2-an386"])
            .starts_with("cannot read no-such.csv")
    );
    let said = choose(&["--frontier", &table, "--board", "mps2-an386", "--max-latency", "50"]);
    assert!(said.contains("give a time as 50ms, 1.5s or 800us"), "{said}");
}

#[test]
fn a_result_is_not_overwritten_by_a_command_that_fails() {
    let folder = Folder::new();
    let kept = folder.write("net.fourbit", b"what was there");
    let graph = folder.write("net.graph", b"no graph");
    let out = folder.0.path().to_str().expect("UTF-8").to_owned();
    refused(&["compile", &graph, "--name", "net", "--out", &out]);
    assert_eq!(std::fs::read(kept).expect("reads"), b"what was there");
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in [
        "quantize", "train", "curves", "import", "compile", "pareto", "choose", "bits", "eval", "run",
        "bench", "fit", "flash", "inspect", "setup", "ci",
    ] {
        let output = xtask(&[command, "--help"]);
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success(), "{command}");
        assert!(said.contains("Example") && said.contains("cargo xtask"), "{command}: {said}");
        assert!(said.contains("--json"), "{command}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .args(["inspect", "--model", "resnet8-cifar10-w4a8"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.is_empty(), "{said}");
}
