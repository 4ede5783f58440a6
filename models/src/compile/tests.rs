//! Artefacts of whole networks, read back by the runtime.

use fourbit::Artefact;
use fourbit::kernels::Family;

use super::*;
use crate::file::AlignedBytes;
use crate::quantize::quantize;
use crate::scheme::Setting;
use crate::zoo;

fn resnet8(setting: Setting) -> QGraph {
    quantize(&zoo::resnet8(1, setting).expect("calibrates")).expect("quantizes")
}

#[test]
fn the_runtime_reads_names_labels_and_card() {
    let graph = resnet8(Setting::W4a8);
    let file = compile(&graph, &graph.labels, "a card\nof two lines").expect("compiles");
    assert_eq!(compile(&graph, &graph.labels, "a card\nof two lines"), Ok(file.clone()));
    let aligned = AlignedBytes::copy(&file);
    let artefact = Artefact::parse(aligned.bytes()).expect("parses");
    assert_eq!(artefact.card(), "a card\nof two lines");
    assert!(artefact.labels().eq(graph.labels.iter().map(String::as_str)));
    for (index, node) in graph.nodes.iter().enumerate() {
        let record = artefact.op(index).expect("an op");
        assert_eq!(artefact.name(&record), node.name);
    }
    for (index, tensor) in graph.tensors.iter().enumerate() {
        assert_eq!(artefact.tensor(index as u16), Some(tensor.info));
    }
}

#[test]
fn resnet8_meets_the_lower_bound() {
    // Image or shortcut, one map in, one out, 16,384 values each.
    for (setting, arena) in
        [(Setting::W8a8, 49_152), (Setting::W4a8, 49_152), (Setting::W4a4, 24_576), (Setting::All4, 24_576)]
    {
        let graph = resnet8(setting);
        let plan = Plan::new(&graph);
        assert_eq!((plan.arena_bytes, plan.lower_bound_bytes), (arena, arena), "{setting}");
        assert_eq!(graph.nodes[plan.peak].name, "stack1.conv2");
    }
}

#[test]
fn large_networks_meet_the_lower_bound() {
    for graph in [zoo::resnet18(64, 1, Setting::W4a8), zoo::resnet50(64, 1, Setting::W4a4)] {
        let graph = quantize(&graph.expect("calibrates")).expect("quantizes");
        let plan = Plan::new(&graph);
        assert_eq!(plan.arena_bytes, plan.lower_bound_bytes, "{}", graph.name);
        assert!(compile(&graph, &[], "").is_ok());
    }
}

#[test]
fn every_family_has_a_plan() {
    let graph = resnet8(Setting::All4);
    let file = AlignedBytes::copy(&compile(&graph, &[], "").expect("compiles"));
    let artefact = Artefact::parse(file.bytes()).expect("parses");
    for family in Family::ALL {
        assert_eq!(artefact.plan(family).map(|plan| plan.arena_bytes()), Some(24_576));
    }
    assert_eq!(artefact.labels().count(), 0);
}

#[test]
fn a_sum_in_place_ends_where_its_input_ends() {
    let graph = resnet8(Setting::W8a8);
    let plan = Plan::new(&graph);
    let add = graph.nodes.iter().position(|node| node.name == "stack1.add").expect("the node");
    let [output, first, second] =
        [graph.nodes[add].output, graph.nodes[add].inputs[0], graph.nodes[add].inputs[1]];
    let offset = |id: usize| plan.placements[id].offset;
    assert!(offset(output) == offset(first) || offset(output) == offset(second));
    assert_eq!(usize::from(plan.placements[output].first), add);
}

#[test]
fn what_the_format_cannot_hold() {
    let graph = resnet8(Setting::W8a8);
    let labels = |n: usize, text: &str| vec![text.to_owned(); n];
    for bad in [labels(9, "cat"), labels(10, "two\nlines"), labels(10, "")] {
        assert_eq!(compile(&graph, &bad, ""), Err(CompileError::Labels { labels: bad.len(), logits: 10 }));
    }
    let mut long = graph;
    long.nodes[0].name = "x".repeat(256);
    let error = compile(&long, &[], "").expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the network has 256 bytes in an op's name, and an artefact holds at most 255: make it smaller"
    );
}
