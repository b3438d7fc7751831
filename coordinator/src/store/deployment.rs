//! Which deployment a database belongs to. Its id is made once, by the migration that adds it.
use super::StoreResult;
use super::memory::Memory;

/// The deployment.
pub trait DeploymentTx {
    /// Its id: the same for as long as the database, and its backups, live.
    fn deployment(&mut self) -> StoreResult<String>;
}

impl DeploymentTx for Memory {
    fn deployment(&mut self) -> StoreResult<String> {
        Ok("memory".into())
    }
}
