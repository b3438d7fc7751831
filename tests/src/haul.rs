//! Large files between a directory and two buckets, over several workers as processes of their own.
use crate::cluster::Cluster;
use crate::history::sqlite;
use crate::objects::uploads;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::process::wait_until;
use testkit::redis::Redis;
use testkit::weed::Weed;
use testkit::{Running, Scratch};

/// A way from one storage to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leg {
    /// From a directory to the first bucket.
    Up,
    /// From the first bucket to the second.
    Across,
    /// From the second bucket to the directory `down`.
    Down,
}

impl Leg {
    /// All of them, in an order in which each finds what it carries.
    pub const ALL: [Leg; 3] = [Leg::Up, Leg::Across, Leg::Down];
}

/// Two buckets of two servers, a coordinator, and workers that come and go.
pub struct Haul {
    /// The coordinator and its directory.
    pub cluster: Cluster,
    /// Where the files are.
    source: PathBuf,
    /// The first bucket.
    here: Option<Weed>,
    /// The second bucket.
    pub there: Weed,
    slots: u32,
}

impl Haul {
    /// Servers and a coordinator that lets workers of so many transfer slots share files of at least `above`; `more` is
    /// added to the settings of both buckets. `None` when no S3 is installed.
    /// What is large comes from `source`; the second bucket is below `beside`.
    pub fn start(
        scratch: Scratch,
        (source, beside): (&Path, &Path),
        above: &str,
        slots: u32,
        more: &str,
    ) -> Option<Haul> {
        let (here, there) = (
            Weed::start(&scratch.path("."), "here")?,
            Weed::start(beside, "there")?,
        );
        scratch.write(
            "storage.yaml",
            format!(
                "endpoints:\n{}{}",
                here.settings(more),
                there.settings(more)
            ),
        );
        let redis = Redis::start(&scratch.path("."));
        let url = redis.url();
        let cluster = Cluster::over(scratch, redis, &["--redis", &url, "--slice-above", above]);
        Some(Haul {
            cluster,
            source: source.to_owned(),
            here: Some(here),
            there,
            slots,
        })
    }

    /// Library and target of a leg.
    fn ends(&self, leg: Leg) -> (String, &'static str) {
        match leg {
            Leg::Up => (self.source.display().to_string(), "s3://here/up/{path}"),
            Leg::Across => ("s3://here/up".into(), "s3://there/across/{path}"),
            Leg::Down => ("s3://there/across".into(), "file:./down/{path}"),
        }
    }

    /// The first bucket, while it is there.
    pub fn here(&self) -> Option<&Weed> {
        self.here.as_ref()
    }

    /// Keys of uploads in both buckets that were begun and neither completed nor aborted.
    pub fn uploads(&self) -> Vec<String> {
        self.here()
            .into_iter()
            .chain([&self.there])
            .flat_map(uploads)
            .collect()
    }

    /// Removes what a leg has carried, where it came from.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn remove_source(&mut self, leg: Leg) {
        match leg {
            Leg::Up => std::fs::remove_dir_all(&self.source).expect("files can be removed"),
            Leg::Across => self.here = None,
            Leg::Down => {}
        }
    }

    /// One more worker.
    pub fn worker(&self) -> Running {
        let slots = format!("transfer={},noop=2,qc=0,sync=0", self.slots);
        self.cluster.worker_with(&[
            "--redis",
            &self.cluster.redis.url(),
            "--slots",
            &slots,
            "--storage",
            "storage.yaml",
        ])
    }

    /// Waits until the coordinator has heard of so many workers.
    ///
    /// # Panics
    /// When they do not come.
    pub fn wait_for_workers(&self, workers: usize) {
        wait_until(&format!("{workers} workers are known"), || {
            std::thread::sleep(Duration::from_millis(200));
            // Heard of since the last but one of their heartbeats: the dead are remembered longer.
            let live = "SELECT name FROM worker WHERE heard_at > (SELECT MAX(heard_at) FROM worker) - 7000000";
            self.rows(live).len() >= workers
        });
    }

    /// Submits a job over a leg: carry, a barrier, and something behind it. `transfer` is what the transfer says besides
    /// its target.
    pub fn submit(&self, leg: Leg, transfer: &str) -> String {
        let (library, to) = self.ends(leg);
        let name = format!("{leg:?}").to_lowercase();
        let job = format!(
            "job: {name}\nlibrary: {{ folder: \"{library}\" }}\nsteps:\n\
             \x20 - {{ id: land, transfer: {{ to: \"{to}\"{transfer} }}, retry: {{ attempts: 5, backoff: 100ms..1s }} }}\n\
             \x20 - {{ id: complete, needs: [land], barrier: {{ scope: job, require: all }} }}\n\
             \x20 - {{ id: behind, needs: [complete], noop: {{ duration: 0ms }} }}\n"
        );
        let file = format!("{name}.yaml");
        self.cluster.scratch.write(&file, job);
        self.cluster
            .scratch
            .run(&["job", "submit", &file, "-o", "name", "-q"])
            .name()
    }

    fn rows(&self, statement: &str) -> Vec<Vec<String>> {
        sqlite(&self.cluster.scratch.path("data/showrunner.db"), statement)
    }

    /// Slices of units that are being carried: how many, and how many of them have arrived.
    pub fn slices(&self) -> (u64, u64) {
        let rows = self.rows("SELECT COUNT(*), COALESCE(SUM(state = 'succeeded'), 0) FROM slice");
        let number = |at: usize| rows[0][at].parse().unwrap_or(0);
        (number(0), number(1))
    }

    /// Waits until this share of the slices has arrived.
    ///
    /// # Panics
    /// When it does not come to that.
    pub fn wait_for_slices(&self, share: f64) -> (u64, u64) {
        let mut seen = (0, 0);
        wait_until("slices arrive", || {
            seen = self.slices();
            seen.0 > 0 && seen.1 as f64 >= seen.0 as f64 * share
        });
        seen
    }

    /// Bytes that running jobs have moved, by their last reports.
    pub fn moved(&self) -> u64 {
        let told = self.rows("SELECT told FROM pace");
        let paces = told
            .iter()
            .filter_map(|row| serde_json::from_str::<Value>(&row[0]).ok());
        paces.filter_map(|pace| pace["bytes_moved"].as_u64()).sum()
    }

    /// The hash that was reported last of an asset.
    pub fn reported(&self, asset: &str) -> Option<String> {
        let found = self.rows(&format!("SELECT hash FROM asset WHERE id = '{asset}'"));
        found.into_iter().next().map(|mut row| row.remove(0))
    }

    /// Waits for the end of a job; what it came to.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&self, job: &str) -> Value {
        let waited =
            self.cluster
                .scratch
                .run(&["job", "wait", job, "--timeout", "20m", "-o", "json"]);
        waited.expect_code(0).json()
    }
}
