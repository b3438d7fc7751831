//! What a failure means to whoever has to react to it.
use serde::{Deserialize, Serialize};

/// The one question a retry rule asks of an error: what may be done about it?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// It may go away by itself: try again after a back-off.
    Transient,
    /// The other side asked for less: try again, not before `retry_after_ms` when it said so.
    Throttled {
        /// Milliseconds the other side asked for.
        retry_after_ms: Option<u64>,
    },
    /// The same input will fail again: a person or a new input is needed.
    Permanent,
    /// It may have happened: look before doing it again.
    Ambiguous,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [ErrorClass; 4] = [
        ErrorClass::Transient,
        ErrorClass::Throttled { retry_after_ms: None },
        ErrorClass::Permanent,
        ErrorClass::Ambiguous,
    ];

    /// Spelling in SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorClass::Transient => "transient",
            ErrorClass::Throttled { .. } => "throttled",
            ErrorClass::Permanent => "permanent",
            ErrorClass::Ambiguous => "ambiguous",
        }
    }

    /// Reads the spelling of [`ErrorClass::as_str`]; what is unknown is not worth a retry.
    pub fn parse(text: &str) -> ErrorClass {
        match text {
            "transient" => ErrorClass::Transient,
            "throttled" => ErrorClass::Throttled { retry_after_ms: None },
            "ambiguous" => ErrorClass::Ambiguous,
            _ => ErrorClass::Permanent,
        }
    }

    /// Whether another attempt with the same input can end differently.
    pub fn retryable(self) -> bool {
        !matches!(self, ErrorClass::Permanent)
    }
}

/// Why one asset, or a whole unit, did not succeed. `reason` is a stable code, `message` says what, where and what to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What may be done about it.
    pub class: ErrorClass,
    /// Stable code for grouping (`source_missing`, `qc_failed`, `destination_conflict`, …).
    pub reason: String,
    /// One sentence for a person: what, where, what to do.
    pub message: String,
    /// Ids of the QC checks that failed, when QC is what failed.
    pub checks: Vec<String>,
    /// The findings as a JSON array, when QC is what failed.
    pub findings: Option<String>,
}

impl Failure {
    /// A failure without QC findings.
    pub fn new(class: ErrorClass, reason: &str, message: impl Into<String>) -> Failure {
        Failure { class, reason: reason.to_owned(), message: message.into(), checks: Vec::new(), findings: None }
    }

    /// Shorthand for a failure that no retry can mend.
    pub fn permanent(reason: &str, message: impl Into<String>) -> Failure {
        Failure::new(ErrorClass::Permanent, reason, message)
    }

    /// Shorthand for a failure worth another attempt.
    pub fn transient(reason: &str, message: impl Into<String>) -> Failure {
        Failure::new(ErrorClass::Transient, reason, message)
    }
}
