//! Text snapshots of costs: compares with the committed file, or blesses the new text.
//!
//! A figure may differ by 1 %: where a repository lies decides the order of functions in a firmware,
//! and so some bytes of padding. A larger change, up or down, is to be looked at and blessed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::paths;

/// Part by which a figure may differ from the committed one.
const TOLERANCE: f64 = 0.01;
/// What a rounded percentage may differ by.
const SHARE_TOLERANCE: f64 = 0.11;

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
        .filter(|&i| !was.get(i).zip(is.get(i)).is_some_and(|(was, is)| alike(was, is)))
        .map(|i| format!("{} -> {}", line(&was, i), line(&is, i)))
        .collect()
}

/// Whether two lines have the same words and nearly the same figures.
fn alike(was: &str, is: &str) -> bool {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let (was, is) = (words(was), words(is));
    was.len() == is.len() && was.iter().zip(&is).all(|(was, is)| same_word(was, is))
}

fn same_word(was: &str, is: &str) -> bool {
    let figure = |word: &str| word.replace(',', "").parse::<f64>().ok();
    let rule = |word: &str| word.trim_matches('-').is_empty();
    let Some((a, b)) = figure(was).zip(figure(is)) else { return was == is || rule(was) && rule(is) };
    let tolerance = if was.contains('.') { SHARE_TOLERANCE } else { TOLERANCE * a };
    (a - b).abs() <= tolerance
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
    fn a_hundredth_is_let_pass_and_more_is_not() {
        assert!(difference("conv 1,000 9.9 %", "conv   1,010 10.0 %").is_empty());
        assert_eq!(difference("conv 1,000", "conv 1,011"), ["conv 1,000 -> conv 1,011"]);
        assert_eq!(difference("conv 1,000", "conv 989"), ["conv 1,000 -> conv 989"]);
        assert_eq!(difference("conv 1,000", "add 1,000"), ["conv 1,000 -> add 1,000"]);
    }

    #[test]
    fn a_missing_snapshot_says_how_to_make_it() {
        let error = check(&path("no-such-snapshot"), "", false).unwrap_err().to_string();
        assert!(error.contains("--bless"), "{error}");
    }
}
