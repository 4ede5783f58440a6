//! The card of an artefact: what it is, its data, recipe, command, accuracy, cost.
//!
//! `embedded` is the short text inside the artefact, `page` the Markdown file beside it.

use std::fmt::Write;

use fourbit_models::dataset::Dataset;
use fourbit_models::scheme::Setting;

use crate::picture::Evaluation;
use crate::report::Report;
use crate::table::{percent, thousands};
use crate::twin::Trained;

/// What is known before the artefact is compiled.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    /// `resnet8-shapes-w4a8`.
    pub(crate) name: &'a str,
    /// The bit setting.
    pub(crate) bits: Setting,
    /// What it was trained and measured on.
    pub(crate) dataset: &'a Dataset,
    /// The runs behind it.
    pub(crate) trained: &'a Trained,
    /// The command that makes it again.
    pub(crate) command: String,
}

impl Facts<'_> {
    /// The text inside the artefact.
    pub(crate) fn embedded(&self) -> String {
        let Self { name, dataset, .. } = self;
        // The page has the rest; flash is dear.
        let checksum = dataset.checksum.get(..16).unwrap_or(&dataset.checksum);
        format!("{name}: {}, data SHA-256 {checksum}..., MIT OR Apache-2.0\n", dataset.name)
    }

    /// The card beside the artefact.
    pub(crate) fn page(&self, report: &Report, evaluation: &Evaluation) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write(&mut page, report, evaluation);
        page
    }

    fn write(&self, page: &mut String, report: &Report, evaluation: &Evaluation) -> std::fmt::Result {
        let Self { name, bits, dataset, trained, command } = self;
        writeln!(page, "# {name}\n")?;
        writeln!(
            page,
            "{} in the setting {bits}: {} classes of {}.\n",
            trained.graph.name,
            dataset.classes.len(),
            dataset.name
        )?;
        writeln!(page, "Made by `{command}`.\n")?;
        let rows = self.figures(report);
        writeln!(page, "| | |\n|---|---|")?;
        for (what, figure) in rows {
            writeln!(page, "| {what} | {figure} |")?;
        }
        writeln!(page, "\n## Data\n")?;
        let (train, test) = (dataset.train.len() + dataset.held_out.len(), dataset.test.len());
        writeln!(
            page,
            "{}: {train} training images, {test} test images, classes {}.",
            dataset.name,
            dataset.classes.join(", ")
        )?;
        writeln!(page, "SHA-256 of pixels and labels: `{}`.", dataset.checksum)?;
        if !trained.recipes.is_empty() {
            writeln!(page, "\n## Recipe\n")?;
            writeln!(page, "Runs in their order; each later one starts from the weights of the first.\n")?;
        }
        for (run, config) in &trained.recipes {
            let recipe = toml::to_string(config).unwrap_or_default();
            writeln!(page, "`{run}`:\n\n```toml\n{}\n```\n", recipe.trim())?;
        }
        writeln!(
            page,
            "## Confusion\n\nRows are the true classes, columns the predictions, on the test images.\n"
        )?;
        confusion(page, evaluation)?;
        writeln!(page, "\n## Licence\n\nMIT OR Apache-2.0.")
    }

    /// Accuracy and cost, a row each.
    fn figures(&self, report: &Report) -> Vec<(String, String)> {
        let bytes = |n: usize| format!("{} bytes", thousands(n as u64));
        let (low, high) = interval(report.correct, report.images);
        let accuracy = format!(
            "{} of {} test images (95 % interval {} to {})",
            percent(report.accuracy),
            thousands(report.images as u64),
            percent(low),
            percent(high)
        );
        let cost = &report.cost;
        let mut rows = vec![("accuracy", accuracy)];
        rows.extend(report.float_accuracy.map(|float| ("accuracy of the float twin", percent(float))));
        rows.push(("accuracy of a linear model", percent(report.linear_accuracy)));
        rows.push(("artefact", bytes(cost.artefact_bytes)));
        rows.push(("arena", bytes(cost.arena_bytes)));
        rows.extend(cost.code_bytes.map(|n| ("code", bytes(n))));
        rows.extend(cost.stack_bytes.map(|n| ("stack", bytes(n))));
        let board = |unit| format!("{unit} per image on {}", report.board);
        let mut rows: Vec<_> = rows.into_iter().map(|(what, figure)| (what.to_owned(), figure)).collect();
        rows.extend(cost.instructions.map(|n| (board("instructions"), thousands(n))));
        rows.extend(cost.cycles.map(|n| (board("cycles"), thousands(n))));
        rows.push((
            format!("same logits on {}", report.board),
            format!("{} of {} images", report.board_equal, report.board_images),
        ));
        let agreement = report.agreement.iter().map(ToString::to_string);
        rows.extend(agreement.map(|figure| ("training and runtime agree".to_owned(), figure)));
        rows
    }
}

/// The matrix as a Markdown table.
fn confusion(page: &mut String, evaluation: &Evaluation) -> std::fmt::Result {
    writeln!(page, "| | {} |", evaluation.labels.join(" | "))?;
    writeln!(page, "|---|{}", "---|".repeat(evaluation.labels.len()))?;
    for (label, counts) in evaluation.labels.iter().zip(&evaluation.confusion) {
        let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
        writeln!(page, "| {label} | {} |", counts.join(" | "))?;
    }
    Ok(())
}

/// The 95 % interval of a proportion, after Wilson.
fn interval(correct: usize, all: usize) -> (f64, f64) {
    let (n, z) = (all.max(1) as f64, 1.96);
    let p = correct as f64 / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    (middle - half, middle + half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // 80 of 100, z = 1.96: (0.8 + 0.019208) / 1.038416 -+ 1.96 / 1.038416 * sqrt(0.0016 + 0.00009604).
        let (low, high) = interval(80, 100);
        assert!((low - 0.71117).abs() < 1e-4 && (high - 0.86663).abs() < 1e-4, "{low} {high}");
    }
}
