//! `choose`: the most accurate artefact of a frontier that a board and a budget have room for, or which budget
//! rules everything out and by how much.
//!
//! Takes the table that `pareto` left. A latency is an estimate: the instructions that were counted, one a cycle
//! of the board's clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use fourbit_models::config::Precision;
use serde::Serialize;

use crate::board::Board;
use crate::failure::{OrBadInput, bad_input};
use crate::pareto::record::{Row, read_csv};
use crate::paths;
use crate::ram::Bytes;
use crate::table::{Table, percent, thousands};

/// Picks the most accurate network of a frontier that fits a board and a budget.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask choose --frontier target/pareto/pareto-smoke/pareto-smoke.csv --board mps2-an386 --max-latency 50ms
  cargo xtask choose --frontier models/artefacts/pareto-cifar10.csv --board nrf52840-dk \\
      --max-ram 64K --max-flash 256K --max-latency 200ms

RAM is the arena of activations; the stack comes on top. Flash is the artefact and the code for it. The
latency is an estimate: the instructions that an emulator counted, one a cycle of the board's clock; a chip
takes longer. What is not limited, the board's memory limits.

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
    /// Of the chosen network, in seconds: instructions at one a cycle.
    latency_estimate: Option<f64>,
    /// Why nothing fits.
    reasons: Vec<Reason>,
}

/// A budget that is too small.
#[derive(Debug, PartialEq, Serialize)]
struct Reason {
    budget: Kind,
    /// Bytes or seconds.
    most: f64,
    /// What the network that is named would take.
    needs: f64,
    network: String,
    /// Whether this budget rules every network out by itself; otherwise it is too small together with the others.
    alone: bool,
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
        self.same_kernels(&board)?;
        let budgets = self.budgets(&board);
        let rows: Vec<_> = rows.iter().filter(|row| row.key.bits != Precision::Float).collect();
        if rows.is_empty() {
            let frontier = paths::shown(&self.frontier);
            return Err(bad_input(format!(
                "{frontier} has no quantized network: float networks have no artefact"
            )));
        }
        let chosen = choose(&rows, &budgets, &board);
        let report = Report {
            board: self.board.clone(),
            fits: chosen.is_some(),
            chosen: chosen.cloned(),
            artefact: chosen.and_then(|row| self.artefact(&row.name)),
            latency_estimate: chosen.and_then(|row| row.instructions).map(|count| latency(count, &board)),
            reasons: if chosen.is_some() { Vec::new() } else { reasons(&rows, &budgets, &board) },
        };
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            match chosen {
                Some(row) => self.show(row, &budgets, &board, report.artefact.as_deref()),
                None => println!("{}", refusal(&report.reasons, &self.board)),
            }
        }
        Ok(report.fits)
    }

    /// Refuses a table whose instructions were counted with other kernels than the board's.
    fn same_kernels(&self, board: &Board) -> anyhow::Result<()> {
        let beside = self.frontier.with_extension("json");
        let Ok(text) = fs::read(&beside) else { return Ok(()) };
        let said: serde_json::Value =
            serde_json::from_slice(&text).or_bad_input(|| format!("{} is damaged", paths::shown(&beside)))?;
        let Some(measured) = said["board"].as_str() else { return Ok(()) };
        if measured != "sim" && Board::load(measured)?.family() == board.family() {
            return Ok(());
        }
        let (frontier, name) = (paths::shown(&self.frontier), &board.name);
        Err(bad_input(format!(
            "{frontier} was measured on {measured}, whose kernels are not those of {name}: make it again with \
             board = \"{name}\" or a board with the same kernels"
        )))
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

    /// A point's artefact: in the table's folder, or in the subfolder of its name.
    fn artefact(&self, name: &str) -> Option<PathBuf> {
        let file = format!("{name}.fourbit");
        let folder = self.frontier.parent().unwrap_or(Path::new(""));
        let stem = self.frontier.file_stem().unwrap_or_default();
        [folder.join(stem).join(&file), folder.join(&file)].into_iter().find(|path| path.is_file())
    }

    fn show(&self, row: &Row, budgets: &[Budget], board: &Board, artefact: Option<&Path>) {
        let mut table = Table::new([row.name.as_str(), &self.board]);
        table.row(["accuracy", &percent(row.accuracy)]);
        for (kind, what) in [
            (Kind::Ram, "arena"),
            (Kind::Flash, "flash, artefact and code"),
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
        match artefact {
            Some(path) => println!("{}", paths::shown(path)),
            None => eprintln!("{}.fourbit is not beside the table", row.name),
        }
    }
}

fn fits(row: &Row, budget: &Budget, board: &Board) -> bool {
    budget.kind.of(row, board).is_some_and(|amount| amount <= budget.most)
}

/// The most accurate row within every budget; of equal ones the smallest in flash.
fn choose<'a>(rows: &[&'a Row], budgets: &[Budget], board: &Board) -> Option<&'a Row> {
    let fitting = rows.iter().filter(|row| budgets.iter().all(|budget| fits(row, budget, board)));
    let better = |a: &&&Row, b: &&&Row| {
        a.accuracy.total_cmp(&b.accuracy).then(b.flash_bytes.cmp(&a.flash_bytes)).then(b.name.cmp(&a.name))
    };
    fitting.max_by(better).copied()
}

/// Which budgets are too small: those that rule every network out by themselves, or else each that would have to
/// grow if the others stayed, to the least that would do.
fn reasons(rows: &[&Row], budgets: &[Budget], board: &Board) -> Vec<Reason> {
    let reason = |budget: &Budget, alone: bool| {
        let others = |row: &&&Row| {
            let kept = budgets.iter().filter(|other| !alone && other.kind != budget.kind);
            kept.into_iter().all(|other| fits(row, other, board))
        };
        let needs = |row: &&&Row| budget.kind.of(row, board);
        let candidates = rows.iter().filter(others).filter_map(|row| Some((needs(&row)?, &row.name)));
        let (needs, network) = candidates.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let network = network.clone();
        (needs > budget.most).then_some(Reason {
            budget: budget.kind,
            most: budget.most,
            needs,
            network,
            alone,
        })
    };
    let all = |alone| budgets.iter().filter_map(move |budget| reason(budget, alone)).collect::<Vec<_>>();
    let alone = all(true);
    if alone.is_empty() { all(false) } else { alone }
}

/// The sentences of a refusal.
fn refusal(reasons: &[Reason], board: &str) -> String {
    let sentence = |reason: &Reason| {
        let Reason { budget, most, needs, network, alone } = reason;
        let [most, needs, over] = [*most, *needs, needs - most].map(|amount| budget.shown(amount));
        let option = budget.option();
        if *alone {
            format!("{option} rules everything out: the least is {needs} ({network}), {over} above {most}")
        } else {
            format!("with {option} {needs} instead of {most}, {over} more, {network} would fit")
        }
    };
    let sentences: Vec<_> = reasons.iter().map(sentence).collect();
    let head = match reasons.first() {
        Some(reason) if reason.alone => format!("nothing fits {board}:"),
        Some(_) => format!("nothing fits {board} within all budgets together:"),
        None => format!("nothing fits {board}: two or more budgets would have to grow at once"),
    };
    [vec![head], sentences].concat().join("\n")
}

#[cfg(test)]
mod tests;
