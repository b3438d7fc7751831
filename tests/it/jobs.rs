//! Job files and manifests that several tests start from, and questions about what a job printed.
use serde_json::Value;
use std::fmt::Write;
use testkit::Scratch;

/// A manifest with the four columns that are required.
pub(crate) fn manifest(rows: &[(&str, &str, &str)]) -> String {
    let mut text = String::from("asset,title,role,location\n");
    for (asset, title, location) in rows {
        writeln!(text, "{asset},{title},document,{location}")
            .expect("writing to memory cannot fail");
    }
    text
}

/// A job that lands a manifest and holds each title together.
pub(crate) const LAND: &str = "job: land
library: { manifest: manifest.csv }
steps:
  - id: land
    transfer: { to: \"file:./out/{title}/{file}\", verify: xxh128 }
    retry: { attempts: 2, backoff: 10ms..20ms }
  - id: complete
    needs: [land]
    barrier: { scope: title, require: all }
";

/// A job of `units` units that each take some milliseconds.
pub(crate) fn rehearsal(scratch: &Scratch, units: usize, duration: &str) {
    let mut rows = String::from("asset,title,role,location\n");
    for n in 0..units {
        writeln!(rows, "a{n:05},t{},document,none/{n}", n % 5)
            .expect("writing to memory cannot fail");
    }
    scratch.write("rehearsal.csv", rows);
    let job = format!(
        "job: rehearsal\nlibrary: {{ manifest: rehearsal.csv }}\nsteps:\n  - id: wait\n    noop: {{ duration: {duration} }}\n"
    );
    scratch.write("rehearsal.yaml", job);
}

/// The failure of an asset.
#[track_caller]
pub(crate) fn failure<'a>(summary: &'a Value, asset: &str) -> &'a Value {
    let failures = summary["failures"].as_array().expect("failures are a list");
    let mut of_asset = failures.iter().filter(|failure| failure["asset"] == asset);
    let found = of_asset
        .next()
        .unwrap_or_else(|| panic!("{asset} did not fail: {summary:#}"));
    assert!(
        of_asset.next().is_none(),
        "{asset} failed more than once: {summary:#}"
    );
    found
}

/// Asserts why an asset failed and what was said of it.
#[track_caller]
pub(crate) fn assert_failed(summary: &Value, asset: &str, reason: &str, words: &[&str]) {
    let failure = failure(summary, asset);
    assert_eq!(failure["reason"], reason, "{failure:#}");
    let message = failure["message"].as_str().expect("a message is text");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

/// Assets that failed, in order.
pub(crate) fn failed_assets(summary: &Value) -> Vec<&str> {
    let failures = summary["failures"].as_array().expect("failures are a list");
    let mut assets: Vec<&str> = failures
        .iter()
        .filter_map(|failure| failure["asset"].as_str())
        .collect();
    assets.sort_unstable();
    assets
}

/// A count in the summary, by JSON pointer.
#[track_caller]
pub(crate) fn count(summary: &Value, pointer: &str) -> u64 {
    let found = summary.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no count at {pointer}: {summary:#}"))
}
