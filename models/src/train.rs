//! Training: data set, network and configuration in, checkpoints and a graph out.
//!
//! [`train`] runs or resumes the run of a folder and leaves there `checkpoint`, `metrics.json`
//! and the graph of the averaged weights, `float.graph`, in half precision, or `w4a8.graph`. A
//! quantized run ends by comparing its network with the artefact made of it ([`agreement`]), on the
//! CPU whatever it was trained on: a GPU may round a tie another way. The result depends on the configuration and the
//! data alone (on one kind of CPU, or one GPU and driver: floating-point sums differ between them).
//! An interrupted run repeats the epoch it was in.

pub mod agreement;
mod backend;
pub mod batches;
pub mod checkpoint;
pub mod curriculum;
pub mod lock;
pub mod optimizer;
mod progress;
pub mod settle;
pub mod step;
pub mod target;
pub mod ties;

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;

use crate::calibrate::calibration_images;
use crate::config::{Config, ConfigError, Precision};
use crate::dataset::{Dataset, DatasetError, Images, SIDE};
use crate::fold::{folded_graph, round_biases};
use crate::graph::Graph;
use crate::graph_file::{GraphFileError, write_beside};
use crate::metrics::{Epoch, Metrics};
use crate::nets::transfer;
use crate::ptq;
use crate::qat::{Network, NetworkError, tensors};
use crate::quantize::QuantizeError;
use crate::scheme::Bits;
use crate::unfold::with_norms;
use agreement::AgreementError;
use checkpoint::{Checkpoint, CheckpointError};
use curriculum::resized;
use lock::{Lock, LockError};
use optimizer::State;
use progress::Progress;
use settle::settle;
use target::{Target, Teacher};

/// Training images that the final accuracy is measured on.
const TRAIN_SAMPLE: usize = 10_000;

pub use backend::{Backend, BackendError};

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The backend.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The graph to start from, or the one to write.
    #[error(transparent)]
    Graph(#[from] GraphFileError),
    /// The graph cannot be trained.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The float network to start from cannot be quantized.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The trained network cannot be compared with its artefact.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Another process trains in this folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A quantized run has nothing to start from.
    #[error(
        "a {setting} run starts from a float network: name its graph with `init` in the configuration or with --init PATH"
    )]
    NoInit {
        /// The setting.
        setting: &'static str,
    },
    /// The graph to start from is another network.
    #[error("`{}` holds {found}, not {expected}", path.display())]
    OtherNetwork {
        /// The graph file.
        path: PathBuf,
        /// Its network.
        found: String,
        /// The configuration's.
        expected: String,
    },
    /// The float network to quantize, or the teacher, tells other classes apart.
    #[error("`{}` was trained on other classes than the data set has: train a float network on it first", path.display())]
    OtherClasses {
        /// The graph file.
        path: PathBuf,
    },
    /// The loss is not a number.
    #[error("the loss is no longer finite in epoch {epoch}: lower `lr`")]
    Diverged {
        /// Counted from 1.
        epoch: usize,
    },
    /// Fewer images than a batch.
    #[error("{images} training images do not fill a batch of {batch}")]
    TooFewImages {
        /// Training images.
        images: usize,
        /// Images per update.
        batch: usize,
    },
    /// A file of the run folder cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// What a finished run left.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The graph of the averaged weights.
    pub graph: PathBuf,
    /// What `metrics.json` says.
    pub metrics: Metrics,
}

/// Runs `config` in the folder `run`, from its checkpoint where there is one.
pub fn train(
    config: &Config,
    run: &Path,
    data: Option<&Path>,
    backend: Backend,
) -> Result<Outcome, TrainError> {
    let write = |path: &Path, bytes: &[u8]| {
        write_beside(path, bytes).map_err(|source| TrainError::Write { path: path.to_owned(), source })
    };
    let device = backend.device()?;
    std::fs::create_dir_all(run).map_err(|source| TrainError::Write { path: run.to_owned(), source })?;
    let _lock = Lock::take(run)?;
    let recipe = checkpoint::identity(config)?;
    let dataset = config.dataset.load(data, config.split)?;
    if dataset.train.len() < config.batch {
        return Err(TrainError::TooFewImages { images: dataset.train.len(), batch: config.batch });
    }
    let mut checkpoint = match Checkpoint::load(run)? {
        Some(checkpoint) => {
            // Checkpoints of earlier versions name graphs by their paths.
            let by_path = toml::to_string(config).map_err(|e| ConfigError::Parse(e.to_string()))?;
            let expected = if checkpoint.config == by_path { &by_path } else { &recipe };
            checkpoint.check(run, expected, &dataset.checksum)?;
            eprintln!(
                "{}: resuming after epoch {}/{}",
                run.display(),
                checkpoint.epochs.len(),
                config.epochs
            );
            checkpoint
        }
        None => {
            let graph = start(config, &dataset)?;
            let (_, values) = Network::new(graph.clone())?;
            let data = dataset.checksum.clone();
            Checkpoint { config: recipe, data, graph, state: State::new(values), epochs: vec![] }
        }
    };
    let (network, _) = Network::new(checkpoint.graph.clone())?;
    let updates = batches::updates_per_epoch(config, &dataset.train);
    eprintln!(
        "{} on {} ({} images), {}, {} epochs of {updates} updates",
        network.structure().name,
        dataset.name,
        dataset.train.len(),
        config.setting.name(),
        config.epochs,
    );
    let target = Target { teacher: teacher(config, &dataset)?, smoothing: config.label_smoothing };
    let mut progress = Progress::new(config.epochs);
    while checkpoint.epochs.len() < config.epochs {
        let number = checkpoint.epochs.len() + 1;
        progress.start(number, updates);
        let aim = (&network, &target);
        let epoch = epoch(config, aim, &dataset, &device, &mut checkpoint.state, number, &progress)?;
        let pixels = |number| config.side(number).pow(2) as f64;
        let left = (number..=config.epochs).map(pixels).sum::<f64>() / pixels(number) - 1.0;
        progress.finish(&epoch, epoch.seconds * left);
        checkpoint.epochs.push(epoch);
        checkpoint.save(run)?;
    }
    let mut graph = averaged(config, &network, &checkpoint.state, &dataset, &device);
    match config.setting {
        Precision::Float => graph.round_to_half(),
        Precision::Quantized(_) => {
            graph = folded_graph(&graph);
            round_biases(&mut graph);
            ties::avoid(&mut graph);
        }
    }
    let path = run.join(format!("{}.graph", config.setting.name()));
    graph.save(&path)?;
    let metrics = measure(config, &dataset, &graph, &device, checkpoint.epochs)?;
    let json = serde_json::to_vec_pretty(&metrics)
        .map_err(|e| TrainError::Write { path: run.join("metrics.json"), source: e.into() })?;
    write(&run.join("metrics.json"), &json)?;
    Ok(Outcome { graph: path, metrics })
}

/// The network that a run begins with.
fn start(config: &Config, dataset: &Dataset) -> Result<Graph, TrainError> {
    let fresh = config.graph(dataset.classes.clone())?;
    let given = match &config.init {
        Some(path) => {
            let given = Graph::load(path)?;
            let (found, expected) = (given.name.clone(), fresh.name.clone());
            let taken = match (given.labels == fresh.labels, config.setting) {
                (true, _) => (given.name == fresh.name).then_some(given),
                (false, Precision::Float) => transfer(&given, fresh.clone()),
                (false, Precision::Quantized(_)) => {
                    return Err(TrainError::OtherClasses { path: path.clone() });
                }
            };
            Some(taken.ok_or(TrainError::OtherNetwork { path: path.clone(), found, expected })?)
        }
        None => None,
    };
    match config.setting {
        Precision::Float => Ok(given.unwrap_or(fresh)),
        Precision::Quantized(setting) => {
            let float = given.ok_or(TrainError::NoInit { setting: setting.name() })?;
            let images = calibration_images(&dataset.train, config.seed);
            eprintln!("quantizing without training first, with {} images", images.len());
            let bits = Bits { setting, eight: config.eight.clone() };
            let graph = ptq::quantize(&float, &bits, &images, &mut |_, _| {})?;
            Ok(if config.norms { with_norms(&graph, &float, &images) } else { graph })
        }
    }
}

/// The network whose probabilities are part of the target.
fn teacher(config: &Config, dataset: &Dataset) -> Result<Option<Teacher>, TrainError> {
    if config.distill == 0.0 {
        return Ok(None);
    }
    let alone =
        ConfigError::Value { field: "distill", must: "0 without a teacher or a network to start from" };
    let path = config.teacher.as_ref().or(config.init.as_ref()).ok_or(alone)?;
    let graph = Graph::load(path)?;
    if graph.labels != dataset.classes {
        return Err(TrainError::OtherClasses { path: path.clone() });
    }
    let (network, values) = Network::new(folded_graph(&graph))?;
    Ok(Some(Teacher { network, values, part: config.distill }))
}

/// One pass over the training images, which may be smaller ones; accuracy is measured on whole images.
fn epoch(
    config: &Config,
    (network, target): (&Network, &Target),
    dataset: &Dataset,
    device: &Device,
    state: &mut State,
    number: usize,
    progress: &Progress,
) -> Result<Epoch, TrainError> {
    let small = match config.side(number) {
        SIDE => None,
        side => Some((Network::new(resized(network.structure(), side))?.0, target.resized(side)?)),
    };
    let (trained, target) = small.as_ref().map_or((network, target), |(network, target)| (network, target));
    let tape = device.clone().autodiff();
    let updates = batches::updates_per_epoch(config, &dataset.train);
    let begun = Instant::now();
    let (mut loss, mut correct, mut seen) = (0.0f64, 0, 0);
    std::thread::scope(|scope| {
        for shards in batches::start(scope, config, &dataset.train, number) {
            let step = step::gradients((trained, &state.values), target, &tape, shards);
            if !step.loss.is_finite() {
                return Err(TrainError::Diverged { epoch: number });
            }
            state.update(config, updates * config.epochs, network.parameters(), &step.gradients);
            for (index, mean, var) in &step.statistics {
                state.measure(*index, mean);
                state.measure(index + 1, var);
            }
            state.finish_update(config);
            loss += f64::from(step.loss);
            correct += step.correct;
            seen += config.batch;
            let done = (seen / config.batch) as f64;
            let speed = seen as f64 / begun.elapsed().as_secs_f64();
            progress.update((loss / done) as f32, correct as f64 / seen as f64, speed);
        }
        Ok(())
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let held_out_accuracy = match dataset.held_out.is_empty() {
        true => None,
        false => {
            let average = averaged(config, network, state, dataset, device);
            accuracy(&average, &dataset.held_out, device, config.shards)?
        }
    };
    Ok(Epoch {
        epoch: number,
        loss: (loss / updates as f64) as f32,
        train_accuracy: correct as f64 / seen as f64,
        held_out_accuracy,
        seconds,
        images_per_second: seen as f64 / seconds,
    })
}

/// The graph of the averaged weights; the norms of a quantized one get statistics of their own.
fn averaged(config: &Config, network: &Network, state: &State, dataset: &Dataset, device: &Device) -> Graph {
    let mut values = state.average.clone();
    if config.norms && config.setting != Precision::Float {
        settle(network, &mut values, &dataset.train, device);
    }
    network.graph(&values)
}

/// Accuracy of a graph, float or fake-quantized; `None` where there is no image.
pub fn accuracy(
    graph: &Graph,
    images: &Images,
    device: &Device,
    threads: usize,
) -> Result<Option<f64>, NetworkError> {
    if images.is_empty() {
        return Ok(None);
    }
    let logits = logits(graph, images, device, threads)?;
    Ok(Some(step::accuracy(&logits, &images.labels)))
}

/// Logits of a graph, float or fake-quantized, for every image in order.
pub fn logits(
    graph: &Graph,
    images: &Images,
    device: &Device,
    threads: usize,
) -> Result<Vec<f32>, NetworkError> {
    let (network, values) = Network::new(folded_graph(graph))?;
    Ok(step::logits(&network, &values, device, images, threads))
}

fn measure(
    config: &Config,
    dataset: &Dataset,
    graph: &Graph,
    device: &Device,
    epochs: Vec<Epoch>,
) -> Result<Metrics, TrainError> {
    let agreement = match config.setting {
        Precision::Float => None,
        Precision::Quantized(_) => {
            let cpu = if tensors::on_cpu(device) { device.clone() } else { Device::flex() };
            Some(agreement::measure(graph, &dataset.test, &cpu, config.shards)?)
        }
    };
    let accuracy = |images: &Images| accuracy(graph, images, device, config.shards);
    Ok(Metrics {
        dataset: dataset.name.clone(),
        dataset_sha256: dataset.checksum.clone(),
        shards: config.shards,
        train_accuracy: accuracy(&dataset.train.spread(TRAIN_SAMPLE))?.unwrap_or_default(),
        held_out_accuracy: accuracy(&dataset.held_out)?,
        test_accuracy: match &agreement {
            Some(agreement) => agreement.training_accuracy,
            None => accuracy(&dataset.test)?.unwrap_or_default(),
        },
        test_images: dataset.test.len(),
        seconds: epochs.iter().map(|epoch| epoch.seconds).sum(),
        epochs,
        config: config.clone(),
        agreement,
    })
}
