//! The training runs behind an artefact: a float network, its quantized twin, and where there is a recipe
//! for it a float twin that trains as long in total.
//!
//! A run's folder carries a digest of its recipe and its data, so that a run that was interrupted or finished
//! is found again and a changed recipe starts anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fourbit_models::agreement::Agreement;
use fourbit_models::config::Config;
use fourbit_models::dataset::{Dataset, Kind, Split};
use fourbit_models::float_forward;
use fourbit_models::graph::Graph;
use fourbit_models::scheme::Setting;
use sha2::{Digest, Sha256};

use crate::failure::{OrBadInput, bad_input};
use crate::paths;
use crate::process::step;
use crate::train::{self, Options};

/// The parts of a recipe's name that are no bit setting.
const FLOAT: &str = "float";
const TUNED: &str = "float-tuned";

/// A network whose bits are set, and how it came about.
#[derive(Debug)]
pub(crate) struct Trained {
    /// With ranges for every activation and bits for every filter.
    pub(crate) graph: Graph,
    /// The float graph that quantized training began with; none where a quantized graph was given.
    pub(crate) float: Option<PathBuf>,
    /// Of the float twin, a fraction; none where a quantized graph was given.
    pub(crate) float_accuracy: Option<f64>,
    /// The network beside its artefact; none where a graph was given without the metrics of its run.
    pub(crate) agreement: Option<Agreement>,
    /// Wall clock of the runs made now.
    pub(crate) seconds: f64,
    /// The recipes, in order: a name and the configuration.
    pub(crate) recipes: Vec<(String, Config)>,
}

impl Trained {
    /// Trains what is missing: nothing where `from` is a quantized graph, the quantized twin
    /// where it is a float graph of the data's classes, both where there is none or it has other classes
    /// and only lends its weights.
    pub(crate) fn make(
        arch: &str,
        (dataset, data): (Kind, &Dataset),
        bits: Setting,
        from: Option<&Path>,
        options: &Options,
    ) -> anyhow::Result<Self> {
        if let Some(graph) = from.map(load).transpose()?.filter(is_quantized) {
            let agreement = from.and_then(Path::parent).and_then(agreement);
            let (seconds, recipes) = (0.0, Vec::new());
            return Ok(Self { graph, float: None, float_accuracy: None, agreement, seconds, recipes });
        }
        train::build(options.backend)?;
        let mut runs = Runs { arch, dataset, data, options, seconds: 0.0, recipes: Vec::new() };
        let float = match from {
            Some(path) if load(path)?.labels == data.classes => {
                let published = paths::artefacts().join(format!("{arch}-{dataset}-{FLOAT}.graph"));
                if paths::inside(path).is_some_and(|path| paths::inside(&published) == Some(path)) {
                    runs.name(FLOAT)?;
                }
                path.to_owned()
            }
            _ => runs.train(FLOAT, from)?,
        };
        let quantized = runs.train(bits.name(), Some(&float))?;
        let graph = load(&quantized)?;
        let twin = match runs.recipe(TUNED).is_file() {
            true => runs.train(TUNED, Some(&float))?,
            false => float.clone(),
        };
        let float_accuracy = Some(match twin.parent().and_then(accuracy) {
            Some(accuracy) => accuracy,
            None => float_forward::accuracy(&load(&twin)?, &data.test),
        });
        let agreement = quantized.parent().and_then(agreement);
        let Runs { seconds, recipes, .. } = runs;
        Ok(Self { graph, float: Some(float), float_accuracy, agreement, seconds, recipes })
    }
}

/// Training runs made one after the other.
struct Runs<'a> {
    arch: &'a str,
    dataset: Kind,
    data: &'a Dataset,
    options: &'a Options,
    seconds: f64,
    recipes: Vec<(String, Config)>,
}

impl Runs<'_> {
    /// The file that says how this part is trained.
    fn recipe(&self, part: &str) -> PathBuf {
        paths::configs().join(format!("{}-{}-{part}.toml", self.arch, self.dataset))
    }

    /// Names the recipe of a part that was trained before.
    fn name(&mut self, part: &str) -> anyhow::Result<(PathBuf, Config)> {
        let path = self.recipe(part);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let config = Config::load(&path).or_bad_input(|| format!("no recipe for {name}"))?;
        self.recipes.push((name, config.clone()));
        Ok((path, config))
    }

    /// One run, from `init`, or else from what the recipe names; gives the graph that it left.
    fn train(&mut self, part: &str, init: Option<&Path>) -> anyhow::Result<PathBuf> {
        let options = self.options;
        step(&format!("train {}-{}-{part}", self.arch, self.dataset));
        let (path, config) = self.name(part)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        enough(&config, self.data)?;
        let named = config.init.as_ref().map(|init| paths::root().join(init));
        let init = init.or(named.as_deref());
        let run = folder(&name, &config, &self.data.checksum, init, options)?;
        train::start(&path, &run, init, options)?;
        let seconds = train::metrics(&run)?.get("seconds").and_then(serde_json::Value::as_f64);
        self.seconds += seconds.unwrap_or(0.0);
        let setting = config.setting.name();
        Ok(run.join(format!("{setting}.graph")))
    }
}

/// The folder of a run, by its recipe, the data's checksum and the graph that it starts from.
pub(crate) fn folder(
    name: &str,
    config: &Config,
    data: &str,
    init: Option<&Path>,
    options: &Options,
) -> anyhow::Result<PathBuf> {
    Ok(paths::runs(options.runs.as_deref()).join(format!("{name}-{}", digest(config, data, init)?)))
}

/// Refuses a data set that does not fill one batch.
pub(crate) fn enough(config: &Config, data: &Dataset) -> anyhow::Result<()> {
    let held_out = if config.split == Split::All { data.held_out.len() } else { 0 };
    let (images, batch, name) = (data.train.len() + held_out, config.batch, &data.name);
    if images < batch {
        return Err(bad_input(format!(
            "{name} has {images} training images and its recipe needs at least {batch}: add images"
        )));
    }
    Ok(())
}

fn load(path: &Path) -> anyhow::Result<Graph> {
    Graph::load(path).or_bad_input(|| "the graph cannot be used".to_owned())
}

/// Whether every bit is set, so that nothing is left to train.
fn is_quantized(graph: &Graph) -> bool {
    graph.tensors.iter().all(|tensor| tensor.range.is_some())
}

/// What a finished run says of its network on the test images.
fn accuracy(run: &Path) -> Option<f64> {
    train::metrics(run).ok()?.get("test_accuracy")?.as_f64()
}

/// What a finished quantized run says of its network beside its artefact.
fn agreement(run: &Path) -> Option<Agreement> {
    let mut metrics = train::metrics(run).ok()?;
    serde_json::from_value(metrics.get_mut("agreement")?.take()).ok()?
}

/// Twelve digits that stand for a recipe, the data's checksum, and the graphs that it starts and learns from.
fn digest(config: &Config, data: &str, init: Option<&Path>) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    hash.update(toml::to_string(config).context("a recipe that was read can be written")?);
    hash.update(data);
    let teacher = config.teacher.as_ref().map(|teacher| paths::root().join(teacher));
    for graph in init.into_iter().chain(teacher.as_deref()) {
        hash.update(fs::read(graph).or_bad_input(|| format!("cannot read {}", paths::shown(graph)))?);
    }
    Ok(hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourbit_models::dataset::{IMAGE_BYTES, Images};

    #[test]
    fn agreement_comes_from_the_metrics() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(agreement(run.path()), None);
        let found = |text: &str| {
            fs::write(run.path().join("metrics.json"), text).unwrap();
            agreement(run.path())
        };
        assert_eq!(found("{}"), None);
        assert_eq!(found(r#"{"agreement": null}"#), None);
        let measured = Agreement {
            layers: vec![],
            images: 10,
            same_top1: 9,
            training_accuracy: 0.5,
            runtime_accuracy: 0.5,
        };
        let text = serde_json::json!({ "agreement": measured }).to_string();
        assert_eq!(found(&text), Some(measured));
    }

    #[test]
    fn a_data_set_fills_a_batch() {
        let text = "dataset = 'folder'\narch = 'resnet8'\nwidth = 1.0\nsetting = 'float'\nepochs = 1\nlr = 0.1\nseed = 1\nbatch = 32\n";
        let images = |count| Images { pixels: vec![0; count * IMAGE_BYTES], labels: vec![0; count] };
        let data = Dataset {
            name: "folder photos".into(),
            classes: vec![],
            train: images(30),
            held_out: images(2),
            test: images(1),
            checksum: String::new(),
        };
        let all = Config::parse(text).unwrap();
        assert!(enough(&all, &data).is_ok());
        let part = Config { split: Split::HoldOut, ..all };
        let sentence = "folder photos has 30 training images and its recipe needs at least 32: add images";
        assert_eq!(enough(&part, &data).unwrap_err().to_string(), sentence);
    }

    #[test]
    fn another_recipe_or_data_has_another_folder() {
        let text = "dataset = 'shapes'\narch = 'resnet8'\nwidth = 1.0\nsetting = 'float'\nepochs = 1\nlr = 0.1\nseed = 1\n";
        let one = Config::parse(text).unwrap();
        let two = Config { seed: 2, ..one.clone() };
        let digest = |config, data| digest(config, data, None).unwrap();
        assert_ne!(digest(&one, "data"), digest(&two, "data"));
        assert_ne!(digest(&one, "data"), digest(&one, "other"));
        assert_eq!(digest(&one, "data").len(), 12);
    }
}
