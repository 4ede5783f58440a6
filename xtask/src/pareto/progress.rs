//! What a sweep is doing, what is left and how long that will take: a line on stderr before each run.
//!
//! Work is counted in multiplications of all training images of all epochs, and what an image takes beside them; a
//! second's worth of it is learned from the runs that are finished, from this start or an earlier one.

use std::time::Duration;

use crate::table::thousands;

/// What quantized training takes beside float training of the same network.
const QUANTIZED: f64 = 1.4;
/// What an image takes beside its multiplications, in multiplications: measured from ResNet-8 of widths 0.25 to 1.25.
const IMAGE: f64 = 2e6;

/// One training run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) macs: u64,
    /// Of whole images: an epoch of smaller ones counts as a part.
    pub(super) epochs: f64,
    pub(super) quantized: bool,
}

impl Work {
    fn units(self) -> f64 {
        (self.macs as f64 + IMAGE) * self.epochs * if self.quantized { QUANTIZED } else { 1.0 }
    }
}

/// The runs of a sweep.
#[derive(Debug, Default)]
pub(super) struct Progress {
    points: usize,
    finished: usize,
    left: f64,
    /// Units and seconds of runs that are finished.
    seen: (f64, f64),
    /// Seconds of all that comes after a run, and how many there were.
    after: (f64, usize),
}

impl Progress {
    /// A point that is to be made.
    pub(super) fn expect_point(&mut self) {
        self.points += 1;
    }

    /// A run that is to be made.
    pub(super) fn expect(&mut self, work: Work) {
        self.left += work.units();
    }

    /// A run that was expected is finished and took so long.
    pub(super) fn ran(&mut self, work: Work, seconds: f64) {
        self.drop(work);
        self.seen.0 += work.units();
        self.seen.1 += seconds;
    }

    /// Runs of an earlier start, which are not expected, took so long.
    pub(super) fn known(&mut self, works: &[Work], seconds: f64) {
        self.seen.0 += works.iter().map(|work| work.units()).sum::<f64>();
        self.seen.1 += seconds;
    }

    /// Points that are to be made.
    pub(super) fn points(&self) -> usize {
        self.points
    }

    /// A run will not be made.
    pub(super) fn drop(&mut self, work: Work) {
        self.left = (self.left - work.units()).max(0.0);
    }

    /// A point is finished or has failed; compiling and measuring took so long.
    pub(super) fn point(&mut self, measured: Option<Duration>) {
        self.finished += 1;
        if let Some(duration) = measured {
            self.after.0 += duration.as_secs_f64();
            self.after.1 += 1;
        }
    }

    /// Time that is left, by what was seen; `None` before a run is finished.
    pub(super) fn remaining(&self) -> Option<Duration> {
        let ready = self.seen.0 > 0.0 && self.seen.1 > 0.0;
        let measuring = self.after.0 / self.after.1.max(1) as f64;
        let points = self.points.saturating_sub(self.finished) as f64;
        let seconds = || self.left / self.seen.0 * self.seen.1 + points * measuring;
        ready.then(|| Duration::from_secs_f64(seconds()))
    }

    /// The line before the next step.
    pub(super) fn line(&self, what: &str) -> String {
        let left = self.points.saturating_sub(self.finished);
        let time =
            self.remaining().map_or("time not known yet".to_owned(), |time| format!("about {}", shown(time)));
        format!("point {} of {}: {what}; {left} to finish, {time}", self.finished + 1, self.points)
    }
}

/// A duration for people: `35 s`, `12 min`, `5 h 20 min`.
fn shown(duration: Duration) -> String {
    let (seconds, minutes) = (duration.as_secs(), (duration.as_secs_f64() / 60.0).round() as u64);
    match (seconds, minutes) {
        (0..90, _) => format!("{seconds} s"),
        (_, 0..90) => format!("{minutes} min"),
        _ => format!("{} h {} min", thousands(minutes / 60), minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: Work = Work { macs: 1000, epochs: 10.0, quantized: false };
    const TWICE: Work = Work { macs: 1000, epochs: 20.0, quantized: false };

    #[test]
    fn time_is_learned_from_finished_runs() {
        let mut progress = Progress::default();
        for work in [RUN, TWICE, RUN] {
            progress.expect_point();
            progress.expect(work);
        }
        assert_eq!(progress.line("train a"), "point 1 of 3: train a; 3 to finish, time not known yet");
        progress.ran(RUN, 30.0);
        progress.point(Some(Duration::from_secs(5)));
        // 10 epochs took 30 s and 30 are left; two points are to be measured.
        assert_eq!(progress.remaining(), Some(Duration::from_secs(90 + 10)));
        progress.drop(RUN);
        progress.point(None);
        assert_eq!(progress.remaining(), Some(Duration::from_secs(60 + 5)));
        assert_eq!(progress.line("train c"), "point 3 of 3: train c; 1 to finish, about 65 s");
        // An earlier start was twice as slow.
        progress.known(&[RUN], 90.0);
        assert_eq!(progress.remaining(), Some(Duration::from_secs(120 + 5)));
    }

    #[test]
    fn a_small_network_says_how_long_a_large_one_takes() {
        let mut progress = Progress::default();
        let work = |macs| Work { macs, epochs: 60.0, quantized: false };
        progress.expect(work(19_400_000));
        // ResNet-8 of width 0.25; that of 1.25 takes 35 s an epoch.
        progress.known(&[work(860_000)], 60.0 * 4.6);
        let seconds = progress.remaining().unwrap().as_secs_f64() / 60.0;
        assert!((30.0..40.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn durations_for_people() {
        let shown = |seconds| shown(Duration::from_secs(seconds));
        assert_eq!(
            [5, 89, 600, 5400, 19_200].map(shown),
            ["5 s", "89 s", "10 min", "1 h 30 min", "5 h 20 min"]
        );
    }
}
