//! What a command's end means: the exit code and one sentence for people.
//!
//! Exit codes: 0, the command did what it was asked; 1, it ran and a check, a training run or a
//! board failed; 2, the command line or an input file is wrong ([`BadInput`]).

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Something that the caller gave is wrong: says what, and what to do about it.
#[derive(Debug)]
pub(crate) struct BadInput(String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for BadInput {}

/// Why a job did not run: the tool that is missing and how to get it.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Missing {}

/// An error that ends the command with exit code 2.
pub(crate) fn bad_input(sentence: impl Into<String>) -> anyhow::Error {
    BadInput(sentence.into()).into()
}

/// Marks an error of a library as caused by the caller's input; the chain becomes one sentence.
pub(crate) trait OrBadInput<T> {
    /// `sentence` says what was being read; the error's own words follow it.
    fn or_bad_input(self, sentence: impl FnOnce() -> String) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrBadInput<T> for Result<T, E> {
    fn or_bad_input(self, sentence: impl FnOnce() -> String) -> anyhow::Result<T> {
        self.map_err(|error| bad_input(format!("{}: {}", sentence(), chain(&error.into()))))
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let words = cause.to_string();
        // A library that repeats its cause in its own message is not quoted twice.
        if sentence.ends_with(&words) {
            continue;
        }
        if !sentence.is_empty() {
            sentence.push_str(": ");
        }
        sentence.push_str(&words);
    }
    sentence.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Prints an error to stderr and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", chain(error));
    ExitCode::from(if error.chain().any(|cause| cause.is::<BadInput>()) { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_chain_is_one_line() {
        let error = anyhow::anyhow!("no such\nfile").context("cannot read x.png");
        assert_eq!(chain(&error), "cannot read x.png: no such file");
    }

    #[test]
    fn bad_input_is_found_below_a_context() {
        let error = bad_input("the image is empty").context("image a.png");
        assert!(error.chain().any(|cause| cause.is::<BadInput>()));
        let error = Err::<(), _>(std::fmt::Error).or_bad_input(|| "model".into()).unwrap_err();
        assert!(error.is::<BadInput>());
        let error = anyhow::anyhow!("the board stopped").context("run");
        assert!(!error.chain().any(|cause| cause.is::<BadInput>()));
        let nested: anyhow::Result<()> = Err(error);
        assert!(nested.context("outer").is_err());
    }
}
