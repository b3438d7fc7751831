//! The key of a store in memory.
use super::Memory;
use crate::error::StoreResult;
use crate::key::KeyTx;

impl KeyTx for Memory {
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String> {
        Ok(self.key.get_or_insert_with(|| fresh.to_owned()).clone())
    }
}
