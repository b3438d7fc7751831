//! Takes back what has lapsed, and what the transport says it no longer holds.
use super::{Coordinator, MISSING_PAGE, UNSEEN};
use crate::leases::Lapsed;
use crate::queue::QueueError;
use crate::service::rescuer::{self, Taken};
use crate::store::{StoreResult, Tx};
use protocol::rules::poison::PoisonLimits;
use protocol::time::Timestamp;

/// Units taken back in one transaction.
const TAKE_BACK_PAGE: usize = 1_000;

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
        let (with, without): (Vec<Lapsed>, Vec<Lapsed>) = gone.into_iter().partition(|lapsed| lapsed.with.is_some());
        for lapsed in with {
            self.take_back(lapsed, now).await?;
        }
        for page in without.chunks(TAKE_BACK_PAGE) {
            self.take_back_all(page.to_vec(), now).await?;
        }
        Ok(())
    }

    /// Takes back what nobody is to blame for, a page in one transaction: a wiped transport loses thousands at once.
    async fn take_back_all(&self, page: Vec<Lapsed>, now: Timestamp) -> StoreResult<()> {
        let (asked, workflows) = (page.clone(), self.engine.lock().workflows.clone());
        let take = move |tx: &mut dyn Tx, Lapsed { unit, epoch, vanished, .. }: &Lapsed| -> StoreResult<Taken> {
            if *vanished {
                let limits = PoisonLimits::default();
                return rescuer::take_back_vanished(tx, &workflows, (*unit, *epoch), &limits, now);
            }
            Ok(if rescuer::take_back(tx, *unit, *epoch)? { Taken::Ready } else { Taken::No })
        };
        let write = self.store.write(move |tx| asked.iter().map(|lapsed| take(tx, lapsed)).collect());
        let taken: Vec<Taken> = write.await?;
        let mut count = 0;
        for (Lapsed { unit, epoch, .. }, taken) in page.into_iter().zip(taken) {
            let mut leases = self.leases.lock();
            let kind = leases.kind_of(unit);
            leases.ended(unit, epoch);
            drop(leases);
            if taken == Taken::Parked {
                tracing::error!(unit.id = %unit, unit.epoch = epoch, "parked: it vanishes again and again");
            }
            if taken != Taken::No {
                count += 1;
                tracing::debug!(unit.id = %unit, unit.epoch = epoch, "taken back");
                kind.into_iter().for_each(|kind| self.metrics.reclaimed(kind));
            }
        }
        if count > 0 {
            tracing::warn!(units = count, "taken back: no worker holds them");
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn take_back(&self, lapsed: Lapsed, now: Timestamp) -> StoreResult<()> {
        let Lapsed { unit, epoch, with, .. } = lapsed;
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
            return Ok(waiting
                .into_iter()
                .map(|(unit, epoch)| Lapsed { unit, epoch, with: None, vanished: false })
                .collect());
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
            Lapsed { unit: lost.unit, epoch: lost.epoch, with, vanished: lost.vanished }
        };
        Ok(lost.into_iter().map(lapsed).collect())
    }
}
