//! `bench`: what a model costs on a board: instructions or cycles per operation, RAM, flash; and what
//! other runtimes were measured to take for the same network.

use std::path::PathBuf;

use clap::Args;
use comfy_table::CellAlignment;
use fourbit_models::simulate::{Backend, Simulator};
use fourbit_tests::image;
use serde::Serialize;

use crate::cycles::{self, Estimate};
use crate::model::Model;
use crate::paths;
use crate::peers::{self, Peer};
use crate::picture::{self, Bars};
use crate::place::{OpCost, Place};
use crate::ram::{self, Bytes};
use crate::table::{Table, percent, thousands};

/// What the estimate stands beside.
const ABOUT: &str = "estimated from what was executed; the int8 kernel spends 26 instructions, 8 of them loads, \
                     on 16 products, and nothing else is counted there";
/// Runs of one image that are timed in the simulator.
const RUNS: usize = 200;

/// Measures what a model costs on a board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask bench --model resnet8-cifar10-w4a8 --board mps2-an386
  cargo xtask bench --model resnet8-cifar10-w4a8 --max-ram 20K
  cargo xtask bench --model resnet8-cifar10-w4a8 --board sim
  cargo xtask bench --model target/fourbit/resnet8-shapes-w4a8/resnet8-shapes-w4a8.fourbit --json

Instructions are counted by the emulator, cycles by a chip, for one image, from the int8 image to the
logits; on this machine (sim) it is the time of one thread. Code is what a product with this one network
adds to flash beside the artefact; the stack is its high-water mark. The input is drawn from a seed.

Cycles of emulated cores are an estimate (docs/costs.md), and so named.")]
pub(crate) struct Bench {
    /// A .fourbit file, or a name in models/artefacts
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// sim, or a folder in boards
    #[arg(long, value_name = "BOARD", default_value = "mps2-an386")]
    board: String,
    /// Plan the model again for so many bytes of arena: 26000, 26K (1,000 bytes each), 24KiB
    #[arg(long, value_name = "BYTES")]
    max_ram: Option<Bytes>,
    /// Where the picture of instructions per operation goes (default: target/fourbit/bench)
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

/// A measurement, as `--json` prints it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) model: String,
    pub(crate) artefact_sha256: String,
    pub(crate) board: String,
    pub(crate) instructions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cycles: Option<u64>,
    /// Median for one image on one thread; in the simulator only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) milliseconds: Option<f64>,
    pub(crate) arena_bytes: usize,
    pub(crate) stack_bytes: Option<usize>,
    pub(crate) code_bytes: Option<usize>,
    pub(crate) artefact_bytes: usize,
    pub(crate) flash: Flash,
    /// Multiplications, padding counted.
    pub(crate) macs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimated_cycles: Option<Estimate>,
    pub(crate) ops: Vec<OpCost>,
    pub(crate) peers: Vec<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) picture: Option<PathBuf>,
}

/// What the bytes in flash are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Flash {
    /// Instructions.
    pub(crate) code_bytes: Option<usize>,
    /// The code's constants and initial values.
    pub(crate) constants_bytes: Option<usize>,
    /// Weights in the artefact.
    pub(crate) weights_bytes: usize,
    /// The rest of the artefact: biases, rescales, operations, plans, names.
    pub(crate) tables_bytes: usize,
}

impl Bench {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let place = Place::named(&self.board)?;
        let model = Model::open(&self.model)?;
        let model = match self.max_ram {
            Some(bytes) => ram::within(&model, bytes)?,
            None => model,
        };
        let mut report = measure(&model, &place, &self.board)?;
        match &place {
            Place::Simulator => report.milliseconds = Some(milliseconds(&model)?),
            Place::Board(board) => {
                report.peers = peers::of(report.macs, &board.core)?;
                if let Some(instructions) = report.instructions {
                    let known = cycles::covers(board.family());
                    report.estimated_cycles = known
                        .then(|| cycles::estimate(&model, board, instructions, report.macs))
                        .transpose()?;
                    let picture = self.picture.clone().unwrap_or_else(|| {
                        paths::out(None, "bench").join(format!("{}.{}.png", model.name, board.name))
                    });
                    paths::write(&picture, &draw(&report)?)?;
                    report.picture = Some(picture);
                }
            }
        }
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            show(&report)?;
        }
        Ok(())
    }
}

/// Measures one image of noise, which costs what any image costs.
pub(crate) fn measure(model: &Model, place: &Place, board: &str) -> anyhow::Result<Report> {
    let (cost, ops) = place.cost(model)?;
    let artefact = model.artefact()?;
    let weights_bytes = artefact.weights().len();
    let flash = Flash {
        code_bytes: cost.flash.map(|flash| flash.code),
        constants_bytes: cost.flash.map(|flash| flash.constants),
        weights_bytes,
        tables_bytes: cost.artefact_bytes - weights_bytes,
    };
    Ok(Report {
        model: model.name.clone(),
        artefact_sha256: model.sha256.clone(),
        board: board.to_owned(),
        instructions: cost.instructions,
        cycles: cost.cycles,
        arena_bytes: cost.arena_bytes,
        stack_bytes: cost.stack_bytes,
        code_bytes: cost.code_bytes,
        artefact_bytes: cost.artefact_bytes,
        flash,
        macs: peers::macs(&artefact),
        ops,
        ..Report::default()
    })
}

/// The median of some runs of one image on this thread.
fn milliseconds(model: &Model) -> anyhow::Result<f64> {
    let artefact = model.artefact()?;
    let mut values = vec![0; artefact.header().input_shape.elements()];
    image::noise(image::BENCH_SEED, &mut values);
    let mut seconds = Simulator::new(artefact, Backend::Host).seconds(&values, RUNS)?;
    seconds.sort_by(f64::total_cmp);
    Ok(1000.0 * seconds[seconds.len() / 2])
}

fn draw(report: &Report) -> anyhow::Result<Vec<u8>> {
    let ours: Vec<_> = report.ops.iter().map(|op| (op.name.clone(), op.instructions.unwrap_or(0))).collect();
    // Bars need the layers of a peer.
    let peers: Vec<_> = report.peers.iter().filter(|peer| !peer.ops.is_empty()).cloned().collect();
    let own = |peer: &&Peer| {
        peer.ops
            .iter()
            .flat_map(|(names, _)| names)
            .all(|name| ours.iter().any(|(own, _)| own.split(" + ").any(|own| own == name)))
    };
    let peers: Vec<_> = peers.iter().filter(own).cloned().collect();
    let names = std::iter::once("Fourbit").chain(peers.iter().map(|peer| peer.name.as_str()));
    let totals = report.instructions.into_iter().chain(peers.iter().map(|peer| peer.instructions));
    let title = format!("{} on {}", report.model, report.board);
    let layers = peers::layers(&ours, &peers);
    picture::layers(&Bars {
        title: &title,
        runtimes: names.collect(),
        totals: totals.collect(),
        layers: &layers,
    })
}

/// Everything, for people.
fn show(report: &Report) -> anyhow::Result<()> {
    println!("{}\n{}\n\n{}", totals(report), sha256(report), flash(report));
    if let Some(estimate) = &report.estimated_cycles {
        println!("\n{}", estimated(estimate));
    }
    println!(
        "\n{}",
        report.estimated_cycles.as_ref().map_or_else(|| ops(report), |cycles| priced(report, cycles))
    );
    if let Some(milliseconds) = report.milliseconds {
        println!("\n{milliseconds:.3} ms an image on one thread, median of {RUNS}");
    }
    if !report.peers.is_empty() {
        println!("\n{}", peers::table(report)?);
    }
    if let Some(picture) = &report.picture {
        println!("\n{}", paths::shown(picture));
    }
    Ok(())
}

/// The totals, a row each: also the head of a snapshot.
pub(crate) fn totals(report: &Report) -> Table {
    let mut table = Table::new([report.model.as_str(), report.board.as_str()]);
    let bytes = |n: Option<usize>| n.map_or("not measured".to_owned(), |n| thousands(n as u64));
    let count = report.cycles.or(report.instructions).map_or("not counted".to_owned(), thousands);
    table.row([unit(report), &count]);
    table.row(["arena bytes", &bytes(Some(report.arena_bytes))]);
    table.row(["stack bytes", &bytes(report.stack_bytes)]);
    table.row(["code bytes", &bytes(report.code_bytes)]);
    table.row(["artefact bytes", &bytes(Some(report.artefact_bytes))]);
    table.align(1..2, CellAlignment::Right);
    table
}

fn sha256(report: &Report) -> String {
    format!("artefact's SHA-256  {}", report.artefact_sha256)
}

/// What lies in flash; code is the product's, without a console.
fn flash(report: &Report) -> Table {
    let Flash { code_bytes, constants_bytes, weights_bytes, tables_bytes } = report.flash;
    let mut table = Table::new(["flash", "bytes"]);
    for (what, bytes) in [
        ("code", code_bytes),
        ("constants of the code", constants_bytes),
        ("weights", Some(weights_bytes)),
        ("tables of the artefact", Some(tables_bytes)),
    ] {
        table.row([what, &bytes.map_or("not measured".to_owned(), |n| thousands(n as u64))]);
    }
    table.align(1..2, CellAlignment::Right);
    table
}

/// Estimated cycles beside those of an int8 kernel, and what they are made of.
fn estimated(estimate: &Estimate) -> String {
    let mut table = Table::new(["estimated cycles", "network", "int8 kernel", "share"]);
    let Estimate { network, int8_kernel, mix, .. } = estimate;
    for (core, ours, int8) in [
        ("Cortex-M4", network.cortex_m4, int8_kernel.cortex_m4),
        ("Cortex-M7", network.cortex_m7, int8_kernel.cortex_m7),
    ] {
        let share = percent(ours as f64 / int8.max(1) as f64);
        table.row([core, &thousands(ours), &thousands(int8), &share]);
    }
    table.align(1..4, CellAlignment::Right);
    format!("{table}\n{ABOUT}\n\n{}", mixed(mix))
}

/// Instructions by class.
fn mixed(mix: &cycles::Mix) -> Table {
    let mut table = Table::new(["executed", "instructions", "words"]);
    for (class, count, words) in [
        ("arithmetic, moves, branches", mix.simple, None),
        ("branches that were taken, of these", mix.taken, None),
        ("multiplications", mix.multiplies, None),
        ("64-bit multiplications", mix.long_multiplies, None),
        ("divisions", mix.divisions, None),
        ("loads", mix.loads, Some(mix.loads)),
        ("loads of several words", mix.multiple_loads, Some(mix.words_loaded)),
        ("stores", mix.stores, Some(mix.stores)),
        ("stores of several words", mix.multiple_stores, Some(mix.words_stored)),
    ] {
        table.row([class, &thousands(count), &words.map_or(String::new(), thousands)]);
    }
    table.align(1..3, CellAlignment::Right);
    table
}

/// What was counted.
fn unit(report: &Report) -> &'static str {
    if report.cycles.is_some() { "cycles" } else { "instructions" }
}

/// Instructions or cycles of each operation and its share: also the body of a snapshot.
pub(crate) fn ops(report: &Report) -> Table {
    let mut table = Table::new(["op", unit(report), "share"]);
    let total = report.cycles.or(report.instructions).unwrap_or(0).max(1) as f64;
    for op in &report.ops {
        let count = op.cycles.or(op.instructions);
        let share = count.map_or(String::new(), |n| format!("{:.1} %", 100.0 * n as f64 / total));
        table.row([&op.name, &count.map_or("-".to_owned(), thousands), &share]);
    }
    table.align(1..3, CellAlignment::Right);
    table
}

/// Instructions of each operation and its estimated cycles.
fn priced(report: &Report, estimate: &Estimate) -> Table {
    let mut table =
        Table::new(["op", "instructions", "share", "M4 cycles, estimated", "M7 cycles, estimated"]);
    let total = report.instructions.unwrap_or(0).max(1) as f64;
    for (op, cycles) in report.ops.iter().zip(&estimate.ops) {
        let count = op.instructions.unwrap_or(0);
        let share = format!("{:.1} %", 100.0 * count as f64 / total);
        let [count, m4, m7] = [count, cycles.cortex_m4, cycles.cortex_m7].map(thousands);
        table.row([&op.name, &count, &share, &m4, &m7]);
    }
    table.align(1..5, CellAlignment::Right);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_the_promised_keys() {
        let report = Report {
            model: "m".into(),
            artefact_sha256: "0".into(),
            board: "sim".into(),
            arena_bytes: 1,
            artefact_bytes: 2,
            ops: vec![OpCost { name: "conv1".into(), instructions: None, cycles: None }],
            ..Report::default()
        };
        let json = serde_json::to_value(&report).unwrap();
        let keys = ["model", "artefact_sha256", "board", "instructions", "arena_bytes", "stack_bytes"];
        let keys = keys.iter().chain(&["code_bytes", "artefact_bytes", "flash", "macs", "peers"]);
        assert!(keys.into_iter().all(|key| json.get(key).is_some()));
        assert!(json["instructions"].is_null() && json["ops"][0]["name"] == "conv1");
        assert!(ops(&report).to_string().ends_with("conv1             -"));
        let op = OpCost { name: "conv1".into(), instructions: None, cycles: Some(5) };
        let report = Report { cycles: Some(10), ops: vec![op], ..report };
        assert_eq!(
            ops(&report).to_string(),
            "op     cycles   share\n---------------------\nconv1       5  50.0 %"
        );
    }

    #[test]
    fn the_parts_of_flash_are_all_of_it() {
        let model = Model::open("resnet8-cifar10-w4a8").unwrap();
        let report = measure(&model, &Place::Simulator, "sim").unwrap();
        assert_eq!(report.flash.weights_bytes + report.flash.tables_bytes, model.bytes().len());
        // 77,360 weights, of which the first and the last layer's 1,072 have 8 bits.
        assert!((38_000..41_000).contains(&report.flash.weights_bytes), "{:?}", report.flash);
    }
}
