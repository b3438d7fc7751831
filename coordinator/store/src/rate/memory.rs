//! Transfer rates in memory.
use super::{RateTx, TransferRate};
use crate::error::StoreResult;
use crate::memory::Memory;
use protocol::id::JobNo;

impl RateTx for Memory {
    fn rate(&mut self, job: JobNo) -> StoreResult<Option<TransferRate>> {
        Ok(self.rate.get(&job).cloned())
    }

    fn put_rates(&mut self, rates: &[(JobNo, TransferRate)]) -> StoreResult<()> {
        self.rate = rates.iter().cloned().collect();
        Ok(())
    }
}
