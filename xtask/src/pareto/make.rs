//! Makes the points of a sweep: trains, compiles, evaluates through the runtime, prices.
//!
//! A finished point has a record in the sweep's folder and a finished run has its metrics: neither is made
//! again. A point that fails is reported and the others go on.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use fourbit_models::agreement::Agreement;
use fourbit_models::config::{Config, Precision};
use fourbit_models::dataset::{Dataset, SIDE};
use fourbit_models::float_forward::confusion;
use fourbit_models::graph::Graph;
use fourbit_models::linear;
use fourbit_models::metrics::Metrics;
use fourbit_models::pareto::{Price, price};
use fourbit_models::scheme::Setting;
use serde::Serialize;

use super::progress::{Progress, Work};
use super::record::{Layer, Record};
use super::sweep::{Family, Point, Sweep};
use crate::card::Facts;
use crate::compile::compile;
use crate::eval::evaluate;
use crate::failure::chain;
use crate::model::Model;
use crate::place::Place;
use crate::process::step;
use crate::report::Report;
use crate::twin::{self, Trained};
use crate::{paths, train};

/// A point that was not made.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// What a sweep is made with.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) data: &'a Dataset,
    pub(super) place: &'a Place,
    /// Its `threads` are in the recipes already.
    pub(super) options: &'a train::Options,
    /// Where artefacts, cards and records go.
    pub(super) folder: &'a Path,
    /// Accuracy of a linear model on the data, for the cards.
    linear: OnceCell<f64>,
    progress: Progress,
    failures: Vec<Failure>,
}

/// A finished training run.
#[derive(Debug)]
struct Run {
    graph: PathBuf,
    metrics: Metrics,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        sweep: &'a Sweep,
        (data, place): (&'a Dataset, &'a Place),
        options: &'a train::Options,
        folder: &'a Path,
    ) -> Self {
        let (linear, progress) = (OnceCell::new(), Progress::default());
        Self { sweep, data, place, options, folder, linear, progress, failures: Vec::new() }
    }

    /// Makes what is missing; gives the record of every point that is finished, in the sweep's order.
    pub(super) fn make(mut self) -> anyhow::Result<(Vec<Record>, Vec<Failure>)> {
        for family in &self.sweep.families {
            let missing: Vec<_> =
                family.points.iter().filter(|point| self.finished(point).is_none()).collect();
            for point in &family.points {
                if let Some(record) = self.finished(point) {
                    self.progress.known(&works(family, point), record.train_seconds);
                }
            }
            if missing.is_empty() {
                continue;
            }
            let base = self.trained(&base_name(family), &family.base, None);
            self.expect(work(family, &family.base), base.as_ref());
            for point in missing {
                self.progress.expect_point();
                let Some(config) = &point.config else { continue };
                let own = |base: &Run| self.trained(&own_name(point), config, Some(&base.graph));
                let own = base.as_ref().and_then(own);
                self.expect(work(family, config), own.as_ref());
            }
        }
        let all = self.sweep.points().count();
        eprintln!("{}: {} of {all} points are finished", self.sweep.name, all - self.progress.points());
        if self.progress.points() > 0 {
            train::build(self.options.backend)?;
        }
        for family in &self.sweep.families {
            self.family(family);
        }
        let records = self.sweep.points().filter_map(|point| self.finished(point)).collect();
        Ok((records, self.failures))
    }

    /// Counts a run as to be made, or as known where it is finished.
    fn expect(&mut self, work: Work, finished: Option<&Run>) {
        match finished {
            Some(run) => self.progress.known(&[work], run.metrics.seconds),
            None => self.progress.expect(work),
        }
    }

    /// The record of a point whose recipe, data, board and artefact are those of the sweep.
    fn finished(&self, point: &Point) -> Option<Record> {
        let record = Record::load(&self.file(point, "json")).ok().flatten()?;
        let same = record.key == point.key
            && record.recipe == point.recipe(&self.data.checksum)
            && record.data_sha256 == self.data.checksum
            && record.board == self.sweep.board;
        let artefact = || Model::read(&self.file(point, "fourbit")).ok().map(|model| model.sha256);
        (same && (record.artefact_sha256.is_none() || record.artefact_sha256 == artefact())).then_some(record)
    }

    fn file(&self, point: &Point, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", point.name))
    }

    /// Makes the missing points that share a float network.
    fn family(&mut self, family: &Family) {
        let mut missing: Vec<_> =
            family.points.iter().filter(|point| self.finished(point).is_none()).collect();
        if missing.is_empty() {
            return;
        }
        // The float point is what the others are compared with.
        missing.sort_by_key(|point| point.key.bits != Precision::Float);
        let base = match self.train(&base_name(family), &family.base, None, work(family, &family.base)) {
            Ok(base) => base,
            Err(error) => {
                let reason = format!("its float network was not made: {}", chain(&error));
                return missing.into_iter().for_each(|point| self.fail(family, point, &reason));
            }
        };
        for point in missing {
            if let Err(error) = self.point(family, point, &base) {
                self.fail(family, point, &chain(&error));
            }
        }
    }

    fn fail(&mut self, family: &Family, point: &Point, reason: &str) {
        eprintln!("error: {} failed: {reason}", point.name);
        point.config.iter().for_each(|config| self.progress.drop(work(family, config)));
        self.progress.point(None);
        self.failures.push(Failure { name: point.name.clone(), reason: reason.to_owned() });
    }

    /// Makes one point and leaves its record.
    fn point(&mut self, family: &Family, point: &Point, base: &Run) -> anyhow::Result<()> {
        let own = match &point.config {
            Some(config) => {
                Some(self.train(&own_name(point), config, Some(&base.graph), work(family, config))?)
            }
            None => None,
        };
        let begun = Instant::now();
        let run = own.as_ref().unwrap_or(base);
        step(&self.progress.line(&format!("measure {}", point.name)));
        let graph = Graph::load(&run.graph)?;
        let seconds = base.metrics.seconds + own.as_ref().map_or(0.0, |own| own.metrics.seconds);
        let float = self.record(point, &run.metrics, price(&graph), seconds);
        let record = match point.key.bits {
            Precision::Float => {
                let confusion = confusion(&graph, &self.data.test, self.data.classes.len());
                let correct: usize = confusion.iter().enumerate().map(|(truth, counts)| counts[truth]).sum();
                let accuracy = correct as f64 / self.data.test.len().max(1) as f64;
                Record { accuracy, confusion, ..float }
            }
            Precision::Quantized(bits) => {
                let complaints = run.metrics.agreement.iter().flat_map(Agreement::complaints);
                if let Some(complaint) = complaints.reduce(|all, next| format!("{all}; {next}")) {
                    bail!("training and runtime disagree: {complaint}");
                }
                let twin = family.points.iter().find(|point| point.key.bits == Precision::Float);
                let twin = twin.and_then(|point| self.finished(point));
                let recipes = point.config.iter().map(|config| (point.name.clone(), config.clone()));
                let trained = Trained {
                    graph,
                    float: Some(base.graph.clone()),
                    float_accuracy: Some(twin.map_or(base.metrics.test_accuracy, |twin| twin.accuracy)),
                    agreement: run.metrics.agreement.clone(),
                    seconds,
                    recipes: [(format!("{}-float-s{}", family.network, family.seed), family.base.clone())]
                        .into_iter()
                        .chain(recipes)
                        .collect(),
                };
                self.measure(point, bits, &trained, float)?
            }
        };
        record.save(&self.file(point, "json"))?;
        self.progress.point(Some(begun.elapsed()));
        Ok(())
    }

    /// A record with what training says: all of it for a float point.
    fn record(&self, point: &Point, metrics: &Metrics, price: Price, train_seconds: f64) -> Record {
        Record {
            name: point.name.clone(),
            key: point.key.clone(),
            accuracy: metrics.test_accuracy,
            train_accuracy: metrics.train_accuracy,
            macs: price.macs,
            weighted_macs: price.weighted_macs,
            instructions: None,
            model_bytes: price.bfloat16_bytes,
            code_bytes: None,
            arena_bytes: None,
            stack_bytes: None,
            train_seconds,
            recipe: point.recipe(&self.data.checksum),
            dataset: self.data.name.clone(),
            data_sha256: self.data.checksum.clone(),
            board: self.sweep.board.clone(),
            artefact_sha256: None,
            labels: self.data.classes.clone(),
            confusion: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Compiles a quantized point, evaluates it through the runtime, prices it, and writes artefact and card.
    fn measure(
        &self,
        point: &Point,
        bits: Setting,
        trained: &Trained,
        record: Record,
    ) -> anyhow::Result<Record> {
        let command = format!("cargo xtask pareto --config models/configs/{}.toml", self.sweep.name);
        let facts = Facts { name: &point.name, bits, dataset: self.data, trained, command };
        let artefact = self.file(point, "fourbit");
        paths::write(&artefact, &compile(&trained.graph, &facts.embedded())?)?;
        let model = Model::read(&artefact)?;
        let title = format!("{} on {}", point.name, self.data.name);
        let evaluation = evaluate(&model, &self.data.test, title, &self.data.classes)?;
        let (correct, images) = evaluation.correct();
        // The board's logits of the measured image are compared with the reference's.
        let (cost, ops) = self.place.cost(&model)?;
        let compared = usize::from(matches!(self.place, Place::Board(_)));
        let data = self.data;
        let linear = || linear::accuracy(&data.train, &data.test, data.classes.len());
        let report = Report {
            model: point.name.clone(),
            dataset: self.data.name.clone(),
            bits: bits.to_string(),
            float_accuracy: trained.float_accuracy,
            accuracy: correct as f64 / images as f64,
            linear_accuracy: *self.linear.get_or_init(linear),
            images,
            correct,
            board: self.sweep.board.clone(),
            cost,
            board_images: compared,
            board_equal: compared,
            agreement: trained.agreement.clone(),
            training_seconds: trained.seconds,
            artefact,
            card: self.file(point, "md"),
            picture: PathBuf::new(),
        };
        paths::write(&report.card, facts.page(&report, &evaluation).as_bytes())?;
        let layer = |op: crate::place::OpCost| Layer { name: op.name, instructions: op.instructions };
        Ok(Record {
            accuracy: report.accuracy,
            instructions: cost.instructions,
            model_bytes: cost.artefact_bytes,
            code_bytes: cost.code_bytes,
            arena_bytes: Some(cost.arena_bytes),
            stack_bytes: cost.stack_bytes,
            artefact_sha256: Some(model.sha256.clone()),
            confusion: evaluation.confusion,
            layers: ops.into_iter().map(layer).collect(),
            ..record
        })
    }

    /// A run that was finished before.
    fn trained(&self, name: &str, config: &Config, init: Option<&Path>) -> Option<Run> {
        let folder = twin::folder(name, config, &self.data.checksum, init, self.options).ok()?;
        Run::finished(&folder, config)
    }

    /// One training run, if it is not finished already.
    fn train(&mut self, name: &str, config: &Config, init: Option<&Path>, work: Work) -> anyhow::Result<Run> {
        twin::enough(config, self.data)?;
        let folder = twin::folder(name, config, &self.data.checksum, init, self.options)?;
        if let Some(run) = Run::finished(&folder, config) {
            return Ok(run);
        }
        step(&self.progress.line(&format!("train {name}")));
        let recipe = folder.join("recipe.toml");
        paths::write(&recipe, toml::to_string(config)?.as_bytes())?;
        train::start(&recipe, &folder, init, self.options)?;
        let run = Run::finished(&folder, config).context("the run left no graph")?;
        self.progress.ran(work, run.metrics.seconds);
        Ok(run)
    }
}

/// The name of the float network that a family's points start from.
fn base_name(family: &Family) -> String {
    format!("{}-float-s{}", family.network, family.seed)
}

/// The name of a point's own run. Beside the float network that it starts from, a float point has another.
fn own_name(point: &Point) -> String {
    let tuned = if point.key.bits == Precision::Float { "-tuned" } else { "" };
    format!("{}{tuned}", point.name)
}

impl Run {
    /// The run of a folder where it is finished: its metrics are written last.
    fn finished(folder: &Path, config: &Config) -> Option<Self> {
        let metrics = train::measured(folder).ok()?;
        let graph = folder.join(format!("{}.graph", config.setting.name()));
        graph.is_file().then_some(Self { graph, metrics })
    }
}

fn work(family: &Family, config: &Config) -> Work {
    let part = |epoch| (config.side(epoch) as f64 / SIDE as f64).powi(2);
    let epochs = (1..=config.epochs).map(part).sum();
    Work { macs: family.macs, epochs, quantized: config.setting != Precision::Float }
}

/// All runs behind a point.
fn works(family: &Family, point: &Point) -> Vec<Work> {
    [Some(&family.base), point.config.as_ref()]
        .into_iter()
        .flatten()
        .map(|config| work(family, config))
        .collect()
}
