//! The key that units are signed with. It belongs to the database: every leader over it signs with the same key.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod sql;

use crate::error::StoreResult;

/// The deployment's key.
pub trait KeyTx {
    /// The seed of the key. Where there is none yet, `fresh` becomes the seed.
    fn cluster_key(&mut self, fresh: &str) -> StoreResult<String>;
}

/// The seed in memory.
pub(crate) type Table = Option<String>;
