//! The page of a sweep: one HTML file with its table, diagrams, confusion matrices and bars per layer.
//!
//! It needs no other file, no font and no network.

use std::cmp::Ordering;
use std::fmt::{self, Write};

use super::curves::{Cost, Group, Lower, Mean, four_below, means};
use super::outputs::Report;
use super::record::{Record, Row};
use crate::picture::Picture;
use crate::table::{percent, thousands};

const STYLE: &str = "
body { font: 15px/1.5 'Open Sans', Arial, Helvetica, sans-serif; color: #212529; max-width: 1240px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; } h2 { font-size: 1.25em; margin-top: 2em; }
table { border-collapse: collapse; } th, td { padding: .2em .7em; text-align: right; }
th { border-bottom: 1px solid #adb5bd; font-weight: 600; } td:first-child, th:first-child { text-align: left; }
tbody tr:nth-child(even) { background: #f6f7f8; }
.best { font-weight: 600; color: #a53a12; } .note { color: #6c757d; } .bad { color: #b02a37; }
svg { max-width: 100%; height: auto; display: block; margin: 1em 0; }
details { border-top: 1px solid #dee2e6; padding: .3em 0; } summary { cursor: pointer; }
.both { display: flex; flex-wrap: wrap; gap: 2.5em; margin: .8em 0 1.4em; align-items: flex-start; }
.matrix td { width: 2.6em; text-align: center; padding: .15em .2em; } .matrix th { font-weight: 400; border: 0; }
.bar { display: inline-block; height: .8em; background: #c94c24; vertical-align: middle; }
";

/// The whole page.
pub(crate) fn page(report: &Report, diagrams: &[(&str, Picture)]) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut page, report, diagrams);
    page
}

fn write(page: &mut String, report: &Report, diagrams: &[(&str, Picture)]) -> fmt::Result {
    let title = escaped(&report.sweep);
    writeln!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>"
    )?;
    writeln!(page, "<style>{STYLE}</style></head><body>\n<h1>{title}</h1>")?;
    writeln!(
        page,
        "<p>{} points on {}, evaluated through the runtime on all test images; instructions and code of {}. \
         A float point is a twin that trained as long as the quantized ones; it is priced as bfloat16, with the \
         least code that a quantized point of its network needs. Data SHA-256 {}.</p>",
        report.points.len(),
        escaped(&report.dataset),
        escaped(&report.board),
        escaped(&report.data_sha256),
    )?;
    gaps(page, report)?;
    writeln!(page, "<h2>Does the 4-bit curve win?</h2>\n<ul>")?;
    for cost in Cost::ALL {
        for other in [Group::Eight, Group::Float] {
            verdict(page, report, cost, other)?;
        }
    }
    writeln!(page, "</ul>\n<h2>Diagrams</h2>")?;
    for (_, picture) in diagrams {
        writeln!(page, "{}", picture.svg)?;
    }
    table(page, report)?;
    writeln!(page, "<h2>Each point</h2>")?;
    for record in report.records.iter().filter(|record| !record.confusion.is_empty()) {
        point(page, record)?;
    }
    writeln!(page, "</body></html>")
}

/// Points that are missing or failed.
fn gaps(page: &mut String, report: &Report) -> fmt::Result {
    match report.missing.len() {
        0 => {}
        1 => writeln!(page, "<p class=\"bad\">1 point is missing.</p>")?,
        count => writeln!(page, "<p class=\"bad\">{count} points are missing.</p>")?,
    }
    for failure in &report.failures {
        let (name, reason) = (escaped(&failure.name), escaped(&failure.reason));
        writeln!(page, "<p class=\"bad\">{name} failed: {reason}</p>")?;
    }
    Ok(())
}

/// Where the 4-bit curve lies against another one, and which networks make it so.
fn verdict(page: &mut String, report: &Report, cost: Cost, other: Group) -> fmt::Result {
    let means = means(&report.points, cost);
    let Some((covered, lower)) = four_below(&means, other) else { return Ok(()) };
    let (words, name, count) =
        (escaped(&cost.words(&report.board)), other.name(), |cost: f64| thousands(cost.round() as u64));
    let (low, high) = (count(covered.0), count(covered.1));
    if lower.is_empty() {
        return writeln!(
            page,
            "<li>{words}: the best 4-bit curve is nowhere below the {name} curve from {low} to {high}, the range \
             that both cover.</li>"
        );
    }
    writeln!(
        page,
        "<li>{words}: from {low} to {high}, the range that both cover, the best 4-bit curve is below the {name} \
         curve at these costs and nowhere else.\n<table><thead><tr><th>from</th><th>to</th><th>lower by, points</th>\
         <th>4 bits</th><th>{name}</th><th>why</th></tr></thead><tbody>"
    )?;
    for lower in &lower {
        let Lower { costs, gap, four, other } = lower;
        let why = why(lower, &means);
        writeln!(
            page,
            "<tr class=\"bad\"><td>{}</td><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td><td>{why}</td></tr>",
            count(costs.0),
            count(costs.1),
            100.0 * gap,
            network(four),
            network(other)
        )?;
    }
    writeln!(page, "</tbody></table></li>")
}

/// What makes the 4-bit curve lower at some cost.
fn why(Lower { four, other, .. }: &Lower<'_>, means: &[Mean]) -> &'static str {
    let twin = means.iter().find(|mean| mean.network == four.network && mean.bits == other.bits);
    match four.macs.cmp(&other.macs) {
        Ordering::Equal => "the same network: its bits cost this much accuracy",
        Ordering::Less => "the larger network in 4 bits costs more yet",
        Ordering::Greater if twin.is_some_and(|twin| twin.accuracy[0] <= other.accuracy[0]) => {
            "the larger network is no better at equal bits"
        }
        Ordering::Greater => "the larger network, and its bits cost more accuracy than its size brings",
    }
}

/// A network, its bits and its mean accuracy.
fn network(mean: &Mean) -> String {
    let (network, accuracy) = (escaped(&mean.network), percent(mean.accuracy[0]));
    format!("{network} {}, {accuracy}", mean.bits.name())
}

fn table(page: &mut String, report: &Report) -> fmt::Result {
    writeln!(page, "<h2>Table</h2>\n<p class=\"note\">Bold: no other network beats it in this cost.</p>")?;
    writeln!(page, "<table><thead><tr><th>point</th><th>accuracy</th><th>training</th><th>MACs</th>")?;
    for cost in [Cost::WeightedMacs, Cost::Instructions, Cost::Flash, Cost::Arena] {
        writeln!(page, "<th>{}</th>", head(cost))?;
    }
    writeln!(page, "<th>trained, s</th><th>recipe</th></tr></thead><tbody>")?;
    for row in &report.points {
        let (accuracy, training) = (percent(row.accuracy), percent(row.train_accuracy));
        write!(page, "<tr><td>{}</td><td>{accuracy}</td><td>{training}</td>", escaped(&row.name))?;
        write!(page, "<td>{}</td>", thousands(row.macs))?;
        for cost in [Cost::WeightedMacs, Cost::Instructions, Cost::Flash, Cost::Arena] {
            cell(page, report, row, cost)?;
        }
        let (seconds, recipe) = (thousands(row.train_seconds.round() as u64), escaped(&row.recipe));
        writeln!(page, "<td>{seconds}</td><td><code>{recipe}</code></td></tr>")?;
    }
    writeln!(page, "</tbody></table>")
}

fn head(cost: Cost) -> &'static str {
    match cost {
        Cost::WeightedMacs => "weighted MACs",
        Cost::Instructions => "instructions",
        Cost::Flash => "flash, bytes",
        Cost::Arena => "arena, bytes",
    }
}

fn cell(page: &mut String, report: &Report, row: &Row, cost: Cost) -> fmt::Result {
    let class = if report.is_best(row, cost) { " class=\"best\"" } else { "" };
    let value = cost.of(row).map_or("–".to_owned(), |cost| thousands(cost as u64));
    write!(page, "<td{class}>{value}</td>")
}

/// Confusion matrix of a point, and bars of a quantized one.
fn point(page: &mut String, record: &Record) -> fmt::Result {
    let (name, accuracy) = (escaped(&record.name), percent(record.accuracy));
    writeln!(page, "<details><summary>{name}: {accuracy}</summary><div class=\"both\">")?;
    writeln!(page, "<table class=\"matrix\"><tr><th></th>")?;
    for label in &record.labels {
        writeln!(page, "<th>{}</th>", escaped(label))?;
    }
    writeln!(page, "</tr>")?;
    for (truth, (label, counts)) in record.labels.iter().zip(&record.confusion).enumerate() {
        write!(page, "<tr><th>{}</th>", escaped(label))?;
        let all = counts.iter().sum::<usize>().max(1) as f64;
        for (predicted, &count) in counts.iter().enumerate() {
            // The square root keeps rare confusions visible beside a strong diagonal.
            let shade = (count as f64 / all).sqrt() * 0.85;
            let color = if truth == predicted { "8,64,129" } else { "214,51,68" };
            let ink = if shade > 0.5 { ";color:#fff" } else { "" };
            write!(page, "<td style=\"background:rgba({color},{shade:.2}){ink}\">{count}</td>")?;
        }
        writeln!(page, "</tr>")?;
    }
    writeln!(page, "</table><table>")?;
    let most = record.layers.iter().filter_map(|layer| layer.instructions).max().unwrap_or(0).max(1);
    for layer in &record.layers {
        let Some(count) = layer.instructions else { continue };
        let width = (300.0 * count as f64 / most as f64).round();
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td style=\"text-align:left\"><span class=\"bar\" \
             style=\"width:{width}px\"></span></td></tr>",
            escaped(&layer.name),
            thousands(count)
        )?;
    }
    writeln!(page, "</table></div></details>")
}

/// A text that HTML takes as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use fourbit_models::config::Precision;
    use fourbit_models::scheme::Setting;

    use super::*;

    fn mean(network: &str, setting: Setting, macs: u64, accuracy: f64) -> Mean {
        let bits = Precision::Quantized(setting);
        Mean { network: network.into(), bits, seeds: 1, macs, cost: 1e6, accuracy: [accuracy; 3] }
    }

    #[test]
    fn reasons_compare_with_the_network_at_equal_bits() {
        let (small, eight) = (mean("small", Setting::W4a8, 10, 0.70), mean("small", Setting::W8a8, 10, 0.72));
        let large = mean("large", Setting::W4a8, 20, 0.71);
        let reason = |four, other, twin| {
            why(
                &Lower { costs: (1e6, 2e6), gap: 0.01, four, other },
                &[mean("large", Setting::W8a8, 20, twin)],
            )
        };
        assert!(reason(&small, &eight, 0.73).starts_with("the same network"));
        assert!(reason(&small, &large, 0.73).ends_with("in 4 bits costs more yet"));
        assert!(reason(&large, &eight, 0.73).ends_with("more accuracy than its size brings"));
        assert!(reason(&large, &eight, 0.72).ends_with("no better at equal bits"));
    }
}
