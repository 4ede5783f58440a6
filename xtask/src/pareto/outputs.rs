//! What a sweep leaves: the table as CSV, everything as JSON, diagrams as PNG and SVG, and a page.
//!
//! The same records give the same bytes.

use std::path::{Path, PathBuf};

use fourbit_models::config::Precision;
use fourbit_models::scheme::Setting;
use plotters::style::RGBColor;
use serde::Serialize;

use super::curves::{Cost, Group, Mean, best, means, networks, pairs, spread};
use super::html::page;
use super::make::Failure;
use super::record::{Record, Row, csv, rows};
use crate::paths;
use crate::picture::{Column, Dot, Picture, Scatter, Series, Shape, gap, scatter};

/// Settings from most to fewest bits.
pub(crate) const SETTINGS: [Precision; 5] = [
    Precision::Float,
    Precision::Quantized(Setting::W8a8),
    Precision::Quantized(Setting::W4a8),
    Precision::Quantized(Setting::W4a4),
    Precision::Quantized(Setting::All4),
];

/// A sweep's results, as `--json` prints them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) sweep: String,
    pub(crate) dataset: String,
    pub(crate) data_sha256: String,
    /// Where instructions were counted and code measured.
    pub(crate) board: String,
    /// Points of the sweep that are not there.
    pub(crate) missing: Vec<String>,
    pub(crate) failures: Vec<Failure>,
    pub(crate) points: Vec<Row>,
    pub(crate) frontiers: Vec<Frontier>,
    #[serde(skip)]
    pub(crate) records: Vec<Record>,
}

/// What no other network beats in a cost, over all settings.
#[derive(Debug, Serialize)]
pub(crate) struct Frontier {
    pub(crate) cost: &'static str,
    pub(crate) networks: Vec<Mean>,
}

impl Report {
    /// Of records of one sweep, of which there is at least one.
    pub(crate) fn new(
        sweep: &str,
        records: Vec<Record>,
        missing: Vec<String>,
        failures: Vec<Failure>,
    ) -> Self {
        let points = rows(&records);
        let frontier = |cost: Cost| {
            let networks = best(&means(&points, cost)).into_iter().cloned().collect();
            Frontier { cost: cost.name(), networks }
        };
        let first = records.first();
        let text = |of: fn(&Record) -> &String| first.map(of).cloned().unwrap_or_default();
        Self {
            sweep: sweep.to_owned(),
            dataset: text(|record| &record.dataset),
            data_sha256: text(|record| &record.data_sha256),
            board: text(|record| &record.board),
            missing,
            failures,
            frontiers: Cost::ALL.map(frontier).into(),
            points,
            records,
        }
    }

    /// Whether a row belongs to a network that no other beats in this cost.
    pub(crate) fn is_best(&self, row: &Row, cost: Cost) -> bool {
        let frontier = self.frontiers.iter().filter(|frontier| frontier.cost == cost.name());
        let mut networks = frontier.flat_map(|frontier| &frontier.networks);
        networks.any(|mean| mean.network == row.key.network() && mean.bits == row.key.bits)
    }

    /// Writes every file; gives the table and the page.
    pub(crate) fn write(&self, out: &Path) -> anyhow::Result<[PathBuf; 2]> {
        let file = |ending: &str| out.join(format!("{}{ending}", self.sweep));
        let mut diagrams = Vec::new();
        for cost in Cost::ALL {
            diagrams.push((cost.name(), self.diagram(cost)?));
        }
        diagrams.push(("gap", self.gap()?));
        for (name, picture) in &diagrams {
            paths::write(&file(&format!("-{name}.png")), &picture.png)?;
            paths::write(&file(&format!("-{name}.svg")), picture.svg.as_bytes())?;
        }
        let (table, html) = (file(".csv"), file(".html"));
        paths::write(&file(".json"), &serde_json::to_vec_pretty(self)?)?;
        paths::write(&html, page(self, &diagrams).as_bytes())?;
        paths::write(&table, csv(&self.points).as_bytes())?;
        Ok([table, html])
    }

    /// Accuracy against a cost.
    fn diagram(&self, cost: Cost) -> anyhow::Result<Picture> {
        let means = means(&self.points, cost);
        let series = |group: Group| {
            let own: Vec<_> = means.iter().filter(|mean| Group::of(mean.bits) == group).collect();
            let curve = best(own.iter().copied());
            let dot = |mean: &&Mean| Dot {
                cost: mean.cost,
                accuracy: mean.accuracy,
                shape: shape(mean.bits),
                label: curve.contains(mean).then(|| mean.network.clone()),
            };
            let name = match group {
                Group::Float => "float, as bfloat16",
                Group::Eight => "8-bit (w8a8)",
                Group::Four => "4-bit (w4a8 ring, w4a4 square, all4 triangle)",
            };
            let (dots, curve) = (own.iter().map(dot).collect(), pairs(&curve));
            Series { name: name.to_owned(), color: color(group), dots, curve }
        };
        let words = cost.words(&self.board);
        let seeds = "mean over seeds, bars from the lowest to the highest";
        scatter(&Scatter {
            title: &format!("Accuracy by {words}"),
            subtitle: &format!("{}, {}; {seeds}", self.sweep, self.dataset),
            axis: &words,
            series: Group::ALL.map(series).into(),
        })
    }

    /// The generalisation gap against bits.
    fn gap(&self) -> anyhow::Result<Picture> {
        let mut columns: Vec<Column> = Vec::new();
        for rows in networks(&self.points) {
            let name = rows[0].key.network();
            let index = columns.iter().position(|column| column.name == name).unwrap_or(columns.len());
            if index == columns.len() {
                columns.push(Column { name, gaps: vec![None; SETTINGS.len()] });
            }
            let setting = SETTINGS.iter().position(|&setting| setting == rows[0].key.bits).unwrap_or(0);
            let gaps: Vec<_> = rows.iter().map(|row| row.train_accuracy - row.accuracy).collect();
            columns[index].gaps[setting] = Some(spread(&gaps));
        }
        let subtitle = format!("{}, {}; training images without augmentation", self.sweep, self.dataset);
        gap("Generalisation gap by bits", &subtitle, &SETTINGS.map(Precision::name), &columns)
    }
}

fn shape(bits: Precision) -> Shape {
    match bits {
        Precision::Float | Precision::Quantized(Setting::W8a8) => Shape::Disc,
        Precision::Quantized(Setting::W4a8) => Shape::Ring,
        Precision::Quantized(Setting::W4a4) => Shape::Square,
        Precision::Quantized(Setting::All4) => Shape::Triangle,
    }
}

fn color(group: Group) -> RGBColor {
    match group {
        Group::Float => RGBColor(90, 98, 106),
        Group::Eight => RGBColor(24, 90, 180),
        Group::Four => RGBColor(201, 76, 36),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn planted() -> Report {
        let mut records = Vec::new();
        for (width, accuracy) in [(0.5, 0.80), (1.0, 0.85)] {
            records.extend(SETTINGS.map(|bits| record(width, bits, 1, accuracy)));
        }
        let failure = Failure { name: "resnet8-w2-w4a8-s1".into(), reason: "the loss <is> no number".into() };
        Report::new("planted", records, vec!["resnet8-w2-w4a8-s1".into()], vec![failure])
    }

    #[test]
    fn every_file_is_written_and_the_same_bytes_again() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |out: &Path| {
            planted().write(out).unwrap();
            let mut files: Vec<_> =
                std::fs::read_dir(out).unwrap().map(|file| file.unwrap().path()).collect();
            files.sort();
            files.into_iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
        };
        let first = bytes(&folder.path().join("a"));
        // CSV, JSON, HTML, and five diagrams twice.
        assert_eq!(first.len(), 13);
        assert!(first == bytes(&folder.path().join("b")));
    }

    #[test]
    fn the_page_holds_everything_and_asks_for_nothing() {
        let report = planted();
        let html = page(&report, &[("gap", report.gap().unwrap())]);
        for part in ["<svg ", "resnet8-w0.5-w4a8-s1", "&lt;is&gt;", "disc", "stem", "1 point is missing"] {
            assert!(html.contains(part), "{part}");
        }
        for outside in ["http://", "https://", "<script", "<link", "src="] {
            assert!(!html.replace("http://www.w3.org/2000/svg", "").contains(outside), "{outside}");
        }
    }

    #[test]
    fn the_frontier_is_marked_in_the_table() {
        let report = planted();
        // Of equal accuracy the cheapest is best: float weights cost more than none here.
        let best: Vec<_> =
            report.points.iter().filter(|row| report.is_best(row, Cost::Instructions)).collect();
        assert_eq!(best.len(), 2);
        assert!(best.iter().all(|row| row.instructions.is_some()));
    }
}
