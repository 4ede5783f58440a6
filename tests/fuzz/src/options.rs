//! The command line: `--seconds N`, `--seed N`, `--replay FILE`.

use std::path::PathBuf;
use std::str::FromStr;

const USAGE: &str = "usage: fourbit-fuzz [--seconds N] [--seed N] [--replay FILE]";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// How long.
    pub(crate) seconds: u64,
    /// What decides every change; the same seed gives the same inputs.
    pub(crate) seed: u64,
    /// A file to run instead.
    pub(crate) replay: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments behind the program's name.
    pub(crate) fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { seconds: 30, seed: 1, replay: None };
        while let Some(name) = args.next() {
            let value = args.next();
            match name.as_str() {
                "--seconds" => options.seconds = parsed(&name, value)?,
                "--seed" => options.seed = parsed(&name, value)?,
                "--replay" => options.replay = Some(parsed(&name, value)?),
                _ => return Err(format!("unknown option `{name}`; {USAGE}")),
            }
        }
        Ok(options)
    }
}

fn parsed<T: FromStr>(name: &str, value: Option<String>) -> Result<T, String> {
    let read = value.and_then(|text| text.parse().ok());
    read.ok_or_else(|| format!("{name} needs a value; {USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::from_args(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_and_their_defaults() {
        assert_eq!(read(""), Ok(Options { seconds: 30, seed: 1, replay: None }));
        let replay = Some(PathBuf::from("a.fourbit"));
        assert_eq!(
            read("--seconds 5 --seed 9 --replay a.fourbit"),
            Ok(Options { seconds: 5, seed: 9, replay })
        );
        assert!(read("--seconds").is_err() && read("--seconds x").is_err() && read("--fast 1").is_err());
    }
}
