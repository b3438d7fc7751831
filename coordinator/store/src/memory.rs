//! The store in memory, for the simulator and fast tests: the same primitives over ordered maps. A transaction works on a copy
//! that replaces the original when it succeeds, so a failed one leaves nothing behind.
use crate::cost;
use crate::error::{StoreError, StoreResult};
use crate::tx::Tx;

macro_rules! tables {
    ($($domain:ident: $tx:ident $(($table:ident))?,)*) => {
        /// The tables of every domain.
        #[derive(Debug, Clone, Default)]
        pub struct Memory {
            $($(pub(crate) $domain: crate::$domain::$table,)?)*
        }
    };
}

domains!(tables);

impl Memory {
    /// Runs `work` in one transaction: all of it or nothing.
    pub fn write<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> StoreResult<R> {
        let mut copy = self.clone();
        cost::begin();
        let result = work(&mut copy)?;
        cost::end();
        *self = copy;
        Ok(result)
    }
}

/// The error of a row that is not there.
pub(crate) fn missing(what: &str) -> StoreError {
    StoreError::Corrupt(format!("no {what}"))
}
