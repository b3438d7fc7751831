//! One large file over several workers, one of which is killed: whole, proven, and nothing is left over.
use crate::jobs::count;
use ::storage::hash::hash_bytes;
use rustix::process::Signal;
use testkit::content::bytes;
use testkit::process::wait_until;
use testkit::{Running, Scratch};
use tests::haul::{Haul, Leg};
use tests::objects;

const MIB: usize = 1 << 20;
const BYTES: usize = 192 * MIB + 4_321;
/// So slow that a worker can be killed in the middle, on any machine.
const SLOW: &str = ", bytes_per_second: 24MiB";

fn haul(workers: usize) -> Option<(Haul, Vec<Running>, String)> {
    let scratch = Scratch::new();
    let content = bytes(7, BYTES);
    let hash = hash_bytes(protocol::model::hash::HashAlgorithm::Xxh128, &content).to_string();
    scratch.write("in/master.mov", content);
    let (source, beside) = (scratch.path("in"), scratch.path("."));
    let haul = Haul::start(scratch, (&source, &beside), "64MiB", 2, SLOW)?;
    let running = (0..workers).map(|_| haul.worker()).collect();
    haul.wait_for_workers(workers);
    Some((haul, running, hash))
}

/// What is in the first bucket.
fn up(haul: &Haul) -> Option<(u64, String)> {
    haul.here()
        .and_then(|here| objects::hash(here, "up/master.mov"))
}

#[test]
fn large_file_survives_killed_workers_on_each_leg() {
    let Some((haul, mut workers, hash)) = haul(3) else {
        return;
    };
    for leg in Leg::ALL {
        let job = haul.submit(leg, ", verify: xxh128, mhl: true");
        let (all, arrived) = haul.wait_for_slices(0.4);
        assert!(all > 8 && arrived < all, "{leg:?}: {arrived} of {all}");
        let unit = haul.cluster.scratch.run(&["job", "explain", &job]);
        println!("{leg:?}: {all} slices; {}", unit.stdout);
        let killed = workers.remove(0);
        killed.signal(Signal::KILL);
        workers.push(haul.worker());
        let summary = haul.wait(&job);
        assert_eq!(summary["state"], "succeeded", "{leg:?}: {summary:#}");
        // The transfer, the step behind the barrier and the seal of the tree: no slice is counted as a unit.
        assert_eq!(
            count(&summary, "/steps/0/units/succeeded"),
            1,
            "{summary:#}"
        );
        assert_eq!(
            (count(&summary, "/assets"), count(&summary, "/bytes")),
            (1, BYTES as u64),
            "{summary:#}"
        );
        assert_eq!(
            (
                count(&summary, "/barriers/0/released"),
                count(&summary, "/barriers/0/total")
            ),
            (1, 1)
        );
        assert_eq!(haul.slices(), (0, 0), "{leg:?}: what is over is forgotten");
        assert_eq!(
            haul.uploads(),
            [] as [String; 0],
            "{leg:?}: nothing is left over"
        );
        haul.wait_for_workers(3);
    }
    let expected = Some((BYTES as u64, hash.clone()));
    assert_eq!(up(&haul), expected);
    assert_eq!(objects::hash(&haul.there, "across/master.mov"), expected);
    let down = haul.cluster.scratch.path("down");
    let landed = std::fs::read(down.join("master.mov")).expect("landed");
    assert_eq!(
        hash_bytes(protocol::model::hash::HashAlgorithm::Xxh128, &landed).to_string(),
        hash
    );
    let mut names: Vec<_> = std::fs::read_dir(&down)
        .expect("listed")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["ascmhl", "master.mov"],
        "nothing hidden is left over"
    );
    haul.cluster
        .scratch
        .run(&["mhl", "verify", "down"])
        .expect_code(0);
}

#[test]
fn cancelled_slices_leave_no_upload() {
    let Some((haul, workers, _)) = haul(2) else {
        return;
    };
    let job = haul.submit(Leg::Up, "");
    haul.wait_for_slices(0.2);
    assert_eq!(haul.uploads(), ["up/master.mov"]);
    // One more fault: a worker that held some of the slices is killed.
    workers[0].signal(Signal::KILL);
    haul.cluster
        .scratch
        .run(&["job", "cancel", &job])
        .expect_code(0);
    wait_until("it is cancelled", || {
        std::thread::sleep(std::time::Duration::from_millis(200));
        haul.cluster.look(&job)["state"] == "cancelled"
    });
    assert_eq!(
        haul.uploads(),
        [] as [String; 0],
        "what was begun is aborted before the job ends"
    );
    assert_eq!(up(&haul), None);
    assert_eq!(haul.slices(), (0, 0));
}

#[test]
fn single_worker_transfers_without_slices() {
    let Some((haul, _workers, hash)) = haul(1) else {
        return;
    };
    let job = haul.submit(Leg::Up, ", verify: xxh128");
    let summary = haul.wait(&job);
    assert_eq!(summary["state"], "succeeded", "{summary:#}");
    assert_eq!(up(&haul), Some((BYTES as u64, hash)));
}
