//! One Redis belongs to one database: a coordinator or worker of another one is refused.
use std::time::Duration;
use testkit::Ran;
use testkit::process::wait_until;
use tests::fleet::Fleet;

const UNITS: &str = "sr:{noop}:units:normal";

fn mark(fleet: &Fleet) -> String {
    fleet
        .redis
        .cli(&["GET", "sr:deployment"])
        .trim()
        .trim_matches('"')
        .to_owned()
}

/// Entries that were ever added to the stream of units.
fn published(fleet: &Fleet) -> String {
    let info = fleet.redis.cli(&["XINFO", "STREAM", UNITS]);
    let mut lines = info
        .lines()
        .skip_while(|line| !line.contains("entries-added"));
    lines.nth(1).unwrap_or_default().to_owned()
}

#[test]
fn second_database_on_one_redis_is_refused() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    wait_until("it leads", || coordinator.leads());
    wait_until("the leader marks Redis", || !mark(&fleet).is_empty());
    let own = fleet.postgres.sql(&fleet.name, "SELECT id FROM deployment");
    assert_eq!(mark(&fleet), own.trim());
    let _worker = fleet.worker(16, &[]);
    let job = fleet.submit(1_000, "5ms..20ms");
    fleet.wait_for(100);
    let said = [
        "belongs to deployment",
        own.trim(),
        "other",
        "--database",
        "One Redis, one database",
    ];
    for _ in 0..2 {
        let arguments = [
            "coordinator",
            "--redis",
            &fleet.transport,
            "--data",
            "other",
            "--listen",
            "127.0.0.1:0",
        ];
        Ran::of(fleet.scratch.showrunner(&arguments))
            .expect_code(6)
            .expect_said(&said);
    }
    let mut doctor = fleet.scratch.showrunner(&["doctor", "--data", "other"]);
    doctor.env("SHOWRUNNER_REDIS", &fleet.transport);
    let found = Ran::of(doctor);
    found.expect_code(1);
    assert!(found.stdout.contains("belongs to deployment"), "{found:#?}");
    let mut stranger = fleet.worker_command(1);
    stranger.args(["--deployment", "0123456789abcdef"]);
    Ran::of(stranger).expect_code(6).expect_said(&[
        "belongs to deployment",
        own.trim(),
        "0123456789abcdef",
    ]);
    let known = fleet.worker(1, &["--deployment", own.trim()]);
    let verdict = fleet.assert_exact(&job, 1_000);
    assert_eq!(
        verdict.again, 0,
        "nothing was taken from the first: {verdict:?}"
    );
    drop(known);
}

#[test]
fn foreign_deployment_mark_stops_leader_and_workers() {
    let fleet = Fleet::start();
    let mut coordinator = fleet.coordinator();
    wait_until("it leads", || coordinator.leads());
    wait_until("the leader marks Redis", || !mark(&fleet).is_empty());
    let own = mark(&fleet);
    let first = fleet.worker(8, &[]);
    let job = fleet.submit(600, "5ms..20ms");
    fleet.wait_for(100);
    fleet.redis.cli(&["FLUSHALL"]);
    wait_until("the leader marks a wiped Redis again", || {
        mark(&fleet) == own
    });
    fleet.assert_exact(&job, 600);
    fleet.redis.cli(&["SET", "sr:deployment", "stranger"]);
    first
        .wait()
        .expect_code(6)
        .expect_said(&["belongs to deployment stranger", &own]);
    wait_until("the leader says so", || {
        coordinator.running.stderr().contains("deployment stranger")
    });
    let before = published(&fleet);
    let job = fleet.submit(200, "1ms");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        published(&fleet),
        before,
        "nothing is published to another's Redis"
    );
    assert!(
        !coordinator.running.has_ended(),
        "{}",
        coordinator.running.stderr()
    );
    fleet.redis.cli(&["DEL", "sr:deployment"]);
    wait_until("the leader marks it again", || mark(&fleet) == own);
    let _second = fleet.worker(8, &[]);
    fleet.assert_exact(&job, 200);
}
