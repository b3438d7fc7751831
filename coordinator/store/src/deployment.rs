//! Which deployment a database belongs to. Its id is made once, by the migration that adds it.
use super::error::StoreResult;

/// The deployment.
pub trait DeploymentTx {
    /// Its id: the same for as long as the database, and its backups, live.
    fn deployment(&mut self) -> StoreResult<String>;
}
