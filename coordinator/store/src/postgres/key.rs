//! The deployment's key.
use super::tx::{PostgresTx, column};
use crate::{KeyTx, StoreError, StoreResult};

impl KeyTx for PostgresTx<'_> {
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String> {
        self.run("INSERT INTO cluster_key (one, seed) VALUES (1, $1) ON CONFLICT DO NOTHING", &[&fresh])?;
        let seed = self.one("SELECT seed FROM cluster_key WHERE one = 1", &[], |row| column(row, 0))?;
        seed.ok_or_else(|| StoreError::Corrupt("no cluster key".into()))
    }
}
