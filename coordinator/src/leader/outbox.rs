//! Units that the transport had no room for, and cleaning up behind workers that are gone.
use crate::leader::{Coordinator, RETRY_STORE};
use crate::queue::{Cleaned, QueueError};
use protocol::failure::Failure;
use protocol::id::WorkerId;
use protocol::model::priority::Priority;
use protocol::time::Timestamp;
use protocol::wire::batch::too_long;
use protocol::wire::envelope::BYTES_MAX;
use protocol::wire::keys;
use protocol::wire::report::{Outcome, UnitResult};
use protocol::wire::unit::Unit;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest pause before a full transport is offered units again: well below the time after which a unit is looked for.
const FULL_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Interval and limit of cleaning up behind workers.
#[derive(Debug, Clone, Copy)]
pub struct CleanupConfig {
    /// Time between two rounds.
    pub every: Duration,
    /// A consumer that has asked for no units for this long may be removed.
    pub dead_idle: Duration,
}

impl Default for CleanupConfig {
    fn default() -> CleanupConfig {
        CleanupConfig {
            every: Duration::from_secs(10),
            dead_idle: Duration::from_secs(60),
        }
    }
}

/// Reason code of a unit that does not fit into a message.
const UNIT_TOO_LONG: &str = "unit_too_long";
/// Who reports such a unit.
const COORDINATOR: &str = "coordinator";

/// The end of a unit that cannot be sent.
fn unsendable(unit: &Unit, bytes: usize) -> Outcome {
    let message = format!(
        "the unit takes {bytes} bytes; {BYTES_MAX} fit into one message: use a lower partition.max_assets, or shorter paths and \
         fewer metadata columns in the library"
    );
    let result = UnitResult::Failed(Failure::permanent(UNIT_TOO_LONG, message));
    Outcome {
        unit: unit.id,
        epoch: unit.epoch,
        worker: WorkerId(COORDINATOR.into()),
        result,
        duration_us: 0,
    }
}

impl Coordinator {
    /// Publishes units. Those that the transport certainly did not take wait in the outbox, under the same epoch.
    pub(super) async fn publish(
        &self,
        class: Priority,
        units: Vec<Unit>,
    ) -> Result<(), QueueError> {
        let units = self.without_unsendable(units);
        match self.queue.publish(class, units).await {
            Err(QueueError::Untaken { units, why, unsure }) => {
                self.full.raise(&why);
                let mut state = self.state.lock();
                state.outbox.push((class, units));
                state.recalled &= !unsure;
                Ok(())
            }
            Err(error) => {
                // Some may wait in the streams: the streams are read before they count as missing.
                self.state.lock().recalled = false;
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Takes out the units that do not fit into a message: they fail by themselves, and everything else is published.
    fn without_unsendable(&self, units: Vec<Unit>) -> Vec<Unit> {
        if !self.queue.sends_messages() {
            return units;
        }
        let (mut sendable, mut failed) = (Vec::with_capacity(units.len()), Vec::new());
        for unit in units {
            match too_long(&unit) {
                None => sendable.push(unit),
                Some(bytes) => failed.push(unsendable(&unit, bytes)),
            }
        }
        if !failed.is_empty() {
            tracing::error!(
                units = failed.len(),
                "units are too long to be sent; they fail"
            );
            self.state.lock().unsendable.extend(failed);
            self.wake.notify_one();
        }
        sendable
    }

    /// Settles units that could not be sent.
    pub(super) async fn fail_unsendable(&self) {
        let failed = std::mem::take(&mut self.state.lock().unsendable);
        // The next leader finds them as this one did.
        self.settle_ends(failed).await;
    }

    /// Offers waiting units to the transport again, with a pause that grows while it takes none.
    pub(super) async fn offer_again(&self, stop: &CancellationToken, pause: &mut Duration) {
        if self.flush_outbox().await {
            *pause = RETRY_STORE;
            return;
        }
        *pause = (*pause * 2).min(FULL_PAUSE_MAX);
        drop(tokio::time::timeout(*pause, stop.cancelled()).await);
    }

    /// Whether everything was taken.
    async fn flush_outbox(&self) -> bool {
        let waiting = std::mem::take(&mut self.state.lock().outbox);
        for (class, mut units) in waiting {
            {
                let leases = &mut self.state.lock().leases;
                // Units that were cancelled or taken back meanwhile are dropped.
                units.retain(|unit| leases.is_latest(unit.id, unit.epoch));
                // The age of a missing unit counts from now.
                leases.published(&units, (self.clock)());
            }
            if units.is_empty() {
                continue;
            }
            if let Err(error) = self.publish(class, units).await {
                // Whether it was taken is not known: if not, it is found missing and taken back.
                self.full.raise(&error);
            }
        }
        let empty = self.state.lock().outbox.is_empty();
        if empty {
            self.full.clear();
        }
        empty
    }

    /// Cleans up consumers of lost workers, and warns of entries that no worker could read. A round asks about each lost
    /// worker in sequence, so it runs concurrently with the turns; rounds do not overlap.
    pub(super) fn clean(&self, last: &mut Timestamp, now: Timestamp, stop: &CancellationToken) {
        let Ok(round) = Arc::clone(&self.cleaning).try_lock_owned() else {
            return;
        };
        if now.since(*last) < self.config.cleanup.every {
            return;
        }
        *last = now;
        let alive = self.state.lock().leases.alive(&self.config.leases, now);
        let (state, ended) = (Arc::clone(&self.state), stop.clone());
        // What another leader hands out is not known here: once the term has ended, everything counts as out.
        let is_out =
            move |unit, epoch| ended.is_cancelled() || state.lock().leases.holds(unit, epoch);
        let cleaner = self.clone();
        tokio::spawn(async move {
            let idle_min = cleaner.config.cleanup.dead_idle;
            let cleaned = cleaner.queue.clean(alive, Arc::new(is_out), idle_min).await;
            cleaner.report_cleaned(cleaned);
            drop(round);
        });
    }

    fn report_cleaned(&self, cleaned: Result<Cleaned, QueueError>) {
        match cleaned {
            Ok(cleaned) => {
                self.metrics.parked(cleaned.parked);
                if cleaned.parked > 0 {
                    let count = cleaned.parked;
                    self.parked.raise(&format!(
                        "{count} entries in {}; XRANGE shows each with its reason",
                        keys::PARKED
                    ));
                } else {
                    self.parked.clear();
                }
                if cleaned.consumers + cleaned.entries > 0 {
                    tracing::info!(
                        consumers = cleaned.consumers,
                        entries = cleaned.entries,
                        "cleaned up behind workers"
                    );
                }
            }
            Err(error) => tracing::debug!(%error, "the transport could not be cleaned up"),
        }
    }
}
