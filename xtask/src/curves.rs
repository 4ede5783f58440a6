//! `curves`: the learning curves of several training runs in one picture.
//!
//! Takes the folders of finished runs, gives a PNG file.

use std::path::PathBuf;

use clap::Args;
use fourbit_models::metrics::Metrics;

use crate::failure::bad_input;
use crate::table::percent;
use crate::{paths, picture, train};

/// Draws the learning curves of several training runs in one picture.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  cargo xtask curves target/runs/float-60 target/runs/float-curriculum --names 60,curriculum --out curves.png

Losses are those of training. The accuracy is that of held-out images where every run kept some, and of augmented
training images otherwise; behind each name stands the accuracy on all test images at the end.")]
pub(crate) struct Curves {
    /// Folders of finished runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Names in the picture, separated by commas; by default the folders'
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    names: Vec<String>,
    /// The picture
    #[arg(long, value_name = "PNG", default_value = "curves.png")]
    out: PathBuf,
}

impl Curves {
    /// Draws the picture.
    pub(crate) fn run(&self, json: bool) -> anyhow::Result<()> {
        if !self.names.is_empty() && self.names.len() != self.runs.len() {
            let (names, runs) = (self.names.len(), self.runs.len());
            return Err(bad_input(format!("{names} names for {runs} runs: give one for each, or none")));
        }
        let runs = self.runs.iter().map(|run| train::measured(run)).collect::<anyhow::Result<Vec<_>>>()?;
        let name = |(index, metrics): (usize, &Metrics)| {
            let folder = || self.runs[index].file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = self.names.get(index).cloned().unwrap_or_else(folder);
            format!("{name}: {}", percent(metrics.test_accuracy))
        };
        let drawn: Vec<_> =
            runs.iter().enumerate().map(|(i, metrics)| (name((i, metrics)), &metrics.epochs[..])).collect();
        let subtitle = runs.first().map_or(String::new(), |metrics| {
            format!("{}; behind the names the accuracy on all test images", metrics.dataset)
        });
        paths::write(&self.out, &picture::compared("Learning curves", &subtitle, &drawn)?)?;
        if json {
            println!("{}", serde_json::json!({ "picture": self.out }));
        } else {
            println!("{}", paths::shown(&self.out));
        }
        Ok(())
    }
}
