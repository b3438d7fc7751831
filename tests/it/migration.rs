//! The schema changes while a cluster works, and a build that is too old says so.
use rusqlite::Connection;
use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, Instant};
use testkit::process::{promised, wait_until};
use testkit::{Ran, Scratch};
use tests::fleet::{DATABASE, Fleet};

/// Case 72.
#[test]
fn newer_schema_is_refused_at_start_and_at_run_time() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    wait_until("it leads", || coordinator.leads());
    fleet.postgres.sql(
        DATABASE,
        "UPDATE meta SET value = '99' WHERE key = 'schema_version'",
    );
    let said = ["schema 99", "use the newer showrunner"];
    Ran::of(fleet.coordinator_command())
        .expect_code(6)
        .expect_said(&said);
    fleet
        .run(&["job", "list"])
        .expect_code(6)
        .expect_said(&said);
    // One that runs learns of it with its next connection.
    fleet
        .postgres
        .sql(DATABASE, "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()");
    coordinator.running.wait().expect_code(6).expect_said(&said);
    assert_eq!(
        fleet.number("SELECT value FROM meta WHERE key = 'schema_version'"),
        99,
        "left alone"
    );
}

/// A migration that was taken already, made to be taken once more.
fn under_other_names(script: &str) -> String {
    let words = ["ADD COLUMN ", "CREATE TABLE ", "INDEX ", " ON "];
    words.iter().fold(script.to_owned(), |text, word| {
        text.replace(word, &format!("{word}probe_"))
    })
}

/// Case 71: what a migration does, taken as one is: in a transaction no other writer is in. Workers and the old
/// coordinator go on meanwhile.
#[test]
fn migrations_under_load_fail_no_unit() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let job = fleet.submit(12_000, "10ms..30ms");
    fleet.wait_for(1_500);
    let alone = "BEGIN; SELECT pg_advisory_xact_lock(1936222319, hashtext(current_schema()));";
    for change in [
        "ALTER TABLE unit ADD COLUMN probe BIGINT",
        "ALTER TABLE step ADD COLUMN probe BIGINT NOT NULL DEFAULT 0",
        "CREATE TABLE probe (job BIGINT NOT NULL, step BIGINT NOT NULL, PRIMARY KEY (job, step))",
        "CREATE INDEX unit_probe ON unit (probe) WHERE probe IS NOT NULL",
        "ALTER TABLE unit DROP COLUMN probe",
        &under_other_names(include_str!(
            "../../coordinator/store/migrations/0007_rework.postgres.sql"
        )),
    ] {
        let started = Instant::now();
        fleet
            .postgres
            .sql(DATABASE, &format!("{alone} {change}; COMMIT"));
        let next = fleet.wait_for_progress();
        let held = started.elapsed();
        println!("{change}: {held:?}, the next unit {next:?} later");
        promised(change, held, Duration::from_secs(3));
    }
    fleet.assert_exact(&job, 12_000);
    assert_eq!(
        fleet.number("SELECT COALESCE(MAX(attempt), 0) FROM unit"),
        0,
        "no unit failed"
    );
}

/// The database of a coordinator of schema 9 that was killed: 8 of 20 units have succeeded before a
/// barrier and an approval.
#[test]
fn running_job_of_schema_9_continues() {
    let scratch = Scratch::new();
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(scratch.path("data"))
        .expect("a scratch directory can be made");
    let database =
        Connection::open(scratch.path("data/showrunner.db")).expect("a database can be made");
    database
        .execute_batch(include_str!("../golden/schema-9.sqlite.sql"))
        .expect("statements of a dump are valid");
    drop(database);
    let (_running, address) = scratch.up("noop=4");
    let ask = |args: &[&str]| scratch.remote(&address, args);
    let counts = || {
        let job = ask(&["job", "get", "continued-d56aqp7x", "-o", "json"])
            .expect_code(0)
            .json();
        let steps = job["steps"].as_array().expect("a job has steps").clone();
        steps
            .iter()
            .map(|step| step["units"]["succeeded"].as_u64().unwrap_or(0))
            .collect::<Vec<_>>()
    };
    let tasks = || {
        ask(&["task", "list", "-o", "name"])
            .expect_code(0)
            .stdout
            .clone()
    };
    wait_until("each partition waits for its approval", || {
        tasks().lines().count() == 20
    });
    assert_eq!(counts(), [20, 0, 0], "before the approval");
    for task in tasks().lines() {
        ask(&["task", "approve", task, "--by", "ada", "-q"]).expect_code(0);
    }
    ask(&["job", "wait", "continued-d56aqp7x", "--timeout", "1m"]).expect_code(0);
    assert_eq!(counts(), [20, 20, 20], "at the end");
}
