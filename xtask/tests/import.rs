//! `import` on the command line: files in, an artefact or a graph out, or one sentence.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn xtask(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("import").args(args).env_remove("FOURBIT_DATA").output().expect("starts")
}

fn network(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/import");
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

/// What a command reports, and the folder that it wrote to.
fn imported(args: &[&str]) -> (Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = ["--json", "--name", "net", "--out", text(folder.path())];
    let output = xtask(&[args, &out].concat());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    (serde_json::from_slice(&output.stdout).expect("one object"), folder)
}

/// The sentence with which the command refuses; no file is written.
fn refused(args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = xtask(&[args, &["--name", "net", "--out", text(folder.path())]].concat());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0, "{args:?}");
    said
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A folder of so many images of this side, drawn.
fn images(count: u8, side: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for i in 0..count {
        let pixel = |x: u32, y: u32| image::Rgb([x as u8 * 30, y as u8 * 30, i * 20]);
        let path: PathBuf = folder.path().join(format!("{i}.png"));
        image::RgbImage::from_fn(side, side, pixel).save(path).expect("saves");
    }
    folder
}

#[test]
fn an_int8_network_becomes_an_artefact() {
    let (report, folder) = imported(&[&network("tiny_int8.tflite")]);
    assert_eq!((&report["kind"], &report["logits"]), (&Value::from("int8"), &Value::from(5)));
    assert_eq!(report["layers"].as_array().expect("a list").len(), 7);
    assert_eq!(report["graph"], Value::Null);
    let model = folder.path().join("net.fourbit");
    let output =
        Command::new(env!("CARGO_BIN_EXE_xtask")).args(["inspect", "--model", text(&model)]).output();
    let page = String::from_utf8(output.expect("starts").stdout).expect("UTF-8");
    assert!(page.contains("net: imported from tiny_int8.tflite, int8 with the file's own scales."), "{page}");
}

#[test]
fn a_float_network_becomes_a_graph_and_with_images_an_artefact() {
    let (report, folder) = imported(&[&network("tiny_float.tflite")]);
    assert_eq!((&report["kind"], &report["artefact"]), (&Value::from("float"), &Value::Null));
    assert!(folder.path().join("net.graph").is_file() && !folder.path().join("net.fourbit").exists());
    let photos = images(5, 8);
    let calibrate = ["--calibrate", text(photos.path()), "--bits", "w4a8"];
    let (report, folder) = imported(&[&[network("tiny_float.tflite").as_str()], &calibrate[..]].concat());
    assert_eq!(report["artefact"]["calibration_images"], Value::from(5));
    assert_eq!(report["artefact"]["bits"], Value::from("w4a8"));
    assert!(folder.path().join("net.fourbit").is_file());
    // What was calibrated can be compiled again.
    let graph = folder.path().join("net-w4a8.graph");
    let mut compile = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = compile.args(["compile", text(&graph), "--out", text(folder.path())]).output();
    assert!(output.expect("starts").status.success());
}

#[test]
fn an_onnx_network_becomes_a_graph() {
    let (report, folder) = imported(&[&network("resnet.onnx"), "--white", "1"]);
    assert_eq!((&report["kind"], &report["input"]), (&Value::from("float"), &Value::from("48x48x3")));
    assert_eq!((&report["parameters"], &report["logits"]), (&Value::from(31_650), &Value::from(10)));
    assert!(folder.path().join("net.graph").is_file());
}

#[test]
fn files_that_are_no_network_of_ours() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("writes");
        text(&path).to_owned()
    };
    let whole = std::fs::read(network("tiny_int8.tflite")).expect("committed");
    let onnx = std::fs::read(network("resnet.onnx")).expect("committed");
    let cases = [
        (file("empty.tflite", b""), "the file is empty"),
        (file("other.tflite", b"GIF89a, a picture"), "the file is neither a TFLite nor an ONNX model"),
        (file("cut.tflite", &whole[..whole.len() / 2]), "the file is damaged or cut short"),
        (text(&folder.path().join("missing.tflite")).to_owned(), "cannot read"),
        (network("unsupported.tflite"), "Operation 1, HARD_SWISH, is not an operation that Fourbit runs"),
        (network("unsupported.tflite"), "Operation 2, LOGISTIC, is not an operation that Fourbit runs"),
        (file("cut.onnx", &onnx[..onnx.len() / 2]), "the file is damaged or cut short"),
        (network("unsupported.onnx"), "Operation 1, HardSwish, is not an operation that Fourbit runs"),
        (network("unsupported.onnx"), "Operation 4, Sigmoid, is not an operation that Fourbit runs"),
    ];
    for (path, sentence) in cases {
        let said = refused(&[&path]);
        assert!(said.contains(sentence) && said.contains("cannot import"), "{said}");
    }
}

#[test]
fn images_and_options_that_do_not_fit() {
    let (float, integer) = (network("tiny_float.tflite"), network("tiny_int8.tflite"));
    let (right, wrong, none) = (images(2, 8), images(1, 9), images(0, 8));
    let said = |file: &str, photos: &Path| refused(&[file, "--calibrate", text(photos)]);
    assert!(said(&float, wrong.path()).contains("has 9x9 pixels and the network takes 8x8: resize it first"));
    assert!(said(&float, none.path()).contains("no PNG or JPEG image in"));
    assert!(said(&integer, right.path()).contains("is int8 and has its scales"));
    assert!(refused(&[&float, "--white", "100"]).contains("is neither 255 nor 1"));
    assert!(refused(&[&float, "--bits", "w8a8"]).contains("--calibrate"));
}

#[test]
fn the_command_explains_itself() {
    let output = xtask(&["--help"]);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && said.contains("Example") && said.contains("cargo xtask import"));
    assert!(said.contains("--json"), "{said}");
}
