//! Takes back what has lapsed, and what the transport says it no longer holds.
use super::{Coordinator, MISSING_PAGE, UNSEEN};
use crate::leases::Lapsed;
use crate::queue::QueueError;
use crate::service::rescuer::{self, Taken};
use crate::store::StoreResult;
use protocol::rules::poison::PoisonLimits;
use protocol::time::Timestamp;

impl Coordinator {
    /// Takes back what has lapsed.
    pub(super) async fn rescue(&self, now: Timestamp) -> StoreResult<()> {
        let mut gone = self.leases.lock().lapsed(&self.limits, now);
        match self.missing(now).await {
            Ok(missing) => gone.extend(missing),
            // A transport that is away proves nothing about the units in it (LEASE-1).
            Err(error) => {
                tracing::debug!(%error, "the transport could not be asked what it holds");
                self.leases.lock().readable_from(now);
                return Ok(());
            }
        }
        for lapsed in gone {
            self.take_back(lapsed, now).await?;
        }
        Ok(())
    }

    async fn take_back(&self, lapsed: Lapsed, now: Timestamp) -> StoreResult<()> {
        let Lapsed { unit, epoch, with } = lapsed;
        let workflows = self.engine.lock().workflows.clone();
        let told = with.as_ref().map(|with| with.worker.clone()).unwrap_or_default();
        let write = self.store.write(move |tx| match &with {
            Some(with) => rescuer::take_back_lost(tx, &workflows, (unit, epoch), with, &PoisonLimits::default(), now),
            None => Ok(if rescuer::take_back(tx, unit, epoch)? { Taken::Ready } else { Taken::No }),
        });
        let taken = write.await?;
        let kind = self.leases.lock().kind_of(unit);
        self.leases.lock().ended(unit, epoch);
        match taken {
            Taken::No => return Ok(()),
            Taken::Ready => tracing::warn!(unit.id = %unit, unit.epoch = epoch, worker.id = told, "taken back"),
            Taken::Suspect => {
                self.engine.lock().suspect(unit);
                tracing::warn!(unit.id = %unit, unit.epoch = epoch, worker.id = told, "taken back; it runs alone next");
            }
            Taken::Parked => {
                tracing::error!(unit.id = %unit, unit.epoch = epoch, worker.id = told, "parked: it kills its workers");
            }
        }
        kind.into_iter().for_each(|kind| self.metrics.reclaimed(kind));
        Ok(())
    }

    async fn missing(&self, now: Timestamp) -> Result<Vec<Lapsed>, QueueError> {
        if self.queue.wiped().await? {
            tracing::warn!("the transport was empty: handing out again what no worker holds");
            let waiting = self.leases.lock().unclaimed(now, usize::MAX);
            return Ok(waiting.into_iter().map(|(unit, epoch)| Lapsed { unit, epoch, with: None }).collect());
        }
        let (waiting, alive) = {
            let mut leases = self.leases.lock();
            let before = Timestamp(now.0.saturating_sub(i64::try_from(UNSEEN.as_micros()).unwrap_or(i64::MAX)));
            (leases.unclaimed(before, MISSING_PAGE), leases.alive(&self.limits, now))
        };
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let lost = self.queue.lost(waiting, alive).await?;
        let leases = self.leases.lock();
        let lapsed = |lost: crate::queue::Lost| {
            let with =
                lost.holder.and_then(|holder| leases.lost_with(&holder, lost.unit, lost.epoch, &self.limits, now));
            Lapsed { unit: lost.unit, epoch: lost.epoch, with }
        };
        Ok(lost.into_iter().map(lapsed).collect())
    }
}
