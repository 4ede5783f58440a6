//! `bench`: what a model costs on a board: instructions per operation, RAM, flash.

use clap::Args;
use comfy_table::CellAlignment;
use serde::Serialize;

use crate::model::Model;
use crate::place::{OpCost, Place};
use crate::ram::{self, Bytes};
use crate::table::{Table, thousands};

/// Measures what a model costs on a board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask bench --model resnet8-cifar10-w4a8 --board mps2-an386
  cargo xtask bench --model resnet8-cifar10-w4a8 --max-ram 20K
  cargo xtask bench --model target/fourbit/resnet8-shapes-w4a8/resnet8-shapes-w4a8.fourbit --json

Instructions are counted by the emulator, one image, from the int8 image to the logits. Code is what the
classifier adds to flash beside the artefact; the stack is its high-water mark. The input is drawn
from a seed.")]
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
}

/// A measurement, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) model: String,
    pub(crate) artefact_sha256: String,
    pub(crate) board: String,
    pub(crate) instructions: Option<u64>,
    pub(crate) arena_bytes: usize,
    pub(crate) stack_bytes: Option<usize>,
    pub(crate) code_bytes: Option<usize>,
    pub(crate) artefact_bytes: usize,
    pub(crate) ops: Vec<OpCost>,
}

impl Bench {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let place = Place::named(&self.board)?;
        let model = Model::open(&self.model)?;
        let model = match self.max_ram {
            Some(bytes) => ram::within(&model, bytes)?,
            None => model,
        };
        let report = measure(&model, &place, &self.board)?;
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{}\n\n{}", totals(&report), ops(&report));
        }
        Ok(())
    }
}

/// Measures one image of noise, which costs what any image costs.
pub(crate) fn measure(model: &Model, place: &Place, board: &str) -> anyhow::Result<Report> {
    let (cost, ops) = place.cost(model)?;
    Ok(Report {
        model: model.name.clone(),
        artefact_sha256: model.sha256.clone(),
        board: board.to_owned(),
        instructions: cost.instructions,
        arena_bytes: cost.arena_bytes,
        stack_bytes: cost.stack_bytes,
        code_bytes: cost.code_bytes,
        artefact_bytes: cost.artefact_bytes,
        ops,
    })
}

/// The totals, a row each: also the head of a snapshot.
pub(crate) fn totals(report: &Report) -> Table {
    let mut table = Table::new([report.model.as_str(), report.board.as_str()]);
    let bytes = |n: Option<usize>| n.map_or("not measured".to_owned(), |n| thousands(n as u64));
    table.row(["instructions", &report.instructions.map_or("not counted".to_owned(), thousands)]);
    table.row(["arena bytes", &bytes(Some(report.arena_bytes))]);
    table.row(["stack bytes", &bytes(report.stack_bytes)]);
    table.row(["code bytes", &bytes(report.code_bytes)]);
    table.row(["artefact bytes", &bytes(Some(report.artefact_bytes))]);
    table.align(1..2, CellAlignment::Right);
    table
}

/// Instructions of each operation and its share.
pub(crate) fn ops(report: &Report) -> Table {
    let mut table = Table::new(["op", "instructions", "share"]);
    let total = report.instructions.unwrap_or(0).max(1) as f64;
    for op in &report.ops {
        let share = op.instructions.map_or(String::new(), |n| format!("{:.1} %", 100.0 * n as f64 / total));
        table.row([&op.name, &op.instructions.map_or("-".to_owned(), thousands), &share]);
    }
    table.align(1..3, CellAlignment::Right);
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
            instructions: None,
            arena_bytes: 1,
            stack_bytes: None,
            code_bytes: None,
            artefact_bytes: 2,
            ops: vec![OpCost { name: "conv1".into(), instructions: None }],
        };
        let json = serde_json::to_value(&report).unwrap();
        let keys = ["model", "artefact_sha256", "board", "instructions", "arena_bytes", "stack_bytes"];
        assert!(keys.iter().chain(&["code_bytes", "artefact_bytes"]).all(|key| json.get(key).is_some()));
        assert!(json["instructions"].is_null() && json["ops"][0]["name"] == "conv1");
        assert!(ops(&report).to_string().ends_with("conv1             -"));
    }
}
