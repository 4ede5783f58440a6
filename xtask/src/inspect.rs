//! `inspect`: what is in an artefact.

use std::fmt::Write;

use clap::Args;
use comfy_table::CellAlignment;
use fourbit::Artefact;
use fourbit::kernels::Family;
use serde::Serialize;

use crate::describe::{self, OpView, PlanView, SectionView, TensorView};
use crate::model::Model;
use crate::table::{Table, thousands};

/// Shows what is in an artefact: sections, tensors, operations, plans, labels, card.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask inspect --model resnet8-cifar10-w4a8")]
pub(crate) struct Inspect {
    /// A .fourbit file, or a name in models/artefacts
    #[arg(long, value_name = "MODEL")]
    model: String,
}

#[derive(Debug, Serialize)]
struct Content<'a> {
    model: &'a str,
    version: u16,
    artefact_sha256: &'a str,
    artefact_bytes: usize,
    input: String,
    logits: u16,
    macs: u64,
    sections: Vec<SectionView>,
    tensors: Vec<TensorView>,
    ops: Vec<OpView>,
    plans: Vec<PlanView>,
    labels: Vec<&'a str>,
    card: &'a str,
}

impl Inspect {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let model = Model::open(&self.model)?;
        let artefact = model.artefact()?;
        let content = content(&model, &artefact);
        if json {
            println!("{}", serde_json::to_string(&content)?);
        } else {
            println!("{}", page(&content)?);
        }
        Ok(())
    }
}

fn content<'a>(model: &'a Model, artefact: &Artefact<'a>) -> Content<'a> {
    let ops = describe::ops(artefact);
    Content {
        model: &model.name,
        version: fourbit::artefact::header::VERSION,
        artefact_sha256: &model.sha256,
        artefact_bytes: model.bytes().len(),
        input: describe::shape(artefact.header().input_shape),
        logits: artefact.header().logits,
        macs: ops.iter().map(|op| op.macs).sum(),
        sections: describe::sections(model.bytes(), artefact),
        tensors: describe::tensors(artefact),
        ops,
        plans: Family::ALL.iter().filter_map(|&family| describe::plan(artefact, family)).collect(),
        labels: artefact.labels().collect(),
        card: artefact.card(),
    }
}

fn page(content: &Content<'_>) -> anyhow::Result<String> {
    let mut page = String::new();
    writeln!(page, "{}: format version {}", content.model, content.version)?;
    writeln!(page, "{} bytes, sha256 {}", thousands(content.artefact_bytes as u64), content.artefact_sha256)?;
    writeln!(page, "image {}, {} logits, {} MACs", content.input, content.logits, thousands(content.macs))?;
    writeln!(page, "\n{}", sections(&content.sections))?;
    writeln!(page, "\n{}", tensors(&content.tensors))?;
    writeln!(page, "\n{}", ops(&content.ops, &content.tensors))?;
    for plan in &content.plans {
        let (arena, bound) = (thousands(plan.arena_bytes as u64), thousands(plan.lower_bound_bytes as u64));
        writeln!(
            page,
            "\nplan {}: {arena} bytes of arena; whole tensors need at least {bound}",
            plan.family
        )?;
        writeln!(page, "\n{}", placements(plan))?;
        writeln!(page, "\n{}", choices(plan))?;
    }
    if !content.labels.is_empty() {
        writeln!(page, "\nlabels: {}", content.labels.join(", "))?;
    }
    if !content.card.is_empty() {
        writeln!(page, "\n{}", content.card.trim_end())?;
    }
    Ok(page.trim_end().to_owned())
}

fn sections(sections: &[SectionView]) -> Table {
    let mut table = Table::new(["section", "offset", "bytes", "crc-32"]);
    for section in sections {
        let (offset, bytes) = (thousands(section.offset as u64), thousands(section.bytes.into()));
        table.row([&section.name, &offset, &bytes, &section.crc32]);
    }
    table.align(1..3, CellAlignment::Right);
    table
}

fn tensors(tensors: &[TensorView]) -> Table {
    let mut table = Table::new(["#", "tensor", "shape", "type", "zero", "scale", "bytes"]);
    for (index, tensor) in tensors.iter().enumerate() {
        let (zero, scale) = (tensor.zero_point.to_string(), format!("{:.5}", tensor.scale));
        let (index, bytes) = (index.to_string(), thousands(tensor.bytes as u64));
        table.row([&index, &tensor.name, &tensor.shape, tensor.dtype, &zero, &scale, &bytes]);
    }
    table.align(4..7, CellAlignment::Right);
    table
}

fn ops(ops: &[OpView], tensors: &[TensorView]) -> Table {
    let head = ["op", "kind", "reads", "output", "window", "weights", "bytes", "layout", "MACs"];
    let mut table = Table::new(head);
    for op in ops {
        let reads: Vec<_> = op.inputs.iter().map(ToString::to_string).collect();
        let output = tensors.get(op.output).map_or("", |tensor| &tensor.shape);
        let weights = op.weight_bits.map_or(String::new(), |bits| format!("int{bits}"));
        let count = |n: u64| if n == 0 { String::new() } else { thousands(n) };
        let (bytes, macs) = (count(op.weight_bytes as u64), count(op.macs));
        let layout = op.layout.unwrap_or("");
        table.row([
            &op.name,
            op.kind,
            &reads.join(", "),
            output,
            &op.window,
            &weights,
            &bytes,
            layout,
            &macs,
        ]);
    }
    table.align(6..7, CellAlignment::Right);
    table.align(8..9, CellAlignment::Right);
    table
}

/// Where the tensors of a plan lie and when they live.
pub(crate) fn placements(plan: &PlanView) -> Table {
    let mut table = Table::new(["tensor", "from", "to", "bytes", "lines", "first op", "last op"]);
    for tensor in plan.tensors.iter().filter(|tensor| tensor.lines > 0) {
        let (from, bytes) = (u64::from(tensor.offset), tensor.bytes as u64);
        let (first, last) = (tensor.first_op as u64, tensor.last_op as u64);
        let [from, to, bytes, first, last] = [from, from + bytes, bytes, first, last].map(thousands);
        let ring = usize::from(tensor.lines) != tensor.height;
        let lines = if ring { format!("{} of {}", tensor.lines, tensor.height) } else { "all".to_owned() };
        table.row([&tensor.name, &from, &to, &bytes, &lines, &first, &last]);
    }
    table.align(1..7, CellAlignment::Right);
    table
}

/// How the operations of a plan are executed; those of one group take turns.
pub(crate) fn choices(plan: &PlanView) -> Table {
    let mut table = Table::new(["op", "kernel", "group", "rows", "scratch"]);
    for op in &plan.ops {
        let rows = op.rows.map_or("all".to_owned(), |rows| rows.to_string());
        let scratch = if op.scratch_bytes == 0 { String::new() } else { thousands(op.scratch_bytes.into()) };
        table.row([&op.name, &op.kernel, &op.group.to_string(), &rows, &scratch]);
    }
    table.align(2..5, CellAlignment::Right);
    table
}
