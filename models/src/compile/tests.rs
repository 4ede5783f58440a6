//! Artefacts of whole networks, read back by the runtime.

use fourbit::kernels::{Family, Kernel, Reference};
use fourbit::{Artefact, Session};

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
    let graph = order::for_fusion(&graph);
    for (index, node) in graph.nodes.iter().enumerate() {
        assert_eq!(artefact.name(index), node.name);
    }
    for (index, tensor) in graph.tensors.iter().enumerate() {
        assert_eq!(artefact.tensor(index as u16), Some(tensor.info));
    }
}

#[test]
fn whole_tensors_meet_the_lower_bound() {
    // Image or shortcut, one map in, one out, 16,384 values each; out of a branch come bytes.
    for (setting, arena) in
        [(Setting::W8a8, 49_152), (Setting::W4a8, 49_152), (Setting::W4a4, 32_768), (Setting::All4, 24_576)]
    {
        let graph = order::for_fusion(&resnet8(setting));
        let plan = Plan::fastest(&graph, Family::Host).expect("a plan");
        assert_eq!(plan.lower_bound_bytes, arena, "{setting}");
        assert!(plan.arena_bytes <= arena, "{setting}: {}", plan.arena_bytes);
        assert_eq!(graph.nodes[plan.peak].name, "stack1.conv2");
    }
    for graph in [zoo::resnet18(64, 1, Setting::W4a8), zoo::resnet50(64, 1, Setting::W4a4)] {
        let graph = quantize(&graph.expect("calibrates")).expect("quantizes");
        let plan = Plan::fastest(&order::for_fusion(&graph), Family::Host).expect("a plan");
        assert!(plan.arena_bytes <= plan.lower_bound_bytes, "{}", graph.name);
        assert!(compile(&graph, &[], "").is_ok());
    }
}

#[test]
fn resnet8_in_little_memory() {
    for (setting, smallest) in
        [(Setting::W8a8, 17_000), (Setting::W4a8, 17_000), (Setting::W4a4, 9_000), (Setting::All4, 9_000)]
    {
        let (curve, _) = curve(&resnet8(setting), Family::Armv7em);
        for plan in &curve {
            println!("{setting}: {} bytes, {} instructions", plan.arena_bytes, plan.instructions);
        }
        assert!(curve[0].arena_bytes <= smallest, "{setting}: {}", curve[0].arena_bytes);
        let fastest = Plan::fastest(&order::for_fusion(&resnet8(setting)), Family::Armv7em).expect("a plan");
        assert_eq!(curve.last().map(|plan| plan.instructions), Some(fastest.instructions));
        assert!(curve.is_sorted_by(|a, b| a.arena_bytes < b.arena_bytes && a.instructions > b.instructions));
    }
}

#[test]
fn a_plan_of_the_curve_is_found_again_by_its_bytes() {
    for setting in [Setting::W4a8, Setting::W4a4] {
        let graph = resnet8(setting);
        let (curve, _) = curve(&graph, Family::Armv7em);
        let graph = order::for_fusion(&graph);
        for plan in curve.iter().rev().step_by(7) {
            let found = Plan::within(&graph, Family::Armv7em, plan.arena_bytes).expect("a plan");
            let [asked, found] = [plan, &found].map(|plan| (plan.arena_bytes, plan.instructions));
            assert_eq!(found, asked, "{setting}");
        }
    }
}

#[test]
fn every_plan_gives_the_same_bits() {
    for setting in Setting::ALL {
        let graph = resnet8(setting);
        let image = zoo::image([32, 32, 3], 3);
        let limits = curve(&graph, Family::Armv7em).0.into_iter().step_by(6).map(|plan| plan.arena_bytes);
        let mut files: Vec<_> = limits.map(|bytes| compile_within(&graph, &[], "", Some(bytes))).collect();
        files.push(compile(&graph, &[], ""));
        let mut expected = None;
        for file in files {
            let file = AlignedBytes::copy(&file.expect("compiles"));
            let artefact = Artefact::parse(file.bytes()).expect("parses");
            for family in Family::ALL {
                let mut arena = AlignedBytes::zeroed(artefact.header().arena_bytes(family));
                arena.bytes_mut().fill(0xA5);
                let session = Session::planned(&artefact, family, Reference, arena.bytes_mut());
                let mut logits = [0; 10];
                session.expect("fits").run(&image, &mut logits).expect("runs");
                assert_eq!(*expected.get_or_insert(logits), logits, "{setting} {family:?}");
            }
        }
    }
}

#[test]
fn an_artefact_is_read_back_as_its_graph() {
    for setting in Setting::ALL {
        let graph = order::for_fusion(&resnet8(setting));
        let file = AlignedBytes::copy(&compile(&graph, &graph.labels, "a card").expect("compiles"));
        let artefact = Artefact::parse(file.bytes()).expect("parses");
        let found = read(&artefact, &graph.name);
        assert_eq!((&found.nodes, &found.labels), (&graph.nodes, &graph.labels), "{setting}");
        assert!(found.tensors.iter().map(|t| t.info).eq(graph.tensors.iter().map(|t| t.info)));
        let again = compile(&found, &found.labels, artefact.card()).expect("compiles");
        assert_eq!(again, file.bytes(), "{setting}");
    }
}

#[test]
fn sums_go_into_the_ring_of_their_addends() {
    let graph = order::for_fusion(&resnet8(Setting::W4a8));
    let plan = Plan::within(&graph, Family::Armv7em, ARENA_BYTES).expect("a plan");
    let place = |name: &str| {
        let id = graph.tensors.iter().position(|tensor| tensor.name == name).expect("the tensor");
        plan.placements[id]
    };
    let [stem, sum] = [place("stem"), place("stack1.add")];
    assert_eq!((stem.offset, stem.lines), (sum.offset, sum.lines));
    assert!(stem.lines < 32, "{}", stem.lines);
}

#[test]
fn the_tiles_of_a_plan_have_one_size() {
    let graph = order::for_fusion(&resnet8(Setting::W4a8));
    let has = |limit, kernel| {
        let plan = Plan::within(&graph, Family::Armv7em, limit).expect("a plan");
        plan.choices.iter().any(|choice| choice.kernel == kernel)
    };
    let sizes = [Kernel::Winograd, Kernel::Winograd4x4];
    assert_eq!(sizes.map(|kernel| has(ARENA_BYTES, kernel)), [true, false]);
    assert_eq!(sizes.map(|kernel| has(2 * ARENA_BYTES, kernel)), [false, true]);
}

#[test]
fn a_limit_is_kept_or_refused() {
    let graph = resnet8(Setting::W4a8);
    let smallest = curve(&graph, Family::Portable).0[0].arena_bytes;
    for limit in [smallest, 20_000, ARENA_BYTES, 60_000] {
        let file = AlignedBytes::copy(&compile_within(&graph, &[], "", Some(limit)).expect("compiles"));
        let artefact = Artefact::parse(file.bytes()).expect("parses");
        for family in [Family::Portable, Family::Armv7em, Family::Mve] {
            let arena = artefact.header().arena_bytes(family);
            assert!(arena > 0 && arena <= limit, "{family:?}: {arena} of {limit}");
        }
    }
    for max_ram in [0, smallest - 1] {
        let error = compile_within(&graph, &[], "", Some(max_ram)).expect_err("refused");
        assert_eq!(error, CompileError::TooSmall { max_ram, smallest, family: Family::Portable });
    }
}

#[test]
fn every_family_has_a_plan() {
    let graph = resnet8(Setting::All4);
    let file = AlignedBytes::copy(&compile(&graph, &[], "").expect("compiles"));
    let artefact = Artefact::parse(file.bytes()).expect("parses");
    for family in Family::ALL {
        let arena = artefact.plan(family).map(|plan| plan.arena_bytes());
        assert!(arena.is_some_and(|bytes| bytes > 0 && bytes <= ARENA_BYTES), "{family:?}: {arena:?}");
    }
    assert_eq!(artefact.labels().count(), 0);
}

#[test]
fn a_convolution_comes_right_before_its_add() {
    let graph = order::for_fusion(&resnet8(Setting::W8a8));
    let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    for stack in ["stack1", "stack2", "stack3"] {
        let add = names.iter().position(|name| *name == format!("{stack}.add")).expect("the node");
        assert_eq!(names[add - 1], format!("{stack}.conv2"));
        assert!(order::fused(&graph, add - 1));
    }
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
