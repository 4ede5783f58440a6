//! `fourbit-train`: runs or resumes one training run.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use fourbit_models::config::Config;
use fourbit_models::train::{Backend, train};

/// Trains a network as a configuration says, or goes on where a run was interrupted.
#[derive(Parser)]
#[command(after_help = "Example:\n  fourbit-train --config models/configs/shapes.toml --run runs/shapes")]
struct Args {
    /// The recipe, a TOML as in models/configs.
    #[arg(long)]
    config: PathBuf,
    /// The run's folder; made where it is missing, resumed where it holds a checkpoint.
    #[arg(long)]
    run: PathBuf,
    /// Where the data set's files lie; without it the variable FOURBIT_DATA says so.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Float graph to start from, instead of the configuration's `init`.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Float graph of the teacher, instead of the configuration's `teacher`.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// What computes.
    #[arg(long, value_enum, default_value = "flex")]
    backend: Backend,
    /// Ends when its parent is no longer this process, so that a command that was killed leaves no training behind.
    #[arg(long, value_name = "PID")]
    parent: Option<u32>,
    /// Parts of a batch, one thread each, instead of the configuration's `shards`.
    #[arg(long)]
    threads: Option<usize>,
}

/// Ends this process soon after `parent` has ended.
#[cfg(unix)]
fn end_with(parent: u32) {
    std::thread::spawn(move || {
        while std::os::unix::process::parent_id() == parent {
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        std::process::exit(1);
    });
}

/// Other systems do not say which process is the parent: there a killed command's training goes on to its end.
#[cfg(not(unix))]
fn end_with(_: u32) {}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(parent) = args.parent {
        end_with(parent);
    }
    let run = || -> Result<(), Box<dyn std::error::Error>> {
        let mut config = Config::load(&args.config)?;
        if args.init.is_some() {
            config.init = args.init;
        }
        if args.teacher.is_some() {
            config.teacher = args.teacher;
        }
        if let Some(threads) = args.threads {
            config.shards = threads;
        }
        match args.backend {
            Backend::Flex | Backend::Wgpu => {}
            Backend::NdArray => eprintln!("note: the ndarray backend trains many times slower than flex"),
            Backend::WgpuSoftware => eprintln!("note: a software driver trains many times slower than flex"),
        }
        let outcome = train(&config, &args.run, args.data.as_deref(), args.backend)?;
        let accuracy = outcome.metrics.test_accuracy * 100.0;
        eprintln!("test accuracy {accuracy:.2} %, {}", outcome.graph.display());
        if let Some(agreement) = &outcome.metrics.agreement {
            eprintln!("training and runtime: {agreement}");
        }
        Ok(())
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
