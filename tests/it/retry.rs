//! Repaired input runs again with all its dependents; the effect of a failure on the rest of a job.
use crate::jobs::{LAND, assert_failed, count, failed_assets, manifest};
use testkit::Scratch;

const THREE: [(&str, &str, &str); 3] = [
    ("a", "t1", "in/a.bin"),
    ("b", "t1", "in/b.bin"),
    ("c", "t2", "in/c.bin"),
];

/// Three assets, of which `b` has not been delivered.
fn with_one_missing(job: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&THREE));
    scratch.write("in/a.bin", "a");
    scratch.write("in/c.bin", "c");
    scratch.write("job.yaml", job);
    scratch
}

fn job(steps: &str) -> String {
    format!("{LAND}{steps}")
}

const BEHIND: &str = "  - id: publish
    needs: [complete]
    noop: {}
";

#[test]
fn late_delivery_releases_its_dependents() {
    let scratch = with_one_missing(&job(BEHIND));
    let summary = scratch.run_job("job.yaml", 3);
    assert_failed(
        &summary,
        "b",
        "source_missing",
        &["in/b.bin", "does not exist", "retry"],
    );
    assert_eq!(
        (
            count(&summary, "/barriers/0/released"),
            count(&summary, "/barriers/0/held")
        ),
        (1, 1)
    );
    assert_eq!(count(&summary, "/steps/1/units/succeeded"), 1);
    assert_eq!(count(&summary, "/steps/1/units/cancelled"), 2);

    let id = summary["job"].as_str().expect("an id is text").to_owned();
    scratch.write("in/b.bin", "b");
    let retry = [
        "job",
        "retry",
        &id,
        "--filter",
        "reason=source_missing",
        "-o",
        "json",
    ];
    let preview = scratch.run(&[&retry[..], &["--dry-run"]].concat());
    assert_eq!(count(&preview.expect_code(0).json(), "/units"), 1);
    let same = scratch.run(&["job", "get", &id, "-o", "json"]).json();
    assert_eq!(same, summary, "a preview changes nothing");

    let chosen = scratch.run(&retry);
    assert_eq!(count(&chosen.expect_code(0).json(), "/units"), 1);
    let ran = scratch.run(&["run", "job.yaml", "-o", "json"]);
    let mended = ran.expect_code(0).json();
    assert_eq!(mended["job"], id.as_str(), "the same job is carried on");
    assert_eq!(mended["state"], "succeeded");
    assert_eq!(
        (
            count(&mended, "/units/succeeded"),
            count(&mended, "/units/total")
        ),
        (6, 6)
    );
    assert_eq!(
        (
            count(&mended, "/barriers/0/released"),
            count(&mended, "/barriers/0/held")
        ),
        (2, 0)
    );
    assert_eq!(failed_assets(&mended), Vec::<&str>::new());
}

#[test]
fn retry_of_broken_input_fails_again() {
    let scratch = with_one_missing(LAND);
    let id = scratch.run_job("job.yaml", 3)["job"]
        .as_str()
        .expect("an id is text")
        .to_owned();
    scratch.run(&["job", "retry", &id, "--all"]).expect_code(0);
    let again = scratch.run_job("job.yaml", 3);
    assert_eq!(again["job"], id.as_str());
    assert_failed(&again, "b", "source_missing", &["in/b.bin"]);
    assert_eq!(
        (
            count(&again, "/units/succeeded"),
            count(&again, "/units/dead")
        ),
        (2, 1)
    );
}

#[test]
fn filter_without_matches_changes_nothing() {
    let scratch = with_one_missing(LAND);
    let summary = scratch.run_job("job.yaml", 3);
    let id = summary["job"].as_str().expect("an id is text");
    for filter in ["reason=qc_failed", "step=nowhere", "asset=a"] {
        let ran = scratch.run(&["job", "retry", id, "--filter", filter, "-o", "json"]);
        assert_eq!(count(&ran.expect_code(0).json(), "/units"), 0, "{filter}");
    }
    assert_eq!(
        scratch.run(&["job", "get", id, "-o", "json"]).json(),
        summary
    );
    let wrong = scratch.run(&["job", "retry", id, "--filter", "raeson=x"]);
    wrong.expect_code(2).expect_said(&["raeson", "reason"]);
}

/// The job of [`LAND`] with another meaning of failure, and a step behind each asset.
fn on_failure(meaning: &str) -> String {
    let job = LAND.replace(
        "    retry:",
        &format!("    on_failure: {meaning}\n    retry:"),
    );
    format!("{job}  - id: publish\n    needs: [land]\n    noop: {{}}\n")
}

#[test]
fn continue_runs_later_steps_and_keeps_the_failure() {
    let scratch = with_one_missing(&on_failure("continue"));
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(failed_assets(&summary), ["b"]);
    assert_eq!(count(&summary, "/steps/1/units/succeeded"), 3);
    assert_eq!(count(&summary, "/barriers/0/released"), 2);
}

#[test]
fn hold_blocks_the_asset_and_its_title() {
    let scratch = with_one_missing(&on_failure("hold"));
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(failed_assets(&summary), ["b"]);
    assert_eq!(count(&summary, "/steps/1/units/succeeded"), 2);
    assert_eq!(count(&summary, "/steps/1/units/cancelled"), 1);
    assert_eq!(
        (
            count(&summary, "/barriers/0/released"),
            count(&summary, "/barriers/0/held")
        ),
        (1, 1)
    );
}

#[test]
fn abort_cancels_the_job_with_the_reason() {
    let scratch = with_one_missing(&on_failure("abort"));
    let ran = scratch.run(&["run", "job.yaml", "-o", "json"]);
    assert_eq!(ran.code, 3, "{ran:#?}");
    let summary = ran.json();
    assert_eq!(summary["state"], "cancelled");
    let message = summary["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("abort") && message.contains("in/b.bin"),
        "{summary:#}"
    );
    assert_failed(&summary, "b", "source_missing", &["in/b.bin"]);
}

#[test]
fn bad_asset_of_a_unit_fails_alone() {
    let job = LAND
        .replace("steps:", "partition: { by: count, max_assets: 10 }\nsteps:")
        .replace("scope: title", "scope: job");
    let scratch = with_one_missing(&format!(
        "{job}  - id: publish\n    needs: [land]\n    noop: {{}}\n"
    ));
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(failed_assets(&summary), ["b"]);
    // The unit of three was cut in two: the good ones went on, the bad one is dead by itself.
    assert_eq!(
        (
            count(&summary, "/steps/0/units/succeeded"),
            count(&summary, "/steps/0/units/dead")
        ),
        (1, 1)
    );
    assert_eq!(
        (
            count(&summary, "/steps/1/units/succeeded"),
            count(&summary, "/steps/1/units/cancelled")
        ),
        (1, 1)
    );
    assert!(scratch.path("out/t1/a.bin").is_file() && scratch.path("out/t2/c.bin").is_file());

    scratch.write("in/b.bin", "b");
    let id = summary["job"].as_str().expect("an id is text");
    scratch
        .run(&["job", "retry", id, "--filter", "asset=b"])
        .expect_code(0);
    let mended = scratch.run_job("job.yaml", 0);
    assert_eq!(mended["state"], "succeeded", "{mended:#}");
    assert_eq!(count(&mended, "/units/succeeded"), 4);
    assert!(scratch.path("out/t1/b.bin").is_file());
}

#[test]
fn transient_failures_are_retried_until_the_limit() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[("a", "t", "x")]));
    let job = "job: flaky\nlibrary: { manifest: manifest.csv }\nsteps:\n  - id: flaky\n    noop: { fail: 1.0 }\n    retry: { attempts: 3, backoff: 1ms..2ms }\n";
    scratch.write("job.yaml", job);
    let summary = scratch.run_job("job.yaml", 3);
    let id = summary["job"].as_str().expect("an id is text");
    let unit = scratch
        .run(&["unit", "get", &format!("{id}/flaky/1"), "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (unit["state"].as_str(), unit["attempt"].as_u64()),
        (Some("dead"), Some(3)),
        "{unit:#}"
    );
    let log = |args: &[&str]| {
        let mut command = vec!["unit", "log", unit["unit"].as_str().expect("an id is text")];
        command.extend(args);
        scratch.run(&command).expect_code(0).stdout.clone()
    };
    let executions: serde_json::Value =
        serde_json::from_str(&log(&["-o", "json"])).expect("it is JSON");
    let results: Vec<_> = executions
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["result"])
        .collect();
    assert_eq!(results, ["failed", "failed", "failed"], "{executions:#}");
    assert_eq!(
        &executions[2]["reason"],
        unit_reason(&summary),
        "{executions:#}"
    );
    assert_eq!(log(&["-o", "name", "--limit", "2"]).lines().count(), 2);
    assert!(log(&[]).contains("ASSETS FAILED"));
}

#[test]
fn asset_that_was_split_off_has_the_execution_in_its_log() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "a.bin"), ("b", "t", "b.bin")]),
    );
    scratch.write("a.bin", "a");
    let step =
        "  - id: land\n    transfer: { to: \"file:./out/{file}\" }\n    retry: { attempts: 1 }\n";
    scratch.write(
        "job.yaml",
        format!("job: split\nlibrary: {{ manifest: manifest.csv }}\npartition: {{ max_assets: 10 }}\nsteps:\n{step}"),
    );
    let id = scratch.run_job("job.yaml", 3)["job"]
        .as_str()
        .expect("an id is text")
        .to_owned();
    for part in 1..=2 {
        let log = scratch
            .run(&["unit", "log", &format!("{id}/land/{part}"), "-o", "json"])
            .expect_code(0)
            .json();
        assert_eq!(
            (log[0]["reason"].as_str(), log[0]["epoch"].as_u64()),
            (Some("source_missing"), Some(2 - part)),
            "{log:#}"
        );
    }
}

/// The reason of the first failure of a job.
fn unit_reason(summary: &serde_json::Value) -> &serde_json::Value {
    &summary["failures"][0]["reason"]
}

#[test]
fn seal_retried_with_its_files_holds_all_of_them() {
    let scratch = Scratch::new();
    let names: Vec<String> = (0..60).map(|n| format!("in/f{n:02}.bin")).collect();
    let ids: Vec<String> = (0..60).map(|n| format!("f{n:02}")).collect();
    let rows: Vec<(&str, &str, &str)> = ids
        .iter()
        .zip(&names)
        .map(|(id, name)| (id.as_str(), "t", name.as_str()))
        .collect();
    scratch.write("manifest.csv", manifest(&rows));
    names
        .iter()
        .take(2)
        .for_each(|name| drop(scratch.write(name, name)));
    scratch.write("out/ascmhl/ascmhl_chain.xml", "garbage");
    let step = "  - id: land\n    transfer: { to: \"file:./out/{file}\", mhl: true }\n    retry: { attempts: 1 }\n";
    scratch.write(
        "job.yaml",
        format!("job: card\nlibrary: {{ manifest: manifest.csv }}\nsteps:\n{step}"),
    );
    let failed = scratch.run_job("job.yaml", 3);
    let failures = failed["failures"].as_array().map_or(0, Vec::len);
    assert_eq!(failures, 59, "58 files and the seal: {failed:#}");

    names
        .iter()
        .for_each(|name| drop(scratch.write(name, name)));
    std::fs::remove_dir_all(scratch.path("out/ascmhl")).expect("the broken history goes");
    let id = failed["job"].as_str().expect("an id is text");
    scratch.run(&["job", "retry", id, "--all"]).expect_code(0);
    assert_eq!(scratch.run_job("job.yaml", 0)["state"], "succeeded");
    let generations: Vec<String> = std::fs::read_dir(scratch.path("out/ascmhl"))
        .expect("the history is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "mhl"))
        .map(|path| std::fs::read_to_string(path).expect("text"))
        .collect();
    assert_eq!(generations.len(), 1);
    assert_eq!(generations[0].matches("<path").count(), 60);
    scratch.run(&["mhl", "verify", "out"]).expect_code(0);
}

#[test]
fn ten_dead_units_have_equal_counts_and_are_redriven() {
    let scratch = Scratch::new();
    let names: Vec<String> = (0..40).map(|n| format!("in/f{n:02}.bin")).collect();
    let ids: Vec<String> = (0..40).map(|n| format!("f{n:02}")).collect();
    let rows: Vec<(&str, &str, &str)> = ids
        .iter()
        .zip(&names)
        .map(|(id, name)| (id.as_str(), "t", name.as_str()))
        .collect();
    scratch.write("manifest.csv", manifest(&rows));
    let is_missing = |n: &usize| n % 4 == 3;
    (0..40)
        .filter(|n| !is_missing(n))
        .for_each(|n| drop(scratch.write(&names[n], &names[n])));
    let job = LAND
        .replace("scope: title", "scope: job")
        .replace("steps:", "partition: { max_assets: 1 }\nsteps:");
    scratch.write(
        "job.yaml",
        format!("{job}  - id: publish\n    needs: [complete]\n    noop: {{}}\n"),
    );
    let failed = scratch.run_job("job.yaml", 3);
    let id = failed["job"].as_str().expect("an id is text");
    let missing: Vec<String> = (0..40).filter(is_missing).map(|n| ids[n].clone()).collect();
    assert_eq!(failed_assets(&failed), missing);
    let units = |summary: &serde_json::Value, step: usize, state: &str| {
        count(summary, &format!("/steps/{step}/units/{state}"))
    };
    assert_eq!(
        (units(&failed, 0, "succeeded"), units(&failed, 0, "dead")),
        (30, 10),
        "{failed:#}"
    );
    assert_eq!(
        (
            units(&failed, 1, "cancelled"),
            count(&failed, "/barriers/0/released")
        ),
        (40, 0),
        "{failed:#}"
    );
    let causes = scratch
        .run(&["failure", "list", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (count(&causes, "/0/units"), causes.as_array().map(Vec::len)),
        (10, Some(1)),
        "{causes:#}"
    );
    let listed = scratch
        .run(&["unit", "list", id, "--state", "dead", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(listed.as_array().map(Vec::len), Some(10), "{listed:#}");

    names
        .iter()
        .for_each(|name| drop(scratch.write(name, name)));
    let retried = scratch
        .run(&["job", "retry", id, "--all", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (count(&retried, "/matched"), count(&retried, "/done")),
        (10, 10),
        "{retried:#}"
    );
    let causes = scratch
        .run(&["failure", "list", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(causes.as_array().map(Vec::len), Some(0), "{causes:#}");
    let ended = scratch.run_job("job.yaml", 0);
    assert_eq!(
        (
            count(&ended, "/units/succeeded"),
            count(&ended, "/barriers/0/released")
        ),
        (80, 1),
        "{ended:#}"
    );
}
