//! Layering: what may import what, between crates and within the runtime.

use super::{Finding, Source, code};

/// Crates, and names that their sources must not use.
const CRATES: &[(&str, &[&str])] = &[
    ("runtime/src/", &["fourbit_models", "fourbit_tests", "xtask", "burn::"]),
    ("models/src/", &["fourbit_tests", "xtask"]),
    ("tests/src/", &["fourbit_models", "xtask", "burn::", "std::"]),
    ("xtask/src/", &["burn::", "probe_rs::", "defmt_decoder::"]),
    ("xtask/probe/", &["fourbit::", "fourbit_models", "fourbit_tests", "burn::"]),
    ("boards/", &["fourbit_models", "xtask", "burn::"]),
];

/// The runtime's modules from the bottom up: each imports only from those before it and itself.
const RUNTIME: &[&str] = &[
    "bytes",
    "crc",
    "int4",
    "requant",
    "shape",
    "layout",
    "kernels",
    "artefact",
    "kernels/host",
    "embedded",
    "session",
    "image",
    "classify",
    "lib",
];

pub(super) fn layers(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|s| s.is_rust()) {
        for (folder, names) in CRATES.iter().filter(|(folder, _)| source.path.starts_with(folder)) {
            for (number, line) in tested_apart(source) {
                if let Some(name) = names.iter().find(|name| uses(code(line), name)) {
                    let what = format!("{} does not use {name}", folder.trim_end_matches("src/"));
                    findings.push(source.finding(number, what));
                }
            }
        }
        findings.extend(above(source));
    }
    findings
}

/// A name that begins a path, not the end of a longer name, outside strings.
fn uses(code: &str, name: &str) -> bool {
    let unquoted: String = code.split('"').step_by(2).collect();
    let begins = |at: usize| {
        !unquoted[..at]
            .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '-' || c == '/')
    };
    unquoted.match_indices(name).any(|(at, _)| begins(at))
}

/// Imports of the runtime that go upwards.
fn above(source: &Source) -> Vec<Finding> {
    let Some(module) = source.path.strip_prefix("runtime/src/") else { return Vec::new() };
    let module = module.trim_end_matches(".rs").trim_end_matches("/mod");
    let Some(own) = rank(module) else {
        return vec![source.finding(0, "not in the list of the runtime's layers")];
    };
    let mut findings = Vec::new();
    for (number, line) in tested_apart(source) {
        for (at, _) in code(line).match_indices("crate::") {
            let before = &code(line)[..at];
            if before.ends_with(['$', '(']) && !before.ends_with("pub(") {
                continue;
            }
            let name: String =
                line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if rank(&name).is_some_and(|other| other > own) {
                findings.push(source.finding(number, format!("{module} imports {name}, a layer above it")));
            }
        }
    }
    findings
}

/// The place of a module, by the longest name that is the module or a folder above it.
fn rank(module: &str) -> Option<usize> {
    let covers = |name: &str| module == name || module.starts_with(&format!("{name}/"));
    let found = RUNTIME.iter().enumerate().filter(|(_, name)| covers(name));
    found.max_by_key(|(_, name)| name.len()).map(|(i, _)| i)
}

/// The lines before the unit tests, which may use more.
fn tested_apart(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.lines().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_crate_below_does_not_import_one_above() {
        let planted = source("runtime/src/shape.rs", "//! x\nuse fourbit_models::graph;\n");
        assert_eq!(layers(&[planted])[0].line, 2);
        let quoted = source("xtask/src/a.rs", "//! x\nlet a = \"burn::x\"; // burn::y\n");
        assert_eq!(layers(&[quoted]), []);
    }

    #[test]
    fn the_runtime_imports_downwards_only() {
        let planted = source("runtime/src/shape.rs", "//! x\nuse crate::session::Session;\n");
        assert_eq!(layers(&[planted])[0].what, "shape imports session, a layer above it");
        let host = source("runtime/src/kernels/host/mod.rs", "//! x\nuse crate::artefact::Op;\n");
        let tests = source("runtime/src/int4.rs", "//! x\n#[cfg(test)]\nuse crate::session;\n");
        assert_eq!(layers(&[host, tests]), []);
        let kernels = source("runtime/src/kernels/args.rs", "//! x\nuse crate::artefact::Op;\n");
        assert_eq!(layers(&[kernels]).len(), 1);
        assert_eq!(layers(&[source("runtime/src/new.rs", "//! x\n")]).len(), 1);
    }
}
