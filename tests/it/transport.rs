//! What may happen between coordinator and workers, to a real Redis and on the way to it. Every run ends with the history
//! checker: one end for each unit, one effect for each epoch, barriers exact, nearly everything succeeded.
use rustix::process::Signal;
use tests::cluster::Cluster;

#[test]
fn wiped_server_and_deleted_stream_lose_no_unit() {
    let cluster = Cluster::start();
    let _workers = [cluster.worker(), cluster.worker()];
    let job = cluster.submit(12_000, "1ms..20ms");
    cluster.wait_for(&job, 1_000);
    cluster.redis.cli(&["FLUSHALL"]);
    cluster.wait_for(&job, 4_000);
    cluster.redis.cli(&["DEL", "sr:{noop}:units:normal"]);
    cluster.wait_for(&job, 8_000);
    cluster.redis.cli(&["DEL", "sr:reports"]);
    cluster.assert_exact(&job, 12_000);
}

#[test]
fn killed_worker_is_replaced_by_others() {
    let cluster = Cluster::start();
    let (first, _second) = (cluster.worker(), cluster.worker());
    let job = cluster.submit(3_000, "20ms..60ms");
    first.wait_for_units(&cluster.scratch.path("witnesses"), 16);
    first.signal(Signal::KILL);
    let verdict = cluster.assert_exact(&job, 3_000);
    assert!(
        verdict.again > 0,
        "the killed worker held something: {verdict:?}"
    );
}
