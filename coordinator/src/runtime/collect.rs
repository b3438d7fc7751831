//! Takes what workers report, and hands out at once what that makes room for.
use super::{BATCH_REPORTS, Coordinator, RETRY_STORE, TURN_EVERY};
use crate::engine::Turn;
use crate::failpoint;
use crate::service::{burial, collector};
use crate::store::{StoreError, StoreResult};
use protocol::failure::ErrorClass;
use protocol::id::UnitId;
use protocol::time::Timestamp;
use protocol::wire::report::{Burial, Outcome, Report, ScanPage};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pages of listings stored in one transaction.
const PAGES_MAX: usize = 8;
/// Times a write is repeated whose outcome is unknown.
const UNKNOWN_MAX: u32 = 5;
/// For what is under way when the process is to end.
const STOP_MAX: Duration = Duration::from_secs(5);

impl Coordinator {
    pub(super) async fn collect(&self, stop: CancellationToken) {
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return,
                batch = self.queue.collect(BATCH_REPORTS) => batch,
            };
            match batch {
                Ok(batch) if batch.reports.is_empty() => self.forget(batch.entries),
                Ok(batch) => {
                    failpoint::pass("reports-read");
                    let taken = tokio::select! {
                        taken = self.take(batch.reports) => taken,
                        () = long_after(&stop) => return,
                    };
                    failpoint::pass("reports-stored");
                    // Whoever leads no longer leaves the reports to whoever does.
                    if taken {
                        self.forget(batch.entries);
                    }
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

    /// Forgets what is settled, while the next reports are read. What could not be forgotten comes again and changes
    /// nothing.
    fn forget(&self, entries: Vec<String>) {
        let queue = Arc::clone(&self.queue);
        tokio::spawn(async move {
            if let Err(error) = queue.settled(entries).await {
                tracing::debug!(%error, "settled reports stay in the transport");
            }
        });
    }

    /// Takes a batch in order: a scan's pages come before its end. Returns whether all of it is settled, and need not come
    /// again.
    async fn take(&self, batch: Vec<Report>) -> bool {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(batch.len());
        let mut pages: Vec<Listed> = Vec::new();
        for report in batch {
            match report {
                Report::Settled(outcome) => {
                    if !self.pages(std::mem::take(&mut pages)).await {
                        return false;
                    }
                    outcomes.push(outcome);
                }
                Report::Heartbeat(beat) => self.leases.lock().heard(&beat, (self.clock)()),
                Report::Alone(unit, epoch, worker) => {
                    self.leases.lock().runs_alone(unit, epoch, &worker, (self.clock)());
                }
                Report::Buried(unit, _, burials) => {
                    if !self.bury(unit, burials).await {
                        return false;
                    }
                }
                Report::Progress(progress) => self.movement.lock().heard(&progress, (self.clock)()),
                page @ (Report::Page(_) | Report::PageUpTo(..)) => {
                    if !self.settle(std::mem::take(&mut outcomes)).await {
                        return false;
                    }
                    pages.extend(listed(page));
                    if pages.len() == PAGES_MAX && !self.pages(std::mem::take(&mut pages)).await {
                        return false;
                    }
                }
            }
        }
        self.pages(pages).await && self.settle(outcomes).await
    }

    /// Settles ends and takes the turn they make room for, in one transaction.
    async fn settle(&self, outcomes: Vec<Outcome>) -> bool {
        if !outcomes.is_empty() {
            self.wards.lock().note(&outcomes, (self.clock)());
        }
        self.settle_ends(outcomes).await
    }

    /// The same for ends that say nothing of any worker.
    pub(super) async fn settle_ends(&self, outcomes: Vec<Outcome>) -> bool {
        if outcomes.is_empty() {
            return true;
        }
        let outcomes = Arc::new(outcomes);
        let (claim, unsure) = (self.claiming.lock().await, AtomicBool::new(false));
        let settled = self
            .persist(&unsure, || {
                let (engine, claim, now) = (Arc::clone(&self.engine), self.claim(), (self.clock)());
                let (outcomes, store) = (Arc::clone(&outcomes), self.store.clone());
                async move {
                    let inside = Arc::clone(&engine);
                    let written = store.write(move |tx| {
                        let workflows = inside.lock().workflows.clone();
                        let settled = collector::settle(tx, &workflows, outcomes.to_vec(), now, &mut fastrand::f64)?;
                        if settled.cut > 0 {
                            inside.lock().cut();
                        }
                        Ok((settled, claim.turn(tx, &outcomes, now)?))
                    });
                    written.await.inspect_err(|_| engine.lock().rolled_back())
                }
            })
            .await;
        // Without a certain commit the leases stay, and lapse unless the reports come again.
        let (settled, turn) = match settled {
            Kept::Stored(stored) => stored,
            Kept::Dropped => return true,
            Kept::NotLeader => return false,
        };
        let now = (self.clock)();
        self.over(&outcomes, &turn, now);
        drop(claim);
        self.metrics.settled(&settled, now);
        if let Some((job, at)) = settled.scan_retry {
            self.engine.lock().scan_due(job, at);
        }
        if unsure.into_inner() {
            // A first try may have claimed units of which nobody here knows.
            self.adopt().await.unwrap_or_else(|error| tracing::warn!(%error, "units that are out could not be listed"));
        }
        self.follow(turn, now);
        true
    }

    /// Notes what has ended and what is out instead.
    fn over(&self, outcomes: &[Outcome], turn: &Turn, now: Timestamp) {
        let (mut leases, mut movement) = (self.leases.lock(), self.movement.lock());
        for outcome in outcomes {
            movement.ended(outcome, now);
            if let Some((kind, waited)) = leases.reported(outcome, now) {
                self.metrics.reported(kind, waited, outcome);
            }
        }
        leases.published(&turn.units, now);
    }

    /// Publishes what a turn claimed, while the next reports are taken.
    fn follow(&self, turn: Turn, now: Timestamp) {
        failpoint::pass(if turn.units.is_empty() { "turn-committed" } else { "units-committed" });
        let soon = turn.next_due.is_some_and(|due| due.since(now) < TURN_EVERY);
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

    async fn pages(&self, pages: Vec<Listed>) -> bool {
        if pages.is_empty() {
            return true;
        }
        let pages = Arc::new(pages);
        let taken = self
            .persist(&AtomicBool::new(false), || {
                let (engine, pages) = (Arc::clone(&self.engine), Arc::clone(&pages));
                self.store.write(move |tx| {
                    let workflows = engine.lock().workflows.clone();
                    let take = |(page, up_to): &Listed| collector::page(tx, &workflows, page, up_to.as_deref());
                    pages.iter().map(take).collect::<StoreResult<Vec<bool>>>()
                })
            })
            .await;
        let taken = match taken {
            Kept::Stored(taken) => taken,
            Kept::Dropped => return true,
            Kept::NotLeader => return false,
        };
        let fresh = pages.iter().zip(taken).filter(|(_, taken)| *taken);
        self.metrics.listed(fresh.map(|((page, _), _)| page.assets.len() as u64).sum());
        true
    }

    /// Keeps what a purge removed. Returns whether it need not come again.
    async fn bury(&self, unit: UnitId, burials: Vec<Burial>) -> bool {
        let burials = Arc::new(burials);
        let kept = self
            .persist(&AtomicBool::new(false), || {
                let (engine, burials, now) = (Arc::clone(&self.engine), Arc::clone(&burials), (self.clock)());
                self.store.write(move |tx| {
                    let workflows = engine.lock().workflows.clone();
                    burial::bury(tx, &workflows, unit, burials.to_vec(), now)
                })
            })
            .await;
        // Unlike ends, which lapse and are done again, a removal that is not kept is forgotten: it stays in the transport.
        matches!(kept, Kept::Stored(()))
    }

    /// Repeats a write until it is in or certainly cannot be: what was reported is not dropped for a full disk. Nor for a
    /// commit whose reply was lost: settled twice, a report changes nothing (FEN-1). `unsure` is set when one was.
    async fn persist<R, F, Fut>(&self, unsure: &AtomicBool, mut write: F) -> Kept<R>
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
                    unsure.store(true, Ordering::Relaxed);
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

/// A page, and where its listing goes on after it when that is a key.
type Listed = (ScanPage, Option<String>);

fn listed(report: Report) -> Option<Listed> {
    match report {
        Report::Page(page) => Some((page, None)),
        Report::PageUpTo(page, up_to) => Some((page, Some(up_to))),
        _ => None,
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
