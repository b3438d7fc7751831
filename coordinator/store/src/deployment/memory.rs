//! The deployment's id in memory.
use super::DeploymentTx;
use crate::error::StoreResult;
use crate::memory::Memory;

impl DeploymentTx for Memory {
    fn deployment(&mut self) -> StoreResult<String> {
        Ok("memory".into())
    }
}
