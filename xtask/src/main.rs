//! Fourbit's command line: `cargo xtask COMMAND`.
//!
//! A file per command. Results go to stdout, as text or with `--json` as one object; logs and
//! progress go to stderr. Exit codes: 0, done; 1, a check, a training run or a board failed; 2,
//! the command line or an input is wrong.

mod agree;
mod bench;
mod bits;
mod board;
mod card;
mod choose;
mod ci;
mod compile;
mod curves;
mod cycles;
mod describe;
mod elf;
mod eval;
mod failure;
mod firmware;
mod fit;
mod flash;
mod image_file;
mod import;
mod inspect;
mod layers;
mod layout;
mod model;
mod network;
mod pareto;
mod paths;
mod peers;
mod picture;
mod place;
mod post_training;
mod process;
mod quantize;
mod ram;
mod report;
mod run;
mod runner;
mod sample;
mod setup;
mod snapshot;
mod table;
mod tidy;
mod train;
mod twin;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// 4-bit neural networks: images to an artefact to the same bits on a microcontroller.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Exit codes: 0, done; 1, a check, a \
training run or a board failed; 2, the command line or an input is wrong."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Prints one machine-readable object on stdout; logs stay on stderr
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quantize(quantize::Quantize),
    Train(train::Train),
    Curves(curves::Curves),
    Import(import::Import),
    Compile(compile::Compile),
    Pareto(pareto::Pareto),
    Choose(choose::Choose),
    Bits(bits::BitsOfLayers),
    Eval(eval::Eval),
    Run(run::Run),
    Bench(bench::Bench),
    Fit(fit::Fit),
    Flash(flash::Flash),
    Inspect(inspect::Inspect),
    Setup(setup::Setup),
    Ci(ci::Ci),
}

/// Ends in silence where nobody reads stdout any more, as in `cargo xtask inspect --model NAME | head`.
fn end_with_the_reader() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            // What a shell says of a process that SIGPIPE ended.
            std::process::exit(141);
        }
        before(panic);
    }));
}

fn main() -> ExitCode {
    end_with_the_reader();
    let cli = Cli::parse();
    let done = |result: anyhow::Result<()>| result.map(|()| true);
    let result = match cli.command {
        Command::Quantize(command) => command.run(cli.json),
        Command::Pareto(command) => command.run(cli.json),
        Command::Choose(command) => command.run(cli.json),
        Command::Bits(command) => command.run(cli.json),
        Command::Compile(command) => done(command.run(cli.json)),
        Command::Bench(command) => done(command.run(cli.json)),
        Command::Fit(command) => done(command.run(cli.json)),
        Command::Flash(command) => done(command.run(cli.json)),
        Command::Train(command) => done(command.run(cli.json)),
        Command::Curves(command) => done(command.run(cli.json)),
        Command::Import(command) => done(command.run(cli.json)),
        Command::Eval(command) => done(command.run(cli.json)),
        Command::Run(command) => done(command.run(cli.json)),
        Command::Inspect(command) => done(command.run(cli.json)),
        Command::Setup(command) => done(command.run(cli.json)),
        Command::Ci(command) => command.run(cli.json),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failure::report(&error),
    }
}
