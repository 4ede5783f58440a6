//! The file: sections, header, CRCs, in the encodings that the runtime decodes.

use fourbit::artefact::header::{ALIGN, ENTRY_BYTES, HEADER_BYTES, MAX_FAMILIES, kind};
use fourbit::artefact::{AddRecord, Choice, Header, Linear, MAX_ARENA, Op, OpRecord, Section};
use fourbit::kernels::Family;
use fourbit::{Artefact, crc32};

use super::pack::{Packed, pack};
use super::{CompileError, Plan};
use crate::file::AlignedBytes;
use crate::quantize::{QGraph, QNode, QOp};

/// Largest number of what 16 bits count, and of bytes in a file.
const MOST: usize = u16::MAX as usize;
const MOST_BYTES: usize = i32::MAX as usize;

/// The artefact of a graph and its plans.
pub(super) fn emit(
    graph: &QGraph,
    plans: &[(Family, Plan)],
    labels: &[String],
    card: &str,
) -> Result<Vec<u8>, CompileError> {
    let logits = graph.tensors[graph.output].info.shape.elements();
    let image = graph.tensors[graph.input].info.shape;
    limit("tensors", graph.tensors.len(), MOST)?;
    limit("logits", logits, MOST)?;
    for (_, plan) in plans {
        limit("bytes of arena", plan.arena_bytes, MAX_ARENA)?;
    }
    let one_line = |label: &String| !label.is_empty() && !label.contains(['\n', '\r']);
    if !labels.is_empty() && (labels.len() != logits || !labels.iter().all(one_line)) {
        return Err(CompileError::Labels { labels: labels.len(), logits });
    }
    let packed = pack(graph);
    let records = graph.nodes.iter().zip(&packed.linears);
    let ops = records.flat_map(|(node, linear)| record(node, linear.as_ref()).encode());
    let tensors = graph.tensors.iter().flat_map(|tensor| tensor.info.encode());
    let (tensors, ops): (Vec<u8>, Vec<u8>) = (tensors.collect(), ops.collect());
    let Packed { weights, channels, .. } = packed;
    let mut sections = vec![
        (kind::TENSORS, 0, tensors),
        (kind::OPS, 0, ops),
        (kind::WEIGHTS, 0, weights),
        (kind::CHANNELS, 0, channels),
    ];
    let mut arenas = [0; MAX_FAMILIES];
    for (family, plan) in plans {
        sections.push((kind::PLAN, *family as u16, plan_section(graph, plan)));
        arenas[*family as usize] = plan.arena_bytes as u32;
    }
    sections.push((kind::NAMES, 0, names(graph)?));
    if !labels.is_empty() {
        let lines = labels.iter().flat_map(|label| label.bytes().chain([b'\n']));
        sections.push((kind::LABELS, 0, lines.collect()));
    }
    if !card.is_empty() {
        sections.push((kind::CARD, 0, card.as_bytes().to_vec()));
    }
    let header = Header {
        file_bytes: 0,
        sections: sections.len() as u16,
        arenas,
        input_shape: image,
        logits: logits as u16,
    };
    let file = assemble(header, &sections)?;
    Artefact::parse(AlignedBytes::copy(&file).bytes()).map_err(CompileError::Refused)?;
    Ok(file)
}

/// Header, table and sections, each section at a multiple of 16.
fn assemble(header: Header, sections: &[(u16, u16, Vec<u8>)]) -> Result<Vec<u8>, CompileError> {
    let table_end = HEADER_BYTES + ENTRY_BYTES * sections.len();
    let mut file = vec![0; table_end];
    let mut table = Vec::with_capacity(ENTRY_BYTES * sections.len());
    for (kind, tag, content) in sections {
        file.resize(file.len().next_multiple_of(ALIGN), 0);
        limit("bytes", file.len() + content.len(), MOST_BYTES)?;
        let section = Section {
            kind: *kind,
            tag: *tag,
            offset: file.len(),
            bytes: content.len() as u32,
            crc: crc32(content),
        };
        table.extend(section.encode());
        file.extend(content);
    }
    let header = Header { file_bytes: file.len() as u32, ..header };
    file[..HEADER_BYTES].copy_from_slice(&header.encode(&table));
    file[HEADER_BYTES..table_end].copy_from_slice(&table);
    Ok(file)
}

/// The names section.
fn names(graph: &QGraph) -> Result<Vec<u8>, CompileError> {
    let mut names = Vec::new();
    for node in &graph.nodes {
        limit("bytes in an op's name", node.name.len(), usize::from(u8::MAX))?;
        names.push(node.name.len() as u8);
        names.extend(node.name.as_bytes());
    }
    Ok(names)
}

fn record(node: &QNode, linear: Option<&Linear>) -> OpRecord {
    let op = match (&node.op, linear) {
        (QOp::Conv2d(window, _), Some(linear)) => Op::Conv2d(*window, *linear),
        (QOp::DepthwiseConv2d(window, _), Some(linear)) => Op::DepthwiseConv2d(*window, *linear),
        (QOp::MatMul(_), Some(linear)) => Op::MatMul(*linear),
        (QOp::Add(add), _) => Op::Add(AddRecord {
            other: node.inputs[1] as u16,
            min: add.min,
            max: add.max,
            a: add.a,
            b: add.b,
            out: add.out,
        }),
        (QOp::AvgPool2d(window), _) => Op::AvgPool2d(*window),
        (QOp::MaxPool2d(window), _) => Op::MaxPool2d(*window),
        (QOp::Conv2d(..) | QOp::DepthwiseConv2d(..) | QOp::MatMul(_), None) => {
            unreachable!("every linear node was packed")
        }
    };
    OpRecord { input: node.inputs[0] as u16, output: node.output as u16, op }
}

/// A plan's section: choices up to the last that says something.
fn plan_section(graph: &QGraph, plan: &Plan) -> Vec<u8> {
    let places = plan.placements.iter().zip(&graph.tensors);
    let places = places.flat_map(|(place, tensor)| place.encode(tensor.info.shape.height));
    let last = plan.choices.iter().rposition(|choice| *choice != Choice::default());
    let choices = plan.choices.iter().take(last.map_or(0, |last| last + 1));
    places.chain(choices.flat_map(|choice| choice.encode())).collect()
}

fn limit(what: &'static str, found: usize, most: usize) -> Result<(), CompileError> {
    if found <= most { Ok(()) } else { Err(CompileError::TooLarge { what, found, most }) }
}
