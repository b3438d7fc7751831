//! Runs `showrunner` to its end.
use crate::process::Running;
use crate::ran::Ran;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// The binary that `SHOWRUNNER_BINARY` names, else the one beside the test executables of this workspace.
///
/// # Panics
/// When it has not been built: `cargo build --workspace --bin showrunner` builds it, and so does the test of the package `ops`.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("SHOWRUNNER_BINARY").map(PathBuf::from) {
        assert!(
            named.is_file(),
            "SHOWRUNNER_BINARY: {} is missing",
            named.display()
        );
        return named;
    }
    let own = std::env::current_exe().expect("a running program has a path");
    // A test is target/<profile>/deps/it-…, the benchmarks are target/<profile>/bench.
    let above = own
        .parent()
        .into_iter()
        .flat_map(|dir| [Some(dir), dir.parent()])
        .flatten();
    let mut places = above.map(|dir| dir.join("showrunner"));
    let path = places
        .find(|path| path.is_file())
        .unwrap_or_else(|| "showrunner".into());
    assert!(
        path.is_file(),
        "{} is missing beside this executable: run cargo build --workspace --bin showrunner first",
        path.display()
    );
    path
}

impl Ran {
    /// Runs a command to its end; one that does not end is killed, with all it started.
    ///
    /// # Panics
    /// When it cannot be started, does not end or prints what is not UTF-8.
    pub fn of(command: Command) -> Ran {
        let printed =
            TempDir::with_prefix("showrunner-it-").expect("temporary files can be written");
        Running::start(command, printed.path()).wait()
    }
}
