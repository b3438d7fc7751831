//! A transport with no room: units wait, nothing fails, and work resumes by itself (cases 3 and 17).
use rustix::process::Signal;
use std::time::Duration;
use testkit::process::wait_until;
use tests::fleet::Fleet;

#[test]
fn full_redis_delays_units_and_fails_none() {
    let fleet = Fleet::start();
    // A server that evicts is one to be warned of.
    fleet
        .redis
        .cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let warned = fleet.coordinator();
    wait_until("it is said", || {
        warned.running.stderr().contains("noeviction")
    });
    fleet
        .redis
        .cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    drop(warned);
    let mut coordinator = fleet.coordinator();
    let mut worker = fleet.worker(16, &[]);
    let job = fleet.submit(4_000, "2ms..10ms");
    for round in 1..=2 {
        fleet.wait_for(round * 600);
        fleet.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        let said = if round == 1 {
            "takes no units"
        } else {
            "reports wait"
        };
        wait_until("somebody meets the full server", || {
            coordinator.running.stderr().contains(said) || worker.stderr().contains(said)
        });
        std::thread::sleep(Duration::from_secs(2));
        let before = fleet.succeeded();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(fleet.succeeded(), before, "nothing gets through");
        fleet.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        println!(
            "units go on {:?} after there is room",
            fleet.wait_for_progress()
        );
    }
    fleet.assert_exact(&job, 4_000);
    assert!(!coordinator.running.has_ended() && !worker.has_ended());
    assert_eq!(
        fleet.number("SELECT COALESCE(MAX(attempt), 0) FROM unit"),
        0,
        "nothing failed"
    );
}

/// Case 3: a server that evicts loses streams in the middle of everything. That costs time, as a wipe does, and nothing
/// else.
#[test]
fn evicted_streams_lose_no_unit() {
    let fleet = Fleet::start();
    fleet
        .redis
        .cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let _coordinator = fleet.coordinator();
    let _worker = fleet.worker(16, &[]);
    let job = fleet.submit(3_000, "2ms..10ms");
    for round in 1..=3 {
        fleet.wait_for(round * 400);
        // Less than an empty server takes: every key goes with the next command that writes.
        fleet.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        wait_until("nothing is left", || {
            fleet.redis.cli(&["SET", "one", "more"]);
            fleet
                .redis
                .cli(&["EXISTS", "sr:{noop}:units:normal", "sr:mark"])
                .trim()
                == "0"
        });
        fleet.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        println!(
            "units go on {:?} after the eviction",
            fleet.wait_for_progress()
        );
    }
    let stats = fleet.redis.cli(&["INFO", "stats"]);
    let evicted = stats.lines().find_map(|line| {
        line.strip_prefix("evicted_keys:")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    assert!(evicted.is_some_and(|keys| keys >= 3), "{stats}");
    fleet.assert_exact(&job, 3_000);
}

/// MEM-1: a library is listed many times faster than it is stored; what is listed ahead must not fill the transport.
#[test]
fn listing_waits_for_a_slow_coordinator() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker(16, &[]);
    wait_until("it leads", || coordinator.leads());
    let job = fleet.submit(400_000, "0ms");
    wait_until("pages come", || {
        fleet.number("SELECT COUNT(*) FROM listing") > 0
    });
    coordinator.running.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(2));
    let under_way = fleet.redis.cli(&["XLEN", "sr:reports"]);
    coordinator.running.signal(Signal::CONT);
    let under_way: usize = under_way.trim().parse().expect("a number");
    assert!(
        (10..60).contains(&under_way),
        "{under_way} pages under way, of 200"
    );
    wait_until("all is listed", || {
        fleet.number("SELECT COUNT(*) FROM listing") == 400_000
    });
    let ran = fleet.run(&["job", "cancel", &job]);
    assert!([0, 6].contains(&ran.code), "{ran:#?}");
}
