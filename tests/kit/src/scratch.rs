//! A directory that a test has to itself: inputs, data directory and outputs, gone when the test ends.
use crate::canary;
use crate::command;
use crate::process::Running;
use crate::ran::Ran;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Directory for the files of one test; removed when the value is dropped.
pub struct Scratch {
    dir: TempDir,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Scratch {
    /// Makes an empty directory.
    ///
    /// # Panics
    /// When the system's directory for temporary files cannot be written.
    pub fn new() -> Scratch {
        Scratch {
            dir: TempDir::with_prefix("showrunner-it-").expect("temporary files can be written"),
        }
    }

    /// A path below the directory.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Writes a file and the directories above it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        let above = path
            .parent()
            .expect("a path below a directory has one above");
        fs::create_dir_all(above).expect("a scratch directory can be made");
        fs::write(&path, content).expect("a scratch file can be written");
        path
    }

    /// A `showrunner` that starts in this directory, with this directory for a home and `data` for its data, and that
    /// sees no setting of the person who runs the tests.
    pub fn showrunner(&self, args: &[&str]) -> Command {
        let mut command = Command::new(command::binary());
        for (name, _) in std::env::vars_os()
            .filter(|(name, _)| name.to_string_lossy().starts_with("SHOWRUNNER_"))
        {
            command.env_remove(name);
        }
        command
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env_remove("XDG_CONFIG_HOME");
        command
            .env("SHOWRUNNER_DATA", self.path("data"))
            .env(canary::VARIABLE.0, canary::VARIABLE.1)
            .args(args);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.showrunner(args))
    }

    /// Starts a command in the background.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::start(self.showrunner(args), self.dir.path())
    }

    /// Starts an `up` with these slots; returns it and its address.
    pub fn up(&self, slots: &str) -> (Running, String) {
        let mut running = self.start(&["up", "--listen", "127.0.0.1:0", "--slots", slots]);
        let address = running.address();
        (running, address)
    }

    /// Runs a command that asks the coordinator at `address`; it has no data directory to fall back on.
    pub fn remote(&self, address: &str, args: &[&str]) -> Ran {
        let mut command = self.showrunner(args);
        command
            .env("SHOWRUNNER_SERVER", format!("http://{address}"))
            .env("SHOWRUNNER_DATA", "nowhere");
        Ran::of(command)
    }

    /// Runs a job file and reads the object it prints.
    ///
    /// # Panics
    /// When the exit code is another or stdout is not JSON.
    pub fn run_job(&self, file: &str, code: i32) -> serde_json::Value {
        self.run(&["run", file, "-o", "json"])
            .expect_code(code)
            .json()
    }
}
