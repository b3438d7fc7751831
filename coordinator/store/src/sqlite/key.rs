//! The deployment's key.
use super::SqliteTx;
use crate::{KeyTx, StoreError, StoreResult};
use rusqlite::params;

impl KeyTx for SqliteTx<'_> {
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String> {
        self.run("INSERT INTO cluster_key (one, seed) VALUES (1, ?1) ON CONFLICT DO NOTHING", params![fresh])?;
        let seed = self.one("SELECT seed FROM cluster_key WHERE one = 1", params![], |row| row.get(0))?;
        seed.ok_or_else(|| StoreError::Corrupt("no cluster key".into()))
    }
}
