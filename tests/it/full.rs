//! A transport with no room: units wait, nothing fails, and it goes on by itself (cases 3 and 17).
use rustix::process::Signal;
use std::time::Duration;
use testkit::fleet::Fleet;
use testkit::process::wait_until;

#[test]
fn units_wait_while_the_transport_has_no_room() {
    let fleet = Fleet::start();
    // A server that evicts is one to be warned of.
    fleet.redis.cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let warned = fleet.coordinator();
    wait_until("it is said", || warned.running.stderr().contains("noeviction"));
    fleet.redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    drop(warned);
    let mut coordinator = fleet.coordinator();
    let mut worker = fleet.worker(16, &[]);
    let job = fleet.submit(4_000, "2ms..10ms");
    for round in 1..=2 {
        fleet.wait_for(round * 600);
        fleet.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        let said = if round == 1 { "takes no units" } else { "reports wait" };
        wait_until("somebody meets the full server", || {
            coordinator.running.stderr().contains(said) || worker.stderr().contains(said)
        });
        std::thread::sleep(Duration::from_secs(2));
        let before = fleet.succeeded();
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(fleet.succeeded(), before, "nothing gets through");
        fleet.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        println!("units go on {:?} after there is room", fleet.wait_for_progress());
    }
    fleet.assert_exact(&job, 4_000);
    assert!(!coordinator.running.has_ended() && !worker.has_ended());
    assert_eq!(fleet.number("SELECT COALESCE(MAX(attempt), 0) FROM unit"), 0, "nothing failed");
}

/// MEM-1: a library is listed many times faster than it is stored; what is listed ahead must not fill the transport.
#[test]
fn a_listing_waits_for_a_coordinator_that_is_behind() {
    let fleet = Fleet::start();
    let coordinator = fleet.coordinator();
    let _worker = fleet.worker(16, &[]);
    wait_until("it leads", || coordinator.leads());
    let job = fleet.submit(400_000, "0ms");
    wait_until("pages come", || fleet.number("SELECT COUNT(*) FROM listing") > 0);
    coordinator.running.signal(Signal::STOP);
    std::thread::sleep(Duration::from_secs(2));
    let under_way = fleet.redis.cli(&["XLEN", "sr:reports"]);
    coordinator.running.signal(Signal::CONT);
    let under_way: usize = under_way.trim().parse().expect("a number");
    assert!((10..60).contains(&under_way), "{under_way} pages under way, of 200");
    wait_until("all is listed", || fleet.number("SELECT COUNT(*) FROM listing") == 400_000);
    let ran = fleet.run(&["job", "cancel", &job]);
    assert!([0, 6].contains(&ran.code), "{ran:#?}");
}
