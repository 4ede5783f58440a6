//! Training by `wgpu` goes as on the CPU. Runs on Mesa's software Vulkan driver.

use std::process::Command;

use burn::tensor::Device;
use fourbit_models::config::Config;
use fourbit_models::dataset::{Images, Kind, Split};
use fourbit_models::fold::folded_graph;
use fourbit_models::graph::Graph;
use fourbit_models::qat::Network;
use fourbit_models::scheme::Setting;
use fourbit_models::train::batches::Shard;
use fourbit_models::train::optimizer::State;
use fourbit_models::train::step::{self, Step};
use fourbit_models::train::target::Target;
use fourbit_models::train::{Backend, BackendError};
use fourbit_models::zoo;

const CONFIG: &str = "
dataset = 'shapes'
arch = 'resnet8'
width = 0.25
setting = 'float'
epochs = 1
batch = 16
lr = 0.05
warmup = 0.0
clip = 1.0
label_smoothing = 0.1
seed = 7
";
const UPDATES: usize = 4;

/// Trains for a few updates; what each step gave.
fn steps(graph: &Graph, config: &Config, images: &Images, device: &Device) -> Vec<Step> {
    let (network, values) = Network::new(graph.clone()).expect("a network");
    let mut state = State::new(values);
    let target = Target { teacher: None, smoothing: config.label_smoothing };
    let tape = device.clone().autodiff();
    let part = config.batch / config.shards;
    let update = |update: usize| {
        let shards = (0..config.shards).map(|shard| {
            let range = (update * config.shards + shard) * part..(update * config.shards + shard + 1) * part;
            let labels = images.labels[range.clone()].to_vec();
            Shard { pixels: images.scaled(range), labels }
        });
        let step = step::gradients((&network, &state.values), &target, &tape, shards.collect());
        state.update(config, UPDATES, network.parameters(), &step.gradients);
        for (index, mean, var) in &step.statistics {
            state.measure(*index, mean);
            state.measure(index + 1, var);
        }
        state.finish_update(config);
        step
    };
    (0..UPDATES).map(update).collect()
}

/// Distance of two lists of arrays of the same lengths, as a part of the first's norm.
fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    assert!(a.iter().map(Vec::len).eq(b.iter().map(Vec::len)));
    let square = |x: f32| f64::from(x) * f64::from(x);
    let norm: f64 = a.iter().flatten().map(|&a| square(a)).sum();
    let difference: f64 = a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| square(a - b)).sum();
    (difference / norm.max(f64::MIN_POSITIVE)).sqrt()
}

/// Losses within `loss` of the CPU's, gradients of the first step within `gradient`.
fn compare(graph: &Graph, loss: f32, gradient: f64) {
    let config = Config::parse(CONFIG).expect("a configuration");
    // Noise: on a drawn image's even background a batch norm gives zeros, whose signs are those of rounding.
    let count = UPDATES * config.batch;
    let pixels =
        (0..count as u64).flat_map(|seed| zoo::image([32, 32, 3], seed)).map(|value| value as u8 ^ 0x80);
    let images = Images { pixels: pixels.collect(), labels: (0..count).map(|i| (i % 10) as u8).collect() };
    let device = Backend::WgpuSoftware.device().expect("Mesa's software Vulkan driver is installed");
    let [cpu, gpu] = [Device::flex(), device].map(|device| steps(graph, &config, &images, &device));
    let losses = |steps: &[Step]| steps.iter().map(|step| step.loss).collect::<Vec<_>>();
    println!("losses {:?} on the CPU, {:?} by wgpu", losses(&cpu), losses(&gpu));
    for (cpu, gpu) in cpu.iter().zip(&gpu) {
        assert!((cpu.loss - gpu.loss).abs() <= loss * cpu.loss, "{} and {}", cpu.loss, gpu.loss);
    }
    assert_ne!(cpu[0].loss, cpu[UPDATES - 1].loss, "nothing was trained");
    let gradients = |step: &Step| step.gradients.iter().flatten().cloned().collect::<Vec<_>>();
    let found = distance(&gradients(&cpu[0]), &gradients(&gpu[0]));
    println!("gradients differ by {found:e}");
    assert!(found <= gradient, "gradients differ by {found:e}");
    let measured = |step: &Step| {
        step.statistics.iter().flat_map(|(_, mean, var)| [mean.clone(), var.clone()]).collect::<Vec<_>>()
    };
    let found = distance(&measured(&cpu[0]), &measured(&gpu[0]));
    assert!(found <= 1e-4, "statistics differ by {found:e}");
}

#[test]
fn a_float_network_trains_as_on_the_cpu() {
    let config = Config::parse(CONFIG).expect("a configuration");
    let classes = Kind::Shapes.load(None, Split::All).expect("is drawn").classes;
    compare(&config.graph(classes).expect("a graph"), 1e-3, 1e-4);
}

#[test]
fn a_quantized_network_trains_as_on_the_cpu() {
    compare(&folded_graph(&zoo::resnet8(7, Setting::W4a4).expect("calibrates")), 2e-2, 1e-3);
}

#[test]
fn a_software_driver_is_not_taken_for_a_gpu() {
    match Backend::Wgpu.device() {
        Ok(device) => println!("a GPU is here: {device:?}"),
        Err(error) => assert_eq!(error, BackendError::OnlySoftware),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_training_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, run) = (folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&config, CONFIG).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourbit-train"));
    command.args(["--backend", "wgpu", "--config"]).arg(&config).arg("--run").arg(&run);
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "__EGL_VENDOR_LIBRARY_FILENAMES"] {
        command.env(variable, folder.path().join("no-driver.json"));
    }
    let output = command.output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: no GPU answers here") && !said.contains("panicked"), "{said}");
    assert!(!run.exists(), "a run was begun");
}
