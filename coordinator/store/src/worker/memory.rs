//! Workers in memory.
use super::{WorkerOrder, WorkerRow, WorkerTx};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::time::Timestamp;

impl WorkerTx for Memory {
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()> {
        for worker in workers {
            let order = self
                .worker
                .get(&worker.name)
                .and_then(|row| row.order.clone());
            self.worker.insert(
                worker.name.clone(),
                WorkerRow {
                    order,
                    ..worker.clone()
                },
            );
        }
        Ok(())
    }

    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>> {
        Ok(self.worker.values().cloned().collect())
    }

    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool> {
        let Some(row) = self.worker.get_mut(worker) else {
            return Ok(false);
        };
        row.order = order.cloned();
        Ok(true)
    }

    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()> {
        self.worker.retain(|_, row| row.heard_at >= before);
        Ok(())
    }
}
