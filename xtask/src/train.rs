//! `train`: one training run from a configuration file; builds and starts `fourbit-train`.
//!
//! Burn is linked into `fourbit-train` only, so that no other command waits for its build.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::{Args, ValueEnum};
use fourbit_models::config::Config;
use fourbit_models::metrics::Metrics;

use crate::failure::{OrBadInput, bad_input};
use crate::table::{percent, thousands};
use crate::{paths, picture, process};

/// Trains one network as a configuration file says.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask train resnet8-shapes-float
  cargo xtask train resnet8-shapes-w4a8 --init target/runs/resnet8-shapes-float/float.graph
  cargo xtask train resnet8-cifar10-float --data ~/cifar-10-binary.tar.gz

The run's folder receives the checkpoint, the trained graph, metrics.json and the learning curves. A run that was
interrupted goes on from its last checkpoint when it is started again.")]
pub(crate) struct Train {
    /// A TOML file, or its name in models/configs
    #[arg(value_name = "CONFIG")]
    config: String,
    /// Float graph that a quantized run starts from
    #[arg(long, value_name = "GRAPH")]
    init: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// How training runs, whatever is trained.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Folder of all training runs; by default target/runs
    #[arg(long, value_name = "DIR")]
    pub(crate) runs: Option<PathBuf>,
    /// Where the data set's files lie; by default the variable FOURBIT_DATA says it
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// What computes
    #[arg(long, value_enum, default_value_t = Backend::Flex)]
    pub(crate) backend: Backend,
    /// Threads; by default one per core
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
}

/// A backend of Burn.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Backend {
    /// The CPU
    #[default]
    Flex,
    /// The CPU, some 8 times slower, for comparison
    Ndarray,
    /// A GPU, by Vulkan, Metal or DirectX 12; the first build with it takes many minutes more
    Wgpu,
    /// As wgpu, on a driver that computes on the CPU: slow, for tests
    WgpuSoftware,
}

impl Backend {
    /// The feature of fourbit-models that has it.
    fn feature(self) -> &'static str {
        match self {
            Backend::Flex | Backend::Ndarray => "fourbit-models/train",
            Backend::Wgpu | Backend::WgpuSoftware => "fourbit-models/wgpu",
        }
    }

    /// Its name on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Train {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let config = config(&self.config)?;
        let name = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let run = paths::runs(self.options.runs.as_deref()).join(&name);
        build(self.options.backend)?;
        start(&config, &run, self.init.as_deref(), &self.options)?;
        let metrics = metrics(&run)?;
        if json {
            println!("{}", serde_json::json!({ "run": run, "config": name, "metrics": metrics }));
        } else {
            println!("{name}: {}", paths::shown(&run));
            println!("{}", serde_json::to_string_pretty(&metrics)?);
        }
        Ok(())
    }
}

/// A configuration by path or by name.
pub(crate) fn config(name: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(name);
    let committed = paths::configs().join(format!("{}.toml", name.trim_end_matches(".toml")));
    let found = [path, committed].into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        bad_input(format!(
            "no configuration {name}: give the path of a TOML file or a name in models/configs"
        ))
    })
}

/// Builds `fourbit-train`, for the CPU with the same selection of features as the tests, so that Burn
/// is built once for both. Cargo shows its progress.
pub(crate) fn build(backend: Backend) -> anyhow::Result<()> {
    eprintln!("building fourbit-train (the first time with Burn, some minutes)");
    let args = ["build", "--workspace", "--features", backend.feature(), "--bin", "fourbit-train"];
    process::run(&mut process::cargo(args))
}

/// Runs `fourbit-train` in the folder `run`; its progress is shown on stderr.
pub(crate) fn start(config: &Path, run: &Path, init: Option<&Path>, options: &Options) -> anyhow::Result<()> {
    fs::create_dir_all(run).or_bad_input(|| format!("cannot create the run's folder {}", run.display()))?;
    let mut command = Command::new(paths::target().join(format!("debug/fourbit-train{EXE_SUFFIX}")));
    command.arg("--config").arg(config).arg("--run").arg(run);
    command.args(["--parent", &std::process::id().to_string()]);
    if let Some(init) = init {
        command.arg("--init").arg(init);
    }
    if let Some(teacher) = recipe(config)?.teacher {
        command.arg("--teacher").arg(paths::root().join(teacher));
    }
    if let Some(data) = &options.data {
        command.arg("--data").arg(data);
    }
    if let Some(threads) = options.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    // Training takes and gives back large blocks all the time. The GNU C library would return each
    // to the system, which costs a sixth of the time; elsewhere the variables mean nothing.
    command.env("MALLOC_MMAP_THRESHOLD_", "1073741824").env("MALLOC_TRIM_THRESHOLD_", "2147483647");
    command.args(["--backend", &options.backend.name()]);
    process::run(&mut command).context("training failed")?;
    draw(run)
}

/// A recipe; what it names lies in the repository, or has an absolute path.
pub(crate) fn recipe(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).or_bad_input(|| format!("the recipe {} cannot be used", paths::shown(path)))
}

/// Leaves the learning curves of a finished run in its folder, as `curves.png`.
fn draw(run: &Path) -> anyhow::Result<()> {
    let metrics = measured(run)?;
    let name = run.file_name().unwrap_or_default().to_string_lossy();
    let (images, accuracy) = (thousands(metrics.test_images as u64), percent(metrics.test_accuracy));
    let result = format!("{accuracy} of {images} test images of {}", metrics.dataset);
    let picture = run.join("curves.png");
    paths::write(&picture, &picture::curves(&name, &result, &metrics.epochs)?)?;
    eprintln!("learning curves: {}", paths::shown(&picture));
    Ok(())
}

/// What a finished run measured, all of it.
pub(crate) fn measured(run: &Path) -> anyhow::Result<Metrics> {
    let incomplete = || format!("metrics.json of {} is incomplete", paths::shown(run));
    serde_json::from_value(metrics(run)?).with_context(incomplete)
}

/// What a finished run measured, as JSON.
pub(crate) fn metrics(run: &Path) -> anyhow::Result<serde_json::Value> {
    let path = run.join("metrics.json");
    let text = fs::read(&path).with_context(|| format!("the run left no {}", paths::shown(&path)))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", paths::shown(&path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_configuration_says_where_they_are() {
        let error = config("no-such-config").unwrap_err().to_string();
        assert!(error.ends_with("a name in models/configs"), "{error}");
    }

    #[test]
    fn only_a_gpu_needs_another_build() {
        let features: Vec<_> = Backend::value_variants().iter().map(|backend| backend.feature()).collect();
        assert_eq!(Backend::WgpuSoftware.name(), "wgpu-software");
        assert_eq!(features, [["fourbit-models/train"; 2], ["fourbit-models/wgpu"; 2]].concat());
    }
}
