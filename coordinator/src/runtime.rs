//! The coordinator as a process: two loops over one store. One collects what workers report, the other turns the engine.
use crate::engine::{Engine, Turn, scan_unit};
use crate::leases::{Leases, WorkerSeen};
use crate::metrics::Metrics;
use crate::queue::{QueueError, UnitQueue};
use crate::service::{collector, recovery, rescuer};
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use parking_lot::Mutex;
use protocol::failure::ErrorClass;
use protocol::id::{JobNo, WorkerId};
use protocol::rules::lease::LeaseLimits;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{Outcome, Report, ScanPage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Reports settled in one transaction.
const BATCH_REPORTS: usize = 8_192;
/// A turn is taken at least this often: a lost wake-up costs this much.
const TURN_EVERY: Duration = Duration::from_millis(200);
const RESCUE_EVERY: Duration = Duration::from_secs(1);
/// A gap between two turns after which no lease is judged by older signs of life (LEASE-1).
const STANDSTILL: Duration = Duration::from_secs(5);
const RETRY_STORE: Duration = Duration::from_millis(250);

/// Where the coordinator's time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A coordinator over one store and one transport.
#[derive(Clone)]
pub struct Coordinator {
    store: Store,
    queue: Arc<dyn UnitQueue>,
    clock: Clock,
    limits: LeaseLimits,
    leases: Arc<Mutex<Leases>>,
    engine: Arc<Mutex<Engine>>,
    wake: Arc<Notify>,
    metrics: Arc<Metrics>,
}

impl Coordinator {
    /// A coordinator that has not started.
    pub fn new(
        store: Store,
        queue: Arc<dyn UnitQueue>,
        clock: Clock,
        limits: LeaseLimits,
        metrics: Arc<Metrics>,
    ) -> Coordinator {
        Coordinator {
            store,
            queue,
            clock,
            limits,
            leases: Arc::default(),
            engine: Arc::default(),
            wake: Arc::default(),
            metrics,
        }
    }

    /// Takes back what an earlier process had out, then runs until `stop`.
    pub async fn run(&self, stop: CancellationToken) -> StoreResult<()> {
        self.recover().await?;
        self.leases.lock().readable_from((self.clock)());
        let collecting = self.clone();
        let collect_stop = stop.clone();
        let collector = tokio::spawn(async move { collecting.collect(collect_stop).await });
        let result = self.drive(stop.clone()).await;
        stop.cancel();
        match collector.await {
            Ok(()) => result,
            Err(panic) => Err(StoreError::Database(format!("the collector stopped: {panic}"))),
        }
    }

    /// Takes a turn soon: something outside has changed the store.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Workers heard of lately.
    pub fn workers(&self) -> BTreeMap<WorkerId, WorkerSeen> {
        self.leases.lock().workers().clone()
    }

    async fn recover(&self) -> StoreResult<()> {
        let jobs = self.store.write(|tx| tx.jobs(true, u32::MAX)).await?;
        for job in jobs {
            let mut taken = 0;
            loop {
                let workflows = self.engine.lock().workflows.clone();
                let page = self.store.write(move |tx| recovery::recover(tx, &workflows, job.no)).await?;
                taken += page;
                if page == 0 {
                    break;
                }
            }
            if taken > 0 {
                tracing::info!(job.id = %job.id, units = taken, "took back units of an interrupted run");
            }
        }
        Ok(())
    }

    async fn drive(&self, stop: CancellationToken) -> StoreResult<()> {
        let mut rescued_at = (self.clock)();
        let mut turned_at = rescued_at;
        while !stop.is_cancelled() {
            let now = (self.clock)();
            if now.since(turned_at) > STANDSTILL {
                // This process stood still (stopped, suspended, starved): it heard nobody, so silence proves nothing.
                tracing::warn!(seconds = now.since(turned_at).as_secs(), "the coordinator stood still");
                self.leases.lock().readable_from(now);
            }
            turned_at = now;
            if now.since(rescued_at) >= RESCUE_EVERY {
                rescued_at = now;
                match self.rescue(now).await {
                    Ok(()) => {}
                    // What was not taken back is still out, and is judged again.
                    Err(error) if error.class() == ErrorClass::Transient => {
                        tracing::warn!(%error, "lapsed leases could not be taken back; trying again");
                    }
                    Err(error) => return Err(error),
                }
            }
            let turn = self.turn(now).await;
            if turn.is_err() {
                self.engine.lock().rolled_back();
            }
            let turn = match turn {
                Ok(turn) => turn,
                Err(error) if error.class() == ErrorClass::Transient => {
                    tracing::warn!(%error, "the store could not be written; trying again");
                    tokio::time::sleep(RETRY_STORE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (more, next_due) = (turn.more, turn.next_due);
            if self.carry_out(turn).await.is_err() {
                return Ok(());
            }
            if more {
                continue;
            }
            let until_due = next_due.map_or(TURN_EVERY, |due| due.since((self.clock)()).min(TURN_EVERY));
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(until_due.max(Duration::from_millis(1))) => {}
            }
        }
        Ok(())
    }

    async fn turn(&self, now: Timestamp) -> StoreResult<Turn> {
        let (engine, leases) = (Arc::clone(&self.engine), Arc::clone(&self.leases));
        self.store
            .write(move |tx| {
                let mut rooms = leases.lock().rooms();
                let open = tx.jobs(true, u32::MAX)?;
                let out: BTreeSet<JobNo> = {
                    let leases = leases.lock();
                    open.iter().map(|job| job.no).filter(|no| leases.is_out(scan_unit(*no))).collect()
                };
                engine.lock().turn(tx, &mut rooms, &out, now)
            })
            .await
    }

    async fn carry_out(&self, turn: Turn) -> Result<(), QueueError> {
        self.metrics.jobs_open.set(turn.open as i64);
        for job in turn.cancelling {
            let out = self.leases.lock().of_job(job);
            if !out.is_empty() {
                self.queue.control(Control::Revoke(out)).await?;
            }
        }
        if turn.units.is_empty() {
            return Ok(());
        }
        self.leases.lock().published(&turn.units, (self.clock)());
        self.metrics.published.inc_by(turn.units.len() as u64);
        self.queue.publish(turn.units).await
    }

    async fn rescue(&self, now: Timestamp) -> StoreResult<()> {
        let lapsed = self.leases.lock().lapsed(&self.limits, now);
        for (unit, epoch) in lapsed {
            let taken = self.store.write(move |tx| rescuer::take_back(tx, unit, epoch)).await?;
            self.leases.lock().ended(unit, epoch);
            if taken {
                self.metrics.reclaimed.inc();
                tracing::warn!(unit.id = %unit, unit.epoch = epoch, "lease lapsed; taken back");
            }
        }
        Ok(())
    }

    async fn collect(&self, stop: CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = self.queue.collect(BATCH_REPORTS) => batch,
            };
            let Ok(batch) = batch else { return };
            self.take(batch).await;
            self.wake.notify_one();
        }
    }

    /// Takes a batch in order: a scan's pages come before its end.
    async fn take(&self, batch: Vec<Report>) {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(batch.len());
        for report in batch {
            match report {
                Report::Settled(outcome) => outcomes.push(outcome),
                Report::Heartbeat(beat) => self.leases.lock().heard(&beat, (self.clock)()),
                Report::Page(page) => {
                    self.settle(std::mem::take(&mut outcomes)).await;
                    self.page(page).await;
                }
            }
        }
        self.settle(outcomes).await;
    }

    async fn settle(&self, outcomes: Vec<Outcome>) {
        if outcomes.is_empty() {
            return;
        }
        let ids: Vec<_> = outcomes.iter().map(|o| (o.unit, o.epoch)).collect();
        let outcomes = Arc::new(outcomes);
        let settled = self
            .persist(|| {
                let (engine, now) = (Arc::clone(&self.engine), (self.clock)());
                let outcomes = Arc::clone(&outcomes);
                self.store.write(move |tx| {
                    let workflows = engine.lock().workflows.clone();
                    collector::settle(tx, &workflows, outcomes.to_vec(), now, &mut fastrand::f64)
                })
            })
            .await;
        // Without a certain commit the leases stay, and lapse unless the reports come again.
        let Some(settled) = settled else { return };
        let mut leases = self.leases.lock();
        for (unit, epoch) in ids {
            leases.ended(unit, epoch);
        }
        drop(leases);
        self.metrics.settled(&settled);
        if let Some((job, at)) = settled.scan_retry {
            self.engine.lock().scan_due(job, at);
        }
    }

    async fn page(&self, page: ScanPage) {
        let page = Arc::new(page);
        let taken = self
            .persist(|| {
                let (engine, page) = (Arc::clone(&self.engine), Arc::clone(&page));
                self.store.write(move |tx| {
                    let workflows = engine.lock().workflows.clone();
                    collector::page(tx, &workflows, &page)
                })
            })
            .await;
        if taken == Some(true) {
            self.metrics.listed.inc_by(page.assets.len() as u64);
        }
    }

    /// Repeats a write until it is in or certainly cannot be: what was reported is not dropped for a full disk.
    async fn persist<R, F, Fut>(&self, mut write: F) -> Option<R>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = StoreResult<R>>,
    {
        loop {
            match write().await {
                Ok(done) => return Some(done),
                Err(error) if error.class() == ErrorClass::Transient => {
                    tracing::warn!(%error, "reports wait until the store can be written");
                    tokio::time::sleep(RETRY_STORE).await;
                }
                Err(error) => {
                    tracing::error!(%error, "reports could not be stored; their leases will lapse");
                    return None;
                }
            }
        }
    }
}
