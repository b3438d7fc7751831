//! Errors of the store.
use protocol::failure::ErrorClass;
use thiserror::Error;

/// Why the store could not answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the database, or it is away.
    #[error("the database cannot be used now: {0}")]
    Busy(String),
    /// No room on its disk: nothing is lost, work goes on when there is room again.
    #[error("no room for the database: {0}; free space on its disk")]
    Full(String),
    /// Written by a newer build.
    #[error("the database has schema {found}, this build knows {known}: use the newer showrunner")]
    NewerSchema {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// A stored value cannot be read.
    #[error("unreadable value in the database: {0}")]
    Corrupt(String),
    /// The address, the password or the rights of this process will not do.
    #[error("the database refuses: {0}")]
    Refused(String),
    /// Another process leads, or none does: this one must step down.
    #[error("this coordinator does not lead: {0}")]
    NotLeader(String),
    /// The store's thread has ended.
    #[error("the store is closed")]
    Closed,
    /// Anything else the database said.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// What may be done about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            StoreError::Busy(_) | StoreError::Full(_) => ErrorClass::Transient,
            StoreError::Database(_) | StoreError::Closed => ErrorClass::Ambiguous,
            StoreError::NewerSchema { .. }
            | StoreError::Corrupt(_)
            | StoreError::Refused(_)
            | StoreError::NotLeader(_) => ErrorClass::Permanent,
        }
    }
}

/// Short for results of the store.
pub type StoreResult<T> = Result<T, StoreError>;
