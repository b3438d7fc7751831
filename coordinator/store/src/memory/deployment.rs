//! The deployment of a store in memory.
use super::Memory;
use crate::deployment::DeploymentTx;
use crate::error::StoreResult;

impl DeploymentTx for Memory {
    fn deployment(&mut self) -> StoreResult<String> {
        Ok("memory".into())
    }
}
