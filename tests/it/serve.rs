//! `up` in the background, and everything that others do beside it.
use crate::jobs::{LAND, count, manifest, rehearsal};
use rustix::process::Signal;
use serde_json::Value;
use testkit::Scratch;
use testkit::process::{get, wait_until};

/// More than finishes by itself before a test is through with it.
const MANY: usize = 60_000;

/// Submits a job that takes long enough to be steered; its id once it runs.
fn long_job(scratch: &Scratch) -> String {
    rehearsal(scratch, MANY, "50ms..100ms");
    let id = scratch
        .run(&["job", "submit", "rehearsal.yaml", "-o", "name"])
        .name();
    wait_until("it runs", || succeeded(scratch, &id) > 0);
    id
}

fn look(scratch: &Scratch, id: &str) -> Value {
    scratch
        .run(&["job", "get", id, "-o", "json"])
        .expect_code(0)
        .json()
}

fn succeeded(scratch: &Scratch, id: &str) -> u64 {
    count(&look(scratch, id), "/units/succeeded")
}

#[test]
fn job_submitted_to_a_running_process_succeeds() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "in/a.bin"), ("b", "t2", "in/b.bin")]),
    );
    scratch.write("in/a.bin", "a");
    scratch.write("in/b.bin", "b");
    scratch.write("job.yaml", LAND);
    let (running, address) = scratch.up("noop=256");
    let id = scratch
        .run(&["job", "submit", "job.yaml", "-o", "name"])
        .name();
    let waited = scratch.run(&["job", "wait", &id, "--timeout", "2m", "-o", "json"]);
    let summary = waited.expect_code(0).json();
    assert_eq!(summary["state"], "succeeded");
    assert!(scratch.path("out/t2/b.bin").is_file());

    assert_eq!(get(&address, "/healthz").0, 200);
    assert_eq!(get(&address, "/readyz").0, 200);
    let (status, metrics) = get(&address, "/metrics");
    assert!(
        status == 200 && metrics.contains("# TYPE showrunner_"),
        "{metrics}"
    );
    let (status, jobs) = get(&address, "/api/v1/jobs");
    let jobs: Value = serde_json::from_str(&jobs).expect("jobs are JSON");
    assert_eq!((status, jobs[0]["job"].as_str()), (200, Some(id.as_str())));
    let (status, job) = get(&address, &format!("/api/v1/jobs/{id}"));
    assert_eq!(
        (status, serde_json::from_str(&job).ok()),
        (200, Some(summary))
    );
    assert_eq!(get(&address, "/api/v1/jobs/nope").0, 404);

    running.signal(Signal::TERM);
    running.wait().expect_code(0);
}

#[test]
fn job_is_paused_resumed_and_cancelled() {
    let scratch = Scratch::new();
    let (_running, _) = scratch.up("noop=256");
    let id = long_job(&scratch);
    for verb in ["pause", "cancel"] {
        let preview = scratch.run(&["job", verb, &id, "--dry-run", "-o", "json"]);
        assert_eq!(preview.expect_code(0).json()["dry_run"], true);
        assert_eq!(
            look(&scratch, &id)["state"],
            "running",
            "a preview of {verb} changes nothing"
        );
    }
    scratch.run(&["job", "resume", &id]).expect_code(0);
    scratch.run(&["job", "pause", &id]).expect_code(0);
    assert_eq!(look(&scratch, &id)["state"], "paused");
    let none_out = || {
        scratch
            .run(&["unit", "list", &id, "--state", "leased", "-o", "name"])
            .stdout
            .is_empty()
    };
    wait_until("what was out has ended", none_out);
    let before = succeeded(&scratch, &id);
    let waited = scratch.run(&["job", "wait", &id, "--timeout", "300ms"]);
    waited
        .expect_code(7)
        .expect_said(&["paused", "job explain"]);
    assert_eq!(
        succeeded(&scratch, &id),
        before,
        "a paused job stands still"
    );

    scratch.run(&["job", "resume", &id]).expect_code(0);
    wait_until("it goes on", || succeeded(&scratch, &id) > before);
    scratch
        .run(&["job", "cancel", &id, "--reason", "test"])
        .expect_code(0);
    let ended = scratch.run(&["job", "wait", &id, "--timeout", "2m", "-o", "json"]);
    let summary = ended.expect_code(1).json();
    assert_eq!(summary["state"], "cancelled");
    let (total, done) = (
        count(&summary, "/units/total"),
        count(&summary, "/units/succeeded"),
    );
    assert_eq!(
        count(&summary, "/units/cancelled"),
        total - done,
        "{summary:#}"
    );
    for verb in ["pause", "resume"] {
        scratch
            .run(&["job", verb, &id])
            .expect_code(6)
            .expect_said(&["cancelled"]);
    }
    scratch
        .run(&["job", "retry", &id, "--all"])
        .expect_code(6)
        .expect_said(&["cancelled", "submit it again"]);
}

#[test]
fn one_data_directory_has_one_coordinator() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[]));
    scratch.write("job.yaml", LAND);
    let (running, address) = scratch.up("noop=256");
    scratch
        .run(&["run", "job.yaml"])
        .expect_code(6)
        .expect_said(&["in use", "--data"]);
    scratch
        .run(&["up", "--listen", "127.0.0.1:0"])
        .expect_code(6)
        .expect_said(&["in use"]);
    let taken = scratch.run(&["up", "--data", "other", "--listen", &address]);
    taken
        .expect_code(1)
        .expect_said(&["cannot listen", &address, "127.0.0.1:0"]);
    running.signal(Signal::KILL);
    running.wait().expect_code(-Signal::KILL.as_raw());
    scratch.run(&["run", "job.yaml"]).expect_code(0);
}

#[test]
fn job_without_a_running_process_is_reported() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 10, "0ms");
    let submit = ["job", "submit", "rehearsal.yaml", "-o", "name"];
    let submitted = scratch.run(&submit);
    let id = submitted
        .expect_code(0)
        .expect_said(&["no coordinator runs over", "showrunner up --data"])
        .name();
    let wait = ["job", "wait", &id, "--timeout", "50ms"];
    scratch
        .run(&wait)
        .expect_code(7)
        .expect_said(&["showrunner up --data", "still running"]);
    let (_running, _) = scratch.up("noop=256");
    scratch.run(&["job", "wait", &id]).expect_code(0);
    assert_eq!(scratch.run(&submit).stderr, "");
}

#[test]
fn running_job_resumes_after_a_restart() {
    let scratch = Scratch::new();
    let (running, _) = scratch.up("noop=256");
    let id = long_job(&scratch);
    running.signal(Signal::KILL);
    running.wait().expect_code(-Signal::KILL.as_raw());
    let before = succeeded(&scratch, &id);
    scratch
        .run(&["job", "wait", &id, "--timeout", "50ms"])
        .expect_code(7);
    let (_again, _) = scratch.up("noop=256");
    wait_until("it goes on", || succeeded(&scratch, &id) > before);
}
