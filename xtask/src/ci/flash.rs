//! The job `flash`: what can be held of boards with a debug probe where there is none.
//!
//! `fourbit-probe` passes its own tests, which need no hardware. The firmware of every such board
//! fits the chip's memory; a file that does not is refused. And the emulator runs firmware that
//! reports with defmt: the same frames, through the same decoder, as come over RTT.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, ensure};
use fourbit_models::dataset::{Kind, Split};
use fourbit_models::scheme::Setting;
use fourbit_models::simulate;

use super::jobs::{counted, demo, same_logits};
use super::{Context, Tally};
use crate::board::{self, Board};
use crate::layout::{Segment, planted};
use crate::model::Model;
use crate::{agree, paths, process};

/// Images that go to a firmware as frames.
const IMAGES: usize = 4;

pub(super) fn job(_: &Context) -> anyhow::Result<Tally> {
    let mut tally = counted(&mut probe(&["test"]))?;
    tally += Tally::one(process::run(&mut probe(&["clippy", "--all-targets", "--", "-D", "warnings"])));
    for name in board::all() {
        let board = Board::load(&name)?;
        if board.is_emulated() {
            tally += frames(&board.with_frames())?;
        } else {
            tally += dry_runs(&board)?;
        }
    }
    Ok(tally)
}

/// A cargo command in the workspace of `fourbit-probe`, in the target folder of its own.
fn probe(args: &[&str]) -> Command {
    let mut command = process::cargo(args.iter().copied());
    command.current_dir(paths::root().join("xtask/probe"));
    command.env("CARGO_TARGET_DIR", paths::root().join(paths::target()).join("probe"));
    command
}

/// A firmware whose report is frames: every operation's checksum, the logits of images that came as
/// frames too, and the demo's words are the simulator's.
fn frames(board: &Board) -> anyhow::Result<Tally> {
    let model = Model::open(&format!("resnet8-shapes-{}", Setting::W4a8))?;
    let images = Kind::Shapes.load(None, Split::All)?.test.first(IMAGES);
    let values = simulate::values(&images.pixels);
    let checksums = || {
        let bench = board.bench(&model)?;
        agree::check(&model, &bench)?;
        eprintln!("{}: checksums of {} operations in frames", board.name, bench.ops.len());
        Ok(())
    };
    let mut tally = Tally::one(checksums());
    tally += Tally::one(same_logits(board, &model.name, &values));
    tally += Tally::one(demo(board, &values));
    Ok(tally)
}

/// `flash --dry-run` of the demo, and of files that must be refused with exit code 2.
fn dry_runs(board: &Board) -> anyhow::Result<Tally> {
    let model = format!("resnet8-shapes-{}", Setting::W4a8);
    let mut tally = Tally::one(dry_run(board, &["--model", &model], 0, "_SEGGER_RTT at 0x"));
    let flash = board.probe()?.regions()?.into_iter().find(|region| region.flash);
    let flash = flash.context("the chip has no flash")?;
    for (load, bytes, sentence) in [
        (flash.start, flash.end - flash.start + 1, "ends 1 byte behind"),
        (flash.end, 1024, "has no flash: link it for this chip"),
    ] {
        let segment = Segment { load, address: load, loaded: bytes, bytes };
        let file = tempfile::Builder::new().suffix(".elf").tempfile()?;
        let written = fs::write(file.path(), planted::elf(&[segment], None));
        written.context("cannot write a firmware to be refused")?;
        let path = file.path().to_string_lossy();
        tally += Tally::one(dry_run(board, &["--elf", &path], 2, sentence));
    }
    Ok(tally)
}

/// Runs the command line itself; its exit code and a part of what it says are known.
fn dry_run(board: &Board, args: &[&str], code: i32, says: &str) -> anyhow::Result<()> {
    // The program by its path: the file that this process was started from may have been built again since.
    let mut command = Command::new(paths::target().join(format!("debug/xtask{EXE_SUFFIX}")));
    command.args(["flash", "--dry-run", "--board", &board.name]).args(args);
    let output = command.output().with_context(|| format!("cannot start `{}`", process::typed(&command)))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    eprint!("{said}");
    ensure!(output.status.code() == Some(code), "`{}`: {}", process::typed(&command), output.status);
    ensure!(said.contains(says), "`{}` does not say: {says}", process::typed(&command));
    Ok(())
}
