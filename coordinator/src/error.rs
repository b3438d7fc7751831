//! Errors of requests of operators: why one is refused, or why the store could not answer it.
use crate::store::{StoreError, StoreResult};

/// Why a request was not carried out. Every variant but the last is a refusal: an answer that the request deserves.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such job.
    #[error("no such job")]
    NotFound,
    /// Another thing that the request names does not exist; the text says which and how to list those that do.
    #[error("{0}")]
    Unknown(String),
    /// The state of the job, unit or task does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The request cannot be understood: what is wrong, and what was probably meant.
    #[error("{0}")]
    Invalid(String, String),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The answer to a request.
pub type Answer<T> = Result<T, Error>;

/// Takes an answer out of the transaction that made it. A refusal commits, because it is an answer; an error of the store
/// rolls back.
pub fn outcome<T>(answer: Answer<T>) -> StoreResult<Answer<T>> {
    match answer {
        Err(Error::Store(error)) => Err(error),
        answer => Ok(answer),
    }
}
