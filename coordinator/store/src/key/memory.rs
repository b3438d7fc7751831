//! The deployment's key in memory.
use super::KeyTx;
use crate::error::StoreResult;
use crate::memory::Memory;

impl KeyTx for Memory {
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String> {
        Ok(self.key.get_or_insert_with(|| fresh.to_owned()).clone())
    }
}
