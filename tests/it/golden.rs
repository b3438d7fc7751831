//! The shape of what `run -o json` prints: other people's tools read it.
use crate::jobs::{LAND, manifest};
use serde_json::Value;
use testkit::Scratch;

/// What is promised: each key with a value of the promised type. More keys are allowed, fewer are not.
const PROMISED: &str = include_str!("../golden/run.json");

/// Every promise that `found` breaks, by JSON pointer.
fn broken(promised: &Value, found: &Value, at: &str, list: &mut Vec<String>) {
    match (promised, found) {
        (Value::Object(keys), Value::Object(there)) => {
            for (key, value) in keys {
                match there.get(key) {
                    Some(found) => broken(value, found, &format!("{at}/{key}"), list),
                    None => list.push(format!("{at}/{key} is missing")),
                }
            }
        }
        (Value::Array(items), Value::Array(there)) => {
            let Some(item) = items.first() else { return };
            for (index, found) in there.iter().enumerate() {
                broken(item, found, &format!("{at}/{index}"), list);
            }
        }
        (Value::Number(promised), Value::Number(found)) if promised.is_u64() && !found.is_u64() => {
            list.push(format!("{at} is {found}, not a whole number"));
        }
        (Value::String(_), Value::String(_)) | (Value::Number(_), Value::Number(_)) => {}
        _ => list.push(format!(
            "{at} is {found}, promised is something like {promised}"
        )),
    }
}

#[track_caller]
fn assert_keeps(found: &Value) {
    let promised = serde_json::from_str(PROMISED).expect("the golden file is JSON");
    let mut list = Vec::new();
    broken(&promised, found, "", &mut list);
    assert!(list.is_empty(), "{list:#?} in {found:#}");
}

#[test]
fn job_with_failures_matches_the_golden_summary() {
    let scratch = Scratch::new();
    let rows = [
        ("a", "t", "in/a.bin"),
        ("b", "t2", "in/b.bin"),
        ("c", "t3", "../c.bin"),
    ];
    scratch.write("manifest.csv", manifest(&rows));
    scratch.write("in/a.bin", "a");
    scratch.write("job.yaml", LAND);
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(
        summary["failures"].as_array().map(Vec::len),
        Some(2),
        "both kinds of failure are there"
    );
    assert_keeps(&summary);
    let id = summary["job"].as_str().expect("an id is text");
    let get = scratch
        .run(&["job", "get", id, "-o", "json"])
        .expect_code(0)
        .json();
    let wait = scratch
        .run(&["job", "wait", id, "-o", "json"])
        .expect_code(3)
        .json();
    assert_eq!(
        (&get, &wait),
        (&summary, &summary),
        "get and wait print what run prints"
    );
}

#[test]
fn totals_equal_the_sums_of_their_parts() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "in/a.bin"), ("b", "t2", "in/b.bin")]),
    );
    scratch.write("in/a.bin", "a");
    scratch.write(
        "job.yaml",
        format!("{LAND}  - id: publish\n    needs: [complete]\n    noop: {{}}\n"),
    );
    let summary = scratch.run_job("job.yaml", 3);
    assert_keeps(&summary);
    let units = |value: &Value| {
        ["total", "succeeded", "failed", "dead", "cancelled"]
            .map(|key| value[key].as_u64().unwrap_or(u64::MAX))
    };
    let all = units(&summary["units"]);
    assert_eq!(all[0], all[1..].iter().sum::<u64>(), "{summary:#}");
    let mut sums = [0; 5];
    for step in summary["steps"].as_array().expect("steps are a list") {
        for (sum, part) in sums.iter_mut().zip(units(&step["units"])) {
            *sum += part;
        }
    }
    assert_eq!(all, sums, "{summary:#}");
}
