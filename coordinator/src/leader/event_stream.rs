//! Looks at the cluster from the side: counts it for the gauges every few seconds, and, while somebody listens, says how jobs
//! and workers are doing, twice a second and in few words whatever the size of the cluster.
use crate::clock::Clock;
use crate::leader::election::Role;
use crate::metrics::ClusterGauges;
use crate::query::cluster_stats::{Census, Pace, Survey, census};
use crate::query::jobs::{Progress, open_progress};
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use crate::workflows::Workflows;
use protocol::id::Kind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two counts.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Between two events: at most two a second.
const EVENT_EVERY: Duration = Duration::from_millis(500);
/// Bytes of an event's text at most.
pub const EVENT_BYTES_MAX: usize = 2_000;
/// Jobs looked at for an event; as many are named as fit.
const JOBS_SHOWN: u32 = 20;

/// Says what the process is at the moment.
pub type RoleNow = Arc<dyn Fn() -> Role + Send + Sync>;

/// What listeners are told.
#[derive(Debug, Clone, Default)]
pub struct Event {
    /// Counted from 1.
    pub id: u64,
    /// JSON on one line.
    pub text: Arc<str>,
}

impl Event {
    /// Ends every stream.
    pub fn last() -> Event {
        Event { id: u64::MAX, ..Event::default() }
    }

    /// Whether no other comes after it.
    pub fn is_last(&self) -> bool {
        self.id == u64::MAX
    }
}

#[derive(Serialize)]
struct Told<'a> {
    role: &'static str,
    jobs: &'a [Progress],
    more_jobs: usize,
    units_per_second: f64,
    bytes_per_second: u64,
    workers: &'a BTreeMap<&'static str, u32>,
    slots: &'a BTreeMap<&'static str, [u32; 2]>,
}

/// What looks, and for whom.
pub struct Observer {
    /// The truth.
    pub store: Store,
    /// The part this process plays.
    pub role: RoleNow,
    /// Where time comes from.
    pub clock: Clock,
    /// What is shown to Prometheus.
    pub gauges: ClusterGauges,
    /// What is shown to listeners.
    pub events: watch::Sender<Event>,
}

#[derive(Default)]
struct Seen {
    counted_at: Option<Instant>,
    census: Arc<Census>,
    pace: Pace,
    workflows: Workflows,
    ended: Option<(Instant, u64)>,
    id: u64,
}

impl Observer {
    /// Looks until the store is closed.
    pub async fn run(self) {
        let mut seen = Seen::default();
        loop {
            let survey = survey(&(self.role)());
            let looked = match self.count(&mut seen, survey.as_ref()).await {
                Ok(()) => self.tell(&mut seen, survey.as_ref()).await,
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

    async fn count(&self, seen: &mut Seen, survey: Option<&Survey>) -> StoreResult<()> {
        let Some(survey) = survey else {
            // What was learned belongs to the term.
            *seen = Seen { id: seen.id, ..Seen::default() };
            self.gauges.show(None);
            return Ok(());
        };
        if seen.counted_at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        seen.counted_at = Some(Instant::now());
        let (workflows, mut pace, survey, now) =
            (seen.workflows.clone(), seen.pace.clone(), survey.clone(), (self.clock)());
        let counted = self.store.read(move |tx| {
            let counted = census(tx, &workflows, &survey, &mut pace, now)?;
            Ok((counted, pace))
        });
        let (counted, pace) = counted.await?;
        self.gauges.show(Some(&counted));
        (seen.census, seen.pace) = (Arc::new(counted), pace);
        Ok(())
    }

    async fn tell(&self, seen: &mut Seen, survey: Option<&Survey>) -> StoreResult<()> {
        if self.events.receiver_count() == 0 {
            seen.ended = None;
            return Ok(());
        }
        let jobs = self.store.read(|tx| open_progress(tx, JOBS_SHOWN)).await?;
        let mut slots: BTreeMap<&'static str, [u32; 2]> = BTreeMap::new();
        for (kind, total, free) in survey.iter().flat_map(|survey| &survey.workers).flat_map(|seen| &seen.slots) {
            let of = slots.entry(Kind::as_str(*kind)).or_default();
            *of = [of[0] + total.saturating_sub(*free), of[1] + total];
        }
        let now = Instant::now();
        let ended = survey.map_or(0, |survey| survey.ended);
        let rate = seen.ended.map_or(0.0, |(at, before)| {
            ended.saturating_sub(before) as f64 / now.duration_since(at).as_secs_f64().max(0.001)
        });
        seen.ended = Some((now, ended));
        let bytes = survey.map_or(0, |survey| survey.bytes_per_second as u64);
        let role = if survey.is_some() { "leader" } else { "standby" };
        let text = in_few_words(role, &jobs, (rate, bytes), &seen.census.workers, &slots);
        let changed = *self.events.borrow().text != *text;
        if changed {
            seen.id += 1;
            self.events.send_replace(Event { id: seen.id, text: text.into() });
        }
        Ok(())
    }
}

/// Names as many jobs as fit.
fn in_few_words(
    role: &'static str,
    jobs: &[Progress],
    (units_per_second, bytes_per_second): (f64, u64),
    workers: &BTreeMap<&'static str, u32>,
    slots: &BTreeMap<&'static str, [u32; 2]>,
) -> String {
    let mut shown = jobs.len();
    loop {
        let told = Told {
            role,
            jobs: &jobs[..shown],
            more_jobs: jobs.len() - shown,
            units_per_second: (units_per_second * 10.0).round() / 10.0,
            bytes_per_second,
            workers,
            slots,
        };
        // Words and numbers are always JSON.
        let text = serde_json::to_string(&told).unwrap_or_default();
        if text.len() <= EVENT_BYTES_MAX || shown == 0 {
            return text;
        }
        shown -= 1;
    }
}

fn survey(role: &Role) -> Option<Survey> {
    match role {
        Role::Standby { .. } => None,
        Role::Leader { coordinator, .. } => {
            Some(coordinator.as_deref().map(crate::leader::Coordinator::survey).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::summary::Units;

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
            units: Units { total: u64::MAX, ..Units::default() },
            running: Vec::new(),
        };
        for jobs in [0, 1, 20] {
            let jobs: Vec<Progress> = (0..jobs).map(job).collect();
            let text = in_few_words("leader", &jobs, (1.0 / 3.0, u64::MAX), &BTreeMap::new(), &BTreeMap::new());
            assert!(text.len() <= EVENT_BYTES_MAX, "{} bytes", text.len());
            let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(value["more_jobs"], jobs.len());
        }
    }
}
