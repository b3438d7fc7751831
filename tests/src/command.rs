//! A `showrunner` that is run to its end, and what came of it.
use crate::process::Running;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The binary that `SHOWRUNNER_BINARY` names, else the one beside the test executables of this workspace.
///
/// # Panics
/// When it has not been built: `cargo build --workspace --bins` builds it, and so does the test of the package `ops`.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("SHOWRUNNER_BINARY").map(PathBuf::from) {
        assert!(named.is_file(), "SHOWRUNNER_BINARY: {} is missing", named.display());
        return named;
    }
    let own = std::env::current_exe().expect("a running program has a path");
    // A test is target/<profile>/deps/it-…, a benchmark target/<profile>/bench-…
    let above = own.parent().into_iter().flat_map(|dir| [Some(dir), dir.parent()]).flatten();
    let mut places = above.map(|dir| dir.join("showrunner"));
    let path = places.find(|path| path.is_file()).unwrap_or_else(|| "showrunner".into());
    assert!(
        path.is_file(),
        "{} is missing beside this executable: run cargo build --workspace --bins first",
        path.display()
    );
    path
}

/// What came of a command.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command, for messages.
    pub line: String,
    /// Its exit code; negative for a signal.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Ran {
    /// Runs a command to its end; one that does not end is killed, with all it started.
    ///
    /// # Panics
    /// When it cannot be started, does not end or prints what is not UTF-8.
    pub fn of(command: Command) -> Ran {
        let printed = TempDir::with_prefix("showrunner-it-").expect("temporary files can be written");
        Running::start(command, printed.path()).wait()
    }

    /// Goes on only with this exit code.
    ///
    /// # Panics
    /// With another one, showing what was printed.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Ran {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Goes on only when stderr says all of this.
    ///
    /// # Panics
    /// When one is missing, showing what was printed.
    #[track_caller]
    pub fn expect_said(&self, words: &[&str]) -> &Ran {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} was not said: {self:#?}");
        }
        self
    }

    /// Stdout as one JSON document.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self:#?}"))
    }

    /// Stdout as one id on one line.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn name(&self) -> String {
        let mut lines = self.stdout.lines();
        let name = lines.next().unwrap_or_default().to_owned();
        assert!(!name.is_empty() && !name.contains(' ') && lines.next().is_none(), "not one id: {self:#?}");
        name
    }
}

/// The exit code as a shell would show it, but a signal as its negative number.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}
