//! A training run that was killed and started again ends with the bytes of one that was not.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
dataset = "shapes"
arch = "resnet8"
width = 0.25
setting = "float"
epochs = 3
batch = 250
lr = 0.1
seed = 7
"#;

fn command(config: &Path, run: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fourbit-train"));
    command.arg("--config").arg(config).arg("--run").arg(run).stderr(Stdio::piped());
    command
}

fn finish(config: &Path, run: &Path) -> String {
    let output = command(config, run).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn wait_for(file: &Path) {
    let begun = Instant::now();
    while !file.is_file() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no epoch ended in two minutes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("reads");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, CONFIG).expect("writes");
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    finish(&config, &whole);

    let mut child = command(&config, &killed).spawn().expect("starts");
    wait_for(&killed.join("checkpoint"));
    // The second epoch is under way.
    std::thread::sleep(Duration::from_millis(200));
    child.kill().expect("is killed");
    child.wait().expect("ends");
    assert!(!killed.join("float.graph").exists(), "the run ended before it could be killed");

    let said = finish(&config, &killed);
    assert!(said.contains("resuming after epoch"), "{said}");
    let graph = |run: &Path| std::fs::read(run.join("float.graph")).expect("the run left its graph");
    assert!(graph(&whole) == graph(&killed), "another graph after an interruption");
    // Nothing is left beside the files that were meant.
    assert_eq!(listed(&killed), ["checkpoint", "float.graph", "lock", "metrics.json"]);
}

#[test]
fn another_configuration_is_refused_and_the_checkpoint_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, run) = (folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&config, CONFIG.replace("epochs = 3", "epochs = 1")).expect("writes");
    finish(&config, &run);
    let before = std::fs::read(run.join("checkpoint")).expect("reads");
    std::fs::write(&config, CONFIG.replace("seed = 7", "seed = 8")).expect("writes");
    let output = command(&config, &run).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("was made with another configuration"), "{said}");
    assert_eq!(std::fs::read(run.join("checkpoint")).expect("reads"), before);
}

#[test]
fn a_run_goes_on_from_a_graph_that_has_moved_and_not_from_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.toml");
    let text = CONFIG.replace("epochs = 3", "epochs = 1");
    std::fs::write(&config, &text).expect("writes");
    let (float, run) = (folder.path().join("float"), folder.path().join("run"));
    finish(&config, &float);
    let (graph, moved) = (float.join("float.graph"), folder.path().join("moved.graph"));
    let from = |graph: &Path| {
        let mut command = command(&config, &run);
        let output = command.arg("--init").arg(graph).output().expect("starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(from(&graph).0);
    std::fs::rename(&graph, &moved).expect("moves");
    let (good, said) = from(&moved);
    assert!(good && said.contains("resuming after epoch 1/1"), "{said}");
    let (good, said) = from(&run.join("float.graph"));
    assert!(!good && said.contains("was made with another configuration"), "{said}");
}

#[cfg(unix)]
#[test]
fn training_ends_with_its_parent() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, run) = (folder.path().join("config.toml"), folder.path().join("run"));
    std::fs::write(&config, CONFIG.replace("epochs = 3", "epochs = 1000")).expect("writes");
    let train = command(&config, &run);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$@\" --parent $$ & wait", "sh"]).arg(train.get_program()).args(train.get_args());
    let mut shell = shell.stderr(Stdio::null()).spawn().expect("starts");
    wait_for(&run.join("checkpoint"));
    shell.kill().expect("is killed");
    shell.wait().expect("ends");
    let lock = std::fs::File::open(run.join("lock")).expect("opens");
    let begun = Instant::now();
    while lock.try_lock().is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the training goes on without its parent");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs under a limit on the size of files, which a write meets as it meets a full disk: with an error after
/// some of its bytes.
#[cfg(unix)]
fn with_little_room(config: &Path, run: &Path) -> std::process::Output {
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$@\"";
    let train = command(config, run);
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(train.get_program()).args(train.get_args());
    shell.output().expect("starts")
}

#[cfg(unix)]
#[test]
fn a_checkpoint_that_finds_no_room_leaves_the_one_before() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, CONFIG).expect("writes");
    let (whole, filled) = (folder.path().join("whole"), folder.path().join("filled"));
    finish(&config, &whole);

    let output = with_little_room(&config, &filled);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let sentence = "make room and start again: the run goes on after epoch 0";
    assert!(said.contains("error: cannot write the checkpoint") && said.contains(sentence), "{said}");
    assert_eq!(listed(&filled), ["lock"]);

    let mut child = command(&config, &filled).spawn().expect("starts");
    wait_for(&filled.join("checkpoint"));
    child.kill().expect("is killed");
    child.wait().expect("ends");
    let kept = std::fs::read(filled.join("checkpoint")).expect("reads");
    assert!(!with_little_room(&config, &filled).status.success());
    assert!(std::fs::read(filled.join("checkpoint")).expect("reads") == kept, "the checkpoint was lost");

    finish(&config, &filled);
    let graph = |run: &Path| std::fs::read(run.join("float.graph")).expect("the run left its graph");
    assert!(graph(&whole) == graph(&filled), "another graph after the disk was full");
}
