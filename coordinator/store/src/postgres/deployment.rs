//! Which deployment a database belongs to.
use super::tx::{PostgresTx, column};
use crate::deployment::DeploymentTx;
use crate::{StoreError, StoreResult};

impl DeploymentTx for PostgresTx<'_> {
    fn deployment(&mut self) -> StoreResult<String> {
        let id = self.one("SELECT id FROM deployment", &[], |row| column(row, 0))?;
        id.ok_or_else(|| StoreError::Corrupt("it has no deployment id".into()))
    }
}
