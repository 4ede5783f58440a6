//! One process trains in a run's folder: a lock that the system gives back when the process ends.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// Why the folder cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("another process trains in `{}`: wait until it is done, or end it", run.display())]
    Taken {
        /// The run's folder.
        run: PathBuf,
    },
    /// The lock's file cannot be made.
    #[error("cannot lock `{}`: {source}", run.display())]
    Io {
        /// The run's folder.
        run: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Holds the lock until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Locks the file `lock` of a run's folder, which is made where it is missing.
    pub(super) fn take(run: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { run: run.to_owned(), source };
        let file = File::options().create(true).append(true).open(run.join("lock")).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken { run: run.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock that cannot be given back ends with the process.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_at_a_time() {
        let run = tempfile::tempdir().expect("a temporary folder");
        let first = Lock::take(run.path()).expect("is free");
        let second = Lock::take(run.path()).expect_err("is taken").to_string();
        assert!(second.starts_with("another process trains in"), "{second}");
        drop(first);
        Lock::take(run.path()).expect("is free again");
    }
}
