//! The key that units are signed with. It belongs to the database: every leader over it signs with the same key.
use super::error::StoreResult;

/// The deployment's key.
pub trait KeyTx {
    /// The seed of the key; `fresh` from now on where there is none.
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String>;
}
