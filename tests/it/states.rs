//! States are shown as they are: waits for people, cut-off lists, previews, directories without a coordinator, rows that
//! cannot be used, and assets that failed before anything was known of them.
use crate::jobs::{LAND, count, manifest, rehearsal};
use serde_json::Value;
use testkit::Scratch;
use testkit::process::{get, wait_until};

const SIGN_OFF: &str = "job: sign-off
library: { manifest: manifest.csv }
steps:
  - id: make
    noop: {}
  - id: sign-off
    needs: [make]
    approval: { role: approver }
";

fn text(scratch: &Scratch, args: &[&str]) -> String {
    scratch.run(args).expect_code(0).stdout.clone()
}

fn json(scratch: &Scratch, args: &[&str]) -> Value {
    scratch
        .run(&[args, &["-o", "json"]].concat())
        .expect_code(0)
        .json()
}

#[test]
fn awaited_decision_is_named_with_its_command_everywhere() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[("a", "t", "in/a")]));
    scratch.write("job.yaml", SIGN_OFF);
    let running = scratch.start(&["run", "job.yaml"]);
    let (what, how) = (
        "task 1: approval by approver of a",
        "showrunner task approve 1",
    );
    wait_until("the run names the task", || running.stderr().contains(how));
    let said = running.stderr();
    assert!(said.contains(what) && said.contains("--data"), "{said}");
    assert_eq!(said.matches(what).count(), 1, "once: {said}");

    let id = text(&scratch, &["job", "list", "-o", "name"])
        .trim()
        .to_owned();
    for command in ["get", "explain"] {
        let said = text(&scratch, &["job", command, &id]);
        assert!(
            said.contains(what) && said.contains(how),
            "{command}: {said}"
        );
        let document = json(&scratch, &["job", command, &id]);
        assert_eq!(
            (
                &document["tasks"][0]["task"],
                document["tasks"][0]["next"]
                    .as_str()
                    .is_some_and(|next| next.contains(how))
            ),
            (&Value::from(1), true),
            "{command}: {document:#}"
        );
        assert!(document["finish_p50"].is_null(), "{document:#}");
    }
    scratch
        .run(&["job", "wait", &id, "--timeout", "1s"])
        .expect_code(7)
        .expect_said(&[what, how, "waits for 1 decision"]);
    let watching = scratch.start(&["job", "watch", &id]);
    wait_until("the watch names the task", || {
        watching.stderr().contains(what) && watching.stderr().contains(how)
    });
    scratch
        .run(&["task", "approve", "1", "--by", "ada"])
        .expect_code(0);
    assert!(watching.wait().expect_code(0).stdout.contains("succeeded"));
    running.wait().expect_code(0);
    let ended = json(&scratch, &["job", "get", &id]);
    assert_eq!(ended.get("tasks"), None, "{ended:#}");
}

#[test]
fn list_with_more_entries_than_it_shows_says_so() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 5, "0ms");
    for _ in 0..2 {
        scratch
            .run(&["run", "rehearsal.yaml", "--fresh"])
            .expect_code(0);
    }
    let id = json(&scratch, &["job", "list"])[0]["job"]
        .as_str()
        .expect("an id")
        .to_owned();
    for output in ["table", "json", "jsonl", "name"] {
        for (list, all) in [(&["unit", "list", &id][..], "6"), (&["job", "list"], "2")] {
            let cut_off = scratch.run(&[list, &["--limit", "1", "-o", output]].concat());
            cut_off
                .expect_code(0)
                .expect_said(&["the first 1", "there are more", "--limit"]);
            let whole = scratch.run(&[list, &["--limit", all, "-o", output]].concat());
            assert_eq!(whole.expect_code(0).stderr, "", "{list:?}");
        }
    }
}

#[test]
fn explanation_of_many_barriers_counts_those_it_leaves_out() {
    let scratch = Scratch::new();
    let assets: Vec<(String, String, String)> = (0..23)
        .map(|n| (format!("a{n:02}"), format!("t{n:02}"), format!("in/{n}")))
        .collect();
    let mut rows: Vec<(&str, &str, &str)> = assets
        .iter()
        .map(|(asset, title, location)| (asset.as_str(), title.as_str(), location.as_str()))
        .collect();
    let more: Vec<String> = (0..25).map(|n| format!("b{n:02}")).collect();
    rows.extend(
        more.iter()
            .map(|asset| (asset.as_str(), "whole", "in/none")),
    );
    scratch.write("manifest.csv", manifest(&rows));
    scratch.write("job.yaml", LAND);
    let id = scratch.run_job("job.yaml", 3)["job"]
        .as_str()
        .expect("an id")
        .to_owned();
    let explained = json(&scratch, &["job", "explain", &id]);
    assert_eq!(explained["barriers"].as_array().map(Vec::len), Some(20));
    assert_eq!(count(&explained, "/barriers_open"), 24);
    assert_eq!(explained["truncated"], serde_json::json!(["barriers"]));
    let said = text(&scratch, &["job", "explain", &id]);
    assert!(
        said.contains("and 4 more barriers: 24 are held or wait, 20 are listed"),
        "{said}"
    );

    let whole = LAND.replace("scope: title", "scope: job");
    scratch.write("whole.yaml", whole);
    let id = scratch.run_job("whole.yaml", 3)["job"]
        .as_str()
        .expect("an id")
        .to_owned();
    let explained = json(&scratch, &["job", "explain", &id]);
    assert_eq!(
        count(&explained, "/barriers/0/missing_more"),
        28,
        "{explained:#}"
    );
    let said = text(&scratch, &["job", "explain", &id]);
    assert!(said.contains("and 28 more"), "{said}");
}

#[test]
fn preview_says_what_would_change_from_what_to_what() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 3, "0ms");
    let id = scratch
        .run(&["job", "submit", "rehearsal.yaml", "-o", "name"])
        .expect_code(0)
        .name();
    let preview = |args: &[&str]| {
        let shown = text(&scratch, &[&["job"], args, &["--dry-run"]].concat());
        let document = json(&scratch, &[&["job"], args, &["--dry-run"]].concat());
        assert_eq!(document["dry_run"], true);
        (shown, document["changes"].clone())
    };
    let (shown, changes) = preview(&["pause", &id]);
    assert_eq!(
        shown,
        format!("{id}: state would change from running to paused\n")
    );
    assert_eq!(
        changes,
        serde_json::json!([{"field": "state", "from": "running", "to": "paused"}])
    );
    let (shown, _) = preview(&["cancel", &id]);
    assert!(
        shown.contains("would change from running to cancelling"),
        "{shown}"
    );
    let (shown, _) = preview(&[
        "priority",
        &id,
        "urgent",
        "--deadline",
        "2099-01-01T00:00:00Z",
    ]);
    assert_eq!(
        shown,
        format!(
            "{id}: priority would change from normal to urgent\n{id}: deadline would change from none to 2099-01-01T00:00:00Z\n"
        )
    );
    let (shown, changes) = preview(&["resume", &id]);
    assert_eq!(
        (shown, changes),
        (format!("{id}: would stay running\n"), Value::Null)
    );
    let paused = text(&scratch, &["job", "pause", &id]);
    assert_eq!(
        paused,
        format!("{id}: state changed from running to paused\n")
    );
}

#[test]
fn preview_about_a_worker_differs_from_the_order() {
    let scratch = Scratch::new();
    let (_running, _) = scratch.up("noop=1");
    let mut worker = String::new();
    wait_until("a worker is listed", || {
        worker = text(&scratch, &["worker", "list", "-o", "name"])
            .trim()
            .to_owned();
        !worker.is_empty()
    });
    let preview = text(&scratch, &["worker", "drain", &worker, "--dry-run"]);
    assert!(
        preview.starts_with(&format!(
            "{worker}: state would change from working to draining\n"
        )),
        "{preview}"
    );
    let document = json(&scratch, &["worker", "drain", &worker, "--dry-run"]);
    assert_eq!(document["dry_run"], true, "{document:#}");
    let listed = json(&scratch, &["worker", "list"]);
    assert_eq!(listed[0]["state"], "working", "{listed:#}");
    let ordered = text(&scratch, &["worker", "drain", &worker]);
    assert!(
        ordered.starts_with(&format!(
            "{worker}: state changed from working to draining\n"
        )),
        "{ordered}"
    );
    let released = text(&scratch, &["worker", "release", &worker, "--dry-run"]);
    assert!(
        released.contains("would change from draining to working"),
        "{released}"
    );
}

#[test]
fn directory_without_a_coordinator_is_reported_where_it_matters() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 3, "0ms");
    let id = scratch
        .run(&["job", "submit", "rehearsal.yaml", "-o", "name"])
        .expect_code(0)
        .name();
    let (what, how) = ("no coordinator runs over", "showrunner up --data");
    scratch
        .run(&["job", "list"])
        .expect_code(0)
        .expect_said(&[what, how]);
    scratch
        .run(&["job", "resume", &id])
        .expect_code(0)
        .expect_said(&[what, how]);
    let said = text(&scratch, &["job", "explain", &id]);
    assert!(said.contains(what) && said.contains(how), "{said}");
    let (mut running, _) = scratch.up("noop=1");
    assert!(!running.has_ended());
    scratch
        .run(&["job", "wait", &id, "--timeout", "1m"])
        .expect_code(0);
    assert_eq!(scratch.run(&["job", "list"]).stderr, "");
    let ended = text(&scratch, &["job", "explain", &id]);
    assert!(!ended.contains(what), "{ended}");
}

#[test]
fn unit_without_a_coordinator_waits_for_one() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[("a", "t", "in/a")]));
    scratch.write("job.yaml", SIGN_OFF);
    let (running, address) = scratch.up("noop=1,scan=1");
    let id = scratch
        .remote(&address, &["job", "submit", "job.yaml", "-o", "name"])
        .name();
    wait_until("the task is open", || {
        json(&scratch, &["task", "list"])
            .as_array()
            .is_some_and(|all| !all.is_empty())
    });
    assert_eq!(get(&address, "/healthz").0, 200);
    running.signal(rustix::process::Signal::TERM);
    running.wait().expect_code(0);
    let (what, how) = ("no coordinator runs over", "showrunner up --data");
    let explained = json(&scratch, &["unit", "explain", &format!("{id}/sign-off/1")]);
    assert!(
        explained["message"]
            .as_str()
            .is_some_and(|said| said.contains(what))
            && explained["next"]
                .as_str()
                .is_some_and(|next| next.contains(how)),
        "{explained:#}"
    );
    scratch
        .run(&["task", "approve", "1"])
        .expect_code(0)
        .expect_said(&[what, how]);
}

#[test]
fn causes_count_assets_and_are_right_after_a_retry_by_cause() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        "asset,title,role,location,hash\n\
         a,t,document,in/a,xxh128:00000000000000000000000000000001\nb,t,document,in/b,\n",
    );
    scratch.write("in/a", "a");
    let job = LAND.replace("steps:", "partition: { by: title, max_assets: 10 }\nsteps:");
    scratch.write("job.yaml", job);
    let summary = scratch.run_job("job.yaml", 3);
    let units = count(&summary, "/units/dead");
    let causes = || json(&scratch, &["failure", "list"]);
    let before = causes();
    assert_eq!(before.as_array().map(Vec::len), Some(2), "{before:#}");
    let missing = before
        .as_array()
        .and_then(|all| all.iter().find(|cause| cause["reason"] == "source_missing"))
        .and_then(|cause| cause["cause"].as_str())
        .expect("a cause")
        .to_owned();
    for _ in 0..3 {
        scratch.run(&["failure", "retry", &missing]).expect_code(0);
        scratch.run(&["run", "job.yaml"]).expect_code(3);
    }
    let after = causes();
    for cause in after.as_array().expect("a list") {
        assert_eq!(
            (count(cause, "/units"), count(cause, "/assets")),
            (units, 1),
            "{after:#}"
        );
    }
    let table = text(&scratch, &["failure", "list"]);
    let header = table.lines().next().unwrap_or_default();
    assert!(
        header.contains("ASSETS") && header.contains("UNITS"),
        "{table}"
    );
}

/// A job of two good rows and three that cannot be used, two of them for one reason.
fn bad_rows() -> (Scratch, String) {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        "asset,title,role,location,bytes\na,t,document,in/a,1\nb,t,document,in/b,many\n\
         c,t,document,in/c,lots\nd,t,mastr,in/d,1\ne,t,document,in/e,\n",
    );
    scratch.write("in/a", "a");
    scratch.write("job.yaml", LAND);
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(count(&summary, "/rows_rejected"), 3, "{summary:#}");
    let id = summary["job"].as_str().expect("an id").to_owned();
    (scratch, id)
}

#[test]
fn rows_that_cannot_be_used_are_listed_by_cause_and_waived() {
    let (scratch, id) = bad_rows();
    let said = text(&scratch, &["job", "get", &id]);
    assert!(said.contains("3 unusable rows, 1 failure\n"), "{said}");
    for list in [&["failure", "list"][..], &["failure", "list", "--job", &id]] {
        let listed = json(&scratch, list);
        let rows: Vec<&Value> = listed
            .as_array()
            .expect("a list")
            .iter()
            .filter(|cause| cause["reason"] == "row_invalid")
            .collect();
        let assets: Vec<u64> = rows.iter().map(|cause| count(cause, "/assets")).collect();
        assert_eq!(assets, [2, 1], "{listed:#}");
        assert_eq!(
            (
                count(rows[0], "/units"),
                &rows[0]["steps"][0],
                &rows[0]["jobs"][0]
            ),
            (0, &Value::from("scan (scan)"), &Value::from(id.as_str()))
        );
    }
    let listed = json(&scratch, &["failure", "list"]);
    let cause = listed
        .as_array()
        .and_then(|all| all.iter().find(|cause| count(cause, "/assets") == 2))
        .and_then(|cause| cause["cause"].as_str())
        .expect("a cause")
        .to_owned();
    let failed = json(&scratch, &["failure", "get", &cause]);
    let assets: Vec<&str> = failed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|row| row["asset"].as_str())
        .collect();
    assert_eq!(assets, ["b", "c"], "{failed:#}");
    assert!(
        failed[0]["message"]
            .as_str()
            .is_some_and(|said| said.contains("manifest.csv line 3")),
        "{failed:#}"
    );
    let first = scratch.run(&["failure", "get", &cause, "--limit", "1", "-o", "name"]);
    assert_eq!(first.expect_code(0).name(), "b");
    first.expect_said(&["there are more"]);
    for retry in [
        &["failure", "retry", &cause][..],
        &["job", "retry", &id, "--filter", "reason=row_invalid"],
    ] {
        scratch
            .run(retry)
            .expect_code(2)
            .expect_said(&["have no unit", "submit the job again"]);
    }
    let waive = [
        "failure", "waive", &cause, "--reason", "typing", "--by", "ada",
    ];
    let preview = text(&scratch, &[&waive[..], &["--dry-run"]].concat());
    assert_eq!(preview, format!("{cause}: would be waived by ada\n"));
    assert_eq!(text(&scratch, &waive), format!("{cause}: waived by ada\n"));
    let listed = json(&scratch, &["failure", "list"]);
    let waived = listed
        .as_array()
        .expect("a list")
        .iter()
        .find(|c| c["cause"] == cause.as_str());
    assert_eq!(
        waived.map(|cause| &cause["waived"]["by"]),
        Some(&Value::from("ada"))
    );
}

#[test]
fn asset_that_failed_before_it_was_read_is_found() {
    let (scratch, id) = bad_rows();
    let missing = json(&scratch, &["asset", "get", "e"]);
    assert_eq!(
        (
            &missing["title"],
            &missing["failures"][0]["job"],
            &missing["failures"][0]["reason"]
        ),
        (
            &"t".into(),
            &Value::from(id.as_str()),
            &"source_missing".into()
        ),
        "{missing:#}"
    );
    let row = json(&scratch, &["asset", "get", "b"]);
    assert_eq!(
        (&row["failures"][0]["step"], &row["failures"][0]["reason"]),
        (&"scan".into(), &"row_invalid".into()),
        "{row:#}"
    );
    let said = text(&scratch, &["asset", "get", "b"]);
    assert!(said.contains("manifest.csv line 3"), "{said}");
    scratch.run(&["asset", "get", "nope"]).expect_code(5);
}

#[test]
fn check_that_does_not_apply_to_a_file_is_named() {
    let scratch = Scratch::new();
    scratch.write("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello\n");
    scratch.write("notes.pdf", "%PDF-1.4 notes");
    scratch.write("spec.yaml", "spec: s\nqc:\n  black: { longest: 1s }\n");
    let qc = |file| ["qc", file, "--policy", "spec.yaml"];
    let ran = scratch.run(
        &[
            &qc("a.srt")[..],
            &["--report", "junit=qc.xml", "-o", "json"],
        ]
        .concat(),
    );
    let report = ran.expect_code(0).json();
    assert_eq!(
        (&report["judged"], &report["not_applicable"]),
        (
            &serde_json::json!(["captions"]),
            &serde_json::json!(["black"])
        ),
        "{report:#}"
    );
    let junit = std::fs::read_to_string(scratch.path("qc.xml")).expect("written");
    assert!(junit.contains("name=\"black\"><skipped"), "{junit}");
    let document = scratch.run(&qc("notes.pdf"));
    document.expect_code(1);
    assert!(document.stdout.contains("role document"), "{document:?}");
}

#[test]
fn limit_of_a_file_endpoint_holds_from_file_to_file() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "in/a"), ("b", "t", "in/b")]),
    );
    scratch.write("in/a", vec![1; 6 << 20]);
    scratch.write("in/b", vec![2; 1 << 20]);
    scratch.write("job.yaml", LAND);
    let storage = |settings: &str| {
        let prefix = scratch.path("out");
        scratch.write(
            "storage.yaml",
            format!(
                "endpoints:\n  - {{ prefix: 'file:{}', {settings} }}\n",
                prefix.display()
            ),
        );
    };
    storage("bytes_per_second: 4MiB");
    let ran = scratch.run(&["run", "job.yaml", "--storage", "storage.yaml", "-o", "json"]);
    let summary = ran.expect_code(0).json();
    // 7 MiB take 1.75 s; the last amount is not waited for.
    assert!(
        summary["seconds"].as_f64().is_some_and(|took| took > 1.2),
        "{summary:#}"
    );
    storage("requests_per_second: 5");
    scratch
        .run(&["validate", "storage.yaml"])
        .expect_code(2)
        .expect_said(&["only bytes_per_second has an effect"]);
}

#[test]
fn decision_without_a_named_person_is_of_the_account() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 1, "0ms");
    let id = scratch
        .run(&["job", "submit", "rehearsal.yaml", "-o", "name"])
        .expect_code(0)
        .name();
    let mut command = scratch.showrunner(&["job", "pause", &id]);
    command.env_remove("USER");
    testkit::Ran::of(command).expect_code(0);
    let operations = json(&scratch, &["job", "operations", &id]);
    let actor = operations[0]["actor"].as_str().expect("an actor");
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then_some(name)
    });
    let expected = named.map_or_else(|| format!("uid {uid}"), str::to_owned);
    assert_eq!(actor, expected);
}

#[test]
fn validate_names_every_mistake_and_the_missing_library() {
    let scratch = Scratch::new();
    scratch.write(
        "bad.yaml",
        "job: bad
library: { manifest: absent.csv }
dedline: 2026-12-01T18:00:00Z
steps:
  - id: land
    transfer: { to: \"file:./out/{titel}\", verify: xxh128 }
  - id: check
    need: [land]
    transfer: { to: \"file:./out/{title}\", verify: sha3 }
  - id: wait
    needs: [land]
    noop: { duration: 2dayz }
  - id: judge
    needs: [lnad]
    qc: { policy: absent-spec.yaml }
",
    );
    let ran = scratch.run(&["validate", "bad.yaml", "-o", "json"]);
    let found = ran.expect_code(2).json();
    let lines: std::collections::BTreeSet<u64> = found[0]["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|problem| count(problem, "/line"))
        .collect();
    assert_eq!(
        lines.into_iter().collect::<Vec<_>>(),
        [2, 3, 6, 8, 9, 12, 14, 15],
        "{found:#}"
    );
    let said = scratch.run(&["validate", "bad.yaml"]);
    said.expect_code(2).expect_said(&[
        "error:",
        "bad.yaml:2:",
        "absent.csv",
        "bad.yaml:15:",
        "absent-spec.yaml",
        "problems",
    ]);
    assert!(!said.stderr.contains(" at line "), "{}", said.stderr);
    let without = scratch.run(&["validate", "bad.yaml", "--without-files"]);
    assert!(!without.expect_code(2).stderr.contains("absent.csv"));
}
