//! A process that is killed again and again at random moments.
use crate::jobs::{count, rehearsal};
use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;
use testkit::content::{assert_tree, bytes};
use testkit::process::wait_until;
use testkit::{Scratch, reference};

const KILLS: u32 = 30;
const TITLES: usize = 24;
const SMALL: usize = 20;
const SMALL_BYTES: usize = 16 << 10;
/// More than a batch copies in one go: its partial file outlives a kill.
const LARGE_BYTES: usize = 6 << 20;

const JOB: &str = "job: ingest
library: { manifest: manifest.csv }
partition: { by: title, max_assets: 4 }
steps:
  - id: land
    transfer: { to: \"file:./out/{title}/{file}\", verify: xxh128, mhl: true }
  - id: complete
    needs: [land]
    barrier: { scope: title, require: all }
  - id: publish
    needs: [complete]
    noop: { duration: 0ms..3ms }
";

/// Units of one step: 21 assets a title, four a unit.
const UNITS: u64 = (TITLES as u64) * (SMALL as u64 + 1).div_ceil(4);

/// Writes the library; returns what must stand at the destination.
fn library(scratch: &Scratch, seed: u64) -> BTreeMap<String, Vec<u8>> {
    let mut rows = String::from("asset,title,role,location,bytes\n");
    let mut expected = BTreeMap::new();
    for title in 0..TITLES {
        for n in 0..=SMALL {
            let length = if n == SMALL {
                LARGE_BYTES + title
            } else {
                SMALL_BYTES + n
            };
            let content = bytes(seed ^ (title * 100 + n) as u64, length);
            let name = format!("t{title:02}/f{n:02}.bin");
            scratch.write(format!("in/{name}"), &content);
            writeln!(
                rows,
                "t{title:02}-{n:02},t{title:02},document,in/{name},{length}"
            )
            .expect("memory takes it");
            expected.insert(name, content);
        }
    }
    scratch.write("manifest.csv", rows);
    scratch.write("job.yaml", JOB);
    expected
}

/// Barriers that have opened, by job, step and key, and when.
type Released = BTreeMap<(i64, i64, String), i64>;

/// Reads which barriers have opened, from a copy: opening the database itself would mend it before the run does.
fn released(scratch: &Scratch) -> Released {
    let copy = scratch.path("copy");
    fs::create_dir_all(&copy).expect("a scratch directory can be made");
    for file in ["showrunner.db", "showrunner.db-wal"] {
        drop(fs::remove_file(copy.join(file)));
        drop(fs::copy(scratch.path("data").join(file), copy.join(file)));
    }
    if !copy.join("showrunner.db").exists() {
        return BTreeMap::new();
    }
    let database = Connection::open(copy.join("showrunner.db")).expect("a killed database opens");
    let query = "SELECT job, step, key, released_at FROM barrier WHERE state = 'released'";
    // Killed before its tables were there, the database has none.
    let Ok(mut statement) = database.prepare(query) else {
        return BTreeMap::new();
    };
    let rows = statement
        .query_map([], |row| {
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?))
        })
        .expect("a plain query");
    rows.collect::<Result<_, _>>()
        .expect("barriers are readable")
}

/// Asserts that every barrier that was open still is, since the same moment.
fn assert_opened_once(before: &Released, now: &Released) {
    for (barrier, at) in before {
        assert_eq!(
            now.get(barrier),
            Some(at),
            "barrier {barrier:?} opened more than once or closed"
        );
    }
}

fn assert_exact(summary: &Value) {
    assert_eq!(summary["state"], "succeeded", "{summary:#}");
    assert_eq!(count(summary, "/assets"), (TITLES * (SMALL + 1)) as u64);
    for step in ["/units", "/steps/0/units", "/steps/1/units"] {
        let units = if step == "/units" { 2 * UNITS } else { UNITS };
        assert_eq!(
            count(summary, &format!("{step}/total")),
            units,
            "{summary:#}"
        );
        assert_eq!(
            count(summary, &format!("{step}/succeeded")),
            units,
            "{summary:#}"
        );
    }
    assert_eq!(count(summary, "/barriers/0/total"), TITLES as u64);
    assert_eq!(count(summary, "/barriers/0/released"), TITLES as u64);
    assert_eq!(count(summary, "/barriers/0/held"), 0);
}

fn assert_history(scratch: &Scratch, out: &Path) {
    let verified = scratch.run(&["mhl", "verify", "out", "-o", "json"]);
    let report = verified.expect_code(0).json();
    assert_eq!(
        count(&report, "/files"),
        (TITLES * (SMALL + 1)) as u64,
        "{report:#}"
    );
    match reference::ascmhl_verify(out) {
        Some(ran) => {
            ran.expect_code(0);
        }
        None => eprintln!("SKIP reference: no ascmhl-debug on PATH; SHOWRUNNER_ASCMHL names it"),
    }
}

/// Runs one job to its end through as many kills as it lasts, `kills` at most. Returns how many there were.
fn round(random: &mut fastrand::Rng, kills: u32) -> u32 {
    let scratch = Scratch::new();
    let expected = library(&scratch, random.u64(..));
    let mut killed = 0;
    let mut open = BTreeMap::new();
    loop {
        let mut running = scratch.start(&["run", "job.yaml", "-o", "json"]);
        if killed < kills {
            // The moment is random: the process may be doing anything.
            std::thread::sleep(Duration::from_millis(random.u64(5..400)));
            if !running.has_ended() {
                running.signal(Signal::KILL);
            }
        }
        let ran = running.wait();
        let now = released(&scratch);
        assert_opened_once(&open, &now);
        open = now;
        if ran.code == -Signal::KILL.as_raw() {
            killed += 1;
            continue;
        }
        assert_exact(&ran.expect_code(0).json());
        // Killed between its end and its account, a job has ended: the next run is a new one, which finds all there.
        let listed = scratch
            .run(&["job", "list", "-o", "json"])
            .expect_code(0)
            .json();
        let jobs = listed.as_array().expect("jobs are a list");
        assert!(
            jobs.iter().all(|job| job["state"] == "succeeded"),
            "{listed:#}"
        );
        assert_eq!(open.len(), jobs.len() * TITLES);
        assert_tree(&scratch.path("out"), &expected);
        assert_history(&scratch, &scratch.path("out"));
        return killed;
    }
}

#[test]
fn thirty_kills_lose_and_repeat_no_unit() {
    let seed = std::env::var("SHOWRUNNER_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("SHOWRUNNER_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut kills, mut rounds) = (0, 0);
    while kills < KILLS {
        rounds += 1;
        assert!(
            rounds <= 3 * KILLS,
            "the job is too short to be killed: {kills} kills in {rounds} rounds"
        );
        kills += round(&mut random, KILLS - kills);
    }
    println!("{kills} kills in {rounds} rounds");
}

/// Interrupts a job in its middle and carries it on.
fn interrupt(signal: Signal) {
    const UNITS: u64 = 1_500;
    let scratch = Scratch::new();
    rehearsal(&scratch, UNITS as usize, "20ms..40ms");
    let run = ["run", "rehearsal.yaml", "-o", "json", "--slots", "noop=16"];
    let mut running = scratch.start(&run);
    wait_until("the job is in its middle", || {
        assert!(!running.has_ended(), "it ended first: {}", running.stderr());
        let job = scratch.run(&["job", "list", "-o", "name"]);
        let job = job.stdout.trim();
        !job.is_empty() && {
            let account = scratch.run(&["job", "get", job, "-o", "json"]);
            account.code == 0 && count(&account.json(), "/units/succeeded") > 0
        }
    });
    running.signal(signal);
    let ran = running.wait();
    ran.expect_code(130)
        .expect_said(&["interrupted", "run the same command again"]);
    assert_eq!(
        ran.json()["error"],
        "interrupted",
        "nothing half-finished is printed as data"
    );

    let again = scratch.run(&run);
    let summary = again.expect_code(0).expect_said(&["continuing"]).json();
    assert_eq!(count(&summary, "/units/succeeded"), UNITS);
    assert_eq!(count(&summary, "/assets"), UNITS);
    assert!(
        again
            .stderr
            .contains(summary["job"].as_str().expect("an id is text")),
        "{again:#?}"
    );
}

#[test]
fn terminated_run_prints_how_to_resume() {
    interrupt(Signal::TERM);
}

#[test]
fn interrupted_run_prints_how_to_resume() {
    interrupt(Signal::INT);
}
