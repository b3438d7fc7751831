//! The beginning of a term: the key of the database, and the units that an earlier process had out.
use crate::dispatch::outstanding;
use crate::leader::Coordinator;
use crate::reconcile::recovery;
use crate::store::{StoreError, StoreResult};
use transport::signature;

impl Coordinator {
    /// Signs units from now on, with the key of this database.
    pub(super) async fn sign(&self) -> StoreResult<()> {
        let Some(fresh) = signature::fresh_seed() else {
            return Ok(());
        };
        let seed = self.store.write(move |tx| tx.cluster_key(&fresh)).await?;
        self.queue.sign_with(&seed);
        Ok(())
    }

    /// Adopts leases of the previous leader; their workers may still be running.
    pub(super) async fn adopt(&self) -> StoreResult<()> {
        // No units are claimed between the pages: they would be listed as well, and may have ended by then.
        let _claim = self.claiming.lock().await;
        let jobs = self.store.write(|tx| tx.jobs(true, u32::MAX)).await?;
        for job in jobs {
            let (mut place, mut units) = (Some(outstanding::Cursor::Leased(None)), 0);
            while let Some(at) = place {
                let inside = self.reactor();
                let page = self
                    .store
                    .write(move |tx| inside.adopt_page(tx, job.no, at));
                let (out, next) = match page.await {
                    Ok(page) => page,
                    // It is aside from now on; the others are watched.
                    Err(StoreError::JobAside { .. }) => break,
                    Err(error) => return Err(error),
                };
                self.reactor().on_adopted(&out, (self.clock)());
                units += out.len();
                place = next;
            }
            if units > 0 {
                tracing::info!(job.id = %job.id, units, "adopted leases of the previous leader");
            }
        }
        Ok(())
    }

    /// Takes back what an earlier process of this data directory had out: its workers ended with it.
    pub(super) async fn recover(&self) -> StoreResult<()> {
        let jobs = self.store.write(|tx| tx.jobs(true, u32::MAX)).await?;
        for job in jobs {
            let mut taken = 0;
            loop {
                let workflows = self.engine.lock().workflows.clone();
                let page = self.store.write(move |tx| {
                    workflows.for_job(tx, job.no, |tx| recovery::recover(tx, &workflows, job.no))
                });
                let page = match page.await {
                    Ok(page) => page.unwrap_or_default(),
                    Err(StoreError::JobAside { .. }) => break,
                    Err(error) => return Err(error),
                };
                taken += page;
                if page == 0 {
                    break;
                }
            }
            if taken > 0 {
                tracing::info!(job.id = %job.id, units = taken, "reclaimed the units of an interrupted run");
            }
        }
        Ok(())
    }
}
