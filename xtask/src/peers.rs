//! What other runtimes take for the same networks: committed figures, with their source.
//!
//! `xtask/peers.toml` holds them. A network is known by its multiplications, a board by its core; for
//! every other network nothing is claimed.

use anyhow::Context;
use comfy_table::CellAlignment;
use fourbit::Artefact;
use fourbit::artefact::Op;
use serde::{Deserialize, Serialize};

use crate::bench::Report;
use crate::table::{Table, thousands};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: Vec<Source>,
    peer: Vec<Peer>,
}

/// Where figures are from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    name: String,
    about: String,
}

/// A runtime's figures for a network on a core.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    pub(crate) name: String,
    macs: u64,
    core: String,
    pub(crate) instructions: u64,
    ram_bytes: u64,
    code_bytes: Option<u64>,
    model_bytes: u64,
    /// Instructions of operations, by the names that our networks give them.
    #[serde(default)]
    pub(crate) ops: Vec<(Vec<String>, u64)>,
}

/// Instructions of one or a few operations that are counted together somewhere: ours and each peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) ours: u64,
    pub(crate) peers: Vec<u64>,
}

/// The figures of all peers for a network of so many multiplications on a core.
pub(crate) fn of(macs: u64, core: &str) -> anyhow::Result<Vec<Peer>> {
    let mut peers = file()?.peer;
    peers.retain(|peer| peer.macs == macs && peer.core == core);
    Ok(peers)
}

fn file() -> anyhow::Result<File> {
    toml::from_str(include_str!("../peers.toml")).context("xtask/peers.toml")
}

/// Multiplications of a network, padding counted.
pub(crate) fn macs(artefact: &Artefact<'_>) -> u64 {
    let ops = (0..artefact.op_count()).filter_map(|index| artefact.op(index));
    let products = ops.filter_map(|record| {
        let spec = artefact.linear_spec(&record, record.output)?;
        let each = spec.filter.taps * if spec.depthwise { 1 } else { spec.filter.inputs };
        let outputs = match record.op {
            // The output of a dense layer over a whole image is one row.
            Op::MatMul(_) => artefact.tensor(record.output)?.shape.elements(),
            _ => spec.output.0.elements(),
        };
        Some((outputs * each) as u64)
    });
    products.sum()
}

/// Ours and theirs, a row each, ours first; and a line per source.
pub(crate) fn table(report: &Report) -> anyhow::Result<String> {
    let mut table = Table::new(["runtime", "instructions", "ours is", "RAM", "code", "model"]);
    let bytes = |n: Option<u64>| n.map_or("-".to_owned(), thousands);
    let ours = report.instructions.unwrap_or(0);
    let arena = thousands(report.arena_bytes as u64);
    let (code, artefact) =
        (bytes(report.code_bytes.map(|n| n as u64)), thousands(report.artefact_bytes as u64));
    table.row(["Fourbit", &thousands(ours), "", &arena, &code, &artefact]);
    for peer in &report.peers {
        let part = format!("{:.1} %", 100.0 * ours as f64 / peer.instructions as f64);
        let figures = [thousands(peer.instructions), part, thousands(peer.ram_bytes), bytes(peer.code_bytes)];
        let [instructions, part, ram, code] = &figures;
        table.row([&peer.name, instructions, part, ram, code, &thousands(peer.model_bytes)]);
    }
    table.align(1..6, CellAlignment::Right);
    let sources = file()?.source.into_iter().map(|Source { name, about }| format!("{name}: {about}"));
    Ok(format!("{table}\n{}", sources.collect::<Vec<_>>().join("\n")))
}

/// Our operations beside the peers', those joined that one of them counts together.
pub(crate) fn layers(ours: &[(String, u64)], peers: &[Peer]) -> Vec<Layer> {
    let mut groups: Vec<(Vec<&str>, u64)> =
        ours.iter().map(|(name, count)| (name.split(" + ").collect(), *count)).collect();
    for (names, _) in peers.iter().flat_map(|peer| &peer.ops) {
        let shares = |group: &[&str]| names.iter().any(|name| group.contains(&name.as_str()));
        let mut joined: Option<usize> = None;
        let mut index = 0;
        while index < groups.len() {
            match joined {
                Some(first) if shares(&groups[index].0) => {
                    let (names, count) = groups.remove(index);
                    groups[first].0.extend(names);
                    groups[first].1 += count;
                    continue;
                }
                None if shares(&groups[index].0) => joined = Some(index),
                _ => {}
            }
            index += 1;
        }
    }
    let layer = |(names, ours): (Vec<&str>, u64)| {
        let of = |peer: &Peer| {
            let own = peer.ops.iter().filter(|(ops, _)| ops.iter().any(|op| names.contains(&op.as_str())));
            own.map(|(_, count)| count).sum()
        };
        Layer { name: names.join(" + "), ours, peers: peers.iter().map(of).collect() }
    };
    groups.into_iter().map(layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    #[test]
    fn figures_are_for_their_networks_only() {
        let model = Model::open("resnet8-cifar10-w4a8").unwrap();
        let macs = macs(&model.artefact().unwrap());
        assert_eq!(macs, 12_501_632);
        let names: Vec<_> = of(macs, "Cortex-M4").unwrap().into_iter().map(|peer| peer.name).collect();
        assert_eq!(names, ["CMSIS-NN int8", "CMSIS-NN int4 weights", "TFLM + CMSIS-NN int8", "TFLM int8"]);
        assert!(of(macs + 1, "Cortex-M4").unwrap().is_empty());
        assert!(of(macs, "Cortex-M0").unwrap().is_empty());
    }

    #[test]
    fn every_peer_has_a_source_and_its_layers_add_up() {
        let file = file().unwrap();
        for peer in &file.peer {
            assert!(file.source.iter().any(|source| peer.name.starts_with(&source.name)), "{}", peer.name);
            let sum: u64 = peer.ops.iter().map(|(_, count)| count).sum();
            let off = sum.abs_diff(peer.instructions) as f64 / peer.instructions as f64;
            assert!(peer.ops.is_empty() || off < 0.05, "{} on {}: {off}", peer.name, peer.core);
        }
    }

    #[test]
    fn what_one_counts_together_is_joined() {
        let ours = [("a", 1), ("b + c", 2), ("d", 3), ("e", 4)].map(|(name, n)| (name.to_owned(), n));
        let op = |names: &[&str], count| (names.iter().map(|&name| name.to_owned()).collect(), count);
        let mut peer = of(12_501_632, "Cortex-M7").unwrap().remove(0);
        peer.ops = vec![op(&["a"], 10), op(&["b"], 20), op(&["c"], 30), op(&["d", "e"], 40)];
        let layer = |name: &str, ours, peer| Layer { name: name.to_owned(), ours, peers: vec![peer] };
        let expected = [layer("a", 1, 10), layer("b + c", 2, 50), layer("d + e", 7, 40)];
        assert_eq!(layers(&ours, &[peer]), expected);
    }
}
