//! Takes back what has lapsed, and what the transport says it no longer holds.
use crate::leader::memory::lease_table::Lapsed;
use crate::leader::{Coordinator, MISSING_PAGE, UNSEEN};
use crate::queue::QueueError;
use crate::reconcile::rescuer::Taken;
use crate::store::{StoreResult, Tx};
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use std::sync::atomic::Ordering;

/// Units taken back in one transaction.
const TAKE_BACK_PAGE: usize = 1_000;

impl Coordinator {
    /// Takes back what has lapsed.
    pub(super) async fn rescue(&self, now: Timestamp) -> StoreResult<()> {
        if self.unwatched.swap(false, Ordering::Relaxed) {
            // A failed adoption is repeated at the next look: an unwatched unit would never be taken back.
            self.adopt().await.inspect_err(|_| self.unwatched.store(true, Ordering::Relaxed))?;
        }
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
        let (reactor, asked) = (self.reactor(), page.clone());
        let limits = PoisonLimits::default();
        let take =
            move |tx: &mut dyn Tx| asked.iter().map(|lapsed| reactor.take_back(tx, lapsed, &limits, now)).collect();
        let taken: Vec<Taken> = self.store.write(take).await?;
        let mut count = 0;
        for (lapsed, taken) in page.into_iter().zip(taken) {
            let kind = self.reactor().taken_back(&lapsed, taken);
            let Lapsed { unit, epoch, .. } = lapsed;
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
        let (reactor, asked) = (self.reactor(), lapsed.clone());
        let taken = self.store.write(move |tx| reactor.take_back(tx, &asked, &PoisonLimits::default(), now)).await?;
        let kind = self.reactor().taken_back(&lapsed, taken);
        let Lapsed { unit, epoch, with, .. } = lapsed;
        let told = with.map(|with| with.worker).unwrap_or_default();
        match taken {
            Taken::No => return Ok(()),
            Taken::Ready => tracing::warn!(unit.id = %unit, unit.epoch = epoch, worker.id = told, "taken back"),
            Taken::Suspect => {
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
        if self.shared && !self.recalled.load(Ordering::Relaxed) {
            let out = self.leases.lock().all_out();
            self.queue.recall(out).await?;
            self.recalled.store(true, Ordering::Relaxed);
        }
        let (waiting, alive) = {
            let mut leases = self.leases.lock();
            // What was not read yet may be the end of a unit that the transport holds no more.
            let heard = leases.as_heard(now);
            let before = Timestamp(heard.0.saturating_sub(i64::try_from(UNSEEN.as_micros()).unwrap_or(i64::MAX)));
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
