//! The format document moves with the code: it states the version, the sizes and every section.

use fourbit::artefact::header::{ALIGN, ENTRY_BYTES, HEADER_BYTES, MAX_FAMILIES, VERSION, kind};
use fourbit::artefact::{CHOICE_BYTES, OP_BYTES, PLACEMENT_BYTES, TENSOR_BYTES};

use super::{Finding, Source};

const DOCUMENT: &str = "docs/artefact-format.md";
const CHANGELOG: &str = "CHANGELOG.md";

pub(super) fn document(sources: &[Source]) -> Vec<Finding> {
    let text = |path| sources.iter().find(|s| s.path == path).and_then(|s| s.text.as_deref());
    let missing = |path: &str, what: String| Finding { path: path.to_owned(), line: 0, what };
    let Some(document) = text(DOCUMENT) else {
        return vec![missing(DOCUMENT, "the format document is missing".to_owned())];
    };
    let plain = document.to_lowercase().replace(['`', '*', '|'], " ");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut findings: Vec<_> = statements()
        .into_iter()
        .filter(|statement| !plain.contains(statement))
        .map(|statement| missing(DOCUMENT, format!("does not say `{statement}`")))
        .collect();
    let named = format!("format version {VERSION}");
    if !text(CHANGELOG).is_some_and(|changes| changes.to_lowercase().contains(&named)) {
        findings.push(missing(CHANGELOG, format!("does not say `{named}`")));
    }
    findings
}

/// What the document must say, in lower case and without its marks.
fn statements() -> Vec<String> {
    let kinds = [
        (kind::TENSORS, "tensors"),
        (kind::OPS, "ops"),
        (kind::WEIGHTS, "weights"),
        (kind::CHANNELS, "channels"),
        (kind::PLAN, "plan"),
        (kind::NAMES, "names"),
        (kind::LABELS, "labels"),
        (kind::CARD, "card"),
    ];
    let number = |n: u16| if n < 0x8000 { n.to_string() } else { format!("0x{n:04x}") };
    let sizes = [
        ("header", HEADER_BYTES),
        ("section entry", ENTRY_BYTES),
        ("tensor record", TENSOR_BYTES),
        ("op record", OP_BYTES),
        ("placement", PLACEMENT_BYTES),
        ("choice", CHOICE_BYTES),
    ];
    let mut statements =
        vec![format!("version {VERSION}"), format!("multiple of {ALIGN}"), format!("{MAX_FAMILIES} famil")];
    statements.extend(kinds.map(|(kind, name)| format!("{} {name}", number(kind))));
    statements.extend(sizes.map(|(what, bytes)| format!("{what}: {bytes} bytes")));
    statements
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;

    #[test]
    fn a_document_that_lags_is_found() {
        assert_eq!(document(&[]).len(), 1);
        let text = statements().join("\n");
        let changes = source(CHANGELOG, &format!("Format version {VERSION}."));
        let complete = source(DOCUMENT, &text);
        assert_eq!(document(&[complete, changes]), []);
        let stale = source(DOCUMENT, &text.replace(&format!("version {VERSION}"), "version 0"));
        assert_eq!(document(&[stale]).len(), 2);
    }
}
