//! `choose`: the most accurate artefact of a frontier that a board and a budget have room for, or which budget
//! rules everything out and by how much.
//!
//! Takes the table that `pareto` left. A latency is an estimate: the instructions that were counted, one a cycle
//! of the board's clock. A better network than those that fit as they were measured is planned again, for the arena
//! that there is, where its artefact lies beside the table.

mod plans;
mod refusal;

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use fourbit_models::config::Precision;
use serde::Serialize;

use crate::board::{self, Board};
use crate::failure::{OrBadInput, bad_input};
use crate::model::Model;
use crate::pareto::record::{Record, Row, read_csv};
use crate::paths;
use crate::ram::Bytes;
use crate::table::{Table, percent, thousands};
use refusal::{Reason, reasons, refusal};

/// Picks the most accurate network of a frontier that fits a board and a budget.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask choose --frontier target/pareto/pareto-smoke/pareto-smoke.csv --board mps2-an386 --max-latency 50ms
  cargo xtask choose --frontier models/artefacts/pareto-cifar10.csv --board nrf52840-dk \\
      --max-ram 64K --max-flash 256K --max-latency 200ms

RAM is the arena of activations; the stack comes on top. Flash is the artefact and the code for it. The
latency is an estimate: the instructions that an emulator counted, one a cycle of the board's clock; a chip
takes longer. What is not limited, the board's memory limits. The network with the best mean over its seeds is
picked. A network that does not fit as it was measured is planned again, for more or less arena, where its
artefact lies beside the table.

Exit code 1 where nothing fits.")]
pub(crate) struct Choose {
    /// The table of a sweep, NAME.csv
    #[arg(long, value_name = "CSV")]
    frontier: PathBuf,
    /// A folder in boards
    #[arg(long, value_name = "BOARD")]
    board: String,
    /// Most bytes of arena: 64K (1,000 bytes each), 64KiB
    #[arg(long, value_name = "BYTES")]
    max_ram: Option<Bytes>,
    /// Most bytes of artefact and code
    #[arg(long, value_name = "BYTES")]
    max_flash: Option<Bytes>,
    /// Most time for one image: 50ms, 1.5s, 800us
    #[arg(long, value_name = "TIME")]
    max_latency: Option<Latency>,
}

/// A time on the command line, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency(pub(crate) f64);

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // How many of a unit make a second.
        let units = [("ms", 1e3), ("us", 1e6), ("s", 1.0)];
        let unit = units.into_iter().find_map(|(name, count)| Some((text.strip_suffix(name)?, count)));
        let seconds = unit.and_then(|(number, count)| Some(number.trim_end().parse::<f64>().ok()? / count));
        let valid = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        valid.map(Self).ok_or_else(|| "give a time as 50ms, 1.5s or 800us".to_owned())
    }
}

/// A limit on one cost.
#[derive(Clone, Copy, Debug)]
struct Budget {
    kind: Kind,
    /// Bytes or seconds.
    most: f64,
    /// The user's, not only the board's memory.
    asked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Kind {
    #[serde(rename = "max-ram")]
    Ram,
    #[serde(rename = "max-flash")]
    Flash,
    #[serde(rename = "max-latency")]
    Latency,
}

impl Kind {
    /// What a network takes of it; none where that is not known.
    fn of(self, row: &Row, board: &Board) -> Option<f64> {
        match self {
            Kind::Ram => row.arena_bytes.map(|bytes| bytes as f64),
            Kind::Flash => Some(row.flash_bytes as f64),
            Kind::Latency => row.instructions.map(|count| latency(count, board)),
        }
    }

    fn option(self) -> &'static str {
        match self {
            Kind::Ram => "--max-ram",
            Kind::Flash => "--max-flash",
            Kind::Latency => "--max-latency",
        }
    }

    /// An amount of it, for people.
    fn shown(self, amount: f64) -> String {
        match self {
            Kind::Ram | Kind::Flash => format!("{} bytes", thousands(amount as u64)),
            Kind::Latency => format!("{:.1} ms", 1e3 * amount),
        }
    }
}

/// Seconds of one image, an estimate: one instruction a cycle.
fn latency(instructions: u64, board: &Board) -> f64 {
    instructions as f64 / board.clock_hz as f64
}

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report {
    board: String,
    fits: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    chosen: Option<Row>,
    artefact: Option<PathBuf>,
    /// Whether the artefact has to be compiled again, for the arena of `chosen`; its instructions are predicted.
    again: bool,
    /// Of the chosen network, in seconds: instructions at one a cycle.
    latency_estimate: Option<f64>,
    /// Why nothing fits.
    reasons: Vec<Reason>,
}

impl Choose {
    /// `Ok(false)` where nothing fits.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<bool> {
        if self.board == "sim" {
            return Err(bad_input(
                "the simulator has neither clock nor memory to choose for: name a folder in boards",
            ));
        }
        let board = Board::load(&self.board)?;
        let rows = read_csv(&self.frontier)?;
        self.same_kernels(&board, &rows)?;
        let budgets = self.budgets(&board);
        let rows: Vec<_> = rows.iter().filter(|row| row.key.bits != Precision::Float).collect();
        if rows.is_empty() {
            let frontier = paths::shown(&self.frontier);
            return Err(bad_input(format!(
                "{frontier} has no quantized network: float networks have no artefact"
            )));
        }
        for budget in &budgets {
            if rows.iter().all(|row| budget.kind.of(row, &board).is_none()) {
                let (frontier, option) = (paths::shown(&self.frontier), budget.kind.option());
                return Err(bad_input(format!(
                    "{frontier} says of no network what {option} limits: make the table with an emulated board of \
                     the same kernels, {}",
                    emulated(&board)
                )));
            }
        }
        let planned = self.planned(&rows, &budgets, &board)?;
        let options: Vec<_> = rows.iter().copied().chain(&planned).collect();
        let chosen = choose(&options, &rows, &budgets, &board);
        let report = Report {
            board: self.board.clone(),
            fits: chosen.is_some(),
            chosen: chosen.cloned(),
            artefact: chosen.and_then(|row| self.artefact(row)),
            latency_estimate: chosen.and_then(|row| row.instructions).map(|count| latency(count, &board)),
            again: chosen.is_some_and(|row| planned.contains(row)),
            reasons: if chosen.is_some() { Vec::new() } else { reasons(&options, &budgets, &board) },
        };
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            match chosen {
                Some(row) => self.show((row, &rows), &budgets, &board, &report),
                None => println!("{}", refusal(&report.reasons, &self.board)),
            }
        }
        Ok(report.fits)
    }

    /// Refuses a table whose instructions were counted with other kernels than the board's. The board that they
    /// were counted on stands in the JSON file beside the table, and in the record of each point.
    fn same_kernels(&self, board: &Board, rows: &[Row]) -> anyhow::Result<()> {
        let (frontier, name) = (paths::shown(&self.frontier), &board.name);
        let records = rows.iter().map(|row| self.beside(&format!("{}.json", row.name)));
        let summary = Some(self.frontier.with_extension("json")).filter(|path| path.is_file());
        let Some(beside) = [summary].into_iter().chain(records).flatten().next() else {
            eprintln!(
                "no JSON file beside {frontier} says what it was measured on: taken to be the kernels of {name}"
            );
            return Ok(());
        };
        let damaged = || format!("{} is damaged", paths::shown(&beside));
        let text = fs::read(&beside).or_bad_input(damaged)?;
        let said: serde_json::Value = serde_json::from_slice(&text).or_bad_input(damaged)?;
        let measured = said["board"].as_str().ok_or_else(|| bad_input(damaged()))?;
        if measured != "sim" && Board::load(measured)?.family() == board.family() {
            return Ok(());
        }
        Err(bad_input(format!(
            "{frontier} was measured on {measured}, whose kernels are not those of {name}: make it again with \
             board = \"{name}\" or a board with the same kernels"
        )))
    }

    /// Networks planned again: those that are better than what fits, the best first, until one fits. Those that
    /// flash has no room for come last, where nothing fits: what they would need is worth knowing.
    fn planned(&self, rows: &[&Row], budgets: &[Budget], board: &Board) -> anyhow::Result<Vec<Row>> {
        let fitting = choose(rows, rows, budgets, board);
        let enough = fitting.map_or(0.0, |row| over_seeds(rows, row).0);
        let flash = budgets.iter().find(|budget| budget.kind == Kind::Flash);
        let room = |row: &Row| flash.is_none_or(|flash| fits(row, flash, board));
        let mut better: Vec<(&Row, PathBuf)> = Vec::new();
        for row in rows.iter().copied().filter(|row| over_seeds(rows, row).0 > enough) {
            let Some(artefact) = self.artefact(row) else { continue };
            match better.iter_mut().find(|(other, _)| twins(other, row)) {
                Some(other) if (room(other.0), other.0.accuracy) < (room(row), row.accuracy) => {
                    *other = (row, artefact);
                }
                Some(_) => {}
                None => better.push((row, artefact)),
            }
        }
        better.sort_by(|(a, _), (b, _)| {
            room(b).cmp(&room(a)).then(over_seeds(rows, b).0.total_cmp(&over_seeds(rows, a).0))
        });
        let mut planned = Vec::new();
        for (row, artefact) in better {
            if fitting.is_some() && !room(row) {
                break;
            }
            eprintln!("planning {} again", row.name);
            let more = self.more_code(rows, row);
            let mut own = plans::rows(row, &artefact, board.family())?;
            own.iter_mut().for_each(|plan| plan.flash_bytes += more);
            let found = own.iter().any(|row| budgets.iter().all(|budget| fits(row, budget, board)));
            planned.extend(own);
            if found {
                break;
            }
        }
        Ok(planned)
    }

    /// Bytes of code that another plan of a network may need beside its own: as much as the network of the table
    /// that needs the most.
    fn more_code(&self, rows: &[&Row], row: &Row) -> usize {
        let code = |row: &Row| self.record(&row.name).and_then(|record| record.code_bytes);
        let most = rows.iter().filter_map(|row| code(row)).max();
        most.zip(code(row)).map_or(0, |(most, own)| most - own)
    }

    /// The record of a point, where it lies beside the table.
    fn record(&self, name: &str) -> Option<Record> {
        Record::load(&self.beside(&format!("{name}.json"))?).ok().flatten()
    }

    /// The artefact of a row, where it lies beside the table and is the one that was measured.
    fn artefact(&self, row: &Row) -> Option<PathBuf> {
        let path = self.beside(&format!("{}.fourbit", row.name))?;
        let measured = self.record(&row.name).and_then(|record| record.artefact_sha256);
        match Model::read(&path) {
            Ok(model) if measured.is_none_or(|measured| measured == model.sha256) => Some(path),
            Ok(_) => {
                eprintln!("{} is not the artefact that was measured: left out", paths::shown(&path));
                None
            }
            Err(error) => {
                eprintln!("{error}: left out");
                None
            }
        }
    }

    /// The limits, of which the board's memory is always one.
    fn budgets(&self, board: &Board) -> Vec<Budget> {
        let region = |name: &str| board.memory.get(name).map(|region| region.bytes as f64);
        let asked = [
            (Kind::Ram, self.max_ram.map(|bytes| bytes.0 as f64), region("RAM")),
            (Kind::Flash, self.max_flash.map(|bytes| bytes.0 as f64), region("FLASH")),
            (Kind::Latency, self.max_latency.map(|latency| latency.0), None),
        ];
        let budget = |(kind, own, memory): (Kind, Option<f64>, Option<f64>)| {
            let asked = own.is_some_and(|own| memory.is_none_or(|memory| own <= memory));
            let most = own.into_iter().chain(memory).reduce(f64::min)?;
            Some(Budget { kind, most, asked })
        };
        asked.into_iter().filter_map(budget).collect()
    }

    /// A point's file: in the subfolder of the table's name, or in its folder.
    fn beside(&self, file: &str) -> Option<PathBuf> {
        let folder = self.frontier.parent().unwrap_or(Path::new(""));
        let stem = self.frontier.file_stem().unwrap_or_default();
        [folder.join(stem).join(file), folder.join(file)].into_iter().find(|path| path.is_file())
    }

    fn show(&self, (row, rows): (&Row, &[&Row]), budgets: &[Budget], board: &Board, report: &Report) {
        let mut table = Table::new([row.name.as_str(), &self.board]);
        table.row(["accuracy", &percent(row.accuracy)]);
        if let (mean, seeds @ 2..) = over_seeds(rows, row) {
            table.row([&format!("mean of {seeds} seeds"), &percent(mean)]);
        }
        for (kind, what) in [
            (Kind::Ram, "arena"),
            (Kind::Flash, if report.again { "flash, at most" } else { "flash, artefact and code" }),
            (Kind::Latency, "latency, an estimate"),
        ] {
            let budget = budgets.iter().find(|budget| budget.kind == kind);
            let most = budget.map_or(String::new(), |budget| {
                let whose = if budget.asked { "" } else { " on the board" };
                format!(" of {}{whose}", kind.shown(budget.most))
            });
            let taken = kind.of(row, board).map_or("not known".to_owned(), |amount| kind.shown(amount));
            table.row([what, &format!("{taken}{most}")]);
        }
        println!("{table}");
        match &report.artefact {
            Some(path) if report.again => println!(
                "planned again, instructions predicted: cargo xtask compile {} --max-ram {}",
                paths::shown(path),
                row.arena_bytes.unwrap_or(0)
            ),
            Some(path) => println!("{}", paths::shown(path)),
            None => eprintln!("{}.fourbit is not beside the table", row.name),
        }
    }
}

/// Emulated boards with the kernels of a board, by name.
fn emulated(board: &Board) -> String {
    let boards = board::all().into_iter().filter_map(|name| Board::load(&name).ok());
    let same = boards.filter(|other| other.is_emulated() && other.family() == board.family());
    same.map(|board| board.name).collect::<Vec<_>>().join(" or ")
}

fn fits(row: &Row, budget: &Budget, board: &Board) -> bool {
    budget.kind.of(row, board).is_some_and(|amount| amount <= budget.most)
}

/// Whether two rows are one network in the same bits.
fn twins(one: &Row, other: &Row) -> bool {
    one.key.network() == other.key.network() && one.key.bits == other.key.bits
}

/// Mean accuracy of a row's network in its bits, and over how many seeds.
fn over_seeds(rows: &[&Row], row: &Row) -> (f64, usize) {
    let accuracies: Vec<_> = rows.iter().filter(|other| twins(other, row)).map(|row| row.accuracy).collect();
    (accuracies.iter().sum::<f64>() / accuracies.len().max(1) as f64, accuracies.len())
}

/// The option within every budget whose network is the most accurate over its seeds, which are `rows`, since the luck
/// of one seed says nothing about new images; of its seeds the most accurate, then the smallest in flash, then the
/// fastest.
fn choose<'a>(options: &[&'a Row], rows: &[&Row], budgets: &[Budget], board: &Board) -> Option<&'a Row> {
    let fitting = options.iter().filter(|row| budgets.iter().all(|budget| fits(row, budget, board)));
    let better = |a: &&&Row, b: &&&Row| {
        let means = over_seeds(rows, a).0.total_cmp(&over_seeds(rows, b).0);
        let costs = |row: &Row| (row.flash_bytes, row.instructions);
        means.then(a.accuracy.total_cmp(&b.accuracy)).then(costs(b).cmp(&costs(a))).then(b.name.cmp(&a.name))
    };
    fitting.max_by(better).copied()
}

#[cfg(test)]
mod tests;
