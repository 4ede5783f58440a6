//! The jobs, as data: what each is called, what it does, and the function that runs it.

use std::process::Command;

use anyhow::{Context as _, anyhow, bail, ensure};
use fourbit_models::dataset::{Kind, Split};
use fourbit_models::scheme::Setting;
use fourbit_models::simulate;

use super::{Context, Tally, flash, mutants, pareto, prediction};
use crate::board::Board;
use crate::failure::Missing;
use crate::model::Model;
use crate::place::Place;
use crate::quantize::Quantize;
use crate::{bench, board, paths, place, process, report, setup, snapshot, tidy};

/// A named check.
#[derive(Debug)]
pub(crate) struct Job {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What it does, in a line.
    pub(crate) about: &'static str,
    /// Runs it and counts its tests.
    pub(crate) run: fn(&Context) -> anyhow::Result<Tally>,
}

/// Every job, in order: what fails quickly comes first, what builds Burn before what uses it.
pub(crate) const JOBS: &[Job] = &[
    Job { name: "setup", about: "targets, emulator and the Miri nightly are there", run: set_up },
    Job { name: "fmt", about: "rustfmt over every workspace", run: fmt },
    Job { name: "tidy", about: "layering, file length, unsafe list, format document", run: tidy },
    Job { name: "targets", about: "the runtime builds for every target and feature set", run: targets },
    Job { name: "clippy", about: "lints over every workspace, warnings denied", run: clippy },
    Job { name: "docs", about: "documentation, warnings denied", run: docs },
    Job { name: "test", about: "unit, integration and documentation tests on the host", run: test },
    Job {
        name: "oracle",
        about: "every op, and whole networks, against the TOSA reference model",
        run: oracle,
    },
    Job {
        name: "no-panic",
        about: "no panic is linked into a classifier with a camera; a planted one, and a corrupt artefact, stop the build",
        run: no_panic,
    },
    Job { name: "qemu", about: "every board: its kernels' suites, the simulator's logits", run: qemu },
    Job { name: "mutants", about: "bugs planted in every family's kernels are found", run: mutants::job },
    Job {
        name: "flash",
        about: "firmware for boards with a probe fits them, and defmt's frames are decoded, without hardware",
        run: flash::job,
    },
    Job {
        name: "quantize",
        about: "the whole path from images to a board, and its accuracies",
        run: quantize,
    },
    Job { name: "pareto", about: "a sweep over width and bits, resumed and merged", run: pareto::job },
    Job {
        name: "budgets",
        about: "instructions, RAM and flash are those of the committed snapshots",
        run: budgets,
    },
    Job { name: "miri", about: "parsing artefacts under Miri", run: miri },
    Job { name: "fuzz", about: "30 s of changed artefacts: parse and run never panic", run: fuzz },
];

/// Jobs that run only where they are named.
pub(crate) const NAMED_ONLY: &[Job] = &[Job {
    name: "wgpu",
    about: "training on Mesa's software Vulkan driver goes as on the CPU; builds Burn once more, so only when named",
    run: wgpu,
}];

/// Where `cargo` runs: the workspaces of the repository.
const MANIFESTS: &[&str] =
    &["Cargo.toml", "boards/Cargo.toml", "tests/fuzz/Cargo.toml", "xtask/probe/Cargo.toml"];

/// The selection of packages and features that every host build uses, so that Burn and all
/// dependencies are built once.
const HOST: &[&str] = &["--workspace", "--features", "fourbit-models/train"];

/// Images whose logits are compared between simulator and board.
const IMAGES: usize = 64;

/// Images that the demo names.
const DEMO_IMAGES: usize = 4;

/// Target triples that the runtime must build for, each with all features that it has.
const TARGETS: &[(&str, &str)] = &[
    ("thumbv6m-none-eabi", "classify,defmt"),
    ("thumbv7em-none-eabihf", "armv7em,classify,defmt"),
    ("thumbv8m.main-none-eabihf", "classify,defmt"),
    ("riscv32imc-unknown-none-elf", "classify,defmt"),
    ("riscv32imac-unknown-none-elf", "classify,defmt"),
];

/// Feature sets that pass the compiler's checks on each target.
const FEATURES: &[&str] = &["", "classify", "defmt"];

/// Runs a cargo command and gives it one count.
fn one(args: &[&str]) -> Tally {
    Tally::one(process::run(&mut process::cargo(args.iter().copied())))
}

fn set_up(_: &Context) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for step in [setup::targets, setup::qemu, setup::miri] {
        match step() {
            Err(error) if error.is::<Missing>() => return Err(error),
            result => tally += Tally::one(result),
        }
    }
    Ok(tally)
}

fn fmt(_: &Context) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for manifest in MANIFESTS {
        tally += one(&["fmt", "--all", "--manifest-path", manifest, "--check"]);
    }
    Ok(tally)
}

fn tidy(_: &Context) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (rule, findings) in tidy::check()? {
        findings.iter().for_each(|finding| eprintln!("{finding}"));
        let held =
            if findings.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("{rule}: {}", findings.len())) };
        tally += Tally::one(held);
    }
    Ok(tally)
}

fn targets(_: &Context) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for (target, all) in TARGETS {
        let mut compile = |command, features| {
            let args = [command, "--quiet", "--package", "fourbit", "--no-default-features"];
            tally += one(&[&args[..], &["--target", target, "--features", features]].concat());
        };
        FEATURES.iter().for_each(|features| compile("check", features));
        compile("build", all);
    }
    Ok(tally)
}

fn clippy(_: &Context) -> anyhow::Result<Tally> {
    let warnings = ["--", "-D", "warnings"];
    let mut tally = one(&[&["clippy", "--all-targets"], HOST, &warnings].concat());
    tally += Tally::one(process::run(&mut beside(
        "tests/fuzz/Cargo.toml",
        &[&["clippy", "--all-targets"], &warnings[..]].concat(),
    )));
    // Firmware has no test harness, and each board a target of its own.
    let build = ["clippy", "--package", "board-build"];
    tally += Tally::one(process::run(&mut beside("boards/Cargo.toml", &[&build, &warnings[..]].concat())));
    let model = embeddable()?;
    for board in board::all() {
        tally += Tally::one(Board::load(&board)?.lint(&model));
    }
    Ok(tally)
}

fn docs(_: &Context) -> anyhow::Result<Tally> {
    let mut command = process::cargo(["doc", "--no-deps"].into_iter().chain(HOST.iter().copied()));
    Ok(Tally::one(process::run(command.env("RUSTDOCFLAGS", "-D warnings"))))
}

fn test(_: &Context) -> anyhow::Result<Tally> {
    // The vectors have a job of their own, which prints their table.
    let skip = ["--no-fail-fast", "--", "--skip", "oracle_"];
    counted(&mut process::cargo([&["test"], HOST, &skip].concat()))
}

fn oracle(_: &Context) -> anyhow::Result<Tally> {
    let only = ["--test", "oracle", "--test", "oracle_networks", "--", "--nocapture"];
    counted(&mut process::cargo([&["test"], HOST, &only].concat()))
}

/// A model for firmware that is built and not run.
fn embeddable() -> anyhow::Result<Model> {
    let name = paths::published().into_iter().next().context("models/artefacts has no artefact")?;
    Model::open(&name)
}

fn no_panic(_: &Context) -> anyhow::Result<Tally> {
    let model = embeddable()?;
    let mut tally = Tally::default();
    for board in board::all() {
        let board = Board::load(&board)?;
        tally += Tally::one(board.cannot_panic());
        tally += Tally::one(board.planted_panic_is_found());
        tally += Tally::one(board.corrupt_artefact_is_found(&model));
    }
    Ok(tally)
}

fn qemu(_: &Context) -> anyhow::Result<Tally> {
    let images = Kind::Shapes.load(None, Split::All)?.test.first(IMAGES);
    let values = simulate::values(&images.pixels);
    let mut tally = Tally::default();
    for board in board::emulated()? {
        let name = &board.name;
        match board.conformance() {
            Ok(suites) => {
                for (suite, cases) in suites {
                    eprintln!("{name}: {cases} {suite}");
                    tally += Tally::one(Ok(()));
                }
            }
            failed => tally += Tally::one(failed.map(|_| ())),
        }
        for setting in Setting::ALL {
            tally += Tally::one(same_logits(&board, &format!("resnet8-shapes-{setting}"), &values));
        }
        tally += Tally::one(demo(&board, &values));
    }
    Ok(tally)
}

/// A board gives the simulator's logits of some images.
pub(super) fn same_logits(board: &Board, model: &str, values: &[i8]) -> anyhow::Result<()> {
    let model = Model::open(model)?;
    let (simulated, measured) = (place::simulate(&model, values)?, board.logits(&model, values)?);
    ensure!(!simulated.is_empty(), "{model}: no logits", model = model.name);
    ensure!(simulated == measured, "{}: other logits on {}", model.name, board.name);
    eprintln!("{}: the same bytes on {}", model.name, board.name);
    Ok(())
}

/// The demo names the simulator's best class of some images.
pub(super) fn demo(board: &Board, values: &[i8]) -> anyhow::Result<()> {
    let model = Model::open(&format!("resnet8-shapes-{}", Setting::W4a8))?;
    let artefact = model.artefact()?;
    let (elements, classes) =
        (artefact.header().input_shape.elements(), usize::from(artefact.header().logits));
    let values = values.get(..DEMO_IMAGES * elements).context("too few images")?;
    let labels: Vec<_> = artefact.labels().collect();
    let logits = place::simulate(&model, values)?;
    let expected = logits.chunks_exact(classes).map(|logits| labels.get(simulate::best(logits)).copied());
    let shown = board.labels(&model, values)?;
    ensure!(expected.eq(shown.iter().map(|(label, _)| Some(label.as_str()))), "the demo shows {shown:?}");
    Ok(())
}

fn quantize(_: &Context) -> anyhow::Result<Tally> {
    let command = Quantize::checked(Setting::W4a8);
    let report = command.make()?;
    eprintln!("{}", report::table(&report));
    let complaints = report.complaints(true);
    Ok(Tally::one(if complaints.is_empty() { Ok(()) } else { Err(anyhow!(complaints.join("; "))) }))
}

fn budgets(context: &Context) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for emulated in board::emulated()? {
        let board = &emulated.name;
        let place = Place::named(board)?;
        for name in paths::published() {
            let check = || {
                let report = bench::measure(&Model::open(&name)?, &place, board)?;
                let text = format!("{}\n\n{}\n", bench::totals(&report), bench::ops(&report));
                snapshot::check(&snapshot::path(&format!("{name}.{board}")), &text, context.bless)
            };
            tally += Tally::one(check());
        }
    }
    tally += prediction::check()?;
    Ok(tally)
}

fn miri(_: &Context) -> anyhow::Result<Tally> {
    let args =
        ["run", setup::NIGHTLY, "cargo", "miri", "test", "--package", "fourbit-tests", "--test", "miri"];
    let mut command = Command::new("rustup");
    command.args(args).current_dir(paths::root());
    // Miri compiles for its own interpreter: it has a target folder of its own.
    command.env("CARGO_TARGET_DIR", paths::target().join("miri"));
    counted(&mut command)
}

fn wgpu(_: &Context) -> anyhow::Result<Tally> {
    setup::vulkan()?;
    let selection = ["test", "--workspace", "--features", "fourbit-models/wgpu"];
    counted(&mut process::cargo([&selection, &["--test", "wgpu"][..]].concat()))
}

fn fuzz(_: &Context) -> anyhow::Result<Tally> {
    let fuzzer = |args: &[&str]| beside("tests/fuzz/Cargo.toml", args);
    let mut tally = counted(&mut fuzzer(&["test", "--release"]))?;
    tally += Tally::one(process::run(&mut fuzzer(&["run", "--release", "--", "--seconds", "30"])));
    Ok(tally)
}

/// A cargo command in the folder of another workspace, whose settings it then uses.
fn beside(manifest: &str, args: &[&str]) -> Command {
    let mut command = process::cargo(args.iter().copied());
    if let Some(folder) = paths::root().join(manifest).parent() {
        command.current_dir(folder);
    }
    command
}

/// Runs tests and counts them by cargo's result lines.
pub(super) fn counted(command: &mut Command) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let status = process::follow(command, |line| tally.see(line))?;
    if tally == Tally::default() || (!status.success() && tally.failed == 0) {
        process::check(command, status)?;
        bail!("`{}` ran no test", process::typed(command));
    }
    Ok(tally)
}
