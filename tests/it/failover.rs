//! A transport that goes back in time: a replica that is behind is promoted, an old copy is restored, everything is gone.
//! What had been done is not done again under the same epoch (cases 4 and 5).
use rustix::process::Signal;
use testkit::Scratch;
use testkit::clock::Clock;
use testkit::postgres::PostgresServer;
use testkit::proxy::Proxy;
use testkit::redis::Redis;
use tests::fleet::Fleet;

const ASSETS: usize = 6_000;

fn fleet(options: &[&str]) -> Fleet {
    let scratch = Scratch::new();
    let redis = Redis::start_with(&scratch.path("."), options);
    Fleet::of(scratch, PostgresServer::start(), redis)
}

#[test]
fn promoted_replica_far_behind_repeats_no_unit() {
    let mut fleet = fleet(&["--save", ""]);
    let front = Proxy::start(fleet.redis.port());
    fleet.transport = format!("redis://127.0.0.1:{}/", front.port());
    // Replication goes through a proxy: what it swallows the replica will never have.
    let behind = Proxy::start(fleet.redis.port());
    let home = fleet.scratch.path("replica");
    std::fs::create_dir_all(&home).expect("a scratch directory can be made");
    let of = behind.port().to_string();
    let replica = Redis::start_with(&home, &["--save", "", "--replicaof", "127.0.0.1", &of]);
    testkit::process::wait_until("the replica follows", || {
        replica
            .cli(&["INFO", "replication"])
            .contains("master_link_status:up")
    });
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let job = fleet.submit(ASSETS, "2ms..20ms");
    fleet.wait_for(1_000);
    behind.blackhole(true);
    fleet.wait_for(2_500);
    fleet.redis.kill();
    drop(behind);
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    front.lead_to(replica.port());
    front.cut();
    println!(
        "units go on {:?} after the promotion",
        fleet.wait_for_progress()
    );
    fleet.assert_exact(&job, ASSETS);
}

#[test]
fn restored_redis_backup_repeats_no_unit() {
    let mut fleet = fleet(&["--save", ""]);
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let job = fleet.submit(ASSETS, "2ms..20ms");
    for round in 1..=2 {
        fleet.wait_for(round * 1_500);
        fleet.redis.cli(&["SAVE"]);
        fleet.wait_for(round * 1_500 + 700);
        fleet.redis.kill();
        fleet.redis.restart();
        println!(
            "units go on {:?} after the restart",
            fleet.wait_for_progress()
        );
    }
    fleet.assert_exact(&job, ASSETS);
}

#[test]
fn redis_restarts_with_and_without_content_lose_no_unit() {
    let mut fleet = fleet(&["--save", "", "--appendonly", "yes"]);
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let job = fleet.submit(ASSETS, "2ms..20ms");
    fleet.wait_for(1_000);
    fleet.redis.signal(Signal::TERM);
    fleet.redis.kill();
    fleet.redis.restart();
    println!(
        "with everything: units go on {:?} later",
        fleet.wait_for_progress()
    );
    fleet.wait_for(3_000);
    fleet.redis.kill();
    std::fs::remove_dir_all(fleet.scratch.path("appendonlydir"))
        .expect("what it kept can be deleted");
    fleet.redis.restart();
    println!(
        "with nothing: units go on {:?} later",
        fleet.wait_for_progress()
    );
    fleet.assert_exact(&job, ASSETS);
}

/// Case 16: the server that takes over has a clock that is behind, so its entries have lower ids than those read before.
#[test]
fn promoted_replica_with_a_late_clock_is_read() {
    let mut fleet = fleet(&["--save", ""]);
    let front = Proxy::start(fleet.redis.port());
    fleet.transport = format!("redis://127.0.0.1:{}/", front.port());
    let home = fleet.scratch.path("replica");
    std::fs::create_dir_all(&home).expect("a scratch directory can be made");
    let Some(clock) = Clock::new() else { return };
    clock.set(-3_600);
    let of = fleet.redis.port().to_string();
    let replica = Redis::start_under(
        &home,
        &["--save", "", "--replicaof", "127.0.0.1", &of],
        clock.environment(),
    );
    testkit::process::wait_until("the replica follows", || {
        replica
            .cli(&["INFO", "replication"])
            .contains("master_link_status:up")
    });
    let _coordinator = fleet.coordinator();
    let _workers = [fleet.worker(32, &[]), fleet.worker(32, &[])];
    let job = fleet.submit(ASSETS, "2ms..20ms");
    fleet.wait_for(2_500);
    fleet.redis.kill();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    front.lead_to(replica.port());
    front.cut();
    println!(
        "units go on {:?} after the promotion",
        fleet.wait_for_progress()
    );
    fleet.assert_exact(&job, ASSETS);
}
