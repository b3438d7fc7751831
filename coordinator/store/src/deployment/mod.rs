//! Which deployment a database belongs to. The migration that adds the table makes the id once.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;

/// Reads of the deployment.
pub trait DeploymentTx {
    /// The id of the deployment. It stays the same as long as the database and its backups live.
    fn deployment(&mut self) -> StoreResult<String>;
}
