//! Transfer rates in memory.
use super::{Pace, PaceTx};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::JobNo;

impl PaceTx for Memory {
    fn pace(&mut self, job: JobNo) -> StoreResult<Option<Pace>> {
        Ok(self.rate.get(&job).cloned())
    }

    fn put_paces(&mut self, paces: &[(JobNo, Pace)]) -> StoreResult<()> {
        self.rate = paces.iter().cloned().collect();
        Ok(())
    }
}
