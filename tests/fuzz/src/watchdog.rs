//! A thread that ends the process when one input takes too long.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What an input may take; the slowest that are run take milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// The input in work, and since when.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// Watches one input after the other.
#[derive(Debug)]
pub(crate) struct Watchdog {
    current: Current,
}

impl Watchdog {
    /// Starts to watch.
    pub(crate) fn start() -> Self {
        let current = Current::default();
        let watched = Arc::clone(&current);
        thread::spawn(move || watch(&watched));
        Self { current }
    }

    /// An input is about to be run.
    pub(crate) fn begin(&self, input: &[u8]) {
        self.set(Some((Instant::now(), input.to_vec())));
    }

    /// The input has been run.
    pub(crate) fn end(&self) {
        self.set(None);
    }

    fn set(&self, value: Option<(Instant, Vec<u8>)>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

fn watch(current: &Current) {
    loop {
        thread::sleep(LIMIT / 10);
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, input)) = &*current
            && since.elapsed() > LIMIT
        {
            eprintln!("{}", crate::report(input, &format!("it takes more than {} s", LIMIT.as_secs())));
            std::process::exit(1);
        }
    }
}
