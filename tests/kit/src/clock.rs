//! Clocks that a test sets, one for each process: the system's library of time is replaced by one that adds what a file
//! says. What a process measures between two moments is left alone.
use crate::redis::Environment;
use std::path::PathBuf;

/// Where Debian and its kin keep the library.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock of one process.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock that is right so far. Nothing, with a line that starts with SKIP, where the library is missing.
    pub fn new() -> Option<Clock> {
        let below = std::fs::read_dir("/usr/lib")
            .ok()?
            .flatten()
            .map(|entry| entry.path().join(LIBRARY));
        let Some(library) = below.into_iter().find(|path| path.is_file()) else {
            eprintln!(
                "SKIP: clocks cannot be set here: libfaketime is missing, ops/setup.sh test installs it"
            );
            return None;
        };
        // Where every user may read it: the database server is not run by ours.
        let file =
            std::env::temp_dir().join(format!("showrunner-clock-{:016x}", fastrand::u64(..)));
        let clock = Clock { library, file };
        clock.set(0);
        Some(clock)
    }

    /// Sets it so many seconds ahead of the right time, or behind; it is looked at once a second.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) {
        // Whole or not at all: a process may be reading it.
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}\n")).expect("a scratch file can be written");
        std::fs::rename(next, &self.file).expect("a scratch file can be replaced");
    }

    /// What a process needs in its environment to go by this clock.
    pub fn environment(&self) -> Environment {
        let pairs = [
            // With the system's malloc: jemalloc asks for the time before the library is ready to tell it.
            (
                "LD_PRELOAD",
                format!("{} libc.so.6", self.library.display()),
            ),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            // A server changes its user after the library has made what it would share.
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        std::fs::remove_file(&self.file).unwrap_or_default();
        sweep();
    }
}

/// Removes what the library shares between processes and leaves behind when they are killed.
fn sweep() {
    for entry in std::fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let of = name
            .strip_prefix("faketime_shm_")
            .or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if of.is_some_and(|pid| {
            pid.parse::<u32>().is_ok() && !std::path::Path::new("/proc").join(pid).exists()
        }) {
            // Another sweep may have been quicker.
            std::fs::remove_file(entry.path()).unwrap_or_default();
        }
    }
}
