//! Paces in memory.
use super::Memory;
use crate::error::StoreResult;
use crate::pace::{Pace, PaceTx};
use protocol::id::JobNo;

impl PaceTx for Memory {
    fn pace(&mut self, job: JobNo) -> StoreResult<Option<Pace>> {
        Ok(self.paces.get(&job).cloned())
    }

    fn put_paces(&mut self, paces: &[(JobNo, Pace)]) -> StoreResult<()> {
        self.paces = paces.iter().cloned().collect();
        Ok(())
    }
}
