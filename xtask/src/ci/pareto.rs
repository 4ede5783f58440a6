//! The job `pareto`: the whole sweep on drawn images, from nothing, and what must hold of its results.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use super::{Context, Tally};
use crate::pareto::Pareto;
use crate::pareto::record::HEADER;
use crate::paths;

/// A few networks on drawn images.
const SWEEP: &str = "pareto-smoke";

pub(super) fn job(_: &Context) -> anyhow::Result<Tally> {
    let folder = paths::target().join("pareto-ci");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", paths::shown(&folder)))?;
    }
    let (made, again, merged) = (folder.join("made"), folder.join("again"), folder.join("merged"));
    let mut tally = Tally::one(from_nothing(&made));
    tally += Tally::one(nothing_is_made_twice(&made, &again));
    tally += Tally::one(merging_changes_nothing(&made, &merged));
    Ok(tally)
}

fn from_nothing(out: &Path) -> anyhow::Result<()> {
    let report = Pareto::on(SWEEP, out).make()?;
    ensure!(report.failures.is_empty() && report.missing.is_empty(), "not every point was made");
    ensure!(report.frontiers.iter().all(|frontier| !frontier.networks.is_empty()), "a cost has no frontier");
    let best = report.points.iter().map(|row| row.accuracy).fold(0.0, f64::max);
    ensure!(best > 0.5, "the best point has an accuracy of {best}");
    report.write(out)?;
    let table = table(out)?;
    ensure!(table.lines().next() == Some(HEADER), "the table has another header");
    eprintln!("{table}");
    Ok(())
}

/// A second start finds every record.
fn nothing_is_made_twice(out: &Path, again: &Path) -> anyhow::Result<()> {
    let runs = || fs::read_dir(out.join("runs")).map(Iterator::count).context("there are no runs");
    let before = runs()?;
    Pareto::on(SWEEP, out).make()?.write(again)?;
    ensure!(runs()? == before && table(out)? == table(again)?, "a second start made points again");
    Ok(())
}

/// Twice, into the same folder.
fn merging_changes_nothing(out: &Path, merged: &Path) -> anyhow::Result<()> {
    for _ in 0..2 {
        Pareto::merging(SWEEP, &[out], merged)?.write(merged)?;
        ensure!(table(out)? == table(merged)?, "the merged table is another one");
    }
    Ok(())
}

fn table(out: &Path) -> anyhow::Result<String> {
    fs::read_to_string(out.join(format!("{SWEEP}.csv"))).context("there is no table")
}
