//! The network between processes and the transport: connections whose other end is gone without a word, a worker that
//! reaches nobody, replies that never come.
use std::time::{Duration, Instant};
use testkit::Running;
use testkit::process::{promised, wait_until};
use testkit::proxy::Proxy;
use tests::fleet::Fleet;

fn before(fleet: &Fleet) -> (Proxy, String) {
    let proxy = Proxy::start(fleet.redis.port());
    let url = format!("redis://127.0.0.1:{}/", proxy.port());
    (proxy, url)
}

fn alarms(running: &Running) -> usize {
    running
        .stderr()
        .lines()
        .filter(|line| line.contains("ERROR"))
        .count()
}

/// Case 15: half-open connections of every reader and of every short command.
#[test]
fn silent_connections_time_out_and_reconnect() {
    let mut fleet = Fleet::start();
    let (proxy, url) = before(&fleet);
    fleet.transport = url;
    let mut coordinator = fleet.coordinator();
    let worker = fleet.worker(32, &[]);
    let job = fleet.submit(4_000, "5ms..20ms");
    fleet.wait_for(500);
    proxy.abandon();
    let since = Instant::now();
    std::thread::sleep(Duration::from_millis(500));
    let next = fleet.wait_for_progress();
    println!("units go on after {:?}", since.elapsed());
    // A read and the patience beyond it.
    promised("units go on", next, Duration::from_secs(12));
    fleet.assert_exact(&job, 4_000);
    assert!(!coordinator.running.has_ended());
    assert!(alarms(&worker) <= 8, "{}", worker.stderr());
}

/// Case 52: a worker that is isolated for less than a lease finishes its units and reports them; no lease expires.
#[test]
fn isolated_worker_finishes_and_reports_its_units() {
    let mut fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let (proxy, url) = before(&fleet);
    fleet.transport = url;
    let worker = fleet.worker(8, &[]);
    let job = fleet.submit(16, "2s..3s");
    let out = "SELECT COUNT(*) FROM units WHERE state = 'leased'";
    wait_until("units run", || {
        let noted = std::fs::read_to_string(fleet.scratch.path("witnesses")).unwrap_or_default();
        fleet.number(out) >= 8 && noted.matches(" start ").count() >= 8
    });
    // A heartbeat shows which worker has them.
    std::thread::sleep(Duration::from_secs(1));
    proxy.refuse(true);
    // All units that run now end within three seconds, so their reports have to wait.
    std::thread::sleep(Duration::from_secs(4));
    assert!((1..=14).contains(&alarms(&worker)), "{}", worker.stderr());
    proxy.refuse(false);
    let verdict = fleet.assert_exact(&job, 16);
    assert_eq!(verdict.executions, 32, "each unit ran once: {verdict:?}");
}

/// Case 18: units and reports arrive and the reply that they did is lost, so they are sent again.
#[test]
fn resent_messages_after_lost_replies_count_once() {
    let mut fleet = Fleet::start();
    let (proxy, url) = before(&fleet);
    fleet.transport = url;
    let _coordinator = fleet.coordinator();
    let (of_worker, url) = before(&fleet);
    fleet.transport = url;
    let _workers = [fleet.worker(16, &[]), fleet.worker(16, &[])];
    let job = fleet.submit(4_000, "2ms..10ms");
    for lost in 1..=5 {
        fleet.wait_for(lost * 500);
        proxy.lose_reply_to(b"sr:{noop}:units:normal");
        of_worker.lose_reply_to(b"sr:reports");
        wait_until("both replies are lost", || {
            proxy.lost_replies() >= lost && of_worker.lost_replies() >= lost
        });
    }
    fleet.assert_exact(&job, 4_000);
}

/// A publication that arrived and whose reply is lost: its units wait in the stream for longer than the age of a missing
/// unit, and are found there.
#[test]
fn units_of_an_unknown_publication_that_wait_for_a_slot_run_once() {
    let mut fleet = Fleet::start();
    let (proxy, url) = before(&fleet);
    fleet.transport = url;
    let _coordinator = fleet.coordinator();
    fleet.transport = fleet.redis.url();
    let _worker = fleet.worker(3, &[]);
    wait_until("the worker is known", || {
        fleet.number("SELECT COUNT(*) FROM worker") == 1
    });
    proxy.lose_reply_to(b"sr:{noop}:units:normal");
    let job = fleet.submit(6, "9s..10s");
    let verdict = fleet.assert_exact(&job, 6);
    assert_eq!(
        (proxy.lost_replies(), verdict.executions),
        (1, 12),
        "each unit ran once: {verdict:?}"
    );
}
