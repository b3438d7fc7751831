//! What operators do with failures: by cause, by filter, with corrected input, one branch, at a rate, and on record.
use crate::jobs::{LAND, count, failed_assets, manifest};
use serde_json::Value;
use testkit::Scratch;

const ROWS: [(&str, &str, &str); 4] = [
    ("a", "t1", "in/a.bin"),
    ("b", "t1", "in/b.bin"),
    ("c", "t2", "in/c.bin"),
    ("d", "t2", "in/d.bin"),
];

/// Four assets, of which `b` and `d` have not been delivered; and what their job printed.
fn two_missing(job: &str) -> (Scratch, String) {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&ROWS));
    scratch.write("in/a.bin", "a");
    scratch.write("in/c.bin", "c");
    scratch.write("job.yaml", job);
    let id = scratch.run_job("job.yaml", 3)["job"]
        .as_str()
        .expect("an id is text")
        .to_owned();
    (scratch, id)
}

fn causes(scratch: &Scratch) -> Value {
    scratch
        .run(&["failure", "list", "-o", "json"])
        .expect_code(0)
        .json()
}

#[test]
fn failures_of_one_cause_are_one_entry() {
    let (scratch, id) = two_missing(LAND);
    let listed = causes(&scratch);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed:#}");
    assert_eq!(
        (count(&listed, "/0/units"), listed[0]["reason"].as_str()),
        (2, Some("source_missing"))
    );
    assert_eq!(
        (listed[0]["jobs"][0].as_str(), listed[0]["waived"].is_null()),
        (Some(id.as_str()), true)
    );
    let cause = listed[0]["cause"].as_str().expect("a fingerprint is text");

    let failed = scratch
        .run(&["failure", "get", cause, "-o", "json"])
        .expect_code(0)
        .json();
    let assets: Vec<_> = failed
        .as_array()
        .expect("a list")
        .iter()
        .map(|f| f["asset"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(assets, ["b", "d"], "{failed:#}");
    assert_eq!(
        failed[0]["unit"]
            .as_str()
            .map(|unit| unit.starts_with(&format!("{id}/land/"))),
        Some(true)
    );
    assert_eq!(
        scratch
            .run(&["failure", "get", cause, "--limit", "1", "-o", "name"])
            .expect_code(0)
            .name(),
        "b"
    );
    scratch
        .run(&["failure", "get", "0123456789abcdef"])
        .expect_code(5)
        .expect_said(&["failure list"]);

    scratch
        .run(&["failure", "waive", cause])
        .expect_code(2)
        .expect_said(&["reason"]);
    let waive = [
        "failure",
        "waive",
        cause,
        "--reason",
        "not delivered yet",
        "--by",
        "ada",
    ];
    scratch
        .run(&[&waive[..], &["--until", "2001-01-01T00:00:00Z"]].concat())
        .expect_code(2);
    scratch
        .run(&[&waive[..], &["--until", "2999-01-01T00:00:00Z"]].concat())
        .expect_code(0);
    assert_eq!(causes(&scratch)[0]["waived"]["by"], "ada");
    scratch
        .run(&["failure", "waive", "0123456789abcdef", "--reason", "x"])
        .expect_code(5);

    scratch.write("in/b.bin", "b");
    scratch.write("in/d.bin", "d");
    let preview = scratch
        .run(&["failure", "retry", cause, "--dry-run", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (count(&preview, "/matched"), count(&preview, "/units")),
        (2, 2)
    );
    scratch
        .run(&[
            "failure",
            "retry",
            cause,
            "--reason",
            "delivered",
            "--by",
            "ada",
        ])
        .expect_code(0);
    assert_eq!(
        causes(&scratch),
        Value::Array(Vec::new()),
        "nothing is dead any more"
    );
    assert_eq!(scratch.run_job("job.yaml", 0)["state"], "succeeded");

    let operations = scratch
        .run(&["job", "operations", &id, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        operations.as_array().map(Vec::len),
        Some(0),
        "a redrive by cause is of all jobs: {operations:#}"
    );
    let all = scratch
        .run(&["operation", "list", "-o", "json"])
        .expect_code(0)
        .json();
    let redrive = all
        .as_array()
        .expect("a list")
        .iter()
        .find(|o| o["action"] == "redrive")
        .expect("is on record");
    assert_eq!(
        (redrive["actor"].as_str(), redrive["reason"].as_str()),
        (Some("ada"), Some("delivered"))
    );
    assert_eq!(
        (count(redrive, "/done"), redrive["state"].as_str()),
        (2, Some("done"))
    );
}

#[test]
fn terms_combine_and_an_empty_selection_is_refused() {
    let (scratch, id) = two_missing(LAND);
    let units = |filters: &[&str]| {
        let filters = filters.iter().flat_map(|f| ["--filter", f]);
        let args: Vec<&str> = ["job", "retry", &id, "--dry-run", "-o", "json"]
            .into_iter()
            .chain(filters)
            .collect();
        count(&scratch.run(&args).expect_code(0).json(), "/units")
    };
    assert_eq!(units(&["title=t1"]), 1);
    assert_eq!(units(&["title=t1", "title=t2"]), 2);
    assert_eq!(units(&["title=t1", "asset=d"]), 0);
    assert_eq!(units(&["class=permanent", "role=document", "step=land"]), 2);
    assert_eq!(units(&["role=audio"]), 0);
    scratch
        .run(&["job", "retry", &id])
        .expect_code(2)
        .expect_said(&["nothing selected", "--all"]);
    scratch
        .run(&["job", "retry", &id, "--filter", "class=pernament"])
        .expect_code(2)
        .expect_said(&["permanent"]);
    scratch
        .run(&["job", "retry", &id, "--only", "lend"])
        .expect_code(2)
        .expect_said(&["land"]);
}

#[test]
fn next_attempt_reads_the_corrected_input() {
    let (scratch, id) = two_missing(LAND);
    scratch.write("new/b.bin", "b");
    scratch.write("new/other.bin", "d");
    let wrong = "asset,location\nb,new/b.bin\na,new/a.bin\n";
    scratch.write("wrong.csv", wrong);
    let refused = scratch.run(&["job", "retry", &id, "--all", "--input", "wrong.csv"]);
    refused
        .expect_code(2)
        .expect_said(&["\"a\"", "no selected unit"]);
    let place = |name: &str| format!("file:{}", scratch.path(name).display());
    let rows = format!(
        "{{\"asset\": \"b\", \"location\": {:?}}}\n{{\"asset\": \"d\", \"location\": {:?}}}\n",
        place("new/b.bin"),
        place("new/other.bin")
    );
    scratch.write("rows.jsonl", rows);
    let retry = [
        "job",
        "retry",
        &id,
        "--all",
        "--input",
        "rows.jsonl",
        "-o",
        "json",
    ];
    let preview = scratch
        .run(&[&retry[..], &["--dry-run"]].concat())
        .expect_code(0)
        .json();
    assert_eq!(
        (count(&preview, "/units"), count(&preview, "/corrected")),
        (2, 2)
    );
    scratch.run(&retry).expect_code(0);
    let mended = scratch.run_job("job.yaml", 0);
    assert_eq!(
        (mended["state"].as_str(), failed_assets(&mended).len()),
        (Some("succeeded"), 0),
        "{mended:#}"
    );
}

const BRANCHES: &str = "job: branches
library: { manifest: manifest.csv }
steps:
  - id: left
    noop: { fail: 1.0 }
    retry: { attempts: 1 }
  - id: right
    noop: { fail: 1.0 }
    retry: { attempts: 1 }
  - id: behind-left
    needs: [left]
    noop: {}
";

#[test]
fn redrive_of_one_branch_leaves_others() {
    let (scratch, id) = two_missing(BRANCHES);
    let looked = scratch.run(&["job", "get", &id, "-o", "json"]).json();
    assert_eq!(count(&looked, "/units/dead"), 8);
    let retried = scratch
        .run(&["job", "retry", &id, "--only", "left", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (count(&retried, "/matched"), count(&retried, "/done")),
        (4, 4)
    );
    let open = scratch.run(&["job", "get", &id, "-o", "json"]).json();
    assert_eq!(open["state"], "running");
    assert_eq!(
        (
            count(&open, "/steps/0/units/dead"),
            count(&open, "/steps/1/units/dead")
        ),
        (0, 4),
        "{open:#}"
    );
    assert_eq!(
        count(&open, "/steps/2/units/cancelled"),
        0,
        "what is behind it waits for it again"
    );
    let waits = scratch
        .run(&[
            "job",
            "retry",
            &id,
            "--filter",
            "state=cancelled",
            "--dry-run",
            "-o",
            "json",
        ])
        .json();
    assert_eq!(count(&waits, "/matched"), 0);
}

#[test]
fn redrive_keeps_its_rate_and_can_be_stopped() {
    let (scratch, id) = two_missing(BRANCHES);
    let redrive = [
        "failure",
        "retry",
        "--job",
        &id,
        "--filter",
        "step=right",
        "--rate",
        "1/h",
        "-o",
        "json",
    ];
    let started = scratch.run(&redrive).expect_code(0).json();
    assert_eq!(
        (count(&started, "/units"), count(&started, "/done")),
        (4, 0),
        "{started:#}"
    );
    let number = count(&started, "/operation").to_string();
    for (verb, state) in [
        ("pause", "paused"),
        ("resume", "running"),
        ("abort", "aborted"),
    ] {
        let view = scratch
            .run(&["operation", verb, &number, "-o", "json"])
            .expect_code(0)
            .json();
        assert_eq!(view["state"], state);
    }
    scratch
        .run(&["operation", "resume", &number])
        .expect_code(6)
        .expect_said(&["aborted"]);
    scratch.run(&["operation", "pause", "99"]).expect_code(5);
    scratch
        .run(&["failure", "retry", "--all", "--rate", "fast"])
        .expect_code(2)
        .expect_said(&["50/s"]);

    // At a rate that allows it, the next process carries it out to its end.
    let quick = [
        "failure",
        "retry",
        "--job",
        &id,
        "--filter",
        "step=right",
        "--rate",
        "20/s",
        "-o",
        "json",
    ];
    let number = count(&scratch.run(&quick).expect_code(0).json(), "/operation");
    scratch.run(&["job", "resume", &id]);
    let up = scratch.start(&["up", "--listen", "127.0.0.1:0"]);
    let done = || {
        let all = scratch
            .run(&["operation", "list", "-o", "json"])
            .expect_code(0)
            .json();
        let found = all
            .as_array()
            .expect("a list")
            .iter()
            .find(|o| o["operation"] == number)
            .cloned();
        found.is_some_and(|o| o["state"] == "done" && o["done"] == 4)
    };
    testkit::process::wait_until("it is carried out", done);
    drop(up);
}

#[test]
fn class_and_deadline_of_a_running_job_change() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&ROWS));
    scratch.write("job.yaml", BRANCHES);
    let id = scratch
        .run(&["job", "submit", "job.yaml", "-o", "name", "-q"])
        .name();
    let change = [
        "job",
        "priority",
        &id,
        "urgent",
        "--deadline",
        "2999-01-01T00:00:00Z",
        "--by",
        "ada",
    ];
    scratch
        .run(&[&change[..], &["--dry-run"]].concat())
        .expect_code(0);
    let none = scratch
        .run(&["job", "operations", &id, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(none, Value::Array(Vec::new()), "a preview leaves no record");
    scratch.run(&change).expect_code(0);
    scratch
        .run(&["job", "priority", &id, "urgnet"])
        .expect_code(2)
        .expect_said(&["urgent"]);
    scratch
        .run(&["job", "priority", &id])
        .expect_code(2)
        .expect_said(&["nothing to change"]);
    scratch
        .run(&["job", "priority", &id, "--deadline", "soon"])
        .expect_code(2);
    scratch
        .run(&["job", "pause", &id, "--reason", "the store moves"])
        .expect_code(0);
    let operations = scratch
        .run(&["job", "operations", &id, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(operations[0]["action"], "pause");
    assert_eq!(
        operations[1]["action"],
        "priority urgent, deadline 2999-01-01T00:00:00Z"
    );
    assert_eq!(
        (
            operations[0]["reason"].as_str(),
            operations[1]["actor"].as_str()
        ),
        (Some("the store moves"), Some("ada"))
    );
    scratch.run(&["job", "cancel", &id]).expect_code(0);
    scratch
        .run(&["job", "priority", "nobody", "bulk"])
        .expect_code(5);
}

#[test]
fn explain_of_a_paused_unit_names_time_and_command() {
    let (scratch, id) = two_missing(BRANCHES);
    scratch
        .run(&["job", "retry", &id, "--only", "left"])
        .expect_code(0);
    scratch.run(&["job", "pause", &id]).expect_code(0);
    let unit = scratch
        .run(&["unit", "explain", &format!("{id}/left/1"), "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (unit["state"].as_str(), unit["reason"].as_str()),
        (Some("ready"), Some("job_paused")),
        "{unit:#}"
    );
    assert!(
        unit["since"].is_string()
            && unit["next"]
                .as_str()
                .is_some_and(|n| n.contains("job resume")),
        "{unit:#}"
    );
    let dead = scratch
        .run(&["unit", "explain", &format!("{id}/right/1"), "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(dead["reason"], "ended");
    assert!(
        dead["message"]
            .as_str()
            .is_some_and(|m| m.contains("job retry")),
        "{dead:#}"
    );
}
