//! The deployment's id in SQL.
use super::DeploymentTx;
use crate::error::{StoreError, StoreResult};
use crate::sql::Sql;

impl<T: Sql> DeploymentTx for T {
    fn deployment(&mut self) -> StoreResult<String> {
        let id = self.query_one("SELECT id FROM deployment", &[], |row| row.get(0))?;
        id.ok_or_else(|| StoreError::Corrupt("the database has no deployment id".into()))
    }
}
