//! The coordinator as a process: two loops over one store. One collects what workers report, the other turns the engine.
pub mod election;
pub mod engine;
pub mod event_stream;
pub mod memory;
mod on_reports;
mod outbox;
pub mod reactor;
mod rescue;
mod retention;
mod worker_tick;

use crate::clock::Clock;
use crate::dispatch::endpoints::EndpointBook;
use crate::dispatch::fleet::WorkerSeen;
use crate::dispatch::outstanding;
use crate::failpoint;
use crate::leader::engine::{Engine, Turn};
use crate::leader::memory::lease_table::Leases;
use crate::leader::memory::throughput::Movement;
use crate::leader::memory::worker_health::Wards;
use crate::leader::reactor::Reactor;
use crate::metrics::Metrics;
use crate::query::cluster_stats::Survey;
use crate::queue::{QueueError, UnitQueue};
use crate::reconcile::recovery;
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use parking_lot::Mutex;
use protocol::failure::ErrorClass;
use protocol::id::{UnitId, WorkerId};
use protocol::model::priority::Priority;
use protocol::rules::cluster::retention::RetentionLimits;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::storage::multipart::SliceLimits;
use protocol::rules::unit::lease::LeaseLimits;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::Outcome;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use transport::alarm::Alarm;
use transport::signature;

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
/// Executions named in one message.
const REVOKED_MAX: usize = 10_000;
const RETRY_STORE: Duration = Duration::from_millis(250);

/// Units that wait for room in the transport, by class.
type Outbox = Vec<(Priority, Vec<Unit>)>;

/// When the rounds beside turns were made last.
#[derive(Debug, Default)]
struct Watch {
    rescued_at: Timestamp,
    tended_at: Timestamp,
    judged_at: Timestamp,
    cleaned_at: Timestamp,
}

/// A coordinator over one store and one transport.
#[derive(Clone)]
pub struct Coordinator {
    store: Store,
    queue: Arc<dyn UnitQueue>,
    clock: Clock,
    limits: LeaseLimits,
    leases: Arc<Mutex<Leases>>,
    movement: Arc<Mutex<Movement>>,
    wards: Arc<Mutex<Wards>>,
    engine: Arc<Mutex<Engine>>,
    wake: Arc<Notify>,
    /// Held from the claim of units until the leases know of them: whoever claims next must count them.
    claiming: Arc<tokio::sync::Mutex<()>>,
    metrics: Arc<Metrics>,
    /// Units that the transport had no room for or refused, by class.
    outbox: Arc<Mutex<Outbox>>,
    /// Ends of units that cannot be sent, until they are settled.
    unsendable: Arc<Mutex<Vec<Outcome>>>,
    full: Arc<Alarm>,
    parked: Arc<Alarm>,
    /// A transaction of unknown outcome may have claimed units of which the leases do not know.
    unwatched: Arc<AtomicBool>,
    /// What an earlier leader published has been looked for.
    recalled: Arc<AtomicBool>,
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
        store.count_defects(metrics.oversized(), metrics.underflows());
        Coordinator {
            store,
            queue,
            clock,
            limits,
            leases: Arc::default(),
            movement: Arc::default(),
            wards: Arc::default(),
            engine: Arc::default(),
            wake: Arc::default(),
            claiming: Arc::default(),
            metrics,
            outbox: Arc::default(),
            unsendable: Arc::default(),
            full: Arc::new(Alarm::new("the transport takes no units; they wait")),
            parked: Arc::new(Alarm::new("no worker could read some entries; they are parked")),
            unwatched: Arc::default(),
            recalled: Arc::default(),
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

    /// Lets several workers share large transfers.
    #[must_use]
    pub fn slicing(self, limits: SliceLimits) -> Coordinator {
        self.engine.lock().schedule.slicing = limits;
        self
    }

    /// Takes back what an earlier process had out, then runs until `stop`.
    pub async fn run(&self, stop: CancellationToken) -> StoreResult<()> {
        if self.shared {
            self.sign().await?;
            self.adopt().await?;
            // A server nobody has filled yet is no loss; what had been in one that was wiped meanwhile is looked for.
            if let Err(error) = self.queue.wiped().await {
                tracing::debug!(%error, "the transport could not be asked what it holds");
            }
        } else {
            self.recover().await?
        }
        {
            // Nothing is judged by the silence of those who have not been read yet.
            let (mut leases, now) = (self.leases.lock(), (self.clock)());
            leases.readable_from(now);
            leases.read_up_to(now, true);
        }
        let collecting = self.clone();
        let collect_stop = stop.clone();
        let collector = tokio::spawn(async move {
            // Whatever ends it ends the term: units whose ends nobody reads must not be handed out.
            let _term = collect_stop.clone().drop_guard();
            collecting.collect(collect_stop).await;
        });
        if let Some(limits) = self.retention {
            tokio::spawn(retention::run(self.store.clone(), limits, Arc::clone(&self.clock), stop.clone()));
        }
        let result = self.drive(stop.clone()).await;
        stop.cancel();
        self.metrics.stand_by();
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
            bytes_per_second: self.movement.lock().per_second((self.clock)()),
        }
    }

    /// Signs units from now on, with the key of this database.
    async fn sign(&self) -> StoreResult<()> {
        let Some(fresh) = signature::fresh_seed() else { return Ok(()) };
        let seed = self.store.write(move |tx| tx.cluster_key(&fresh)).await?;
        self.queue.sign_with(&seed);
        Ok(())
    }

    /// Watches again what an earlier coordinator had handed out: its workers may still be at it.
    async fn adopt(&self) -> StoreResult<()> {
        // Nobody claims units between the pages: those would be listed as well, and may have ended by then.
        let _claim = self.claiming.lock().await;
        let jobs = self.store.write(|tx| tx.jobs(true, u32::MAX)).await?;
        for job in jobs {
            let (mut place, mut units) = (Some(outstanding::Place::Leased(None)), 0);
            while let Some(at) = place {
                let workflows = self.engine.lock().workflows.clone();
                let page = self.store.write(move |tx| outstanding::outstanding_page(tx, &workflows, job.no, at));
                let (out, next) = page.await?;
                self.leases.lock().adopt(&out, (self.clock)());
                units += out.len();
                place = next;
            }
            if units > 0 {
                tracing::info!(job.id = %job.id, units, "watching units of an earlier coordinator");
            }
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
        let mut pause = RETRY_STORE;
        let mut watch = Watch { rescued_at: turned_at, cleaned_at: turned_at, ..Watch::default() };
        while !stop.is_cancelled() {
            let now = (self.clock)();
            if now.since(turned_at) > STANDSTILL {
                // This process stood still (stopped, suspended, starved): it heard nobody, so silence proves nothing.
                tracing::warn!(seconds = now.since(turned_at).as_secs(), "the coordinator stood still");
                self.leases.lock().stood_still(now);
            }
            turned_at = now;
            self.keep_watch(now, &mut watch).await?;
            if self.queue.is_foreign() {
                // The term ends. The next one begins once the transport is ours again, and touches nothing until then.
                return Ok(());
            }
            self.offer_again(&stop, &mut pause).await;
            self.fail_unsendable().await;
            let turn = self.turn(now).await;
            if turn.is_err() {
                self.reactor().rolled_back();
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
            self.clean(&mut watch.cleaned_at, now).await;
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

    /// What decides, over this coordinator's memory.
    fn reactor(&self) -> Reactor {
        Reactor {
            engine: Arc::clone(&self.engine),
            leases: Arc::clone(&self.leases),
            wards: Arc::clone(&self.wards),
            held_back: !self.outbox.lock().is_empty(),
        }
    }

    async fn turn(&self, now: Timestamp) -> StoreResult<Turn> {
        let _claim = self.claiming.lock().await;
        let (reactor, inside) = (self.reactor(), self.reactor());
        let turn = self.store.write(move |tx| inside.turn(tx, &[], now)).await?;
        reactor.claimed(&turn, (self.clock)());
        Ok(turn)
    }

    async fn carry_out(&self, turn: Turn) -> Result<(), QueueError> {
        self.metrics.jobs_open.set(turn.open as i64);
        for (unit, attempts) in &turn.fruitless {
            self.metrics.fruitless();
            if *attempts == 1 {
                tracing::warn!(unit.id = %unit, "a library is listed again although the last attempt yielded no page");
            }
        }
        let called_back = self.reactor().called_back(&turn);
        self.revoke(&called_back).await?;
        if turn.units.is_empty() {
            return Ok(());
        }
        turn.units.iter().for_each(|unit| self.metrics.enqueued(unit.kind));
        let mut by_class: BTreeMap<Priority, Vec<Unit>> = BTreeMap::new();
        for (class, unit) in turn.classes.into_iter().zip(turn.units) {
            by_class.entry(class).or_default().push(unit);
        }
        for (class, units) in by_class {
            self.publish(class, units).await?;
            failpoint::pass("units-published");
        }
        Ok(())
    }

    /// Has workers stop executions, however many.
    async fn revoke(&self, executions: &[(UnitId, u32)]) -> Result<(), QueueError> {
        for page in executions.chunks(REVOKED_MAX) {
            self.queue.control(Control::Revoke(page.to_vec())).await?;
        }
        Ok(())
    }
}
