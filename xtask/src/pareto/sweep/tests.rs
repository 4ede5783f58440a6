//! What a sweep's file says, and the sentence for each mistake in it.

use super::*;

const GOOD: &str = "
dataset = 'shapes'
split = 'hold-out'
board = 'mps2-an386'
[[points]]
arch = 'resnet8'
widths = [0.5, 0.25]
bits = ['float', 'w8a8', 'w4a4']
seeds = [1]
[[points]]
arch = 'resnet8'
widths = [0.25]
bits = ['float', 'w4a4']
seeds = [1, 2]
[recipe.float]
epochs = 6
lr = 0.2
[recipe.tuned]
epochs = 3
lr = 0.02
[recipe.quantized]
epochs = 2
lr = 0.02
[recipe.w4a4]
epochs = 3
lr = 0.01
distill = 0.5
";

fn sweep(text: &str) -> Sweep {
    Sweep::parse("planted", text, None).unwrap()
}

fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let error = Sweep::parse("planted", &GOOD.replacen(from, to, 1), None).unwrap_err();
    let sentence = chain(&error);
    assert!(!sentence.contains('\n'), "{sentence}");
    sentence
}

#[test]
fn points_come_by_family_and_the_largest_last() {
    let sweep = sweep(GOOD);
    let names: Vec<_> = sweep.points().map(|point| point.name.as_str()).collect();
    let quarter = ["resnet8-w0.25-float-s1", "resnet8-w0.25-w8a8-s1", "resnet8-w0.25-w4a4-s1"];
    let second = ["resnet8-w0.25-float-s2", "resnet8-w0.25-w4a4-s2"];
    let half = ["resnet8-w0.5-float-s1", "resnet8-w0.5-w8a8-s1", "resnet8-w0.5-w4a4-s1"];
    assert_eq!(names, [&quarter[..], &second, &half].concat());
    let epochs: Vec<_> = sweep.families[0].points.iter().map(|p| p.config.as_ref().unwrap().epochs).collect();
    assert_eq!(epochs, [3, 2, 3]);
    assert_eq!(sweep.families[0].base.epochs, 6);
    assert_eq!(sweep.families[0].points[2].config.as_ref().unwrap().distill, 0.5);
}

#[test]
fn a_recipe_is_that_of_its_bits_and_data() {
    let one = sweep(GOOD);
    let recipe = |sweep: &Sweep, name: &str, data: &str| {
        sweep.points().find(|point| point.name == name).unwrap().recipe(data)
    };
    let found = recipe(&one, "resnet8-w0.25-w4a4-s1", "data");
    assert_eq!(found.len(), 12);
    assert_eq!(found, recipe(&one, "resnet8-w0.5-w4a4-s1", "data"));
    assert_eq!(found, recipe(&one, "resnet8-w0.25-w4a4-s2", "data"));
    assert_ne!(found, recipe(&one, "resnet8-w0.25-w8a8-s1", "data"));
    assert_ne!(found, recipe(&one, "resnet8-w0.25-w4a4-s1", "other"));
    // The float network's recipe is part of it, that of other bits is not.
    let base = sweep(&GOOD.replace("epochs = 6", "epochs = 7"));
    assert_ne!(found, recipe(&base, "resnet8-w0.25-w4a4-s1", "data"));
    let other = sweep(&GOOD.replace("epochs = 2", "epochs = 1"));
    assert_eq!(found, recipe(&other, "resnet8-w0.25-w4a4-s1", "data"));
}

#[test]
fn a_teacher_counts_by_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let text = GOOD.replace("distill = 0.5", &format!("distill = 0.5\nteacher = '{}'", path.display()));
        sweep(&text).points().find(|point| point.name.contains("w4a4")).unwrap().recipe("data")
    };
    let found = recipe("one", "weights");
    assert_eq!(found, recipe("two", "weights"));
    assert_ne!(found, recipe("one", "others"));
    let none = sweep(GOOD).points().find(|point| point.name.contains("w4a4")).unwrap().recipe("data");
    assert_ne!(found, none);
}

#[test]
fn mistakes_are_one_sentence() {
    for (from, to, expected) in [
        ("board = ", "bord = ", "line 4: unknown field `bord`, expected one of"),
        ("widths = [0.5", "width = 1.0\nwidths = [0.5", "unknown field `width`, expected one of"),
        ("[0.5, 0.25]", "[-0.5]", "resnet8 of width -0.5 by recipe.float: "),
        ("[0.5, 0.25]", "[-0.5]", "with a width in (0, 16]"),
        ("resnet8", "resnet9", "resnet8, resnet20, resnet32 or resnet56"),
        ("mps2-an386", "mps9", "no board mps9: the boards are sim, mps2-an386"),
        ("'w8a8'", "'w2a2'", "unknown bit setting `w2a2`"),
        ("epochs = 6", "epoch = 6", "recipe.float has an unknown key `epoch`: it takes epochs, lr"),
        ("epochs = 6", "seed = 6", "recipe.float has an unknown key `seed`"),
        ("epochs = 6", "epochs = 0", "`epochs` must be between 1 and 10000"),
        ("recipe.w4a4", "recipe.w4a5", "unknown recipe `w4a5`: the recipes are float, tuned, quantized"),
        ("recipe.float", "recipe.all4", "there is no [recipe.float]"),
        ("recipe.quantized", "recipe.w4a8", "w8a8 has no recipe: add [recipe.quantized]"),
        ("epochs = 6", "epochs = 6\ndistill = 0.5", "recipe.float distils from no network: name a `teacher`"),
        (
            "epochs = 6",
            "epochs = 6\ndistill = 0.5\nteacher = 'no.graph'",
            "recipe.float: cannot read the teacher no.graph",
        ),
        (
            "distill = 0.5",
            "distill = 0.5\nteacher = 'no.graph'",
            "recipe.w4a4: cannot read the teacher no.graph",
        ),
        ("epochs = 3", "epochs = 1", "train for 3 further epochs and the float points for 1: give"),
    ] {
        let sentence = refused(from, to);
        assert!(sentence.contains(expected), "{from}: {sentence}");
    }
}

#[test]
fn shards_are_whole_families_and_every_one_is_in_one() {
    for n in 1..=5 {
        let mut names = Vec::new();
        for k in 1..=n {
            let mut shard = sweep(GOOD);
            shard.shard((k, n));
            names.extend(shard.points().map(|point| point.name.clone()).collect::<Vec<_>>());
        }
        names.sort();
        let mut all: Vec<_> = sweep(GOOD).points().map(|point| point.name.clone()).collect();
        all.sort();
        assert_eq!(names, all);
    }
    let mut first = sweep(GOOD);
    first.shard((1, 2));
    // The dearest family alone outweighs the two others.
    assert_eq!(first.families.len(), 1);
    assert_eq!(first.families[0].network, "resnet8-w0.5");
}

#[test]
fn the_committed_sweeps_are_valid() {
    for name in ["pareto-smoke", "pareto-cifar10", "pareto-cifar10-w1"] {
        let sweep = Sweep::load(&paths::configs().join(format!("{name}.toml")), None).unwrap();
        assert!(sweep.points().count() >= 9, "{name}");
    }
}
