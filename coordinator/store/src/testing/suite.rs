//! The suite that every store passes. Each check runs on a fresh store. A new store calls [`checks`] from its tests.
use super::fixture::{Check, job};
use crate::error::{StoreError, StoreResult};
use crate::handle::Backend;

macro_rules! all_checks {
    ($($domain:ident: $tx:ident $(($table:ident))?,)*) => {
        /// Every check, by domain.
        pub fn checks() -> Vec<Check> {
            [$(crate::$domain::conformance::CHECKS),*].concat()
        }
    };
}

domains!(all_checks);

/// A transaction that fails leaves nothing behind.
pub fn atomicity(backend: &mut Backend) {
    let failed: StoreResult<()> = backend.write(|tx| {
        tx.insert_job(&job("gone"))?;
        Err(StoreError::Busy("on purpose".into()))
    });
    assert!(failed.is_err());
    let found = backend.write(|tx| tx.job_by_id("gone")).expect("reads");
    assert_eq!(found, None);
}
