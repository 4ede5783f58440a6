//! `flash`: a model's demo onto a chip, or (`--dry-run`) what it would take of it.

use std::path::PathBuf;

use clap::Args;
use comfy_table::CellAlignment;
use serde::Serialize;

use crate::board::{Board, Program};
use crate::layout::{Layout, Region};
use crate::model::Model;
use crate::paths;
use crate::table::{Table, percent, thousands};

/// Sections that are listed.
const SECTIONS: usize = 6;

/// Writes a model with the demo firmware to a board.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask flash --board nrf52840-dk --model resnet8-cifar10-w4a8
  cargo xtask flash --board nrf52840-dk --model resnet8-cifar10-w4a8 --dry-run
  cargo xtask flash --board nrf52840-dk --elf firmware.elf --dry-run

The firmware is checked against the chip's memory first; --dry-run ends there and needs no board.")]
pub(crate) struct Flash {
    /// A folder in boards with a debug probe
    #[arg(long, value_name = "BOARD", default_value = "nrf52840-dk")]
    board: String,
    /// A .fourbit file, or a name in models/artefacts
    #[arg(long, value_name = "MODEL", required_unless_present = "elf")]
    model: Option<String>,
    /// A firmware that is built already
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    elf: Option<PathBuf>,
    /// Builds and checks, writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// What was checked, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    firmware: &'a str,
    board: &'a str,
    chip: &'a str,
    #[serde(flatten)]
    layout: &'a Layout,
    regions: &'a [Use],
    flashed: bool,
}

/// What a firmware takes of a region.
#[derive(Debug, Serialize)]
struct Use {
    #[serde(flatten)]
    region: Region,
    used: u64,
}

impl Flash {
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        let board = Board::load(&self.board)?;
        let probe = board.probe()?;
        let built = match &self.model {
            Some(model) => Some(board.firmware(Program::Demo, Some(&Model::open(model)?))?),
            None => None,
        };
        let (name, elf) = match (&self.model, &self.elf, &built) {
            (Some(model), _, Some(built)) => (format!("the demo of {model}"), built.elf.clone()),
            (_, elf, _) => {
                let elf = elf.clone().unwrap_or_default();
                (paths::shown(&elf), elf)
            }
        };
        let layout = Layout::read(&elf)?;
        let regions = probe.regions()?;
        layout.check(&name, &probe.chip, &regions)?;
        let used = regions.into_iter().map(|region| Use { used: layout.used(&region), region });
        let used: Vec<_> = used.collect();
        let report = Report {
            firmware: &name,
            board: &self.board,
            chip: &probe.chip,
            layout: &layout,
            regions: &used,
            flashed: !self.dry_run,
        };
        if !json {
            println!("{name} on {} ({})\n\n{}", self.board, probe.chip, tables(&layout, &used));
        }
        if !self.dry_run {
            eprintln!("writing with {}", probe.find()?);
            probe.flash(&elf)?;
        }
        match (json, self.dry_run) {
            (true, _) => println!("{}", serde_json::to_string(&report)?),
            (false, true) => println!("\nIt fits. Nothing was written: --dry-run."),
            (false, false) => println!("\nWritten, read back and started."),
        }
        Ok(())
    }
}

/// Segments, the regions they lie in, the largest sections, and where the channels are.
fn tables(layout: &Layout, used: &[Use]) -> String {
    let address = |address: u64| format!("{address:#010x}");
    let region = |address: u64| {
        let found = used.iter().find(|used| used.region.has(address));
        found.map_or("", |used| used.region.name.as_str())
    };
    let mut segments = Table::new(["segment", "written to", "region", "bytes", "runs at", "region", "bytes"]);
    for (i, segment) in layout.segments.iter().enumerate() {
        let written = segment.loaded > 0;
        let or_dash = |text: String| if written { text } else { "-".to_owned() };
        segments.row([
            (i + 1).to_string(),
            or_dash(address(segment.load)),
            or_dash(region(segment.load).to_owned()),
            thousands(segment.loaded),
            address(segment.address),
            region(segment.address).to_owned(),
            thousands(segment.bytes),
        ]);
    }
    segments.align(3..4, CellAlignment::Right);
    segments.align(6..7, CellAlignment::Right);
    let mut regions = Table::new(["region", "from", "to", "bytes", "used", "share"]);
    for Use { region, used } in used.iter().filter(|used| used.used > 0) {
        let bytes = region.end - region.start;
        let share = percent(*used as f64 / bytes.max(1) as f64);
        let (from, to) = (address(region.start), address(region.end - 1));
        regions.row([region.name.clone(), from, to, thousands(bytes), thousands(*used), share]);
    }
    regions.align(3..6, CellAlignment::Right);
    let mut sections = Table::new(["section", "at", "bytes"]);
    for section in layout.sections.iter().take(SECTIONS) {
        sections.row([section.name.clone(), address(section.address), thousands(section.bytes)]);
    }
    sections.align(2..3, CellAlignment::Right);
    let rtt = layout.rtt.map_or("nowhere".to_owned(), address);
    format!("{segments}\n\n{regions}\n\n{sections}\n\n_SEGGER_RTT at {rtt}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Section, Segment};

    #[test]
    fn tables_line_up() {
        let segments = vec![
            Segment { load: 0, address: 0, loaded: 100_000, bytes: 100_000 },
            Segment { load: 100_000, address: 0x2000_0000, loaded: 0, bytes: 64 },
        ];
        let sections = vec![Section { name: ".text".to_owned(), address: 0x100, bytes: 20_000 }];
        let layout = Layout { segments, sections, rtt: Some(0x2000_0008) };
        let flash = Region { name: "NVM".to_owned(), flash: true, start: 0, end: 1_000_000 };
        let ram = Region { name: "RAM".to_owned(), flash: false, start: 0x2000_0000, end: 0x2000_0100 };
        let used = [flash, ram].map(|region| Use { used: layout.used(&region), region });
        let expected = "\
segment  written to  region    bytes  runs at     region    bytes
-----------------------------------------------------------------
1        0x00000000  NVM     100,000  0x00000000  NVM     100,000
2        -           -             0  0x20000000  RAM          64

region  from        to              bytes     used    share
-----------------------------------------------------------
NVM     0x00000000  0x000f423f  1,000,000  100,000  10.00 %
RAM     0x20000000  0x200000ff        256       64  25.00 %

section  at           bytes
---------------------------
.text    0x00000100  20,000

_SEGGER_RTT at 0x20000008";
        assert_eq!(tables(&layout, &used), expected);
    }
}
