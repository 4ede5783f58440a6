//! `pareto merge`: the points of several machines in one table.
//!
//! Takes the folders that `pareto --shard K/N` left, gives the folder that one machine would have left. A point
//! made by another recipe or on other data is refused; merging the same folders again changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::outputs::Report;
use super::record::Record;
use super::sweep::{Point, Sweep};
use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::{paths, train};

/// Brings the points that several machines made into one table.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask pareto merge --config pareto-cifar10 --out merged shard-1 shard-2 shard-3

Each FOLDER is what a machine's --out was. Points made by another recipe or on other data are refused. Merging
again, also with folders that were merged before, changes nothing.")]
pub(crate) struct Merge {
    /// The sweep's TOML file, or its name in models/configs
    #[arg(long, value_name = "FILE")]
    config: String,
    /// Where the table goes; by default target/pareto/NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Threads that the recipes were trained with, where --threads was given there
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Folders of finished points
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
}

impl Merge {
    /// Merges into the folder `out`.
    pub(super) fn of(config: &str, folders: &[&Path], out: &Path) -> Self {
        let folders = folders.iter().map(|folder| folder.to_path_buf()).collect();
        Self { config: config.to_owned(), out: Some(out.to_owned()), threads: None, folders }
    }

    fn sweep(&self) -> anyhow::Result<Sweep> {
        Sweep::load(&train::config(&self.config)?, self.threads)
    }

    pub(super) fn run(&self, json: bool) -> anyhow::Result<bool> {
        self.make()?.finish(&super::out(self.out.as_deref(), &self.sweep()?), json)
    }

    /// Copies the points; gives the results of all.
    pub(super) fn make(&self) -> anyhow::Result<Report> {
        let sweep = self.sweep()?;
        let out = super::out(self.out.as_deref(), &sweep);
        for folder in &self.folders {
            if !super::points(folder, &sweep).is_dir() {
                let (folder, name) = (paths::shown(folder), &sweep.name);
                return Err(bad_input(format!("{folder} holds no points of {name}: name what --out was")));
            }
        }
        // What was merged before stays.
        let folders: Vec<_> =
            [&out].into_iter().chain(&self.folders).map(|f| super::points(f, &sweep)).collect();
        let merged = merged(&sweep, &folders)?;
        let points = super::points(&out, &sweep);
        for (record, from) in &merged {
            for ending in ["fourbit", "md", "json"] {
                let file = format!("{}.{ending}", record.name);
                let source = from.join(&file);
                if *from != points && source.is_file() {
                    let bytes = fs::read(&source)
                        .or_bad_input(|| format!("cannot read {}", paths::shown(&source)))?;
                    paths::write(&points.join(&file), &bytes)?;
                }
            }
        }
        let records: Vec<_> = merged.into_iter().map(|(record, _)| record).collect();
        let missing = missing(&sweep, &records);
        Ok(Report::new(&sweep.name, records, missing, Vec::new()))
    }
}

/// Names of a sweep's points that no record is of.
pub(super) fn missing(sweep: &Sweep, records: &[Record]) -> Vec<String> {
    let names = sweep.points().map(|point| &point.name);
    names.filter(|name| !records.iter().any(|record| record.name == **name)).cloned().collect()
}

/// One record of each point that there is, in the sweep's order, and the folder that it comes from.
fn merged(sweep: &Sweep, folders: &[PathBuf]) -> anyhow::Result<Vec<(Record, PathBuf)>> {
    let mut merged: Vec<(Record, PathBuf)> = Vec::new();
    for point in sweep.points() {
        let mut found: Option<(Record, PathBuf)> = None;
        for folder in folders {
            let Some(record) = record(point, folder)? else { continue };
            let first = merged.first().or(found.as_ref()).map_or(&record, |(first, _)| first);
            let from = paths::shown(folder);
            check(sweep, point, (first, &record), &from)?;
            match &found {
                Some((other, _)) if !same(other, &record) => {
                    return Err(bad_input(format!(
                        "{} was made twice with different results, the second time in {from}: remove one of them",
                        point.name
                    )));
                }
                Some(_) => {}
                None => found = Some((record, folder.clone())),
            }
        }
        merged.extend(found);
    }
    if merged.is_empty() {
        return Err(bad_input(format!("none of the folders holds a finished point of {}", sweep.name)));
    }
    Ok(merged)
}

/// A point's record in a folder, its artefact being there.
fn record(point: &Point, folder: &Path) -> anyhow::Result<Option<Record>> {
    let Some(record) = Record::load(&folder.join(format!("{}.json", point.name)))? else { return Ok(None) };
    if let Some(expected) = &record.artefact_sha256 {
        let model = Model::read(&folder.join(format!("{}.fourbit", point.name)))?;
        if model.sha256 != *expected {
            let (name, folder) = (&point.name, paths::shown(folder));
            return Err(bad_input(format!(
                "the artefact of {name} in {folder} is not the one that was measured"
            )));
        }
    }
    Ok(Some(record))
}

/// Refuses a point of another network, recipe, data set or board.
fn check(
    sweep: &Sweep,
    point: &Point,
    (first, record): (&Record, &Record),
    from: &str,
) -> anyhow::Result<()> {
    let name = &point.name;
    if record.name != *name {
        return Err(bad_input(format!("{name} in {from} is the record of {}: remove it", record.name)));
    }
    if record.key != point.key {
        return Err(bad_input(format!(
            "{name} in {from} has another width, bits or seed than its name: remove it"
        )));
    }
    if record.data_sha256 != first.data_sha256 {
        return Err(bad_input(format!(
            "{name} in {from} was made on other data than {}: SHA-256 {} instead of {}",
            first.name, record.data_sha256, first.data_sha256
        )));
    }
    if record.recipe != point.recipe(&record.data_sha256) {
        return Err(bad_input(format!(
            "{name} in {from} was made by another recipe than {} has: make it again",
            sweep.name
        )));
    }
    if record.board != sweep.board {
        return Err(bad_input(format!(
            "{name} in {from} was measured on {} and {} names {}: make it again",
            record.board, sweep.name, sweep.board
        )));
    }
    Ok(())
}

/// Whether two records say the same; the time that it took may differ.
fn same(one: &Record, other: &Record) -> bool {
    *one == Record { train_seconds: one.train_seconds, ..other.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs::create_dir_all;

    use fourbit_models::config::Precision;

    use super::super::record::tests::record;
    use super::*;

    const SWEEP: &str = "
dataset = 'shapes'
board = 'mps2-an386'
[[points]]
arch = 'resnet8'
widths = [0.5, 1.0]
bits = ['float']
seeds = [1]
[recipe.float]
epochs = 6
lr = 0.2
";

    /// A sweep of two float points, its file, and a folder with some of them.
    struct Planted(tempfile::TempDir);

    impl Planted {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("s.toml"), SWEEP).unwrap();
            Self(folder)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Leaves the point of a width in a folder, changed.
        fn leave(&self, folder: &str, width: f64, change: impl Fn(&mut Record)) {
            let sweep = Sweep::load(&self.path("s.toml"), None).unwrap();
            let mut made = record(width, Precision::Float, 1, 0.8);
            let point = sweep.points().find(|point| point.name == made.name).unwrap();
            made.recipe = point.recipe("data");
            change(&mut made);
            let points = self.path(folder).join("s");
            create_dir_all(&points).unwrap();
            made.save(&points.join(format!("{}.json", point.name))).unwrap();
        }

        fn merge(&self, folders: &[&str]) -> Result<Report, String> {
            let folders: Vec<_> = folders.iter().map(|folder| self.path(folder)).collect();
            let folders: Vec<_> = folders.iter().map(PathBuf::as_path).collect();
            let config = self.path("s.toml");
            let merge = Merge::of(config.to_str().unwrap(), &folders, &self.path("merged"));
            merge.make().map_err(|error| error.to_string())
        }
    }

    #[test]
    fn points_of_several_folders_become_one_table_once() {
        let planted = Planted::new();
        planted.leave("a", 0.5, |_| ());
        let report = planted.merge(&["a"]).unwrap();
        assert_eq!(report.missing, ["resnet8-w1-float-s1"]);
        planted.leave("b", 1.0, |_| ());
        // Made again elsewhere, in another time: it is there already.
        planted.leave("b", 0.5, |record| record.train_seconds += 1.0);
        for folders in [&["b"][..], &["b", "a"], &["a"]] {
            let report = planted.merge(folders).unwrap();
            let names: Vec<_> = report.points.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names, ["resnet8-w0.5-float-s1", "resnet8-w1-float-s1"]);
            assert_eq!(report.points[0].train_seconds, 12.5);
        }
    }

    #[test]
    fn points_of_another_recipe_data_or_board_are_refused() {
        let changes: [fn(&mut Record); 5] = [
            |record| record.name = "resnet8-w0.5-float-s1".into(),
            |record| record.key.seed = 2,
            |record| record.recipe = "0123456789ab".into(),
            |record| record.data_sha256 = "other".into(),
            |record| record.board = "sim".into(),
        ];
        let sentences = [
            "is the record of resnet8-w0.5-float-s1: remove it",
            "has another width, bits or seed than its name: remove it",
            "was made by another recipe than s has",
            "was made on other data than resnet8-w0.5-float-s1: SHA-256 other instead of data",
            "was measured on sim and s names mps2-an386",
        ];
        for (change, sentence) in changes.into_iter().zip(sentences) {
            let planted = Planted::new();
            planted.leave("a", 0.5, |_| ());
            planted.leave("b", 1.0, change);
            let said = planted.merge(&["a", "b"]).unwrap_err();
            assert!(said.starts_with("resnet8-w1-float-s1 in ") && said.contains(sentence), "{said}");
            assert!(!planted.path("merged").exists());
        }
    }

    #[test]
    fn a_point_with_two_results_is_refused() {
        let planted = Planted::new();
        planted.leave("a", 0.5, |_| ());
        planted.leave("b", 0.5, |record| record.accuracy = 0.9);
        let said = planted.merge(&["a", "b"]).unwrap_err();
        assert!(said.starts_with("resnet8-w0.5-float-s1 was made twice with different results"), "{said}");
        let said = planted.merge(&["c"]).unwrap_err();
        assert!(said.contains("holds no points of s: name what --out was"), "{said}");
    }
}
