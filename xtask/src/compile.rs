//! `compile`: a graph whose bits are set to an artefact, its plan as a table and as a picture.

use std::path::PathBuf;

use clap::Args;
use fourbit::kernels::Family;
use fourbit_models::graph::Graph;
use fourbit_models::quantize::quantize;
use serde::Serialize;

use crate::failure::OrBadInput;
use crate::inspect::placements;
use crate::model::Model;
use crate::table::thousands;
use crate::{describe, paths, picture};

/// Compiles a quantized graph to an artefact; prints its plan and draws the arena over time.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask compile target/runs/resnet8-shapes-w4a8/w4a8.graph --name my-network

The artefact NAME.fourbit and the picture NAME-arena.png go to --out.")]
pub(crate) struct Compile {
    /// A graph that `train` left, with a bit setting
    #[arg(value_name = "GRAPH")]
    graph: PathBuf,
    /// The artefact's name; by default the graph's file name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Text file that goes into the artefact as its card
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Where the results go; by default target/fourbit/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    artefact: PathBuf,
    picture: PathBuf,
    artefact_sha256: String,
    artefact_bytes: usize,
    arena_bytes: usize,
    lower_bound_bytes: usize,
}

impl Compile {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let graph = Graph::load(&self.graph).or_bad_input(|| "the graph cannot be used".to_owned())?;
        let card = self.card.as_ref().map(std::fs::read_to_string).transpose();
        let card = card.or_bad_input(|| "cannot read the card".to_owned())?.unwrap_or_default();
        let stem = self.graph.file_stem().unwrap_or_default().to_string_lossy();
        let name = self.name.clone().unwrap_or_else(|| stem.into_owned());
        let out = paths::out(self.out.as_deref(), &name);
        let file = out.join(format!("{name}.fourbit"));
        paths::write(&file, &compile(&graph, &card)?)?;
        let model = Model::read(&file)?;
        let artefact = model.artefact()?;
        let (Some(plan), Some(view)) =
            (artefact.plan(Family::Portable), describe::plan(&artefact, Family::Portable))
        else {
            anyhow::bail!("the artefact has no portable plan");
        };
        let picture = out.join(format!("{name}-arena.png"));
        let drawn = picture::arena(&format!("Arena of {name}"), &artefact, plan, view.lower_bound_bytes)?;
        paths::write(&picture, &drawn)?;
        let report = Report {
            model: name,
            artefact: file.clone(),
            picture,
            artefact_sha256: model.sha256.clone(),
            artefact_bytes: model.bytes().len(),
            arena_bytes: view.arena_bytes,
            lower_bound_bytes: view.lower_bound_bytes,
        };
        if json {
            println!("{}", serde_json::to_string(&report)?);
            return Ok(());
        }
        println!("{}\n", placements(&view));
        let [bytes, arena, bound] = [report.artefact_bytes, report.arena_bytes, report.lower_bound_bytes]
            .map(|bytes| thousands(bytes as u64));
        println!("{bytes} bytes of artefact, {arena} bytes of arena; whole tensors need at least {bound}");
        println!("{}\n{}", paths::shown(&report.artefact), paths::shown(&report.picture));
        Ok(())
    }
}

/// The bytes of the artefact of a graph whose bits are set.
pub(crate) fn compile(graph: &Graph, card: &str) -> anyhow::Result<Vec<u8>> {
    let graph = quantize(graph).or_bad_input(|| format!("the graph {} cannot be quantized", graph.name))?;
    let compiled = fourbit_models::compile::compile(&graph, &graph.labels, card);
    compiled.or_bad_input(|| format!("the graph {} cannot be compiled", graph.name))
}
