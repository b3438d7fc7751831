//! Case 69: the disk under the database is full for a while. Work stops and resumes by itself.
use std::time::Duration;
use testkit::disk::Disk;
use testkit::redis::Redis;
use testkit::{Scratch, process::wait_until};
use tests::cluster::Cluster;
use tests::fleet::{DATABASE, Fleet};

#[test]
fn sqlite_on_a_full_disk_waits_for_room() {
    let scratch = Scratch::new();
    let Some(disk) = Disk::mount(scratch.path("data"), 24) else {
        return;
    };
    let redis = Redis::start(&scratch.path("."));
    let url = redis.url();
    let mut cluster = Cluster::over(scratch, redis, &["--redis", &url]);
    let _worker = cluster.worker();
    let job = cluster.submit(8_000, "5ms..20ms");
    cluster.wait_for(&job, 500);
    disk.fill();
    wait_until("the coordinator meets the full disk", || {
        cluster.coordinator.stderr().contains("no room")
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        !cluster.coordinator.has_ended(),
        "{}",
        cluster.coordinator.stderr()
    );
    disk.free();
    cluster.assert_exact(&job, 8_000);
}

#[test]
fn postgres_on_a_full_disk_waits_for_room() {
    let mut fleet = Fleet::start();
    let Some(disk) = Disk::mount(fleet.scratch.path("small"), 40) else {
        return;
    };
    fleet.postgres.give(disk.path());
    // Tables alone: a server whose own log has no room ends, which is another case.
    let place = disk.path().join("tables");
    fleet.postgres.give(&place);
    fleet.postgres.sql(
        "postgres",
        &format!("CREATE TABLESPACE small LOCATION '{}'", place.display()),
    );
    fleet
        .postgres
        .sql("postgres", "CREATE DATABASE narrow TABLESPACE small");
    let wide = fleet.database.clone();
    fleet.database = wide
        .replace(DATABASE, "narrow")
        .replacen("narrow@", "showrunner@", 1);
    fleet.name = "narrow".into();
    let mut coordinator = fleet.coordinator();
    let _worker = fleet.worker(32, &[]);
    let job = fleet.submit(12_000, "5ms..20ms");
    fleet.wait_for(500);
    disk.fill();
    wait_until("the coordinator meets the full disk", || {
        coordinator.running.stderr().contains("no room")
    });
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        !coordinator.running.has_ended(),
        "{}",
        coordinator.running.stderr()
    );
    disk.free();
    fleet.assert_exact(&job, 12_000);
}
