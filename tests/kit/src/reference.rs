//! Programs of others that judge what we wrote.
use crate::ran::Ran;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The reference implementation of ASC MHL: `SHOWRUNNER_ASCMHL` (`ascmhl-debug` beside it), else the one on `PATH`.
pub fn ascmhl() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SHOWRUNNER_ASCMHL").filter(|path| !path.is_empty()) {
        let mut debug = named;
        debug.push("-debug");
        return Some(PathBuf::from(debug));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("ascmhl-debug"))
        .find(|program| program.is_file())
}

/// Lets the reference tool verify a tree against its history; `None` when it is not installed.
pub fn ascmhl_verify(root: &Path) -> Option<Ran> {
    let mut command = Command::new(ascmhl()?);
    command.arg("verify").arg(root);
    Some(Ran::of(command))
}

/// Schemathesis: `SHOWRUNNER_SCHEMATHESIS`, else the one that `ops/setup.sh test` installs, else the one on `PATH`. `None`,
/// with a line that says why, when none of them runs.
pub fn schemathesis() -> Option<PathBuf> {
    let named = std::env::var_os("SHOWRUNNER_SCHEMATHESIS")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/schemathesis");
    let found = named
        .into_iter()
        .chain([ours, "schemathesis".into()])
        .find(|program| {
            let mut command = Command::new(program);
            command
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        });
    if found.is_none() {
        println!("SKIP: Schemathesis is not installed: ops/setup.sh test");
    }
    found
}

/// Runs ffmpeg with these arguments; they name the file that it makes.
///
/// # Panics
/// When it is not installed or fails.
pub fn ffmpeg(args: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(args);
    Ran::of(command).expect_code(0);
}

/// Asserts that a file of the repository holds this text; with `SHOWRUNNER_UPDATE=1` it does afterwards.
///
/// # Panics
/// When it holds another.
#[track_caller]
pub fn assert_committed(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    if std::env::var_os("SHOWRUNNER_UPDATE").is_some() {
        std::fs::write(&file, text).expect("the repository can be written");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "{path} is out of date: run this test with SHOWRUNNER_UPDATE=1"
    );
}
