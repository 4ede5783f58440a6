//! A chip behind a debug probe, as a command with standard input and output.
//!
//! `run` writes a firmware to the chip and becomes its pipe: standard input goes down RTT channel 0,
//! byte by byte; what comes up channel 0 are frames of defmt, and leaves as lines of text. `decode`
//! makes the same lines of frames that an emulator writes. The command line of Fourbit builds and
//! starts this program; probe-rs is linked here only, so that nothing else waits for its build.
//!
//! Exit codes: 0, the firmware ended well; 1, it did not, or something failed; 2, the command line is
//! wrong; 3, no debug probe is connected; 4, one is, and may not be opened.

mod chip;
mod decode;
mod pump;
mod rtt;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use anyhow::Context;
use clap::{Parser, Subcommand};

use decode::Decoder;
use rtt::Missing;

/// Bytes of a pipe that are moved at a time.
const PIECE: usize = 4096;

#[derive(Debug, Parser)]
#[command(about = "A chip behind a debug probe, as a command with standard input and output")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints the memory regions of a chip as JSON
    Regions { chip: String },
    /// Looks for a debug probe and prints its name
    Find,
    /// Writes a firmware to a chip, reads it back, and starts it
    Flash { chip: String, elf: PathBuf },
    /// Flashes a firmware, sends standard input to it and prints its report
    Run { chip: String, elf: PathBuf },
    /// Prints the report in the frames on standard input
    Decode { elf: PathBuf },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            match error.downcast_ref() {
                Some(Missing::Probe) => ExitCode::from(3),
                Some(Missing::Permission(_)) => ExitCode::from(4),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// Whether all went well.
fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Regions { chip } => println!("{}", serde_json::to_string(&chip::regions(&chip)?)?),
        Command::Find => println!("{}", rtt::find()?.identifier),
        Command::Flash { chip, elf } => {
            let mut session = rtt::flash(&chip, &elf)?;
            rtt::restart(&mut session)?;
        }
        Command::Run { chip, elf } => {
            let file = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
            let table = decode::table(&file)?;
            let mut decoder = Decoder::new(&table);
            let mut session = rtt::flash(&chip, &elf)?;
            let mut target = rtt::attach(&mut session, &file)?;
            let (sender, input) = mpsc::channel();
            thread::spawn(move || pieces(io::stdin(), |piece| Ok(sender.send(piece.to_vec())?)));
            return pump::pump(&mut target, &input, |bytes| decoder.lines(bytes, &mut io::stdout()));
        }
        Command::Decode { elf } => {
            let file = std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
            let table = decode::table(&file)?;
            let mut decoder = Decoder::new(&table);
            pieces(io::stdin(), |piece| decoder.lines(piece, &mut io::stdout()))?;
            decoder.end()?;
        }
    }
    io::stdout().flush()?;
    Ok(true)
}

/// Hands over what can be read, as it comes, to the end.
fn pieces(mut from: impl Read, mut see: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            count => see(&piece[..count])?,
        }
    }
}
