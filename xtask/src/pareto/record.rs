//! What is known of a finished point, and its row of the table.
//!
//! A record is a JSON file beside the point's artefact; the table is CSV with the columns of [`HEADER`]. An
//! empty cell is a cost that nothing measured: a float point has no instructions and no arena.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use fourbit_models::config::Precision;
use serde::{Deserialize, Serialize};

use super::sweep::Key;
use crate::failure::{OrBadInput, bad_input};
use crate::paths;

/// The table's first line.
pub(crate) const HEADER: &str = "name,arch,width,bits,seed,accuracy,train_accuracy,macs,weighted_macs,\
instructions,flash_bytes,arena_bytes,train_seconds,recipe";

/// A finished point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) key: Key,
    /// On all test images, a fraction: through the runtime, or of the float network itself.
    pub(crate) accuracy: f64,
    /// On training images without augmentation.
    pub(crate) train_accuracy: f64,
    pub(crate) macs: u64,
    /// Each MAC times the bits of its wider operand.
    pub(crate) weighted_macs: u64,
    /// For one image on the board.
    pub(crate) instructions: Option<u64>,
    /// The artefact; of a float point 2 bytes a parameter.
    pub(crate) model_bytes: usize,
    /// What a product with it adds in flash.
    pub(crate) code_bytes: Option<usize>,
    pub(crate) arena_bytes: Option<usize>,
    pub(crate) stack_bytes: Option<usize>,
    /// Of all runs behind it.
    pub(crate) train_seconds: f64,
    /// Stands for the recipes and the data.
    pub(crate) recipe: String,
    pub(crate) dataset: String,
    pub(crate) data_sha256: String,
    pub(crate) board: String,
    pub(crate) artefact_sha256: Option<String>,
    pub(crate) labels: Vec<String>,
    /// Counts by label, then by prediction.
    pub(crate) confusion: Vec<Vec<usize>>,
    /// In the order of execution.
    pub(crate) layers: Vec<Layer>,
}

/// What one operation takes on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) instructions: Option<u64>,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) accuracy: f64,
    pub(crate) train_accuracy: f64,
    pub(crate) macs: u64,
    pub(crate) weighted_macs: u64,
    pub(crate) instructions: Option<u64>,
    /// Artefact and code.
    pub(crate) flash_bytes: usize,
    pub(crate) arena_bytes: Option<usize>,
    pub(crate) train_seconds: f64,
    pub(crate) recipe: String,
}

impl Record {
    /// The record in a file, if there is one.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        let bytes = fs::read(path).or_bad_input(|| format!("cannot read {}", paths::shown(path)))?;
        let damaged = || format!("{} is no record of a point: remove it", paths::shown(path));
        serde_json::from_slice(&bytes).map(Some).or_bad_input(damaged)
    }

    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        paths::write(path, &serde_json::to_vec_pretty(self).context("a record can be written")?)
    }
}

/// Rows of the table. A float network needs code in flash too, and there is no runtime for it here: its points
/// are given the least that a quantized point of the same network needs, or else the least of any.
pub(crate) fn rows(records: &[Record]) -> Vec<Row> {
    let code = |record: &Record| {
        let least = |of: &dyn Fn(&&Record) -> bool| {
            records.iter().filter(of).filter_map(|record| record.code_bytes).min()
        };
        let twins = |other: &&Record| other.key.network() == record.key.network();
        record.code_bytes.or_else(|| least(&twins)).or_else(|| least(&|_| true)).unwrap_or(0)
    };
    let row = |record: &Record| Row {
        name: record.name.clone(),
        key: record.key.clone(),
        accuracy: record.accuracy,
        train_accuracy: record.train_accuracy,
        macs: record.macs,
        weighted_macs: record.weighted_macs,
        instructions: record.instructions,
        flash_bytes: record.model_bytes + code(record),
        arena_bytes: record.arena_bytes,
        train_seconds: record.train_seconds,
        recipe: record.recipe.clone(),
    };
    records.iter().map(row).collect()
}

/// The table as CSV.
pub(crate) fn csv(rows: &[Row]) -> String {
    let mut text = format!("{HEADER}\n");
    let cell = |value: Option<String>| value.unwrap_or_default();
    for row in rows {
        let Key { arch, width, bits, seed } = &row.key;
        let cells = [
            row.name.clone(),
            arch.clone(),
            width.to_string(),
            bits.name().to_owned(),
            seed.to_string(),
            format!("{:.6}", row.accuracy),
            format!("{:.6}", row.train_accuracy),
            row.macs.to_string(),
            row.weighted_macs.to_string(),
            cell(row.instructions.map(|n| n.to_string())),
            row.flash_bytes.to_string(),
            cell(row.arena_bytes.map(|n| n.to_string())),
            format!("{:.1}", row.train_seconds),
            row.recipe.clone(),
        ];
        text += &cells.join(",");
        text.push('\n');
    }
    text
}

/// The rows of a CSV file.
pub(crate) fn read_csv(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(path).or_bad_input(|| format!("cannot read {}", paths::shown(path)))?;
    let wrong = |line: usize, what: String| bad_input(format!("{}, line {line}: {what}", paths::shown(path)));
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    match lines.next() {
        Some((_, first)) if first.trim_end() == HEADER => {}
        _ => return Err(wrong(1, "this is no table of `cargo xtask pareto`".to_owned())),
    }
    let filled = lines.filter(|(_, line)| !line.trim().is_empty());
    let rows = filled.map(|(number, line)| parse(line.trim_end()).map_err(|e| wrong(number, e.to_string())));
    let rows = rows.collect::<anyhow::Result<Vec<_>>>()?;
    if rows.is_empty() {
        return Err(wrong(1, "the table has no point".to_owned()));
    }
    Ok(rows)
}

fn parse(line: &str) -> anyhow::Result<Row> {
    let cells: Vec<_> = line.split(',').collect();
    let names: Vec<_> = HEADER.split(',').collect();
    ensure!(cells.len() == names.len(), "{} cells instead of {}", cells.len(), names.len());
    let cells: BTreeMap<_, _> = names.into_iter().zip(cells).collect();
    let bits = Precision::try_from(cells["bits"].to_owned()).map_err(|sentence| anyhow!(sentence))?;
    Ok(Row {
        name: cells["name"].to_owned(),
        key: Key {
            arch: cells["arch"].to_owned(),
            width: number(&cells, "width")?,
            bits,
            seed: number(&cells, "seed")?,
        },
        accuracy: number(&cells, "accuracy")?,
        train_accuracy: number(&cells, "train_accuracy")?,
        macs: number(&cells, "macs")?,
        weighted_macs: number(&cells, "weighted_macs")?,
        instructions: optional(&cells, "instructions")?,
        flash_bytes: number(&cells, "flash_bytes")?,
        arena_bytes: optional(&cells, "arena_bytes")?,
        train_seconds: number(&cells, "train_seconds")?,
        recipe: cells["recipe"].to_owned(),
    })
}

fn number<T: std::str::FromStr>(cells: &BTreeMap<&str, &str>, name: &str) -> anyhow::Result<T> {
    let cell = cells[name];
    cell.parse().map_err(|_| anyhow!("`{cell}` is no {name}"))
}

fn optional<T: std::str::FromStr>(cells: &BTreeMap<&str, &str>, name: &str) -> anyhow::Result<Option<T>> {
    if cells[name].is_empty() { Ok(None) } else { number(cells, name).map(Some) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use fourbit_models::scheme::Setting;

    /// A point with made-up figures.
    pub(crate) fn record(width: f64, bits: Precision, seed: u64, accuracy: f64) -> Record {
        let key = Key { arch: "resnet8".into(), width, bits, seed };
        let quantized = bits != Precision::Float;
        let layer = Layer { name: "stem".into(), instructions: Some(1000) };
        Record {
            name: format!("{}-{}-s{seed}", key.network(), bits.name()),
            key,
            accuracy,
            // As many digits as the table has.
            train_accuracy: ((accuracy + 0.02) * 1e6).round() / 1e6,
            macs: (1e7 * width) as u64,
            weighted_macs: (8e7 * width) as u64,
            instructions: quantized.then_some((1e7 * width) as u64),
            model_bytes: (50_000.0 * width) as usize,
            code_bytes: quantized.then_some(40_000),
            arena_bytes: quantized.then_some((26_000.0 * width) as usize),
            stack_bytes: quantized.then_some(3_600),
            train_seconds: 12.5,
            recipe: format!("{:0>12}", bits.name()),
            dataset: "planted".into(),
            data_sha256: "data".into(),
            board: "mps2-an386".into(),
            artefact_sha256: quantized.then(|| format!("{width}{seed}")),
            labels: vec!["disc".into(), "star".into()],
            confusion: vec![vec![8, 2], vec![1, 9]],
            layers: if quantized { vec![layer] } else { vec![] },
        }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let float = record(0.5, Precision::Float, 1, 0.81);
        let quantized = record(0.5, Precision::Quantized(Setting::W4a8), 1, 0.8);
        let rows = rows(&[float, quantized]);
        let text = csv(&rows);
        let expected = "name,arch,width,bits,seed,accuracy,train_accuracy,macs,weighted_macs,instructions,flash_bytes,arena_bytes,train_seconds,recipe
resnet8-w0.5-float-s1,resnet8,0.5,float,1,0.810000,0.830000,5000000,40000000,,65000,,12.5,0000000float
resnet8-w0.5-w4a8-s1,resnet8,0.5,w4a8,1,0.800000,0.820000,5000000,40000000,5000000,65000,13000,12.5,00000000w4a8
";
        assert_eq!(text, expected);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, text).unwrap();
        assert_eq!(read_csv(&path).unwrap(), rows);
    }

    #[test]
    fn a_float_point_has_the_least_code_of_its_twins() {
        let quantized = |width, setting, code| Record {
            code_bytes: Some(code),
            ..record(width, Precision::Quantized(setting), 1, 0.8)
        };
        let records = [
            record(0.5, Precision::Float, 1, 0.81),
            record(1.0, Precision::Float, 1, 0.81),
            quantized(0.5, Setting::W8a8, 3_000),
            quantized(0.5, Setting::W4a4, 4_000),
            quantized(0.25, Setting::W4a4, 2_000),
        ];
        let bytes: Vec<_> = rows(&records).iter().map(|row| row.flash_bytes).collect();
        assert_eq!(bytes, [28_000, 52_000, 28_000, 29_000, 14_500]);
    }

    #[test]
    fn a_damaged_table_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let good = csv(&rows(&[record(0.5, Precision::Float, 1, 0.81)]));
        for (text, sentence) in [
            (String::new(), "line 1: this is no table of `cargo xtask pareto`"),
            (format!("{HEADER}\n"), "line 1: the table has no point"),
            (good.replace("0.81", "high"), "line 2: `high0000` is no accuracy"),
            (good.replace(",float,", ",w2a2,"), "line 2: unknown bit setting `w2a2`"),
            (good.replace(",0.81", ""), "line 2: 13 cells instead of 14"),
        ] {
            fs::write(&path, text).unwrap();
            let error = read_csv(&path).unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }

    #[test]
    fn a_record_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.json");
        assert_eq!(Record::load(&path).unwrap(), None);
        let record = record(0.5, Precision::Quantized(Setting::All4), 2, 0.8);
        record.save(&path).unwrap();
        assert_eq!(Record::load(&path).unwrap(), Some(record));
        fs::write(&path, "{}").unwrap();
        assert!(Record::load(&path).unwrap_err().to_string().contains("is no record of a point"));
    }
}
