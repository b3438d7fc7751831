//! Libraries and trees in buckets, as the command line meets them.
use crate::jobs::count;
use rustix::process::Signal;
use testkit::bucket::Bucket;
use testkit::process::wait_until;
use testkit::{Running, Scratch};

const JOB: &str = "job: bucket
library: { folder: \"gs://library/cards\", pattern: '^(?<title>[a-z0-9]+)/' }
steps:
  - id: rest
    noop: {}
";

#[test]
fn bucket_library_is_listed_completely() {
    let scratch = Scratch::new();
    for n in 0..2_345 {
        scratch.write(format!("served/cards/t{}/{n:04} ü.mov", n % 7), "abc");
    }
    scratch.write(
        "served/cards/t0/0000 ü.mov.md5",
        "900150983cd24fb0d6963f7d28e17f72",
    );
    scratch.write("served/cards2/no.mov", "abc");
    let bucket = Bucket::serve(&scratch.path("served"));
    scratch.write("storage.yaml", bucket.settings());
    scratch.write("job.yaml", JOB);
    let ran = scratch.run(&["run", "job.yaml", "--storage", "storage.yaml", "-o", "json"]);
    let summary = ran.expect_code(0).json();
    assert_eq!(
        (
            count(&summary, "/assets"),
            count(&summary, "/units/succeeded")
        ),
        (2_346, 2_346)
    );
    assert_eq!(bucket.pages(), 3, "a thousand objects a page");
}

fn up(scratch: &Scratch) -> Running {
    let mut running =
        scratch.start(&["up", "--listen", "127.0.0.1:0", "--storage", "storage.yaml"]);
    running.address();
    running
}

/// After a kill in the middle of a listing the next process continues after the last stored page.
#[test]
fn listing_of_a_killed_process_is_resumed() {
    const OBJECTS: u64 = 12_000;
    let scratch = Scratch::new();
    for n in 0..OBJECTS {
        scratch.write(format!("served/cards/t{}/{n:05}", n / 1_000), "");
    }
    let bucket = Bucket::serve(&scratch.path("served"));
    scratch.write("storage.yaml", bucket.settings());
    scratch.write("job.yaml", JOB);
    let running = up(&scratch);
    let id = scratch
        .run(&["job", "submit", "job.yaml", "-o", "name"])
        .name();
    let listed = || {
        count(
            &scratch
                .run(&["job", "get", &id, "-o", "json"])
                .expect_code(0)
                .json(),
            "/assets",
        )
    };
    wait_until("some pages are taken", || listed() > 0);
    running.signal(Signal::KILL);
    running.wait();
    let (before, asked) = (listed(), bucket.pages());
    let running = up(&scratch);
    let waited = scratch.run(&["job", "wait", &id, "--timeout", "5m", "-o", "json"]);
    let summary = waited.expect_code(0).json();
    assert_eq!(
        (
            count(&summary, "/assets"),
            count(&summary, "/units/succeeded")
        ),
        (OBJECTS, OBJECTS)
    );
    let pages_left = (OBJECTS - before).div_ceil(1_000) as u32;
    assert!(
        bucket.pages() - asked <= pages_left + 1,
        "{before} were listed, {} pages asked for",
        bucket.pages() - asked
    );
    running.signal(Signal::TERM);
    running.wait().expect_code(0);
}

#[test]
fn bucket_tree_is_verified_against_its_history() {
    let scratch = Scratch::new();
    for (name, content) in [("a.mov", "picture"), ("b/c.wav", "sound")] {
        scratch.write(format!("card/{name}"), content);
    }
    let job = "job: card\nlibrary: { folder: card }\nsteps:\n  - { id: land, transfer: { to: \"file:./served/trees/one/{path}\", mhl: true } }\n";
    scratch.write("job.yaml", job);
    scratch.run_job("job.yaml", 0);
    let bucket = Bucket::serve(&scratch.path("served"));
    scratch.write("storage.yaml", bucket.settings());
    let verify = || {
        scratch.run(&[
            "mhl",
            "verify",
            "gs://library/trees/one",
            "--storage",
            "storage.yaml",
            "-o",
            "json",
        ])
    };
    let intact = verify().expect_code(0).json();
    assert_eq!(
        (
            count(&intact, "/files"),
            count(&intact, "/bytes"),
            count(&intact, "/generations")
        ),
        (2, 12, 1)
    );
    scratch.write("served/trees/one/b/c.wav", "SOUND");
    std::fs::remove_file(scratch.path("served/trees/one/a.mov")).expect("removed");
    let broken = verify().expect_code(1).json();
    assert_eq!(broken["mismatched"][0]["path"], "b/c.wav");
    assert_eq!(broken["missing"], serde_json::json!(["a.mov"]));
    let none = scratch.run(&[
        "mhl",
        "verify",
        "gs://library/trees",
        "--storage",
        "storage.yaml",
    ]);
    assert!(
        none.expect_code(1)
            .stdout
            .contains("gs://library/trees has no ASC MHL history"),
        "{none:#?}"
    );
    scratch
        .run(&[
            "mhl",
            "verify",
            "gs://library/trees",
            "--storage",
            "none.yaml",
        ])
        .expect_code(2)
        .expect_said(&["none.yaml"]);
}

/// What a bucket holds lands in a folder, with a history; a second job finds it there.
#[test]
fn bucket_library_is_copied_to_a_folder() {
    let scratch = Scratch::new();
    for n in 0..40 {
        scratch.write(
            format!("served/cards/t{}/{n:02} ü.mov", n % 4),
            format!("picture {n}"),
        );
    }
    let bucket = Bucket::serve(&scratch.path("served"));
    scratch.write("storage.yaml", bucket.settings());
    let steps = "steps:\n  - { id: land, transfer: { to: \"file:./landed/{path}\", mhl: true } }\n";
    let job = "job: down\nlibrary: { folder: \"gs://library/cards\", pattern: '^(?<title>[a-z0-9]+)/' }\npartition: { max_assets: 25 }\n";
    scratch.write("job.yaml", format!("{job}{steps}"));
    for run in ["first", "second"] {
        let ran = scratch.run(&["run", "job.yaml", "--storage", "storage.yaml", "-o", "json"]);
        let summary = ran.expect_code(0).json();
        assert_eq!(
            (count(&summary, "/assets"), count(&summary, "/units/dead")),
            (40, 0),
            "{run}: {summary:#}"
        );
        for n in 0..40 {
            let landed =
                std::fs::read_to_string(scratch.path(format!("landed/t{}/{n:02} ü.mov", n % 4)));
            assert_eq!(landed.expect("landed"), format!("picture {n}"));
        }
        scratch.run(&["mhl", "verify", "landed"]).expect_code(0);
        // The job of another name finds everything there.
        scratch.write(
            "job.yaml",
            format!("{}{steps}", job.replace("down", "again")),
        );
    }
}
