//! Persists the list of workers, re-sends unacknowledged orders, and quarantines sick workers.
use crate::leader::Coordinator;
use crate::leader::reactor::HealthCheck;
use crate::reconcile::worker_orders;
use crate::store::{StoreError, StoreResult, Tx};
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
        WorkerTickConfig {
            every: Duration::from_secs(2),
            judge_every: Duration::from_millis(200),
        }
    }
}

impl Coordinator {
    /// Writes the list of workers and their transfer rates, and sends the orders that follow from it.
    pub(super) async fn on_worker_tick(&self, now: Timestamp) -> StoreResult<()> {
        let (reactor, inside) = (self.reactor(), self.reactor());
        let seen = reactor.workers_to_write(now);
        if seen.rows.is_empty() {
            return Ok(());
        }
        let commands = self
            .store
            .write(move |tx| inside.write_workers(tx, &seen, now))
            .await?;
        reactor.on_workers_written(&commands);
        for command in commands {
            self.send(command).await;
        }
        Ok(())
    }

    /// Quarantines workers in which units fail that succeed elsewhere, and lifts the quarantine of cleared ones.
    pub(super) async fn quarantine_sick(&self, now: Timestamp) -> StoreResult<()> {
        self.refund(now).await?;
        if !self.state.lock().health.is_due(now) {
            return Ok(());
        }
        let HealthCheck { sick, cleared } = self.reactor().check_health(&self.config.leases, now);
        if !cleared.is_empty() {
            self.store
                .write(move |tx| worker_orders::lift_quarantine(tx, &cleared, now))
                .await?;
        }
        for advice in sick {
            let (reactor, inside, asked) = (self.reactor(), self.reactor(), advice.clone());
            let write = self
                .store
                .write(move |tx| inside.quarantine(tx, &asked, now));
            let Some(operation) = write.await? else {
                continue;
            };
            let failed = advice.failed.len();
            tracing::error!(worker.id = %advice.worker, reason = advice.reason, failed, "a worker was quarantined");
            reactor.on_quarantined(&advice, operation);
            self.send(Control::Hold(advice.worker)).await;
        }
        self.refund(now).await
    }

    /// Refunds attempts, a page in one transaction: a worker that was alone may have failed thousands of units. A page that
    /// fails is repeated at the next check.
    async fn refund(&self, now: Timestamp) -> StoreResult<()> {
        let reactor = self.reactor();
        while let Some(page) = reactor.next_refund() {
            let (inside, refund) = (reactor.clone(), page.clone());
            match self
                .store
                .write(move |tx: &mut dyn Tx| inside.refund(tx, &refund, now))
                .await
            {
                Ok(_) => reactor.on_refunded(&page),
                // Its units are left out from now on.
                Err(StoreError::JobAside { .. }) => {}
                Err(error) => return Err(error),
            }
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Sends a command. One that does not arrive is sent again at the next tick.
    async fn send(&self, message: Control) {
        if let Err(error) = self.queue.control(message).await {
            tracing::warn!(%error, "a command could not be sent to a worker");
        }
    }
}
