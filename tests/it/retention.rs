//! Ended jobs are forgotten in time, and nothing else is.
use testkit::process::wait_until;
use tests::fleet::Fleet;

#[test]
fn expired_job_is_removed_and_others_stay() {
    let fleet = Fleet::start();
    let mut command = fleet.coordinator_command();
    command.env("SHOWRUNNER_RETENTION", "2s");
    let _coordinator = fleet.coordinator_of(command);
    let _worker = fleet.worker(64, &[]);
    let old = fleet.submit(3_000, "0ms");
    wait_until("it ends", || {
        fleet.number("SELECT COUNT(*) FROM job WHERE ended_at IS NOT NULL") == 1
    });
    let next = fleet.submit(500, "1ms..5ms");
    fleet.assert_exact(&next, 500);
    wait_until("the old one is forgotten", || {
        fleet.run(&["job", "get", &old]).code == 5
    });
    for table in ["unit", "streak", "listing", "partition", "barrier", "step"] {
        let left = fleet.number(&format!(
            "SELECT COUNT(*) FROM {table} WHERE job NOT IN (SELECT no FROM job)"
        ));
        assert_eq!(left, 0, "{table}");
    }
    std::thread::sleep(std::time::Duration::from_secs(3));
    fleet.run(&["job", "get", &next]).expect_code(0);
    let mut command = fleet.coordinator_command();
    command.env("SHOWRUNNER_RETENTION", "soon");
    testkit::Ran::of(command)
        .expect_code(2)
        .expect_said(&["retention", "soon", "90d"]);
}
