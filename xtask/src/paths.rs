//! Where things are: the repository, committed artefacts, the target folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use fourbit_models::graph_file::write_beside;

use crate::failure::bad_input;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo names the package that it runs; a binary started by itself knows where it was built.
    let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.filter(|path| path.join("src/paths.rs").is_file());
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

/// Cargo's target folder, where everything that is not committed goes.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where published artefacts and their cards are committed.
pub(crate) fn artefacts() -> PathBuf {
    root().join("models/artefacts")
}

/// Where training configurations are committed.
pub(crate) fn configs() -> PathBuf {
    root().join("models/configs")
}

/// The path of a file of the repository from its root; `None` for others.
pub(crate) fn inside(file: &Path) -> Option<PathBuf> {
    let (file, root) = (file.canonicalize().ok()?, root().canonicalize().ok()?);
    file.strip_prefix(root).map(Path::to_path_buf).ok()
}

/// Where a command's results go unless `--out` says otherwise.
pub(crate) fn out(chosen: Option<&Path>, name: &str) -> PathBuf {
    chosen.map_or_else(|| target().join("fourbit").join(name), Path::to_path_buf)
}

/// Where training runs live unless `--runs` says otherwise.
pub(crate) fn runs(chosen: Option<&Path>) -> PathBuf {
    chosen.map_or_else(|| target().join("runs"), Path::to_path_buf)
}

/// The file that `--model` means: a path, or a name in `models/artefacts`.
pub(crate) fn model(model: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(model);
    if path.is_file() {
        return Ok(path);
    }
    let named = artefacts().join(format!("{}.fourbit", model.trim_end_matches(".fourbit")));
    if named.is_file() && !model.contains(['/', '\\']) {
        return Ok(named);
    }
    if path.is_dir() {
        return Err(bad_input(format!("the model {model} is a folder: name the .fourbit file in it")));
    }
    let names = published().join(", ");
    let published = if names.is_empty() { String::new() } else { format!(", or one of the names {names}") };
    Err(bad_input(format!("no model {model}: give the path of a .fourbit file{published}")))
}

/// Names of the committed artefacts, sorted.
pub(crate) fn published() -> Vec<String> {
    let entries = std::fs::read_dir(artefacts()).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".fourbit")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// A path for people: relative to the working folder where it lies in it.
pub(crate) fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// Writes a result: whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", shown(folder)))?;
    }
    write_beside(path, bytes).with_context(|| format!("cannot write {}", shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("runtime/src/int4.rs").is_file());
    }

    #[test]
    fn an_unknown_model_is_one_sentence_with_the_way_out() {
        let error = model("no-such-model").unwrap_err().to_string();
        assert!(error.starts_with("no model no-such-model: give the path of a .fourbit file"), "{error}");
    }
}
