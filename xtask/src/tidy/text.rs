//! Rules about a file by itself: length, opening, `unsafe`, words, paths, size.

use super::{Finding, Source, code};

/// Lines that a Rust file may have.
const MAX_LINES: usize = 400;
/// Bytes that a committed file may have.
const MAX_BYTES: u64 = 1_000_000;
/// The files that may hold `unsafe` code.
const UNSAFE: &[&str] = &[
    "models/src/qat/matmul.rs",
    "runtime/src/kernels/armv7em/channels.rs",
    "runtime/src/kernels/armv7em/depthwise/",
    "runtime/src/kernels/armv7em/dot.rs",
    "runtime/src/kernels/armv7em/dsp.rs",
    "runtime/src/kernels/armv7em/lanes.rs",
    "runtime/src/kernels/armv7em/put.rs",
    "runtime/src/kernels/armv7em/store.rs",
    "runtime/src/kernels/armv7em/winograd/",
    "runtime/src/kernels/host/mod.rs",
    "runtime/src/kernels/host/add.rs",
    "runtime/src/kernels/host/bytes.rs",
    "runtime/src/kernels/host/linear.rs",
    "runtime/src/kernels/host/patch.rs",
    "runtime/src/kernels/host/tile.rs",
    "runtime/src/kernels/mve/depthwise.rs",
    "runtime/src/kernels/mve/dot.rs",
    "runtime/src/kernels/mve/lines.rs",
    "runtime/src/kernels/mve/panel.rs",
    "runtime/src/kernels/mve/sum.rs",
    "runtime/src/kernels/mve/weights.rs",
    "runtime/src/kernels/words.rs",
    "boards/",
    "tests/tests/needs.rs",
];
/// What marks unfinished work or a file without an idea. Written in halves: this file is checked too.
const WORDS: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("dbg", "!("),
    concat!("unimplemented", "!("),
];
/// Names that say nothing about what a file holds.
const NAMES: &[&str] = &["utils", "util", "helpers", "misc", "manager"];
/// Where a path of one person's machine begins.
const ROOTS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/"),
];

pub(super) fn length(sources: &[Source]) -> Vec<Finding> {
    let rust = sources.iter().filter(|s| s.is_rust());
    let long = rust.filter(|s| s.lines().count() > MAX_LINES);
    long.map(|s| s.finding(0, format!("{} lines, at most {MAX_LINES}", s.lines().count()))).collect()
}

pub(super) fn opening(sources: &[Source]) -> Vec<Finding> {
    let rust = sources.iter().filter(|s| s.is_rust());
    let bare = rust.filter(|s| !s.text.as_deref().unwrap_or("").starts_with("//! "));
    bare.map(|s| s.finding(1, "does not open with `//!`")).collect()
}

/// `unsafe` stands in few places, each use below a `// SAFETY:` comment.
pub(super) fn unsafe_code(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.is_rust()) {
        let allowed = UNSAFE.iter().any(|prefix| source.path.starts_with(prefix));
        let mut explained = 0;
        for (number, line) in source.lines() {
            if line.contains("// SAFETY:") {
                explained = number;
            }
            if !uses_unsafe(code(line)) {
                continue;
            }
            if !allowed {
                findings.push(source.finding(number, "`unsafe` in a file that is not on the list"));
            } else if !code(line).contains("unsafe(") && number.saturating_sub(explained) > 6 {
                findings.push(source.finding(number, "`unsafe` without a `// SAFETY:` comment above it"));
            }
        }
    }
    findings
}

/// The keyword, neither in a string nor as part of another word; `unsafe fn` only declares.
fn uses_unsafe(code: &str) -> bool {
    let unquoted: String = code.split('"').step_by(2).collect();
    let mut words = unquoted.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '(').peekable();
    while let Some(word) = words.next() {
        let declares = matches!(words.peek(), Some(next) if *next == "fn" || *next == "extern");
        if word.trim_end_matches('(') == "unsafe" && !declares && !unquoted.contains('`') {
            return true;
        }
    }
    false
}

pub(super) fn words(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        let stem = source.path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or("");
        if source.path.split('/').chain([stem]).any(|part| NAMES.contains(&part)) {
            findings.push(source.finding(0, "a name that does not say what the file holds"));
        }
        for (number, line) in source.lines() {
            if let Some(word) = WORDS.iter().find(|word| line.contains(**word)) {
                findings.push(source.finding(number, format!("unfinished work: {word}")));
            }
        }
    }
    findings
}

pub(super) fn machine_paths(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| !s.path.ends_with(".lock")) {
        for (number, line) in source.lines() {
            // An absolute path begins a word; the same letters inside a longer path do not.
            let begins = |root: &str| {
                line.match_indices(root).any(|(at, _)| at == 0 || !is_path(line.as_bytes()[at - 1]))
            };
            if let Some(root) = ROOTS.iter().find(|root| begins(root)) {
                findings.push(source.finding(number, format!("a path of one machine: {root}")));
            }
        }
    }
    findings
}

fn is_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'}' | b'$')
}

pub(super) fn size(sources: &[Source]) -> Vec<Finding> {
    let large = sources.iter().filter(|s| s.bytes > MAX_BYTES);
    large.map(|s| s.finding(0, format!("{} bytes, at most {MAX_BYTES}", s.bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn long_and_bare_files_are_found() {
        let long = source("a.rs", &"//! x\n".repeat(401));
        assert_eq!(length(&[long])[0].what, "401 lines, at most 400");
        assert_eq!(opening(&[source("a.rs", "fn main() {}\n")]).len(), 1);
        assert_eq!(opening(&[source("a.rs", "//! An idea.\n"), source("a.md", "text")]), []);
    }

    #[test]
    fn unsafe_is_found_where_it_is_code() {
        let outside =
            source("models/src/a.rs", "//! x\n#![deny(unsafe_code)]\n// unsafe\nlet a = unsafe { b() };\n");
        let findings = unsafe_code(&[outside]);
        assert_eq!((findings.len(), findings[0].line), (1, 4));
        let text = "//! x\n// SAFETY: `b` has no precondition.\nlet a = unsafe { b() };\n";
        assert_eq!(unsafe_code(&[source("boards/x/src/main.rs", text)]), []);
        let text = "//! x\nlet a = unsafe { b() };\nlet b = 1;\n".replace("//! x\n", &"//! x\n".repeat(8));
        assert_eq!(unsafe_code(&[source("boards/x/src/main.rs", &text)]).len(), 1);
    }

    #[test]
    fn words_and_paths_are_found() {
        let text = format!("//! x\n// {}: later\nopen(\"{}me\")\n", WORDS[0], ROOTS[0]);
        let planted = source("src/utils.rs", &text);
        assert_eq!(words(std::slice::from_ref(&planted)).len(), 2);
        assert_eq!(machine_paths(&[planted])[0].line, 3);
        let relative = format!("target{}file", ROOTS[4]);
        assert_eq!(machine_paths(&[source("a.md", &relative)]), []);
    }

    #[test]
    fn large_files_are_found() {
        let large = Source { path: "a.bin".into(), bytes: MAX_BYTES + 1, text: None };
        assert_eq!(size(&[large]).len(), 1);
    }
}
