//! Collects reports and settles them; each batch of ends takes the turn that it makes room for in the same transaction.
use crate::failpoint;
use crate::leader::engine::Turn;
use crate::leader::reactor::{Listed, Work};
use crate::leader::{Coordinator, RETRY_STORE};
use crate::reconcile::settlement::PageTaken;
use crate::reconcile::tombstones;
use crate::refusal::Refusal;
use crate::store::{StoreError, StoreResult};
use protocol::failure::ErrorClass;
use protocol::id::UnitId;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::report::{Burial, Outcome, UnitResult};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Reports read in one batch.
const BATCH_REPORTS: usize = 8_192;
/// Rows that the ends settled in one transaction are about to write: a unit may hold thousands of assets.
const ROWS_MAX: u32 = 50_000;
/// Times a write is repeated whose outcome is unknown.
const UNKNOWN_MAX: u32 = 5;
/// For what is under way when the process is to end.
const STOP_MAX: Duration = Duration::from_secs(5);

impl Coordinator {
    pub(super) async fn collect(&self, stop: CancellationToken) {
        loop {
            let read_at = (self.clock)();
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = self.queue.collect(BATCH_REPORTS) => batch,
            };
            match batch {
                Ok(batch) => {
                    failpoint::pass("reports-read");
                    self.metrics.refused(&batch.refused);
                    let sorted = self.reactor().on_reports(
                        batch.reports,
                        (read_at, !batch.more),
                        (self.clock)(),
                    );
                    let foreign = BTreeMap::from([(Refusal::OtherHolder, sorted.refused)]);
                    self.metrics.refused(&foreign);
                    let taken = tokio::select! {
                        taken = self.take(sorted.work) => taken,
                        () = long_after(&stop) => return,
                    };
                    failpoint::pass("reports-stored");
                    // A deposed leader leaves the reports to the next one.
                    if taken {
                        self.acknowledge(batch.entries);
                    }
                }
                Err(error) if error.class() == ErrorClass::Permanent => return,
                Err(error) => {
                    tracing::warn!(%error, "reports could not be read; no lease lapses meanwhile");
                    tokio::time::sleep(RETRY_STORE).await;
                    self.state.lock().leases.readable_from((self.clock)());
                }
            }
        }
    }

    /// Acknowledges settled reports while the next ones are read. A report that could not be acknowledged comes again and
    /// changes nothing.
    fn acknowledge(&self, entries: Vec<String>) {
        let queue = Arc::clone(&self.queue);
        tokio::spawn(async move {
            if let Err(error) = queue.settled(entries).await {
                tracing::debug!(%error, "settled reports stay in the transport");
            }
        });
    }

    /// Takes a batch in order. Returns whether all of it is settled, and need not come again.
    async fn take(&self, work: Vec<Work>) -> bool {
        for work in work {
            let kept = match work {
                Work::Settle(outcomes) => self.settle(outcomes).await,
                Work::Store(pages) => self.pages(pages).await,
                Work::Tombstones(unit, burials) => self.record_tombstones(unit, burials).await,
            };
            if !kept {
                return false;
            }
        }
        true
    }

    /// Settles ends. One that cannot be stored must not take a whole batch with it: the batch is halved until it is alone.
    async fn settle(&self, outcomes: Vec<Outcome>) -> bool {
        if !outcomes.is_empty() {
            self.reactor().on_outcomes(&outcomes, (self.clock)());
        }
        self.settle_ends(outcomes).await
    }

    /// The same for ends that say nothing of any worker.
    pub(super) async fn settle_ends(&self, outcomes: Vec<Outcome>) -> bool {
        if outcomes.is_empty() {
            return true;
        }
        let (mut open, mut tries) = (
            within_rows(outcomes, self.store.share().of(ROWS_MAX)),
            UNKNOWN_MAX,
        );
        while let Some(outcomes) = open.pop() {
            let outcomes = Arc::new(outcomes);
            match self.settle_together(&outcomes, tries).await {
                Persisted::Stored(()) => {}
                Persisted::NotLeader => return false,
                Persisted::Dropped if outcomes.len() > 1 => {
                    // The store has said what it has to say; in halves it is asked once each.
                    tries = 0;
                    let (first, second) = outcomes.split_at(outcomes.len() / 2);
                    open.extend([second.to_vec(), first.to_vec()]);
                }
                Persisted::Dropped => {
                    let unit = outcomes.first().map(|outcome| outcome.unit.to_string());
                    tracing::error!(
                        unit.id = unit,
                        "the end of a unit could not be stored; its lease will lapse"
                    );
                }
            }
        }
        true
    }

    /// Settles ends and takes the turn they make room for, in one transaction.
    async fn settle_together(&self, outcomes: &Arc<Vec<Outcome>>, tries: u32) -> Persisted<()> {
        let (claim, unsure) = (self.claiming.lock().await, AtomicBool::new(false));
        let settled = self
            .persist((&unsure, tries), || {
                let (reactor, now) = (self.reactor(), (self.clock)());
                let (outcomes, store) = (Arc::clone(outcomes), self.store.clone());
                async move {
                    let inside = reactor.clone();
                    let written = store
                        .write(move |tx| inside.settle(tx, &outcomes, now, &mut fastrand::f64));
                    written.await.inspect_err(|_| reactor.on_rollback())
                }
            })
            .await;
        // Without a certain commit the leases stay, and lapse unless the reports come again.
        let (settled, turn) = match settled {
            Persisted::Stored(stored) => stored,
            Persisted::Dropped => {
                if unsure.into_inner() {
                    self.state.lock().unwatched = true;
                }
                return Persisted::Dropped;
            }
            Persisted::NotLeader => return Persisted::NotLeader,
        };
        let now = (self.clock)();
        self.over(outcomes, &turn, now);
        drop(claim);
        self.metrics.settled(&settled, now);
        if unsure.into_inner() {
            self.state.lock().unwatched = true;
        }
        self.follow(turn, now);
        Persisted::Stored(())
    }

    /// Notes what has ended and what is out instead.
    fn over(&self, outcomes: &[Outcome], turn: &Turn, now: Timestamp) {
        let known = self.reactor().on_ends_committed(outcomes, turn, now);
        for (outcome, known) in outcomes.iter().zip(known) {
            if let Some((kind, waited)) = known {
                self.metrics.reported(kind, waited, outcome);
            }
        }
    }

    /// Publishes what a turn claimed, while the next reports are taken.
    fn follow(&self, turn: Turn, now: Timestamp) {
        failpoint::pass(if turn.units.is_empty() {
            "turn-committed"
        } else {
            "units-committed"
        });
        let soon = turn
            .next_due
            .is_some_and(|due| due.since(now) < self.config.turns.every);
        if turn.more || soon {
            self.wake.notify_one();
        }
        let publisher = self.clone();
        tokio::spawn(async move {
            if let Err(error) = publisher.carry_out(turn).await {
                // What was claimed and not published is found missing and taken back.
                tracing::warn!(%error, "units could not be published");
            }
        });
    }

    /// Stores pages of listings; one that cannot be stored must not take its neighbours with it.
    async fn pages(&self, pages: Vec<Listed>) -> bool {
        let at_once = self
            .store
            .share()
            .of(u32::try_from(pages.len()).unwrap_or(u32::MAX)) as usize;
        let mut open: Vec<Vec<Listed>> = pages
            .chunks(at_once)
            .rev()
            .map(<[Listed]>::to_vec)
            .collect();
        while let Some(pages) = open.pop() {
            let pages = Arc::new(pages);
            match self.pages_together(&pages).await {
                Persisted::Stored(()) => {}
                Persisted::NotLeader => return false,
                Persisted::Dropped if pages.len() > 1 => {
                    open.extend(pages.iter().rev().map(|page| vec![page.clone()]))
                }
                Persisted::Dropped => {
                    let unit = pages.first().map(|(page, _)| page.unit.to_string());
                    tracing::error!(
                        unit.id = unit,
                        "a page of a listing could not be stored; it is listed again"
                    );
                }
            }
        }
        true
    }

    /// Stores pages in one transaction. What is left of a scan of which pages are lost is not waited for.
    async fn pages_together(&self, pages: &Arc<Vec<Listed>>) -> Persisted<()> {
        let taken = self
            .persist((&AtomicBool::new(false), UNKNOWN_MAX), || {
                let (reactor, pages) = (self.reactor(), Arc::clone(pages));
                self.store.write(move |tx| reactor.store_pages(tx, &pages))
            })
            .await;
        let taken = match taken {
            Persisted::Stored(taken) => taken,
            Persisted::Dropped => return Persisted::Dropped,
            Persisted::NotLeader => return Persisted::NotLeader,
        };
        let fresh = pages
            .iter()
            .zip(&taken)
            .filter(|(_, taken)| **taken == PageTaken::Stored);
        self.metrics
            .listed(fresh.map(|((page, _), _)| page.assets.len() as u64).sum());
        let torn = self.reactor().on_pages_committed(pages, &taken);
        if !torn.is_empty() {
            tracing::warn!(
                scans = torn.len(),
                "pages of a listing are lost; it is taken up after the last one stored"
            );
            self.wake.notify_one();
            if let Err(error) = self.queue.control(Control::Revoke(torn)).await {
                // It lists on for nothing; its pages are ignored.
                tracing::debug!(%error, "a scan could not be called back");
            }
        }
        Persisted::Stored(())
    }

    /// Keeps what a purge removed. Returns whether it need not come again.
    async fn record_tombstones(&self, unit: UnitId, burials: Vec<Burial>) -> bool {
        let burials = Arc::new(burials);
        let kept = self
            .persist((&AtomicBool::new(false), UNKNOWN_MAX), || {
                let (engine, burials, now) = (
                    Arc::clone(&self.engine),
                    Arc::clone(&burials),
                    (self.clock)(),
                );
                self.store.write(move |tx| {
                    let workflows = engine.lock().workflows.clone();
                    tombstones::record_tombstones(tx, &workflows, unit, burials.to_vec(), now)
                })
            })
            .await;
        // Unlike ends, which lapse and are done again, a removal that is not kept is forgotten: it stays in the transport.
        matches!(kept, Persisted::Stored(()))
    }

    /// Repeats a write until it is in or certainly cannot be: what was reported is not dropped for a full disk. Nor for a
    /// commit whose reply was lost: settled twice, a report changes nothing (FEN-1). `unsure` is set when one was.
    /// The store is asked `tries` times more then.
    async fn persist<R, F, Fut>(
        &self,
        (unsure, tries): (&AtomicBool, u32),
        mut write: F,
    ) -> Persisted<R>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = StoreResult<R>>,
    {
        let mut unknown = 0;
        loop {
            match write().await {
                Ok(done) => return Persisted::Stored(done),
                Err(StoreError::NotLeader(_)) => return Persisted::NotLeader,
                Err(error) if error.class() == ErrorClass::Transient => {
                    tracing::warn!(%error, "reports wait until the store can be written");
                }
                Err(error) if error.class() == ErrorClass::Ambiguous && unknown < tries => {
                    unknown += 1;
                    unsure.store(true, Ordering::Relaxed);
                    tracing::warn!(%error, "reports are stored once more");
                }
                Err(error) => {
                    tracing::error!(%error, "reports could not be stored");
                    return Persisted::Dropped;
                }
            }
            tokio::time::sleep(RETRY_STORE).await;
        }
    }
}

/// Ends in groups of which each writes no more than `rows_max` rows and those of one end. The last group is settled first.
fn within_rows(outcomes: Vec<Outcome>, rows_max: u32) -> Vec<Vec<Outcome>> {
    let (mut groups, mut rows): (Vec<Vec<Outcome>>, usize) = (Vec::new(), 0);
    for outcome in outcomes {
        if rows == 0 || rows >= rows_max as usize {
            groups.push(Vec::new());
            rows = 0;
        }
        rows += rows_of(&outcome);
        if let Some(group) = groups.last_mut() {
            group.push(outcome);
        }
    }
    groups.reverse();
    groups
}

/// Its own row, its barrier, and the units that it makes ready.
const OF_A_UNIT: usize = 4;

/// Rows that the end of a unit is about to write.
fn rows_of(outcome: &Outcome) -> usize {
    match &outcome.result {
        // An asset that fails is split off: its partition, its member, its failure and the units of its steps.
        UnitResult::Finished { facts, failures } => OF_A_UNIT + facts.len() + 8 * failures.len(),
        _ => OF_A_UNIT,
    }
}

/// What became of reports.
enum Persisted<R> {
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
