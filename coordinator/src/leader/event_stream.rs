//! Publishes the progress of jobs and workers while an event stream is open: at most two events a second, of bounded size. The
//! same loop refreshes the gauges.
use crate::clock::Clock;
use crate::leader::election::Leadership;
use crate::leader::gauges::Counted;
use crate::metrics::ClusterGauges;
use crate::query::cluster_stats::LeaderSnapshot;
use crate::query::jobs::{Progress, open_progress};
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time between two events.
const EVENT_EVERY: Duration = Duration::from_millis(500);
/// Bytes of an event's text at most.
pub const EVENT_BYTES_MAX: usize = 2_000;
/// Jobs read for an event; as many are named as fit.
const JOBS_SHOWN: u32 = 20;

/// Whether this process leads at the moment.
pub type RoleNow = Arc<dyn Fn() -> Leadership + Send + Sync>;

/// An event of the stream.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Counted from 1.
    pub id: u64,
    /// JSON on one line.
    pub text: Arc<str>,
}

impl Event {
    /// The event that ends every stream.
    pub fn last() -> Event {
        Event {
            id: u64::MAX,
            ..Event::default()
        }
    }

    /// Whether no other comes after it.
    pub fn is_last(&self) -> bool {
        self.id == u64::MAX
    }
}

#[derive(Serialize)]
struct EventBody<'a> {
    role: &'static str,
    jobs: &'a [Progress],
    more_jobs: usize,
    units_per_second: f64,
    bytes_per_second: u64,
    workers: &'a BTreeMap<&'static str, u32>,
    slots: &'a BTreeMap<&'static str, [u32; 2]>,
}

/// Counts the cluster for gauges and listeners.
pub struct EventPublisher {
    /// The store that is counted.
    pub store: Store,
    /// Whether this process leads.
    pub role: RoleNow,
    /// The clock of this process.
    pub clock: Clock,
    /// Gauges for Prometheus.
    pub gauges: ClusterGauges,
    /// The last event, for listeners.
    pub events: watch::Sender<Event>,
}

/// State of the loop between two rounds.
#[derive(Default)]
struct Observed {
    counted: Counted,
    /// Units that had ended at the last event.
    ended: Option<(Instant, u64)>,
    id: u64,
}

impl EventPublisher {
    /// Runs until the store is closed.
    pub async fn run(self) {
        let mut seen = Observed::default();
        loop {
            let snapshot = snapshot(&(self.role)());
            let refreshed = seen
                .counted
                .refresh(&self.store, &self.gauges, snapshot.as_ref(), (self.clock)())
                .await;
            let looked = match refreshed {
                Ok(()) => self.publish_events(&mut seen, snapshot.as_ref()).await,
                Err(error) => Err(error),
            };
            match looked {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => tracing::debug!(%error, "the cluster could not be counted"),
            }
            tokio::time::sleep(EVENT_EVERY).await;
        }
    }

    async fn publish_events(
        &self,
        seen: &mut Observed,
        snapshot: Option<&LeaderSnapshot>,
    ) -> StoreResult<()> {
        if self.events.receiver_count() == 0 || snapshot.is_none() {
            // A rate needs two counts of the same term.
            seen.ended = None;
        }
        if self.events.receiver_count() == 0 {
            return Ok(());
        }
        let jobs = self.store.read(|tx| open_progress(tx, JOBS_SHOWN)).await?;
        let mut slots: BTreeMap<&'static str, [u32; 2]> = BTreeMap::new();
        for counted in snapshot
            .iter()
            .flat_map(|snapshot| &snapshot.workers)
            .flat_map(|seen| &seen.slots)
        {
            let of = slots.entry(counted.kind.as_str()).or_default();
            *of = [
                of[0] + counted.total.saturating_sub(counted.free),
                of[1] + counted.total,
            ];
        }
        let now = Instant::now();
        let ended = snapshot.map_or(0, |snapshot| snapshot.ended);
        let rate = seen.ended.map_or(0.0, |(at, before)| {
            ended.saturating_sub(before) as f64 / now.duration_since(at).as_secs_f64().max(0.001)
        });
        seen.ended = Some((now, ended));
        let bytes = snapshot.map_or(0, |snapshot| snapshot.bytes_per_second as u64);
        let role = if snapshot.is_some() {
            "leader"
        } else {
            "standby"
        };
        let text = summary_line(
            role,
            &jobs,
            (rate, bytes),
            &seen.counted.stats().workers,
            &slots,
        );
        let changed = *self.events.borrow().text != *text;
        if changed {
            seen.id += 1;
            self.events.send_replace(Event {
                id: seen.id,
                text: text.into(),
            });
        }
        Ok(())
    }
}

/// The text of an event. It names as many jobs as fit.
fn summary_line(
    role: &'static str,
    jobs: &[Progress],
    (units_per_second, bytes_per_second): (f64, u64),
    workers: &BTreeMap<&'static str, u32>,
    slots: &BTreeMap<&'static str, [u32; 2]>,
) -> String {
    let mut shown = jobs.len();
    loop {
        let body = EventBody {
            role,
            jobs: &jobs[..shown],
            more_jobs: jobs.len() - shown,
            units_per_second: (units_per_second * 10.0).round() / 10.0,
            bytes_per_second,
            workers,
            slots,
        };
        // Words and numbers are always JSON.
        let text = serde_json::to_string(&body).unwrap_or_default();
        if text.len() <= EVENT_BYTES_MAX || shown == 0 {
            return text;
        }
        shown -= 1;
    }
}

fn snapshot(role: &Leadership) -> Option<LeaderSnapshot> {
    match role {
        Leadership::Standby { .. } => None,
        Leadership::Leader { coordinator, .. } => Some(
            coordinator
                .as_deref()
                .map(crate::leader::Coordinator::snapshot)
                .unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::unit_counts::Units;

    #[test]
    fn an_event_is_short_whatever_there_is_to_say() {
        let job = |n: usize| Progress {
            job: format!("{}-{n}", "x".repeat(60)),
            name: "n".repeat(5_000),
            state: "running".into(),
            phase: "sealed".into(),
            assets: u64::MAX,
            bytes: u64::MAX,
            bytes_per_second: u64::MAX,
            units: Units {
                total: u64::MAX,
                ..Units::default()
            },
            running: Vec::new(),
            tasks: Vec::new(),
            truncated: Vec::new(),
        };
        for jobs in [0, 1, 20] {
            let jobs: Vec<Progress> = (0..jobs).map(job).collect();
            let text = summary_line(
                "leader",
                &jobs,
                (1.0 / 3.0, u64::MAX),
                &BTreeMap::new(),
                &BTreeMap::new(),
            );
            assert!(text.len() <= EVENT_BYTES_MAX, "{} bytes", text.len());
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(value["more_jobs"], jobs.len());
        }
    }
}
