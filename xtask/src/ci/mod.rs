//! `ci`: every check of the repository, as a list of jobs that can be called one by one.
//!
//! A job counts its tests; a job that fails does not stop the next. The closing line is exactly
//! `N passed, N failed, N skipped`, over all of them, and a job that could not run is a failure
//! unless the caller allows it.

mod flash;
mod jobs;
mod mutants;
mod pareto;
mod prediction;
mod tally;

use std::time::Instant;

use clap::Args;
use comfy_table::CellAlignment;
use serde::Serialize;

use crate::failure::{Missing, bad_input, chain};
use crate::table::Table;
use jobs::{JOBS, Job, NAMED_ONLY};
pub(crate) use tally::Tally;

/// Runs every check but those that must be named, or the named jobs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask ci                 every job
  cargo xtask ci fmt clippy      two of them
  cargo xtask ci budgets --bless take today's costs as the new budget
  cargo xtask ci --list          what the jobs are

The last line is `N passed, N failed, N skipped`; the exit code is 1 if anything failed.")]
pub(crate) struct Ci {
    /// Jobs to run; where none is named, all but `wgpu`
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// Prints the jobs and what each does
    #[arg(long)]
    list: bool,
    /// Lets a job whose tool is missing on this machine be skipped instead of failing
    #[arg(long)]
    allow_skip: bool,
    /// Writes the cost snapshots anew instead of comparing with them
    #[arg(long)]
    bless: bool,
}

/// What a job may look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Write snapshots instead of comparing.
    pub(crate) bless: bool,
}

#[derive(Serialize)]
struct Outcome {
    job: &'static str,
    #[serde(flatten)]
    tally: Tally,
    minutes: f64,
    note: String,
}

#[derive(Serialize)]
struct Report {
    jobs: Vec<Outcome>,
    #[serde(flatten)]
    total: Tally,
    minutes: f64,
}

impl Ci {
    /// Runs the jobs; `Ok(false)` where something failed.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        if self.list {
            return list(json);
        }
        let chosen = self.chosen()?;
        let context = Context { bless: self.bless };
        let started = Instant::now();
        let outcomes: Vec<_> = chosen.into_iter().map(|job| self.outcome(job, &context)).collect();
        let mut total = Tally::default();
        outcomes.iter().for_each(|outcome| total += outcome.tally);
        let report = Report { jobs: outcomes, total, minutes: minutes(started) };
        let summary = summary(&report);
        if json {
            eprintln!("{summary}\n{}", total.line());
            println!("{}", serde_json::to_string(&report)?);
        } else {
            println!("{summary}\n\n{}", total.line());
        }
        Ok(total.failed == 0)
    }

    /// The named jobs, in the list's order; where none is named, all that need no naming.
    fn chosen(&self) -> anyhow::Result<Vec<&'static Job>> {
        if self.jobs.is_empty() {
            return Ok(JOBS.iter().collect());
        }
        let names = || all().map(|job| job.name).collect::<Vec<_>>().join(", ");
        if let Some(unknown) = self.jobs.iter().find(|name| !all().any(|job| job.name == **name)) {
            return Err(bad_input(format!("no job {unknown}: the jobs are {}", names())));
        }
        Ok(all().filter(|job| self.jobs.iter().any(|name| name == job.name)).collect())
    }

    /// Runs one job and counts it.
    fn outcome(&self, job: &'static Job, context: &Context) -> Outcome {
        eprintln!("\n==== {}: {}", job.name, job.about);
        let started = Instant::now();
        let (tally, note) = match (job.run)(context) {
            Ok(Tally { passed: 0, failed: 0, skipped }) => {
                (Tally { failed: 1, skipped, passed: 0 }, "ran no check".to_owned())
            }
            Ok(tally) => (tally, String::new()),
            Err(error) if error.is::<Missing>() && self.allow_skip => {
                (Tally { skipped: 1, ..Tally::default() }, chain(&error))
            }
            Err(error) => (Tally { failed: 1, ..Tally::default() }, chain(&error)),
        };
        let minutes = minutes(started);
        if !note.is_empty() {
            eprintln!("error: {note}");
        }
        eprintln!("---- {}: {}, {minutes:.1} minutes", job.name, tally.line());
        Outcome { job: job.name, tally, minutes, note }
    }
}

fn minutes(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() / 60.0
}

/// Every job, with those that run only where they are named.
fn all() -> impl Iterator<Item = &'static Job> {
    JOBS.iter().chain(NAMED_ONLY)
}

fn list(json: bool) -> anyhow::Result<bool> {
    if json {
        let names: Vec<_> = all().map(|job| job.name).collect();
        println!("{}", serde_json::json!({ "jobs": names }));
    } else {
        let mut table = Table::new(["job", "what it does"]);
        all().for_each(|job| table.row([job.name, job.about]));
        println!("{table}");
    }
    Ok(true)
}

/// The closing table: a row per job.
fn summary(report: &Report) -> Table {
    let mut table = Table::new(["job", "passed", "failed", "skipped", "minutes", "note"]);
    let mut row = |job: &str, tally: &Tally, minutes: f64, note: &str| {
        let counts = [tally.passed, tally.failed, tally.skipped].map(|n| n.to_string());
        let [passed, failed, skipped] = counts;
        table.row([job, &passed, &failed, &skipped, &format!("{minutes:.1}"), note]);
    };
    for outcome in &report.jobs {
        row(outcome.job, &outcome.tally, outcome.minutes, &outcome.note);
    }
    row("total", &report.total, report.minutes, "");
    table.align(1..5, CellAlignment::Right);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ci(jobs: &[&str]) -> Ci {
        let jobs = jobs.iter().map(|&job| job.to_owned()).collect();
        Ci { jobs, list: false, allow_skip: false, bless: false }
    }

    #[test]
    fn jobs_run_in_the_lists_order_and_names_are_checked() {
        let names: Vec<_> = ci(&["tidy", "fmt"]).chosen().unwrap().iter().map(|job| job.name).collect();
        assert_eq!(names, ["fmt", "tidy"]);
        assert_eq!(ci(&[]).chosen().unwrap().len(), JOBS.len());
        assert_eq!(ci(&["wgpu"]).chosen().unwrap().len(), 1);
        let error = ci(&["lint"]).chosen().err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.starts_with("no job lint: the jobs are setup, fmt"), "{error}");
    }

    #[test]
    fn a_job_that_cannot_run_fails_unless_allowed() {
        static JOB: Job = Job { name: "planted", about: "", run: |_| Err(Missing("no tool".into()).into()) };
        static IDLE: Job = Job { name: "idle", about: "", run: |_| Ok(Tally::default()) };
        let context = Context { bless: false };
        assert_eq!(ci(&[]).outcome(&JOB, &context).tally.failed, 1);
        assert_eq!(ci(&[]).outcome(&IDLE, &context).tally.failed, 1);
        let allowed = Ci { allow_skip: true, ..ci(&[]) };
        assert_eq!(allowed.outcome(&JOB, &context).tally, Tally { passed: 0, failed: 0, skipped: 1 });
    }
}
