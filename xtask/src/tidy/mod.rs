//! `tidy`: the repository's own rules, checked over every file that git knows or would add.
//!
//! Takes the files as text, gives one line per finding: `path:line: what is wrong`.

mod format;
mod layers;
mod text;

use std::path::Path;

use anyhow::Context;

use crate::{paths, process};

/// A file of the repository.
#[derive(Debug)]
struct Source {
    /// From the root, with `/`.
    path: String,
    /// Size on disk.
    bytes: u64,
    /// Its content where it is UTF-8.
    text: Option<String>,
}

/// What a rule has against a file.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

/// A rule: a name and what it finds.
type Rule = (&'static str, fn(&[Source]) -> Vec<Finding>);

const RULES: &[Rule] = &[
    ("length", text::length),
    ("opening", text::opening),
    ("unsafe", text::unsafe_code),
    ("words", text::words),
    ("paths", text::machine_paths),
    ("size", text::size),
    ("layers", layers::layers),
    ("format document", format::document),
];

/// Checks every rule: its name, and what it found.
pub(crate) fn check() -> anyhow::Result<Vec<(&'static str, Vec<String>)>> {
    let sources = sources(&paths::root())?;
    let shown = |finding: Finding| match finding.line {
        0 => format!("{}: {}", finding.path, finding.what),
        line => format!("{}:{line}: {}", finding.path, finding.what),
    };
    Ok(RULES.iter().map(|(name, rule)| (*name, rule(&sources).into_iter().map(shown).collect())).collect())
}

fn sources(root: &Path) -> anyhow::Result<Vec<Source>> {
    let listed = process::output("git", &["ls-files", "--cached", "--others", "--exclude-standard"])
        .context("cannot list the repository's files: git is needed")?;
    let mut sources = Vec::new();
    for path in listed.lines() {
        // A file that is tracked and has just been deleted is in the list and not on disk.
        let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
        let size = bytes.len() as u64;
        sources.push(Source { path: path.to_owned(), bytes: size, text: String::from_utf8(bytes).ok() });
    }
    anyhow::ensure!(!sources.is_empty(), "git knows no file here");
    Ok(sources)
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn finding(&self, line: usize, what: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, what: what.into() }
    }

    /// Numbered lines, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.iter().flat_map(|text| text.lines()).enumerate().map(|(i, line)| (i + 1, line))
    }
}

/// The part of a line before a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

#[cfg(test)]
fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), bytes: text.len() as u64, text: Some(text.to_owned()) }
}
