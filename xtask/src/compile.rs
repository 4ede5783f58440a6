//! `compile`: a graph whose bits are set, or an artefact that is planned again, to an artefact; its
//! plan as a table and as a picture, and what other limits would cost.

use std::path::PathBuf;

use clap::Args;
use comfy_table::CellAlignment;
use fourbit::kernels::Family;
use fourbit_models::compile::{Plan, compile_within, curve as plans, read};
use fourbit_models::graph::Graph;
use fourbit_models::quantize::{QGraph, quantize};
use serde::Serialize;

use crate::failure::OrBadInput;
use crate::inspect::{choices, placements};
use crate::model::Model;
use crate::ram::Bytes;
use crate::table::{Table, thousands};
use crate::{describe, paths, picture};

/// The kernels whose plan is shown.
const SHOWN: Family = Family::Armv7em;

/// Compiles a quantized graph to an artefact, or plans an artefact again; prints its plan and draws
/// the arena over time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask compile target/runs/resnet8-shapes-w4a8/w4a8.graph --name my-network
  cargo xtask compile models/artefacts/resnet8-shapes-w4a8.fourbit --max-ram 20K

Without --max-ram plans take at most 26,000 bytes of arena where the network can, and are the fastest
where it cannot.

The artefact NAME.fourbit and the picture NAME-arena.png go to --out.")]
pub(crate) struct Compile {
    /// A graph that `train` left, with a bit setting, or a .fourbit file
    #[arg(value_name = "GRAPH")]
    graph: PathBuf,
    /// The artefact's name; by default the graph's file name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Most bytes of arena: 26000, 26K (1,000 bytes each), 24KiB; the simulator takes what it likes
    #[arg(long, value_name = "BYTES")]
    max_ram: Option<Bytes>,
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
    /// The operations that run when most of the arena is in use.
    peak: Vec<String>,
    lower_bound_bytes: usize,
    curve: Vec<Point>,
}

/// A plan that no other undercuts.
#[derive(Debug, Serialize)]
struct Point {
    arena_bytes: usize,
    /// An estimate.
    instructions: u64,
    peak: Vec<String>,
}

impl Compile {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let card = self.card.as_ref().map(std::fs::read_to_string).transpose();
        let card = card.or_bad_input(|| "cannot read the card".to_owned())?;
        let stem = self.graph.file_stem().unwrap_or_default().to_string_lossy();
        let name = self.name.clone().unwrap_or_else(|| stem.into_owned());
        let (graph, old) = self.network(&name)?;
        let card = card.or(old).unwrap_or_default();
        let compiled = compile_within(&graph, &graph.labels, &card, self.max_ram.map(|bytes| bytes.0));
        let compiled = compiled.or_bad_input(|| format!("the graph {} cannot be compiled", graph.name))?;
        let out = paths::out(self.out.as_deref(), &name);
        let file = out.join(format!("{name}.fourbit"));
        paths::write(&file, &compiled)?;
        let model = Model::read(&file)?;
        let artefact = model.artefact()?;
        let (Some(plan), Some(view)) = (artefact.plan(SHOWN), describe::plan(&artefact, SHOWN)) else {
            anyhow::bail!("the artefact has no plan for {}", describe::family_name(SHOWN));
        };
        let picture = out.join(format!("{name}-arena.png"));
        let drawn = picture::arena(&format!("Arena of {name}"), &artefact, plan, view.lower_bound_bytes)?;
        paths::write(&picture, &drawn)?;
        let curve = curve(&graph);
        let own = curve.iter().rev().find(|point| point.arena_bytes <= view.arena_bytes);
        let report = Report {
            model: name,
            artefact: file.clone(),
            picture,
            artefact_sha256: model.sha256.clone(),
            artefact_bytes: model.bytes().len(),
            arena_bytes: view.arena_bytes,
            peak: own.map_or_else(Vec::new, |point| point.peak.clone()),
            lower_bound_bytes: view.lower_bound_bytes,
            curve,
        };
        if json {
            println!("{}", serde_json::to_string(&report)?);
            return Ok(());
        }
        println!("{}\n\n{}\n", placements(&view), choices(&view));
        println!("{}\n", table(&report));
        let [bytes, arena, bound] = [report.artefact_bytes, report.arena_bytes, report.lower_bound_bytes]
            .map(|bytes| thousands(bytes as u64));
        println!("{bytes} bytes of artefact, {arena} bytes of arena; whole tensors need at least {bound}");
        println!("{}\n{}", paths::shown(&report.artefact), paths::shown(&report.picture));
        Ok(())
    }
}

impl Compile {
    /// The network, and the card of the artefact that it was read from.
    fn network(&self, name: &str) -> anyhow::Result<(QGraph, Option<String>)> {
        if self.graph.extension().is_some_and(|extension| extension == "fourbit") {
            let model = Model::read(&self.graph)?;
            let artefact = model.artefact()?;
            return Ok((read(&artefact, name), Some(artefact.card().to_owned())));
        }
        let graph = Graph::load(&self.graph).or_bad_input(|| "the graph cannot be used".to_owned())?;
        let graph =
            quantize(&graph).or_bad_input(|| format!("the graph {} cannot be quantized", graph.name))?;
        Ok((graph, None))
    }
}

/// What each limit would cost.
fn curve(graph: &QGraph) -> Vec<Point> {
    let (plans, nodes) = plans(graph, SHOWN);
    let point = |plan: Plan| Point {
        arena_bytes: plan.arena_bytes,
        instructions: plan.instructions,
        peak: nodes[plan.crowded].to_vec(),
    };
    plans.into_iter().map(point).collect()
}

/// The plans from the smallest to the fastest, the one that was chosen marked.
fn table(report: &Report) -> Table {
    let mut table = Table::new(["", "arena", "instructions, about", "most in use during"]);
    for point in &report.curve {
        let mark = if point.arena_bytes == report.arena_bytes { "*" } else { "" };
        let (arena, instructions) = (thousands(point.arena_bytes as u64), thousands(point.instructions));
        let peak = match &point.peak[..] {
            [first, .., last] => format!("{first} to {last}"),
            names => names.concat(),
        };
        table.row([mark, &arena, &instructions, &peak]);
    }
    table.align(1..3, CellAlignment::Right);
    table
}

/// The bytes of the artefact of a graph whose bits are set.
pub(crate) fn compile(graph: &Graph, card: &str) -> anyhow::Result<Vec<u8>> {
    let graph = quantize(graph).or_bad_input(|| format!("the graph {} cannot be quantized", graph.name))?;
    let compiled = fourbit_models::compile::compile(&graph, &graph.labels, card);
    compiled.or_bad_input(|| format!("the graph {} cannot be compiled", graph.name))
}
