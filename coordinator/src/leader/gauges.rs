//! Refreshes the gauges of the cluster every few seconds.
use crate::metrics::ClusterGauges;
use crate::query::cluster_stats::{ClusterStats, DesiredWorkers, LeaderSnapshot, cluster_stats};
use crate::store::StoreResult;
use crate::store::handle::Store;
use crate::workflows::Workflows;
use protocol::time::Timestamp;
use std::time::{Duration, Instant};

/// Time between two counts.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// The last count of the cluster.
#[derive(Default)]
pub(super) struct Counted {
    at: Option<Instant>,
    stats: ClusterStats,
    desired: DesiredWorkers,
    workflows: Workflows,
}

impl Counted {
    /// Counts again when the last count is old enough. Without a snapshot this process does not lead: the gauges are hidden,
    /// and what was learned in the term is forgotten.
    pub(super) async fn refresh(
        &mut self,
        store: &Store,
        gauges: &ClusterGauges,
        snapshot: Option<&LeaderSnapshot>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let Some(snapshot) = snapshot else {
            *self = Counted::default();
            gauges.show(None);
            return Ok(());
        };
        if self.at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        self.at = Some(Instant::now());
        let (workflows, mut desired, snapshot) = (
            self.workflows.clone(),
            self.desired.clone(),
            snapshot.clone(),
        );
        let counted = store.read(move |tx| {
            let counted = cluster_stats(tx, &workflows, &snapshot, &mut desired, now)?;
            Ok((counted, desired))
        });
        (self.stats, self.desired) = counted.await?;
        gauges.show(Some(&self.stats));
        Ok(())
    }

    /// The numbers of the last count.
    pub(super) fn stats(&self) -> &ClusterStats {
        &self.stats
    }
}
