//! An integration test makes cargo build this package's binary, freshly, before any test of the workspace runs: the
//! package `tests` runs it.
use std::process::Command;

#[test]
fn the_binary_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_showrunner"))
        .arg("--version")
        .output()
        .expect("it was built");
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("showrunner {}\n", env!("CARGO_PKG_VERSION"))
    );
}
