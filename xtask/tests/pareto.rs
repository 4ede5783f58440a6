//! `pareto` from the command line: killed and started again, with a point that fails, and with mistakes in its
//! file.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Points that nothing takes long for.
const SWEEP: &str = "
dataset = 'shapes'
split = 'hold-out'
board = 'sim'
[[points]]
arch = 'resnet8'
widths = [0.25]
bits = ['float', 'w8a8', 'w4a8']
seeds = [1]
[recipe.float]
epochs = 2
batch = 64
lr = 0.2
[recipe.tuned]
epochs = 1
batch = 64
lr = 0.02
[recipe.quantized]
epochs = 1
batch = 64
lr = 0.02
clip = 1.0
";

/// The sweep with runs and results in a folder of their own, as a process group.
fn pareto(folder: &Path, name: &str) -> Command {
    fs::write(folder.join("sweep.toml"), SWEEP).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("pareto").arg("--config").arg(folder.join("sweep.toml"));
    command.arg("--runs").arg(folder.join(format!("{name}-runs"))).arg("--out").arg(folder.join(name));
    command.process_group(0);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Names and contents of the records in a folder of results.
fn records(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(out.join("sweep")).into_iter().flatten().flatten().map(|entry| entry.path());
    let records = entries.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    records.map(|path| (path.clone(), fs::read(&path).expect("reads"))).collect()
}

/// The table without the time that training took.
fn table(out: &Path) -> Vec<String> {
    let text = fs::read_to_string(out.join("sweep.csv")).expect("there is a table");
    let row = |line: &str| {
        let mut cells: Vec<_> = line.split(',').collect();
        cells.remove(12);
        cells.join(",")
    };
    text.lines().map(row).collect()
}

#[test]
fn a_killed_sweep_goes_on_and_a_failed_point_stops_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let begun = Instant::now();
    let output = pareto(folder, "whole").output().expect("starts");
    assert!(output.status.success(), "{}", said(&output));
    let whole = begun.elapsed();
    assert_eq!(records(&folder.join("whole")).len(), 3);

    // Once in the first training run, once when a point is finished.
    let killed = folder.join("killed");
    for kill in 0..2 {
        let mut child =
            pareto(folder, "killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        let begun = Instant::now();
        while if kill == 0 { begun.elapsed() < whole / 5 } else { records(&killed).is_empty() } {
            assert!(child.try_wait().expect("can be asked").is_none(), "ended before kill {kill}");
            sleep(Duration::from_millis(20));
        }
        let group = format!("-{}", child.id());
        assert!(Command::new("kill").args(["-KILL", "--", &group]).status().expect("starts").success());
        child.wait().expect("ends");
    }
    let before = records(&killed);
    assert!((1..3).contains(&before.len()), "{} records", before.len());
    let output = pareto(folder, "killed").output().expect("starts");
    assert!(output.status.success(), "{}", said(&output));
    let after = records(&killed);
    assert!(before.iter().all(|(path, record)| after[path] == *record), "a finished point was made again");
    assert_eq!(table(&killed), table(&folder.join("whole")));

    // A damaged checkpoint fails one point; the one before it lost its record only.
    let run = fs::read_dir(folder.join("killed-runs")).expect("reads").flatten().map(|entry| entry.path());
    let run = run.filter(|path| path.to_string_lossy().contains("w4a8")).collect::<Vec<_>>();
    assert_eq!(run.len(), 1);
    fs::remove_file(run[0].join("metrics.json")).expect("removes");
    fs::write(run[0].join("checkpoint"), "damaged").expect("writes");
    for bits in ["w8a8", "w4a8"] {
        fs::remove_file(killed.join(format!("sweep/resnet8-w0.25-{bits}-s1.json"))).expect("removes");
    }
    let output = pareto(folder, "killed").output().expect("starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("error: resnet8-w0.25-w4a8-s1 failed: training failed"),
        "{}",
        said(&output)
    );
    assert_eq!(table(&killed), table(&folder.join("whole"))[..3]);
}

#[test]
fn mistakes_in_the_file_are_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sweep.toml");
    for (from, to, expected) in [
        ("board =", "bord =", "line 4: unknown field `bord`"),
        ("[0.25]", "[-0.25]", "resnet8 of width -0.25"),
        ("'sim'", "'mps9'", "no board mps9: the boards are sim, "),
    ] {
        fs::write(&path, SWEEP.replace(from, to)).expect("writes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.args(["pareto", "--config"]).arg(&path).output().expect("starts");
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.starts_with("error: ") && said.lines().count() == 1 && said.contains(expected),
            "{said}"
        );
    }
}
