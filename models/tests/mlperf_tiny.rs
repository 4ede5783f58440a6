//! MLPerf Tiny's ResNet-8 from its published files, on CIFAR-10 (JPEG), against LiteRT.
//!
//! The files are not part of the repository: the variable `FOURBIT_MLPERF_TINY` names their folder
//! and `FOURBIT_DATA` the data set. Without the first every test is reported as ignored, and the table of
//! `docs/quantization.md` without `FOURBIT_PTQ_TABLE`: it takes minutes.

use std::path::{Path, PathBuf};

use fourbit_models::compile::compile;
use fourbit_models::dataset::{Dataset, Kind, Split};
use fourbit_models::file::AlignedBytes;
use fourbit_models::float_forward::accuracy;
use fourbit_models::graph::Graph;
use fourbit_models::import::{Imported, open};
use fourbit_models::ptq::{self, Rounding, Steps};
use fourbit_models::quantize::{QGraph, quantize};
use fourbit_models::scheme::Setting;
use fourbit_models::simulate::{Backend, Simulator, values};
use libtest_mimic::{Arguments, Failed, Trial};

/// Names the folder with `resnet8_int8.tflite` and `resnet8_float.tflite`.
const VARIABLE: &str = "FOURBIT_MLPERF_TINY";
/// Asks for the table of docs/quantization.md.
const TABLE: &str = "FOURBIT_PTQ_TABLE";
/// What LiteRT scores, in percent, on these very pixels, which are those of libjpeg-turbo.
const INT8_ACCURACY: f64 = 75.42;
const FLOAT_ACCURACY: f64 = 75.48;

fn main() {
    let arguments = Arguments::from_args();
    let folder = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let trial = |name: &str, test: fn(&Path) -> Result<(), Failed>| {
        let (missing, folder) = (folder.is_none(), folder.clone().unwrap_or_default());
        Trial::test(name, move || test(&folder)).with_ignored_flag(missing)
    };
    let asked = std::env::var_os(TABLE).is_some_and(|value| !value.is_empty());
    let table =
        trial("table_of_quantization_after_training", table).with_ignored_flag(folder.is_none() || !asked);
    let trials = vec![
        trial("imported_resnet8_int8_is_within_3_steps_of_litert", logits),
        trial("imported_resnet8_int8_has_litert_accuracy", int8),
        trial("imported_resnet8_float_keeps_its_accuracy_in_w8a8", float),
        trial("imported_resnet8_float_in_w4a8_is_within_2_points", four_bits),
        table,
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn dataset() -> Result<Dataset, Failed> {
    Ok(Kind::Cifar10.load(None, Split::All)?)
}

fn resnet8_int8(folder: &Path) -> Result<QGraph, Failed> {
    match open(&folder.join("resnet8_int8.tflite"), "resnet8", 255.0)? {
        Imported::Integer(graph) => Ok(graph),
        Imported::Float(_) => Err("a float network".into()),
    }
}

fn resnet8_float(folder: &Path) -> Result<Graph, Failed> {
    match open(&folder.join("resnet8_float.tflite"), "resnet8", 255.0)? {
        Imported::Float(graph) => Ok(graph),
        Imported::Integer(_) => Err("an int8 network".into()),
    }
}

/// The committed logits are of every 100th test image.
fn logits(folder: &Path) -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/mlperf_resnet8_int8.logits");
    let litert = std::fs::read(path)?;
    let chosen: Vec<usize> = (0..100).map(|i| 100 * i).collect();
    let images = dataset()?.test.select(&chosen);
    let file = AlignedBytes::copy(&compile(&resnet8_int8(folder)?, &[], "")?);
    let simulator = Simulator::new(fourbit::Artefact::parse(file.bytes())?, Backend::Host);
    let ours = simulator.logits(&values(&images.pixels))?;
    if ours.len() != litert.len() {
        return Err(format!("{} logits and {} of LiteRT", ours.len(), litert.len()).into());
    }
    let apart: Vec<u8> = ours.iter().zip(&litert).map(|(&a, &b)| a.abs_diff(b as i8)).collect();
    let count = |steps: u8| apart.iter().filter(|&&apart| apart == steps).count();
    println!("logits 0, 1, 2, 3 steps apart: {:?}", [0, 1, 2, 3].map(count));
    let most = apart.iter().max().copied().unwrap_or(0);
    if most <= 3 { Ok(()) } else { Err(format!("a logit is {most} steps from LiteRT's").into()) }
}

fn int8(folder: &Path) -> Result<(), Failed> {
    let accuracy = integer_accuracy(&resnet8_int8(folder)?, &dataset()?)?;
    println!("int8: {accuracy:.2} %");
    near("int8", accuracy, INT8_ACCURACY, 0.3)
}

fn float(folder: &Path) -> Result<(), Failed> {
    let graph = resnet8_float(folder)?;
    let dataset = dataset()?;
    let float = 100.0 * accuracy(&graph, &dataset.test);
    let images = calibration(&dataset);
    let w8a8 = accuracy_after(&graph, Setting::W8a8, &images, Steps::ALL, &dataset)?;
    println!("float: {float:.2} %, w8a8: {w8a8:.2} %");
    near("float", float, FLOAT_ACCURACY, 0.05)?;
    near("w8a8", w8a8, float, 0.5)
}

/// Every 250th training image, whose label is not looked at.
fn calibration(dataset: &Dataset) -> Vec<Vec<f32>> {
    (0..200).map(|i| dataset.train.scaled(250 * i..250 * i + 1)).collect()
}

/// Percent of the test images after quantization without training.
fn accuracy_after(
    float: &Graph,
    setting: Setting,
    images: &[Vec<f32>],
    steps: Steps,
    dataset: &Dataset,
) -> Result<f64, Failed> {
    let graph = ptq::quantize_with(float, &setting.into(), images, steps, &mut |_, _| {})?;
    integer_accuracy(&quantize(&graph)?, dataset)
}

fn four_bits(folder: &Path) -> Result<(), Failed> {
    let dataset = dataset()?;
    let graph = resnet8_float(folder)?;
    let w4a8 = accuracy_after(&graph, Setting::W4a8, &calibration(&dataset), Steps::ALL, &dataset)?;
    println!("w4a8: {w4a8:.2} %");
    if w4a8 >= FLOAT_ACCURACY - 2.0 { Ok(()) } else { Err(format!("w4a8: {w4a8:.2} %").into()) }
}

/// What each step buys, the steps before it being there; from all of them down to none.
fn table(folder: &Path) -> Result<(), Failed> {
    let dataset = dataset()?;
    let graph = resnet8_float(folder)?;
    let images = calibration(&dataset);
    let none = Steps::NONE;
    let bias = Steps { bias: true, ..none };
    let bounds = Steps { bounds: true, ..bias };
    let equal = Steps { equalize: true, ..bounds };
    let [scaled, feedback, descent] =
        [Rounding::Scaled, Rounding::Feedback, Rounding::Descent].map(|rounding| Steps { rounding, ..equal });
    for (name, steps) in [
        ("calibration alone", none),
        ("bias correction", bias),
        ("bounds of least error", bounds),
        ("equalisation", equal),
        ("scales of least error", scaled),
        ("error feedback", feedback),
        ("descent", descent),
        ("refit", Steps::ALL),
    ]
    .into_iter()
    .rev()
    {
        print!("| {name} |");
        for setting in Setting::ALL {
            print!(" {:.2} |", accuracy_after(&graph, setting, &images, steps, &dataset)?);
        }
        println!();
    }
    Ok(())
}

/// Percent of the test images, through the runtime.
fn integer_accuracy(graph: &QGraph, dataset: &Dataset) -> Result<f64, Failed> {
    let file = AlignedBytes::copy(&compile(graph, &[], "")?);
    let simulator = Simulator::new(fourbit::Artefact::parse(file.bytes())?, Backend::Host);
    let evaluation = simulator.evaluate(&values(&dataset.test.pixels), &dataset.test.labels)?;
    Ok(100.0 * evaluation.accuracy())
}

fn near(what: &str, found: f64, expected: f64, points: f64) -> Result<(), Failed> {
    if (found - expected).abs() <= points {
        return Ok(());
    }
    Err(format!("{what}: {found:.2} %, and it should be within {points} points of {expected:.2} %").into())
}
