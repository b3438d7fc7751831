//! Persists the list of workers, re-sends unacknowledged orders, and quarantines sick workers.
use crate::dispatch::fleet::WorkerSeen;
use crate::leader::Coordinator;
use crate::leader::reactor::HealthCheck;
use crate::reconcile::rates;
use crate::reconcile::worker_orders;
use crate::store::{StoreError, StoreResult, Tx, WorkerRow};
use protocol::id::{UnitId, WorkerId};
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use std::time::Duration;

/// Intervals of the duties about workers.
#[derive(Debug, Clone, Copy)]
pub struct WorkerTickConfig {
    /// Time between two writes of the list of workers.
    pub every: Duration,
    /// Time between two health checks. It is short: a worker that fails fast takes more units than any other.
    pub judge_every: Duration,
}

impl Default for WorkerTickConfig {
    fn default() -> WorkerTickConfig {
        WorkerTickConfig { every: Duration::from_secs(2), judge_every: Duration::from_millis(200) }
    }
}

impl Coordinator {
    /// Writes the list of workers and their transfer rates, and sends the orders that follow from it.
    pub(super) async fn on_worker_tick(&self, now: Timestamp) -> StoreResult<()> {
        let workers = self.workers();
        if workers.is_empty() {
            return Ok(());
        }
        let rows: Vec<WorkerRow> = workers.iter().map(|(name, seen)| row(name, seen)).collect();
        // One after the other: the engine is locked for the length of a turn.
        let rates = self.state.lock().throughput.to_tell(now);
        let workflows = self.engine.lock().workflows.clone();
        let written = self.store.write(move |tx| {
            if let Some(rates) = rates {
                rates::put(tx, &workflows, rates)?;
            }
            worker_orders::apply_orders(tx, &rows, now)
        });
        for command in written.await? {
            if let Control::Release(worker) = &command {
                self.state.lock().health.forget(worker);
            }
            self.send(command).await;
        }
        Ok(())
    }

    /// Quarantines workers in which units fail that succeed elsewhere, and lifts the quarantine of cleared ones.
    pub(super) async fn quarantine_sick(&self, now: Timestamp) -> StoreResult<()> {
        if !self.state.lock().health.is_due(now) {
            return Ok(());
        }
        let HealthCheck { sick, cleared } = self.reactor().check_health(&self.config.leases, now);
        if !cleared.is_empty() {
            self.store.write(move |tx| worker_orders::lift_quarantine(tx, &cleared, now)).await?;
        }
        for advice in sick {
            let (name, reason, failed) = (advice.worker.0.clone(), advice.reason.clone(), advice.failed.len());
            let write = self.store.write(move |tx| worker_orders::quarantine(tx, &name, &reason, failed, now));
            let Some(operation) = write.await? else { continue };
            tracing::error!(worker.id = %advice.worker, reason = advice.reason, failed, "a worker was quarantined");
            // The units that it had no space for are remembered: another worker may have none either.
            if !advice.no_space {
                self.state.lock().health.forget(&advice.worker);
            }
            self.send(Control::Hold(advice.worker)).await;
            self.refund(operation, advice.failed, now).await?;
        }
        Ok(())
    }

    /// Refunds attempts, a page in one transaction: a worker that was alone may have failed thousands of units.
    async fn refund(&self, operation: i64, failed: Vec<(UnitId, u32)>, now: Timestamp) -> StoreResult<()> {
        for page in failed.chunks(worker_orders::REFUND_PAGE) {
            loop {
                let (workflows, page) = (self.engine.lock().workflows.clone(), page.to_vec());
                let refund = move |tx: &mut dyn Tx| worker_orders::refund_page(tx, &workflows, operation, &page, now);
                match self.store.write(refund).await {
                    Ok(_) => break,
                    Err(StoreError::JobAside { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.wake.notify_one();
        Ok(())
    }

    /// Sends a command. One that does not arrive is sent again at the next tick.
    async fn send(&self, message: Control) {
        if let Err(error) = self.queue.control(message).await {
            tracing::warn!(%error, "a command could not be sent to a worker");
        }
    }
}

fn row(name: &WorkerId, seen: &WorkerSeen) -> WorkerRow {
    let slots = seen.slots.iter().map(|(kind, total, free)| format!("{kind}={}/{total}", total.saturating_sub(*free)));
    WorkerRow {
        name: name.0.clone(),
        slots: slots.collect::<Vec<_>>().join(","),
        held: seen.held as u64,
        heard_at: seen.heard_at,
        state: if seen.draining { "draining" } else { "working" }.to_owned(),
        order: None,
    }
}
