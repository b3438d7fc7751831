//! Errors of the store.
use protocol::failure::ErrorClass;
use thiserror::Error;

/// Why a call of the store failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process holds the database, or it is unreachable.
    #[error("the database cannot be used now: {0}")]
    Busy(String),
    /// The disk of the database is full. Nothing is lost; work continues when there is space.
    #[error("no room for the database: {0}; free space on its disk")]
    Full(String),
    /// A newer build wrote the database.
    #[error("the database has schema {found}, this build knows {known}: use the newer showrunner")]
    NewerSchema {
        /// Version of the database.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// A stored value cannot be read.
    #[error("unreadable value in the database: {0}")]
    Corrupt(String),
    /// The rows of one job cannot be read. The job is set aside, and the transaction is repeated without it.
    #[error("job number {no} cannot be read by this version and is set aside: {why}")]
    JobAside {
        /// Number of the job.
        no: i64,
        /// Why it cannot be read.
        why: String,
    },
    /// The address, the password or the rights of this process are not accepted.
    #[error("the database rejected the statement: {0}")]
    Refused(String),
    /// This process is not the leader and must step down.
    #[error("this coordinator does not lead: {0}")]
    NotLeader(String),
    /// The thread of the store has ended.
    #[error("the store is closed")]
    Closed,
    /// Any other error of the database.
    #[error("database: {0}")]
    Database(String),
}

impl StoreError {
    /// The class of the error, which decides about retries.
    pub fn class(&self) -> ErrorClass {
        match self {
            StoreError::Busy(_) | StoreError::Full(_) | StoreError::JobAside { .. } => {
                ErrorClass::Transient
            }
            StoreError::Database(_) | StoreError::Closed => ErrorClass::Ambiguous,
            StoreError::NewerSchema { .. }
            | StoreError::Corrupt(_)
            | StoreError::Refused(_)
            | StoreError::NotLeader(_) => ErrorClass::Permanent,
        }
    }
}

/// The result of a call of the store.
pub type StoreResult<T> = Result<T, StoreError>;

/// The error of a stored value that cannot be read; `what` names it.
pub(crate) fn corrupt(what: &str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {value}"))
}
