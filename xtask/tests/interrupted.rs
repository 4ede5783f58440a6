//! `quantize`, killed at random points with everything it started, and started again: the bytes of a run that
//! nobody disturbed.

#![cfg(unix)]

use std::fs::DirEntry;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use fourbit_models::dataset::{Kind, SIDE, Split};
use image::RgbImage;

/// Kills in one test.
const KILLS: u32 = 3;
/// Most checkpoints that are written before a kill: all kills together come before the end of the recipes' 80 epochs.
const MOST: u64 = 25;
const CLASSES: usize = 3;
const IMAGES_PER_CLASS: usize = 40;

/// A user's folder: drawn shapes as PNG files.
fn photos(folder: &Path) {
    let drawn = Kind::Shapes.load(None, Split::All).expect("are drawn").test;
    for class in 0..CLASSES {
        let class_folder = folder.join(format!("class{class}"));
        std::fs::create_dir_all(&class_folder).expect("makes a folder");
        let members = (0..drawn.len()).filter(|&index| usize::from(drawn.labels[index]) == class);
        for (number, index) in members.take(IMAGES_PER_CLASS).enumerate() {
            let pixels = drawn.select(&[index]).pixels;
            let image = RgbImage::from_raw(SIDE as u32, SIDE as u32, pixels).expect("three bytes a pixel");
            image.save(class_folder.join(format!("{number}.png"))).expect("writes");
        }
    }
}

/// `quantize` of the images in `folder/photos`, with runs and results of its own, as a process group.
fn quantize(folder: &Path, name: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["quantize", "--images", "2", "--data"]).arg(folder.join("photos"));
    command.arg("--runs").arg(folder.join(format!("{name}-runs"))).arg("--out").arg(folder.join(name));
    command.stdout(Stdio::null()).process_group(0);
    command
}

fn finish(folder: &Path, name: &str) {
    let output = quantize(folder, name).output().expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A number from 1 to `most` that differs from run to run.
fn random(most: u64) -> u64 {
    1 + RandomState::new().hash_one(Instant::now()) % most
}

/// When each run's checkpoint was last written.
fn saved(runs: &Path) -> Vec<Option<SystemTime>> {
    let folders = std::fs::read_dir(runs).into_iter().flatten().flatten();
    let written = |folder: DirEntry| folder.path().join("checkpoint").metadata().ok()?.modified().ok();
    folders.map(written).collect()
}

/// Returns once so many more checkpoints were written as the child runs, at any point of the epoch after.
fn wait(runs: &Path, child: &mut Child, checkpoints: u64) {
    let (mut seen, mut count) = (saved(runs), 0);
    while count < checkpoints {
        assert!(child.try_wait().expect("can be asked").is_none(), "ended after {count} checkpoints");
        std::thread::sleep(Duration::from_millis(5));
        let now = saved(runs);
        count += u64::from(now != seen);
        seen = now;
    }
    std::thread::sleep(Duration::from_millis(random(100)));
}

/// Artefact and float graph.
fn results(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = ["resnet8-folder-w4a8.fourbit", "resnet8-folder-float.graph"];
    names.iter().map(|name| (name.into(), std::fs::read(folder.join(name)).expect("was written"))).collect()
}

#[test]
fn a_killed_quantize_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    photos(&folder.join("photos"));
    finish(folder, "whole");

    for kill in 1..=KILLS {
        let checkpoints = random(MOST);
        let mut child = quantize(folder, "killed").stderr(Stdio::null()).spawn().expect("starts");
        wait(&folder.join("killed-runs"), &mut child, checkpoints);
        println!("kill {kill} after {checkpoints} checkpoints");
        let group = format!("-{}", child.id());
        let killed = Command::new("kill").args(["-KILL", "--", &group]).status().expect("starts");
        assert!(killed.success());
        child.wait().expect("ends");
        assert!(!folder.join("killed/resnet8-folder-w4a8.fourbit").exists(), "ended before kill {kill}");
    }
    finish(folder, "killed");
    assert!(results(&folder.join("whole")) == results(&folder.join("killed")), "other bytes");
}
