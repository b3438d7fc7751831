//! The coordinator as a process: two loops over one store. One collects what workers report, the other turns the engine.
mod rescue;
mod tend;

use crate::engine::{Engine, Turn, scan_unit};
use crate::failpoint;
use crate::janitor;
use crate::leases::{Leases, WorkerSeen};
use crate::metrics::Metrics;
use crate::queue::{QueueError, UnitQueue};
use crate::schedule::endpoints::EndpointBook;
use crate::service::census::Survey;
use crate::service::{collector, recovery};
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use crate::wards::Wards;
use parking_lot::Mutex;
use protocol::failure::ErrorClass;
use protocol::id::{JobNo, WorkerId};
use protocol::rules::endpoint::EndpointLimit;
use protocol::rules::lease::LeaseLimits;
use protocol::rules::retention::RetentionLimits;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{Outcome, Report, ScanPage};
use protocol::wire::unit::Unit;
use protocol::workflow::file::Priority;
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
/// How often the store's list of workers is brought up to date.
const TEND_EVERY: Duration = Duration::from_secs(2);
/// How often sick workers are looked for: one that fails fast takes more units than anybody.
const JUDGE_EVERY: Duration = Duration::from_millis(200);
/// A gap between two turns after which no lease is judged by older signs of life (LEASE-1).
const STANDSTILL: Duration = Duration::from_secs(5);
/// A unit that no heartbeat has shown for this long after it was published is looked for: two heartbeats and a half.
const UNSEEN: Duration = Duration::from_secs(8);
/// Units looked for in one round.
const MISSING_PAGE: usize = 500;
const RETRY_STORE: Duration = Duration::from_millis(250);
/// Times a write is repeated whose outcome is unknown.
const UNKNOWN_MAX: u32 = 5;
/// For what is under way when the process is to end.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Where the coordinator's time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// When the rounds beside turns were made last.
#[derive(Debug, Default)]
struct Watch {
    rescued_at: Timestamp,
    tended_at: Timestamp,
    judged_at: Timestamp,
}

/// A coordinator over one store and one transport.
#[derive(Clone)]
pub struct Coordinator {
    store: Store,
    queue: Arc<dyn UnitQueue>,
    clock: Clock,
    limits: LeaseLimits,
    leases: Arc<Mutex<Leases>>,
    wards: Arc<Mutex<Wards>>,
    engine: Arc<Mutex<Engine>>,
    wake: Arc<Notify>,
    metrics: Arc<Metrics>,
    /// Workers live on when this process dies: what is out at its start may still be running somewhere.
    shared: bool,
    retention: Option<RetentionLimits>,
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
            wards: Arc::default(),
            engine: Arc::default(),
            wake: Arc::default(),
            metrics,
            shared: false,
            retention: None,
        }
    }

    /// A coordinator whose workers are processes of their own.
    #[must_use]
    pub fn shared(mut self) -> Coordinator {
        self.shared = true;
        self
    }

    /// A coordinator that forgets ended jobs.
    #[must_use]
    pub fn forgetting(mut self, limits: Option<RetentionLimits>) -> Coordinator {
        self.retention = limits;
        self
    }

    /// Limits what units may use at once.
    #[must_use]
    pub fn limited(self, limits: Vec<EndpointLimit>) -> Coordinator {
        let limits: Arc<[EndpointLimit]> = limits.into();
        self.leases.lock().limit(Arc::clone(&limits));
        self.engine.lock().schedule.book = EndpointBook::new(limits);
        self
    }

    /// Takes back what an earlier process had out, then runs until `stop`.
    pub async fn run(&self, stop: CancellationToken) -> StoreResult<()> {
        if self.shared {
            self.adopt().await?;
            // A server nobody has filled yet is no loss; what had been in one that was wiped meanwhile is looked for.
            if let Err(error) = self.queue.wiped().await {
                tracing::debug!(%error, "the transport could not be asked what it holds");
            }
        } else {
            self.recover().await?
        }
        self.leases.lock().readable_from((self.clock)());
        let collecting = self.clone();
        let collect_stop = stop.clone();
        let collector = tokio::spawn(async move { collecting.collect(collect_stop).await });
        if let Some(limits) = self.retention {
            tokio::spawn(janitor::run(self.store.clone(), limits, Arc::clone(&self.clock), stop.clone()));
        }
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

    /// What is out and who lives, for those who count.
    pub fn survey(&self) -> Survey {
        let leases = self.leases.lock();
        Survey {
            out: leases.out_by_step().clone(),
            workers: leases.workers().values().cloned().collect(),
            last_finished: self.metrics.last_finished(),
            ended: self.metrics.ended(),
        }
    }

    /// Watches again what an earlier coordinator had handed out: its workers may still be at it.
    async fn adopt(&self) -> StoreResult<()> {
        let jobs = self.store.write(|tx| tx.jobs(true, u32::MAX)).await?;
        for job in jobs {
            let workflows = self.engine.lock().workflows.clone();
            let out = self.store.write(move |tx| recovery::outstanding(tx, &workflows, job.no)).await?;
            if !out.is_empty() {
                tracing::info!(job.id = %job.id, units = out.len(), "watching units of an earlier coordinator");
            }
            self.leases.lock().adopt(&out, (self.clock)());
        }
        Ok(())
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
        let mut turned_at = (self.clock)();
        let mut watch = Watch { rescued_at: turned_at, ..Watch::default() };
        while !stop.is_cancelled() {
            let now = (self.clock)();
            if now.since(turned_at) > STANDSTILL {
                // This process stood still (stopped, suspended, starved): it heard nobody, so silence proves nothing.
                tracing::warn!(seconds = now.since(turned_at).as_secs(), "the coordinator stood still");
                self.leases.lock().readable_from(now);
            }
            turned_at = now;
            self.keep_watch(now, &mut watch).await?;
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
            failpoint::pass(if turn.units.is_empty() { "turn-committed" } else { "units-committed" });
            if let Err(error) = self.carry_out(turn).await {
                if error.class() == ErrorClass::Permanent {
                    return Ok(());
                }
                // What was claimed and not published is found missing and taken back.
                tracing::warn!(%error, "units could not be published");
                tokio::time::sleep(RETRY_STORE).await;
                continue;
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

    /// What is done now and then beside turns. What fails for a while is done again at the next look.
    async fn keep_watch(&self, now: Timestamp, watch: &mut Watch) -> StoreResult<()> {
        let passed = |done: StoreResult<()>, what: &str| match done {
            Err(error) if error.class() == ErrorClass::Transient => {
                tracing::warn!(%error, "{what}; trying again");
                Ok(())
            }
            done => done,
        };
        if now.since(watch.rescued_at) >= RESCUE_EVERY {
            watch.rescued_at = now;
            // What was not taken back is still out, and is judged again.
            passed(self.rescue(now).await, "lapsed leases could not be taken back")?;
        }
        if now.since(watch.tended_at) >= TEND_EVERY {
            watch.tended_at = now;
            passed(self.tend(now).await, "the list of workers could not be written")?;
        }
        if now.since(watch.judged_at) >= JUDGE_EVERY {
            watch.judged_at = now;
            passed(self.put_aside(now).await, "a sick worker could not be put aside")?;
        }
        Ok(())
    }

    async fn turn(&self, now: Timestamp) -> StoreResult<Turn> {
        let (engine, leases) = (Arc::clone(&self.engine), Arc::clone(&self.leases));
        self.store
            .write(move |tx| {
                let load = leases.lock().load(now);
                let open = tx.jobs(true, u32::MAX)?;
                let out: BTreeSet<JobNo> = {
                    let leases = leases.lock();
                    open.iter().map(|job| job.no).filter(|no| leases.is_out(scan_unit(*no))).collect()
                };
                engine.lock().turn(tx, load, &out, now)
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
        if !turn.obsolete.is_empty() {
            self.queue.control(Control::Revoke(turn.obsolete)).await?;
        }
        if turn.units.is_empty() {
            return Ok(());
        }
        self.leases.lock().published(&turn.units, (self.clock)());
        turn.units.iter().for_each(|unit| self.metrics.enqueued(unit.kind));
        let mut by_class: BTreeMap<Priority, Vec<Unit>> = BTreeMap::new();
        for (class, unit) in turn.classes.into_iter().zip(turn.units) {
            by_class.entry(class).or_default().push(unit);
        }
        for (class, units) in by_class {
            self.queue.publish(class, units).await?;
            failpoint::pass("units-published");
        }
        Ok(())
    }

    async fn collect(&self, stop: CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = self.queue.collect(BATCH_REPORTS) => batch,
            };
            match batch {
                Ok(batch) if batch.reports.is_empty() => self.forget(batch.entries).await,
                Ok(batch) => {
                    failpoint::pass("reports-read");
                    let taken = tokio::select! {
                        taken = self.take(batch.reports) => taken,
                        () = long_after(&stop) => return,
                    };
                    failpoint::pass("reports-stored");
                    // Whoever leads no longer leaves the reports to whoever does.
                    if taken {
                        self.forget(batch.entries).await;
                    }
                    self.wake.notify_one();
                }
                Err(error) if error.class() == ErrorClass::Permanent => return,
                Err(error) => {
                    tracing::warn!(%error, "reports could not be read; leases stand still meanwhile");
                    tokio::time::sleep(RETRY_STORE).await;
                    self.leases.lock().readable_from((self.clock)());
                }
            }
        }
    }

    /// What could not be forgotten comes again and changes nothing.
    async fn forget(&self, entries: Vec<String>) {
        if let Err(error) = self.queue.settled(entries).await {
            tracing::debug!(%error, "settled reports stay in the transport");
        }
    }

    /// Takes a batch in order: a scan's pages come before its end. Returns whether all of it is settled, and need not come
    /// again.
    async fn take(&self, batch: Vec<Report>) -> bool {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(batch.len());
        for report in batch {
            match report {
                Report::Settled(outcome) => outcomes.push(outcome),
                Report::Heartbeat(beat) => self.leases.lock().heard(&beat, (self.clock)()),
                Report::Alone(unit, epoch, worker) => {
                    self.leases.lock().runs_alone(unit, epoch, &worker, (self.clock)());
                }
                Report::Page(page) => {
                    if !self.settle(std::mem::take(&mut outcomes)).await || !self.page(page).await {
                        return false;
                    }
                }
            }
        }
        self.settle(outcomes).await
    }

    async fn settle(&self, outcomes: Vec<Outcome>) -> bool {
        if outcomes.is_empty() {
            return true;
        }
        self.wards.lock().note(&outcomes);
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
        let settled = match settled {
            Kept::Stored(settled) => settled,
            Kept::Dropped => return true,
            Kept::NotLeader => return false,
        };
        let (mut leases, now) = (self.leases.lock(), (self.clock)());
        for outcome in outcomes.iter() {
            if let Some((kind, waited)) = leases.reported(outcome, now) {
                self.metrics.reported(kind, waited, outcome);
            }
        }
        drop(leases);
        self.metrics.settled(&settled, now);
        if let Some((job, at)) = settled.scan_retry {
            self.engine.lock().scan_due(job, at);
        }
        true
    }

    async fn page(&self, page: ScanPage) -> bool {
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
        if matches!(taken, Kept::Stored(true)) {
            self.metrics.listed(page.assets.len() as u64);
        }
        !matches!(taken, Kept::NotLeader)
    }

    /// Repeats a write until it is in or certainly cannot be: what was reported is not dropped for a full disk. Nor for a
    /// commit whose reply was lost: settled twice, a report changes nothing (FEN-1).
    async fn persist<R, F, Fut>(&self, mut write: F) -> Kept<R>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = StoreResult<R>>,
    {
        let mut unknown = 0;
        loop {
            match write().await {
                Ok(done) => return Kept::Stored(done),
                Err(StoreError::NotLeader(_)) => return Kept::NotLeader,
                Err(error) if error.class() == ErrorClass::Transient => {
                    tracing::warn!(%error, "reports wait until the store can be written");
                }
                Err(error) if error.class() == ErrorClass::Ambiguous && unknown < UNKNOWN_MAX => {
                    unknown += 1;
                    tracing::warn!(%error, "reports are stored once more");
                }
                Err(error) => {
                    tracing::error!(%error, "reports could not be stored; their leases will lapse");
                    return Kept::Dropped;
                }
            }
            tokio::time::sleep(RETRY_STORE).await;
        }
    }
}

/// What became of reports.
enum Kept<R> {
    /// They are in the store.
    Stored(R),
    /// They cannot be stored.
    Dropped,
    /// Another leads and takes them.
    NotLeader,
}

/// A while after `stop`: what waits for a store that is away cannot wait for ever then.
async fn long_after(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_MAX).await;
}
