//! The deployment's key in SQL.
use super::KeyTx;
use crate::error::{StoreError, StoreResult};
use crate::sql::{Sql, values};

impl<T: Sql> KeyTx for T {
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String> {
        self.execute(
            "INSERT INTO cluster_key (one, seed) VALUES (1, ?1) ON CONFLICT DO NOTHING",
            &values![fresh],
        )?;
        let seed = self.query_one("SELECT seed FROM cluster_key WHERE one = 1", &[], |row| {
            row.get(0)
        })?;
        seed.ok_or_else(|| StoreError::Corrupt("no cluster key".into()))
    }
}
