//! Fuzzer of the runtime: changed artefacts whose CRCs are repaired.
//!
//! Each input is parsed; what parses is run by the reference kernels and by the simulator's, which
//! must agree byte for byte. A panic, a difference, a byte written outside the arena or an input
//! that takes seconds is a failure: it is written to a file, which `--replay FILE` runs again.
//!
//! ```sh
//! cargo run --release -- --seconds 30
//! ```

mod corpus;
mod coverage;
mod execute;
mod fields;
mod layers;
mod mutate;
mod options;
#[path = "../../tests/common/reseal.rs"]
mod reseal;
mod spread;
mod watchdog;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use corpus::Corpus;
use coverage::Coverage;
use execute::{Machine, Outcome};
use fourbit::{ParseError, crc32};
use fourbit_tests::Rng;
use options::Options;
use watchdog::Watchdog;

fn main() -> ExitCode {
    let options = match Options::from_args(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    let result = match &options.replay {
        Some(path) => replay(path),
        None => fuzz(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Changes, parses and runs until the time is over.
fn fuzz(options: &Options) -> Result<(), String> {
    let mut rng = Rng::new(options.seed);
    let mut corpus = Corpus::new();
    let mut coverage = Coverage::default();
    let mut machine = Machine::new();
    let watchdog = Watchdog::start();
    let end = Instant::now() + Duration::from_secs(options.seconds);
    while Instant::now() < end {
        let input = mutate::mutate(corpus.pick(&mut rng), &mut rng);
        let start = if rng.one_in(64) { rng.size(1, 15) } else { 0 };
        watchdog.begin(&input);
        let outcome = attempt(&mut machine, &input, start).map_err(|fault| report(&input, &fault))?;
        watchdog.end();
        let new = coverage.count(&outcome);
        let whole = !matches!(outcome, Outcome::Refused(ParseError::Header(_)));
        if whole && new || matches!(outcome, Outcome::Ran) {
            corpus.keep(input, &mut rng);
        }
    }
    println!("{coverage}\nseed {}, {} inputs kept", options.seed, corpus.len());
    coverage.verdict()
}

/// Runs one file again.
fn replay(path: &Path) -> Result<(), String> {
    let input = std::fs::read(path)
        .map_err(|error| format!("cannot read `{}`: {error}; check the path", path.display()))?;
    let watchdog = Watchdog::start();
    watchdog.begin(&input);
    let outcome = attempt(&mut Machine::new(), &input, 0)?;
    watchdog.end();
    match outcome {
        Outcome::Refused(error) => println!("refused: {error}"),
        Outcome::Skipped => println!("parsed; too large to be run, or without a plan"),
        Outcome::Ran => println!("parsed and ran; all kernels agree"),
    }
    Ok(())
}

/// One input; a panic is a fault like any other.
fn attempt(machine: &mut Machine, input: &[u8], start: usize) -> Result<Outcome, String> {
    match catch_unwind(AssertUnwindSafe(|| machine.execute(input, start))) {
        Ok(result) => result.map_err(|fault| fault.to_string()),
        Err(_) => Err("it panics".to_owned()),
    }
}

/// Writes a failing input beside the build and says where.
fn report(input: &[u8], fault: &str) -> String {
    match save(input) {
        Ok(path) => format!("an artefact fails: {fault}; run it again with --replay {}", path.display()),
        Err(error) => format!("an artefact fails: {fault}; it cannot be written: {error}"),
    }
}

fn save(input: &[u8]) -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join("failures");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{:08x}.fourbit", crc32(input)));
    std::fs::write(&path, input)?;
    Ok(path)
}
