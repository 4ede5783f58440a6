//! Progress on stderr: a bar on a terminal, a plain line per epoch elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::metrics::Epoch;

/// Shows one epoch after another.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total_epochs: usize,
}

impl Progress {
    /// For a run of so many epochs.
    pub(super) fn new(total_epochs: usize) -> Self {
        Self { bar: None, total_epochs }
    }

    /// Begins an epoch of so many updates.
    pub(super) fn start(&mut self, epoch: usize, updates: usize) {
        if !std::io::stderr().is_terminal() {
            return;
        }
        let bar = ProgressBar::new(updates as u64);
        let template =
            format!("epoch {epoch}/{} {{bar:24}} {{pos}}/{{len}} {{msg}} eta {{eta}}", self.total_epochs);
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        self.bar = Some(bar);
    }

    /// Shows the mean over the epoch so far.
    pub(super) fn update(&self, loss: f32, accuracy: f64, images_per_second: f64) {
        if let Some(bar) = &self.bar {
            let accuracy = accuracy * 100.0;
            bar.set_message(format!(
                "loss {loss:.3} accuracy {accuracy:.1} % {images_per_second:.0} images/s"
            ));
            bar.inc(1);
        }
    }

    /// Ends an epoch with one line that stays.
    pub(super) fn finish(&mut self, epoch: &Epoch, remaining_s: f64) {
        let held_out = epoch.held_out_accuracy.map(|a| format!(", held-out {:.2} %", a * 100.0));
        let line = format!(
            "epoch {}/{}: loss {:.4}, train {:.2} %{}, {:.1} s, {:.0} images/s, {:.0} s left",
            epoch.epoch,
            self.total_epochs,
            epoch.loss,
            epoch.train_accuracy * 100.0,
            held_out.unwrap_or_default(),
            epoch.seconds,
            epoch.images_per_second,
            remaining_s,
        );
        match self.bar.take() {
            Some(bar) => {
                bar.finish_and_clear();
                eprintln!("{line}");
            }
            None => eprintln!("{line}"),
        }
    }
}
