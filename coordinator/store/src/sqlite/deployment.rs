//! Which deployment a database belongs to.
use super::SqliteTx;
use crate::deployment::DeploymentTx;
use crate::{StoreError, StoreResult};

impl DeploymentTx for SqliteTx<'_> {
    fn deployment(&mut self) -> StoreResult<String> {
        let id = self.one("SELECT id FROM deployment", [], |row| row.get(0))?;
        id.ok_or_else(|| StoreError::Corrupt("it has no deployment id".into()))
    }
}
