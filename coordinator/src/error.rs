//! Why a request of an operator is refused.

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such job.
    NotFound,
    /// There is no such thing; the sentence says what.
    Unknown(String),
    /// The job's state does not allow it.
    Conflict(String),
    /// The request cannot be understood; what is wrong, and what was probably meant.
    Invalid(String, String),
}

/// The answer to a request.
pub type Answer<T> = Result<T, Refusal>;
