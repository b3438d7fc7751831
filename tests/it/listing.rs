//! Libraries that are listed while coordinators, workers and the transport are killed, wiped and stopped (case 30): each
//! entry once, and no more attempts than there were reasons for.
use rustix::process::Signal;
use std::time::{Duration, Instant};
use testkit::keys::Keys;
use testkit::process::wait_until;
use testkit::{Running, Scratch};
use tests::fleet::{Coordinator, Fleet};

/// Objects of the library that is interrupted once.
const OBJECTS: u64 = 30_000;
/// Where its listing is held while something happens.
const HELD_AT: u64 = 12_000;
/// Entries of the folder and of the bucket in the test of random kills; `SHOWRUNNER_LISTING` asks for more.
const ENTRIES: u64 = 20_000;
/// Between two kills.
const KILL_EVERY: std::ops::Range<u64> = 700..3_000;
/// Limit of listings after the last kill.
const CALM_MAX: Duration = Duration::from_secs(120);

fn job(name: &str, library: &str) -> String {
    format!(
        "job: {name}\nlibrary: {{ {library} }}\npartition: {{ max_assets: 1000 }}\nsteps:\n  - {{ id: rest, noop: {{}} }}\n"
    )
}

fn submit(fleet: &Fleet, name: &str, library: &str) -> String {
    fleet
        .scratch
        .write(format!("{name}.yaml"), job(name, library));
    fleet
        .run(&["job", "submit", &format!("{name}.yaml"), "-o", "name", "-q"])
        .name()
}

fn worker(fleet: &Fleet) -> Running {
    let mut command = fleet.worker_command(8);
    command.args(["--storage", "storage.yaml"]);
    fleet.worker_of(command)
}

fn of_job(fleet: &Fleet, job: &str, column: &str) -> u64 {
    fleet.number(&format!("SELECT {column} FROM job WHERE id = '{job}'"))
}

/// Waits for the end of a job and compares what it listed. Returns how many epochs its listing took.
#[track_caller]
fn assert_listed(fleet: &Fleet, job: &str, entries: u64, patience: Duration) -> u64 {
    let started = Instant::now();
    let open = format!("SELECT COUNT(*) FROM job WHERE id = '{job}' AND ended_at IS NOT NULL");
    while fleet.number(&open) == 0 {
        let (epoch, page) = (
            of_job(fleet, job, "scan_epoch"),
            of_job(fleet, job, "scan_page"),
        );
        assert!(
            started.elapsed() < patience,
            "{job} is not listed: epoch {epoch}, page {page}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let rows =
        format!("SELECT COUNT(*) FROM listing l JOIN job j ON j.no = l.job WHERE j.id = '{job}'");
    assert_eq!(fleet.number(&rows), entries, "each entry is listed once");
    assert_eq!(of_job(fleet, job, "assets"), entries);
    assert_eq!(
        of_job(fleet, job, "row_errors"),
        0,
        "nothing is listed twice"
    );
    let members = format!(
        "SELECT SUM(p.assets) FROM partition p JOIN job j ON j.no = p.job WHERE j.id = '{job}'"
    );
    assert_eq!(
        fleet.number(&members),
        entries,
        "each entry is in one partition"
    );
    let done = fleet.look(job);
    assert_eq!(done["state"], "succeeded", "{done:#}");
    of_job(fleet, job, "scan_epoch")
}

/// A library in a bucket whose listing is held in its middle, and the cluster that lists it.
struct Held {
    fleet: Fleet,
    keys: std::sync::Arc<Keys>,
    job: String,
}

impl Held {
    fn new() -> (Held, Coordinator, Running) {
        let (fleet, keys) = (Fleet::start(), Keys::serve(OBJECTS));
        fleet.scratch.write("storage.yaml", keys.settings());
        keys.hold_at(HELD_AT);
        let (coordinator, worker) = (fleet.coordinator(), worker(&fleet));
        let job = submit(&fleet, "held", "folder: \"s3://library/cards\"");
        let held = Held { fleet, keys, job };
        held.stored(HELD_AT - 4_000);
        (held, coordinator, worker)
    }

    /// Waits until so many entries are in the store.
    #[track_caller]
    fn stored(&self, entries: u64) {
        wait_until(&format!("{entries} entries are stored"), || {
            of_job(&self.fleet, &self.job, "assets") >= entries
        });
    }

    /// Lets the rest be listed and judges it.
    #[track_caller]
    fn ends_within(&self, epochs: u64) {
        self.keys.go_on();
        let took = assert_listed(&self.fleet, &self.job, OBJECTS, Duration::from_secs(60));
        assert!(took <= epochs, "{took} epochs for one interruption");
        let pages = OBJECTS.div_ceil(1_000);
        assert!(
            self.keys.asked() <= 3 * pages,
            "{} requests for {pages} pages",
            self.keys.asked()
        );
    }
}

/// The worker lists on while no coordinator is there, and the next one takes its pages: there is no second attempt.
#[test]
fn listing_under_a_killed_coordinator_continues_in_its_worker() {
    let (held, mut first, _worker) = Held::new();
    first.running.signal(Signal::KILL);
    wait_until("the coordinator is dead", || first.running.has_ended());
    held.keys.hold_at(HELD_AT + 5_000);
    let _second = held.fleet.coordinator();
    held.stored(HELD_AT + 1_000);
    held.ends_within(2);
}

/// What the transport held of it is lost: the listing begins again after the last page that was stored.
#[test]
fn listing_over_a_wiped_transport_continues_after_the_last_stored_page() {
    let (held, coordinator, _worker) = Held::new();
    coordinator.running.signal(Signal::STOP);
    held.keys.hold_at(HELD_AT + 8_000);
    wait_until("pages wait for the coordinator", || {
        held.fleet
            .redis
            .cli(&["XLEN", "sr:reports"])
            .trim()
            .parse::<u64>()
            .is_ok_and(|waiting| waiting >= 2)
    });
    held.fleet.redis.cli(&["FLUSHALL"]);
    coordinator.running.signal(Signal::CONT);
    held.ends_within(6);
}

/// The only worker is frozen beyond its lease: it wakes with a scan whose lease expired, and gets the next one.
#[test]
fn listing_in_a_frozen_worker_is_resumed_once() {
    let (held, _coordinator, worker) = Held::new();
    let before = of_job(&held.fleet, &held.job, "scan_epoch");
    worker.signal(Signal::STOP);
    wait_until("the scan is handed out again", || {
        of_job(&held.fleet, &held.job, "scan_epoch") > before
    });
    worker.signal(Signal::CONT);
    held.ends_within(before + 4);
}

/// A folder of empty files, a thousand in a directory.
fn folder(scratch: &Scratch, entries: u64) {
    for title in 0..entries.div_ceil(1_000) {
        let directory = scratch.path(format!("folder/t{title:05}"));
        std::fs::create_dir_all(&directory).expect("a scratch directory can be made");
        for n in 0..(entries - title * 1_000).min(1_000) {
            std::fs::File::create(directory.join(format!("f{n:04}.mov")))
                .expect("a scratch file can be made");
        }
    }
}

/// `SHOWRUNNER_LISTING=1000000` lists a million files and a million objects, `SHOWRUNNER_SEED` draws the same kills again.
#[test]
fn listings_of_a_folder_and_a_bucket_survive_random_kills() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let entries = number("SHOWRUNNER_LISTING").unwrap_or(ENTRIES);
    let seed = number("SHOWRUNNER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("SHOWRUNNER_SEED={seed} SHOWRUNNER_LISTING={entries}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut fleet, keys) = (Fleet::start(), Keys::serve(entries));
    folder(&fleet.scratch, entries);
    fleet.scratch.write("storage.yaml", keys.settings());
    // The small form lasts for some kills as well: ten seconds of requests.
    keys.pace(Duration::from_micros(
        10_000_000 / entries.div_ceil(1_000).max(1),
    ));
    keys.fail(seed, 0.02);
    let mut coordinators = [fleet.coordinator(), fleet.coordinator()];
    let mut workers: Vec<Running> = (0..3).map(|_| worker(&fleet)).collect();
    let jobs = [
        submit(&fleet, "files", "folder: folder"),
        submit(&fleet, "objects", "folder: \"s3://library/cards\""),
    ];
    let scanning =
        |fleet: &Fleet| fleet.number("SELECT COUNT(*) FROM job WHERE phase = 'scanning'");
    let (started, mut kills) = (Instant::now(), 0u64);
    // A million entries last for many kills; they end some time, so that what is left is time without any.
    let until = Duration::from_secs(30 + entries / 4_000);
    while scanning(&fleet) > 0 && started.elapsed() < until {
        std::thread::sleep(Duration::from_millis(random.u64(KILL_EVERY)));
        kills += 1;
        match random.u32(0..6) {
            0..2 => {
                let at = random.usize(0..coordinators.len());
                coordinators[at].running.signal(Signal::KILL);
                coordinators[at] = fleet.coordinator();
            }
            2..4 => {
                let at = random.usize(0..workers.len());
                workers[at].signal(Signal::KILL);
                workers[at] = worker(&fleet);
            }
            4 => {
                fleet.redis.cli(&["FLUSHALL"]);
            }
            _ => {
                fleet.redis.kill();
                std::thread::sleep(Duration::from_millis(random.u64(50..1_000)));
                fleet.redis.restart();
            }
        }
    }
    println!(
        "{kills} kills in {:?}, {} listings open",
        started.elapsed(),
        scanning(&fleet)
    );
    assert!(kills >= 3, "a listing that nobody disturbs proves nothing");
    for job in &jobs {
        let epochs = assert_listed(
            &fleet,
            job,
            entries,
            CALM_MAX + Duration::from_secs(entries / 4_000),
        );
        println!("{job}: {entries} entries, {epochs} epochs, {kills} kills");
        // A kill ends a scan and may lose the message that says so; the end of a scan is an epoch as well.
        assert!(epochs <= 4 * kills + 4, "{epochs} epochs for {kills} kills");
    }
    drop(coordinators);
}
