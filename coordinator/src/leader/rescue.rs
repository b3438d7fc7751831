//! Takes back leases that have lapsed, and units that the transport no longer holds.
use crate::leader::Coordinator;
use crate::leader::memory::lease_table::Lapsed;
use crate::queue::QueueError;
use crate::reconcile::rescuer::Taken;
use crate::store::StoreResult;
use protocol::id::Execution;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Units taken back in one transaction.
const TAKE_BACK_PAGE: usize = 1_000;

/// Interval and limits of taking back.
#[derive(Debug, Clone, Copy)]
pub struct RescueConfig {
    /// Time between two checks.
    pub every: Duration,
    /// A unit that no heartbeat has shown for this long after it was published is looked for in the transport.
    pub unseen: Duration,
    /// Units looked for in one check.
    pub page: usize,
}

impl Default for RescueConfig {
    /// Two heartbeats and a half make a unit unseen.
    fn default() -> RescueConfig {
        RescueConfig {
            every: Duration::from_secs(1),
            unseen: Duration::from_secs(8),
            page: 500,
        }
    }
}

impl Coordinator {
    /// Takes back what has lapsed.
    pub(super) async fn rescue(&self, now: Timestamp) -> StoreResult<()> {
        let unwatched = std::mem::take(&mut self.state.lock().unwatched);
        if unwatched {
            // A failed adoption is repeated at the next check: an unwatched unit would never be taken back.
            self.adopt()
                .await
                .inspect_err(|_| self.state.lock().unwatched = true)?;
        }
        let mut gone = self.state.lock().leases.lapsed(&self.config.leases, now);
        match self.missing(now).await {
            Ok(missing) => gone.extend(missing),
            // A transport that is away proves nothing about the units in it (LEASE-1).
            Err(error) => {
                tracing::debug!(%error, "the transport could not be asked what it holds");
                self.state.lock().leases.readable_from(now);
                return Ok(());
            }
        }
        for page in gone.chunks(TAKE_BACK_PAGE) {
            self.take_back(page.to_vec(), now).await?;
        }
        Ok(())
    }

    /// Takes back a page in one transaction: a wiped transport and a dead worker lose many units at once.
    async fn take_back(&self, page: Vec<Lapsed>, now: Timestamp) -> StoreResult<()> {
        let (reactor, asked) = (self.reactor(), page.clone());
        let taken = self
            .store
            .write(move |tx| reactor.take_back(tx, &asked, &PoisonLimits::default(), now))
            .await?;
        let mut ready: BTreeMap<String, u64> = BTreeMap::new();
        for (lapsed, taken) in page.into_iter().zip(taken) {
            let kind = self.reactor().on_taken_back(&lapsed, taken);
            let Lapsed {
                unit, epoch, with, ..
            } = lapsed;
            let worker = with.map(|with| with.worker).unwrap_or_default();
            match taken {
                Taken::No => continue,
                Taken::Ready => {
                    tracing::debug!(unit.id = %unit, unit.epoch = epoch, worker.id = worker, "taken back")
                }
                Taken::Suspect => {
                    tracing::warn!(unit.id = %unit, unit.epoch = epoch, worker.id = worker, "taken back; it runs alone next");
                }
                Taken::Parked if worker.is_empty() => {
                    tracing::error!(unit.id = %unit, unit.epoch = epoch, "parked: it vanishes again and again");
                }
                Taken::Parked => {
                    tracing::error!(unit.id = %unit, unit.epoch = epoch, worker.id = worker, "parked: it kills its workers");
                }
            }
            kind.into_iter()
                .for_each(|kind| self.metrics.reclaimed(kind));
            *ready.entry(worker).or_default() += u64::from(taken != Taken::Parked);
        }
        for (worker, units) in &ready {
            match worker.as_str() {
                "" => tracing::warn!(units, "taken back: no worker holds them"),
                worker => tracing::warn!(
                    units,
                    worker.id = worker,
                    "taken back: the worker is silent"
                ),
            }
        }
        if !ready.is_empty() {
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn missing(&self, now: Timestamp) -> Result<Vec<Lapsed>, QueueError> {
        if self.queue.wiped().await? {
            tracing::warn!(
                "the transport was empty: units that no worker holds are handed out again"
            );
            let waiting = self.state.lock().leases.unclaimed(now, usize::MAX);
            return Ok(waiting
                .into_iter()
                .map(|Execution { unit, epoch }| Lapsed {
                    unit,
                    epoch,
                    with: None,
                    vanished: false,
                })
                .collect());
        }
        let out = {
            let state = self.state.lock();
            (self.config.shared && !state.recalled).then(|| state.leases.all_out())
        };
        if let Some(out) = out {
            self.queue.recall(out).await?;
            self.state.lock().recalled = true;
        }
        let RescueConfig { unseen, page, .. } = self.config.rescue;
        let (waiting, alive) = {
            let leases = &mut self.state.lock().leases;
            // A report that was not read yet may be the end of a unit that the transport no longer holds.
            let heard = leases.as_heard(now);
            let before = Timestamp(
                heard
                    .0
                    .saturating_sub(i64::try_from(unseen.as_micros()).unwrap_or(i64::MAX)),
            );
            (
                leases.unclaimed(before, page),
                leases.alive(&self.config.leases, now),
            )
        };
        let lost = if waiting.is_empty() {
            Vec::new()
        } else {
            self.queue.lost(waiting, alive).await?
        };
        let (asked_at, leases) = ((self.clock)(), &mut self.state.lock().leases);
        let mut gone = leases.not_found(lost, &self.config.leases, asked_at);
        gone.extend(leases.missing());
        Ok(gone)
    }
}
