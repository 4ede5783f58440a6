//! `quantize --from FILE --calibrate DIR` on the command line: a float network and images in, an
//! artefact and a graph out, or one sentence.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn xtask(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(args).env_remove("FOURBIT_DATA").output().expect("starts")
}

fn network(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/import");
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A folder of so many images of this size, drawn.
fn images(count: u8, width: u32, height: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for i in 0..count {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 5) as u8, (y * 5) as u8, i * 20]);
        let path: PathBuf = folder.path().join(format!("{i}.png"));
        image::RgbImage::from_fn(width, height, pixel).save(path).expect("saves");
    }
    folder
}

/// What the simulator is asked for, and the folder that was written to.
fn quantized(from: &str, photos: &Path, more: &[&str]) -> (Value, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let args = ["--json", "quantize", "--from", from, "--calibrate", text(photos), "--board", "sim"];
    let output = xtask(&[&args[..], &["--out", text(folder.path())], more].concat());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    (serde_json::from_slice(&output.stdout).expect("one object"), folder)
}

/// The sentence with which the command refuses; no file is written.
fn refused(args: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = xtask(&[&["quantize", "--board", "sim", "--out", text(folder.path())], args].concat());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0, "{args:?}");
    said
}

#[test]
fn an_onnx_network_becomes_an_artefact() {
    let photos = images(5, 48, 48);
    let (report, folder) = quantized(
        &network("resnet.onnx"),
        photos.path(),
        &["--bits", "w8a8", "--white", "1", "--images", "3"],
    );
    assert_eq!((&report["model"], &report["bits"]), (&Value::from("resnet"), &Value::from("w8a8")));
    assert_eq!((&report["calibration_images"], &report["board_images"]), (&Value::from(5), &Value::from(3)));
    assert_eq!((&report["board_equal"], &report["measured"]), (&Value::from(3), &Value::Null));
    let layers = report["layers"].as_array().expect("a list");
    assert_eq!((layers.len(), &layers[0]["window"]), (31, &Value::from("7x7 /2 +3,3,3,3")));
    let model = folder.path().join("resnet.fourbit");
    let page = String::from_utf8(xtask(&["inspect", "--model", text(&model)]).stdout).expect("UTF-8");
    let card = "resnet: imported from resnet.onnx, w8a8, calibrated with 5 images, not trained.";
    assert!(page.contains(card), "{page}");
    // What was calibrated can be compiled again, and is no float network any more.
    let graph = folder.path().join("resnet-w8a8.graph");
    let output = xtask(&["compile", text(&graph), "--out", text(folder.path())]);
    assert!(output.status.success());
    let said = refused(&["--from", text(&graph), "--calibrate", text(photos.path())]);
    assert!(said.contains("has its ranges and bits: make its artefact with `cargo xtask compile`"), "{said}");
}

#[test]
fn a_tflite_network_and_its_graph_are_calibrated_alike() {
    let photos = images(4, 8, 8);
    let (from_file, folder) =
        quantized(&network("tiny_float.tflite"), photos.path(), &["--name", "net", "--bits", "w4a8"]);
    let output =
        xtask(&["import", &network("tiny_float.tflite"), "--name", "net", "--out", text(folder.path())]);
    assert!(output.status.success());
    let graph = folder.path().join("net.graph");
    let (from_graph, again) = quantized(text(&graph), photos.path(), &["--bits", "w4a8"]);
    assert_eq!(from_file["same_class"], from_graph["same_class"]);
    assert_eq!(from_file["layers"], from_graph["layers"]);
    let calibrated = [&folder, &again].map(|folder| std::fs::read(folder.path().join("net-w4a8.graph")));
    let [first, second] = calibrated.map(|graph| graph.expect("written"));
    assert!(first == second, "other ranges from the same network and images");
}

#[test]
fn inputs_that_do_not_fit() {
    let (float, integer) = (network("resnet.onnx"), network("tiny_int8.tflite"));
    let (right, wrong, none) = (images(2, 48, 48), images(1, 48, 47), images(0, 8, 8));
    let said = |from: &str, photos: &Path| refused(&["--from", from, "--calibrate", text(photos)]);
    assert!(
        said(&float, wrong.path()).contains("has 48x47 pixels and the network takes 48x48: resize it first")
    );
    assert!(said(&float, none.path()).contains("no PNG or JPEG image in"));
    assert!(said(&integer, right.path()).contains("is int8 and has its scales: make its artefact with"));
    assert!(said(&network("unsupported.onnx"), right.path()).contains("Operation 1, HardSwish, is not"));
    let foreign = said(&network("make_onnx.py"), right.path());
    assert!(foreign.contains("the file is neither a TFLite nor an ONNX model"), "{foreign}");
    let cut = right.path().join("cut.onnx");
    let whole = std::fs::read(&float).expect("committed");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("writes");
    assert!(said(text(&cut), right.path()).contains("the file is damaged or cut short"));
    assert!(said(text(&right.path().join("no.onnx")), right.path()).contains("cannot be used: cannot read"));
}

#[test]
fn options_that_do_not_fit() {
    let (float, photos) = (network("resnet.onnx"), images(2, 48, 48));
    let said = refused(&["--from", &float]);
    assert!(
        said.contains("add --calibrate DIR, a folder of images, to quantize it without training"),
        "{said}"
    );
    let calibrate = ["--from", &float, "--calibrate", text(photos.path())];
    assert!(refused(&[&calibrate[..], &["--white", "9"]].concat()).contains("is neither 255 nor 1"));
    let said = refused(&[&calibrate[..], &["--dataset", "shapes"]].concat());
    assert!(said.contains("the network takes 48x48x3: leave --data and --dataset out"), "{said}");
    assert!(refused(&[&calibrate[..], &["--check"]].concat()).contains("cannot be used with"));
    assert!(refused(&["--calibrate", text(photos.path())]).contains("--from"));
}
