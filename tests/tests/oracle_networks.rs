//! ResNet-18 and ResNet-50 at 224x224 with random weights: from plain graphs to logits in the
//! simulator, which equal those of TOSA's reference model on one image; prints sizes and arenas.
//!
//! The expected logits are committed; `tests/oracle/README.md` tells how they were made.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use fourbit::Artefact;
use fourbit::kernels::Family;
use fourbit_models::compile::Plan;
use fourbit_models::file::AlignedBytes;
use fourbit_models::quantize::{QGraph, QOp};
use fourbit_models::simulate::{Backend, Simulator};

#[path = "common/networks.rs"]
mod networks;

use networks::{NETWORKS, Network, artefact, digest, image};

const LOGITS: usize = 1000;
/// Logits with fewer values than this would say little.
const VALUES: usize = 100;
const AGAIN: &str = "tests/oracle/README.md tells how to make the logits again";

/// What the reference model gave.
fn expected(network: &Network) -> Vec<i8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/networks");
    let path = folder.join(network.name).with_extension("logits");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; {AGAIN}", path.display()));
    bytes.into_iter().map(|byte| byte as i8).collect()
}

/// What the simulator gives, with the kernels of this machine.
fn simulated(file: &[u8], image: &[i8]) -> Vec<i8> {
    let file = AlignedBytes::copy(file);
    let artefact = Artefact::parse(file.bytes()).expect("the runtime reads what was compiled");
    Simulator::new(artefact, Backend::Host).logits(image).expect("the simulator runs")
}

/// Multiplications, padding counted.
fn macs(graph: &QGraph) -> usize {
    let per_node = graph.nodes.iter().map(|node| {
        let shape = graph.tensors[node.output].info.shape;
        node.op.linear().map_or(0, |linear| shape.height * shape.width * linear.weights.len())
    });
    per_node.sum()
}

/// Bytes of arena that the file asks for on this machine.
fn arena_bytes(file: &[u8]) -> usize {
    let file = AlignedBytes::copy(file);
    Artefact::parse(file.bytes()).expect("parses").header().arena_bytes(Family::Host)
}

/// A line of the table.
fn row(name: &str, cells: &[impl Display]) -> String {
    let widths = [4, 12, 16, 13, 13, 8, 8, 8];
    let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:>width$}"));
    format!("{name:<14}{}\n", cells.collect::<String>())
}

#[test]
fn oracle_networks_give_the_same_logits() {
    let image = image();
    let heads = ["ops", "MACs", "artefact bytes", "arena bytes", "lower bound", "logits", "values", "differ"];
    let mut table = row("network", &heads);
    let mut wrong = Vec::new();
    for network in &NETWORKS {
        let graph = network.graph();
        let found = digest(&graph, &image);
        let Network { name, digest, .. } = network;
        assert_eq!(
            found, *digest,
            "{name}: the network is not the one of the committed logits (digest {found:#010x} instead of \
             {digest:#010x}), so its weights, ranges or rounding have changed; {AGAIN}"
        );
        let file = artefact(&graph);
        let (logits, expected) = (simulated(&file, &image), expected(network));
        assert_eq!((logits.len(), expected.len()), (LOGITS, LOGITS), "{name}");
        let values = expected.iter().collect::<BTreeSet<_>>().len();
        assert!(values >= VALUES, "{name}: the logits have only {values} values");
        let differing = logits.iter().zip(&expected).filter(|(a, b)| a != b).count();
        let (arena, bound) =
            (arena_bytes(&file), Plan::fastest(&graph, Family::Host).expect("a plan").lower_bound_bytes);
        let sizes = [graph.nodes.len(), macs(&graph), file.len(), arena, bound, LOGITS, values, differing];
        table += &row(name, &sizes);
        if differing > 0 {
            wrong.push(*name);
        }
    }
    // Straight to the terminal: the harness shows no `println` of a test that passes.
    write!(std::io::stdout(), "{table}").expect("stdout is open");
    assert!(wrong.is_empty(), "other logits than the oracle's: {}", wrong.join(", "));
}

#[test]
fn oracle_logits_tell_a_changed_weight() {
    let network = NETWORKS.iter().find(|network| network.name == "resnet18-w4a8").expect("a network");
    let (graph, image, expected) = (network.graph(), image(), expected(network));
    for name in ["stem", "stage2.0.conv2", "stage3.1.conv1", "stage4.1.conv1"] {
        let mut graph = graph.clone();
        let node = graph.nodes.iter_mut().find(|node| node.name == name).expect("the node");
        let QOp::Conv2d(_, linear) = &mut node.op else { panic!("{name} is a convolution") };
        // One step towards zero, where there is one to go.
        let middle = linear.weights.len() / 2;
        let weight = linear.weights[middle..].iter_mut().find(|weight| **weight != 0).expect("a weight");
        *weight -= weight.signum();
        assert_ne!(simulated(&artefact(&graph), &image), expected, "{name}: nothing changes");
    }
}
