//! Keeps the list of workers in the store, has them do what they were told, and puts sick ones aside.
use crate::dispatch::fleet::WorkerSeen;
use crate::leader::Coordinator;
use crate::reconcile::rates;
use crate::reconcile::worker_orders::{self, Telling};
use crate::store::{StoreResult, WorkerRow};
use protocol::id::WorkerId;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use std::collections::BTreeSet;

impl Coordinator {
    /// Writes how workers are and how fast they move bytes, and tells them what they have to be told.
    pub(super) async fn tend(&self, now: Timestamp) -> StoreResult<()> {
        let workers = self.workers();
        if workers.is_empty() {
            return Ok(());
        }
        let rows: Vec<WorkerRow> = workers.iter().map(|(name, seen)| row(name, seen)).collect();
        let (paces, workflows) = (self.movement.lock().to_tell(now), self.engine.lock().workflows.clone());
        let written = self.store.write(move |tx| {
            if let Some(paces) = paces {
                rates::put(tx, &workflows, paces)?;
            }
            worker_orders::tend(tx, &rows, now)
        });
        let tellings = written.await?;
        for telling in tellings {
            let message = match telling {
                Telling::Drain(name) => Control::Hold(WorkerId(name)),
                Telling::Release(name) => {
                    self.wards.lock().forget(&WorkerId(name.clone()));
                    Control::Release(WorkerId(name))
                }
            };
            self.tell(message).await;
        }
        Ok(())
    }

    /// Puts workers aside in which units fail that go well elsewhere.
    pub(super) async fn put_aside(&self, now: Timestamp) -> StoreResult<()> {
        if !self.wards.lock().is_due(now) {
            return Ok(());
        }
        let (findings, exonerated) = {
            let leases = self.leases.lock();
            let mut wards = self.wards.lock();
            wards.keep(|worker| leases.workers().contains_key(worker), now);
            if !wards.has_failures() {
                return Ok(());
            }
            let draining = |worker: &WorkerId| leases.workers().get(worker).is_none_or(|seen| seen.draining);
            let alive = leases.alive(&self.limits, now).into_iter();
            let taking: BTreeSet<WorkerId> = alive.filter(|worker| !draining(worker)).collect();
            // One that takes work was not put aside, and need not be freed.
            let exonerated = wards.exonerated().into_iter().filter(draining).map(|worker| worker.0);
            (wards.findings(&taking), exonerated.collect::<Vec<_>>())
        };
        if !exonerated.is_empty() {
            self.store.write(move |tx| worker_orders::exonerate(tx, &exonerated, now)).await?;
        }
        for finding in findings {
            let workflows = self.engine.lock().workflows.clone();
            let (name, reason, failed) = (finding.worker.0.clone(), finding.reason.clone(), finding.failed);
            let write =
                self.store.write(move |tx| worker_orders::quarantine(tx, &workflows, &name, &reason, &failed, now));
            let Some(refunded) = write.await? else { continue };
            tracing::error!(worker.id = %finding.worker, reason = finding.reason, refunded, "a worker was put aside");
            // What it had no space for is remembered: another may have none either.
            if !finding.no_space {
                self.wards.lock().forget(&finding.worker);
            }
            self.tell(Control::Hold(finding.worker)).await;
        }
        Ok(())
    }

    /// What does not arrive is said again at the next look.
    async fn tell(&self, message: Control) {
        if let Err(error) = self.queue.control(message).await {
            tracing::warn!(%error, "a worker could not be told");
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
