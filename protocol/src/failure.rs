//! Failures of units and assets, with the class that decides about retries.
use crate::model::location::masked;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// Class of an error: whether and how it may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorClass {
    /// The cause may disappear: retry after a backoff.
    Transient,
    /// The server throttles: retry, not before `retry_after_ms`.
    Throttled {
        /// Pause in milliseconds that the server requested, if any.
        retry_after_ms: Option<u64>,
    },
    /// The same input fails again: a person or a new input is needed.
    Permanent,
    /// The effect may have happened: inspect before a retry.
    Ambiguous,
}

impl ErrorClass {
    /// Every error class.
    pub const ALL: [ErrorClass; 4] = [
        ErrorClass::Transient,
        ErrorClass::Throttled {
            retry_after_ms: None,
        },
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

    /// Reads the spelling of [`ErrorClass::as_str`]; unknown text is permanent.
    pub fn parse(text: &str) -> ErrorClass {
        match text {
            "transient" => ErrorClass::Transient,
            "throttled" => ErrorClass::Throttled {
                retry_after_ms: None,
            },
            "ambiguous" => ErrorClass::Ambiguous,
            _ => ErrorClass::Permanent,
        }
    }

    /// Whether another attempt with the same input can end differently.
    pub fn retryable(self) -> bool {
        !matches!(self, ErrorClass::Permanent)
    }
}

/// Failure of one asset or of a whole unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Class for retries.
    pub class: ErrorClass,
    /// Stable code for grouping (`source_missing`, `qc_failed`, `destination_conflict`, …).
    pub reason: String,
    /// Message for people: what, where, what to do. Reports of earlier versions are masked when they are read.
    #[serde(deserialize_with = "message")]
    pub message: String,
    /// Ids of failed QC checks; empty for other failures.
    pub checks: Vec<String>,
    /// QC findings as a JSON array; `None` for other failures.
    pub findings: Option<String>,
}

fn message<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let text = String::deserialize(input)?;
    Ok(match masked(&text) {
        Cow::Owned(masked) => masked,
        Cow::Borrowed(_) => text,
    })
}

impl Failure {
    /// A failure without QC findings. Its message shows no signature and no login of an address that it names.
    pub fn new(class: ErrorClass, reason: &str, message: impl Into<String>) -> Failure {
        let message = masked(&message.into()).into_owned();
        Failure {
            class,
            reason: reason.to_owned(),
            message,
            checks: Vec::new(),
            findings: None,
        }
    }

    /// A failure that no retry can fix.
    pub fn permanent(reason: &str, message: impl Into<String>) -> Failure {
        Failure::new(ErrorClass::Permanent, reason, message)
    }

    /// A failure that a retry may fix.
    pub fn transient(reason: &str, message: impl Into<String>) -> Failure {
        Failure::new(ErrorClass::Transient, reason, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_with_a_signed_address_is_masked_when_made_and_when_read() {
        let message = "source https://h/a.mov?sig=SECRET is away";
        let made = Failure::transient("r", message);
        assert_eq!(made.message, "source https://h/a.mov?… is away");
        let earlier = serde_json::to_string(&Failure {
            message: message.to_owned(),
            ..made.clone()
        });
        assert_eq!(
            serde_json::from_str::<Failure>(&earlier.expect("encodes")).ok(),
            Some(made)
        );
    }
}
