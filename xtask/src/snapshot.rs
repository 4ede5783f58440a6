//! Text snapshots of costs: compares with the committed file, or blesses the new text.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::paths;

/// Where snapshots are committed.
pub(crate) fn path(name: &str) -> PathBuf {
    paths::root().join("tests/snapshots").join(format!("{name}.txt"))
}

/// Compares `text` with the committed snapshot; writes it instead when `bless` is set.
pub(crate) fn check(path: &Path, text: &str, bless: bool) -> anyhow::Result<()> {
    if bless {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        return fs::write(path, text).with_context(|| format!("cannot write {}", path.display()));
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let Ok(committed) = fs::read_to_string(path) else {
        bail!("there is no snapshot {name}: write it with `cargo xtask ci budgets --bless`");
    };
    let changes = difference(&committed, text);
    if changes.is_empty() {
        return Ok(());
    }
    bail!(
        "the costs of {name} changed ({}): if that is meant, `cargo xtask ci budgets --bless`",
        changes.join("; ")
    )
}

/// Lines that differ, as `was -> is`.
fn difference(was: &str, is: &str) -> Vec<String> {
    let (was, is): (Vec<_>, Vec<_>) = (was.lines().collect(), is.lines().collect());
    let line = |lines: &[&str], i: usize| lines.get(i).map_or("nothing".to_owned(), |l| squeezed(l));
    (0..was.len().max(is.len()))
        .filter(|&i| was.get(i) != is.get(i))
        .map(|i| format!("{} -> {}", line(&was, i), line(&is, i)))
        .collect()
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_names_both_sides() {
        assert_eq!(difference("a 1\nb  2\n", "a 1\nb 3\nc 4\n"), ["b 2 -> b 3", "nothing -> c 4"]);
        assert!(difference("a 1\n", "a 1\n").is_empty());
    }

    #[test]
    fn a_missing_snapshot_says_how_to_make_it() {
        let error = check(&path("no-such-snapshot"), "", false).unwrap_err().to_string();
        assert!(error.contains("--bless"), "{error}");
    }
}
