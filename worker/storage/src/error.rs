//! Errors of storages: one enum for every backend, by what the caller may do about them.
use jiff::Timestamp;
use protocol::failure::{ErrorClass, Failure};
use protocol::model::location::masked;
use std::fmt;
use std::time::Duration;

/// Why an operation failed. Every message names the location, the cause and the remedy, without the signature or login
/// of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageError {
    /// No object has this location.
    NotFound(String),
    /// The storage refuses the credentials or their rights.
    Denied {
        /// Location of the object.
        location: String,
        /// The response of the storage.
        said: String,
    },
    /// A precondition failed: an object exists, or its state has changed. Nothing was changed.
    Precondition {
        /// Location of the object.
        location: String,
        /// The expected or found state.
        said: String,
    },
    /// The content lies in an archive and must be restored first.
    Archived(String),
    /// This backend, or the server behind it, cannot do that.
    Unsupported {
        /// Location of the object.
        location: String,
        /// The missing operation.
        said: String,
    },
    /// The request itself is wrong: a name, a size, a setting, a path that leaves its root.
    Invalid {
        /// Location of the object.
        location: String,
        /// The wrong part of the request.
        said: String,
    },
    /// A file is in the place of a directory, or a directory in the place of a file.
    Blocked {
        /// Location of the object.
        location: String,
        /// The entry in its place.
        said: String,
    },
    /// Bytes differ from their checksum. Sent content has not become visible.
    Corrupt {
        /// Location of the object.
        location: String,
        /// The checksums of both sides.
        said: String,
    },
    /// The storage no longer knows an upload: begin another one.
    UploadGone(String),
    /// The storage has no space left.
    Full {
        /// Location of the object.
        location: String,
        /// The response of the storage.
        said: String,
    },
    /// The storage limits the rate of requests.
    Throttled {
        /// Location of the object.
        location: String,
        /// The response of the storage.
        said: String,
        /// The requested wait, when the response names one.
        retry_after: Option<Duration>,
    },
    /// The operation did not happen and may succeed later: a broken connection, a server error.
    Unavailable {
        /// Location of the object.
        location: String,
        /// The cause, as the storage or the system reports it.
        said: String,
    },
    /// The reply to a change was lost: it may have happened. Check the state before a retry.
    Unknown {
        /// Location of the object.
        location: String,
        /// The cause, as the storage or the system reports it.
        said: String,
    },
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.message()))
    }
}

impl std::error::Error for StorageError {}

impl StorageError {
    fn message(&self) -> String {
        match self {
            StorageError::NotFound(location) => {
                format!("{location} does not exist: deliver it or correct the location")
            }
            StorageError::Denied { location, said } => format!(
                "{location} may not be used ({said}): check the credentials, their rights and this machine's clock"
            ),
            StorageError::Precondition { location, said } => {
                format!(
                    "{location} is not in the expected state ({said}): it was not touched; look at it, then retry"
                )
            }
            StorageError::Archived(location) => {
                format!("{location} is archived: restore it before it is read")
            }
            StorageError::Unsupported { location, said } => {
                format!("{location} cannot do this ({said}): choose another way or another place")
            }
            StorageError::Invalid { location, said } => {
                format!(
                    "{location} is refused ({said}): correct the location or the storage settings"
                )
            }
            StorageError::Blocked { location, said } => {
                format!(
                    "{location} is blocked ({said}): move what is there away or change the location, then retry"
                )
            }
            StorageError::Corrupt { location, said } => format!(
                "{location} carries other bytes than their checksum says ({said}): the network or a disk is faulty"
            ),
            StorageError::UploadGone(location) => format!(
                "the upload to {location} is no longer known: it was completed, aborted or cleaned up; it is begun again"
            ),
            StorageError::Full { location, said } => {
                format!("{location} has no space left ({said}): free or add space")
            }
            StorageError::Throttled { location, said, .. } => {
                format!("{location} asks for fewer requests ({said})")
            }
            StorageError::Unavailable { location, said } => {
                format!("{location} is not available ({said})")
            }
            StorageError::Unknown { location, said } => {
                format!(
                    "{location} gave no answer to a change ({said}): whether it happened is found out by looking"
                )
            }
        }
    }

    /// Class of the error for retry rules.
    pub fn class(&self) -> ErrorClass {
        match self {
            StorageError::Throttled { retry_after, .. } => ErrorClass::Throttled {
                retry_after_ms: retry_after
                    .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            },
            StorageError::Corrupt { .. }
            | StorageError::UploadGone(_)
            | StorageError::Full { .. }
            | StorageError::Unavailable { .. } => ErrorClass::Transient,
            StorageError::Unknown { .. } => ErrorClass::Ambiguous,
            _ => ErrorClass::Permanent,
        }
    }

    /// Stable code for grouping.
    pub fn reason(&self) -> &'static str {
        match self {
            StorageError::NotFound(_) => "storage_missing",
            StorageError::Denied { .. } => "storage_denied",
            StorageError::Precondition { .. } => "storage_conflict",
            StorageError::Archived(_) => "storage_archived",
            StorageError::Unsupported { .. } => "storage_unsupported",
            StorageError::Invalid { .. } => "storage_invalid",
            StorageError::Blocked { .. } => "storage_blocked",
            StorageError::Corrupt { .. } => "storage_corrupt",
            StorageError::UploadGone(_) => "storage_upload_gone",
            StorageError::Full { .. } => "storage_full",
            StorageError::Throttled { .. } => "storage_throttled",
            StorageError::Unavailable { .. } => "storage_unavailable",
            StorageError::Unknown { .. } => "storage_unknown",
        }
    }

    /// The failure of an asset with this error.
    pub fn failure(&self) -> Failure {
        Failure::new(self.class(), self.reason(), self.to_string())
    }

    /// A request that cannot be made: a wrong location, an option that the storage lacks.
    pub fn invalid(location: impl Into<String>, said: impl Into<String>) -> StorageError {
        StorageError::Invalid {
            location: location.into(),
            said: said.into(),
        }
    }

    /// An operation that this storage does not have.
    pub fn unsupported(location: impl Into<String>, said: impl Into<String>) -> StorageError {
        StorageError::Unsupported {
            location: location.into(),
            said: said.into(),
        }
    }

    /// A storage that does not answer.
    pub fn unavailable(location: impl Into<String>, said: impl Into<String>) -> StorageError {
        StorageError::Unavailable {
            location: location.into(),
            said: said.into(),
        }
    }

    /// Content that differs from what was written or declared.
    pub fn corrupt(location: impl Into<String>, said: impl Into<String>) -> StorageError {
        StorageError::Corrupt {
            location: location.into(),
            said: said.into(),
        }
    }

    /// A precondition that does not hold: the object exists, or has changed.
    pub fn precondition(location: impl Into<String>, said: impl Into<String>) -> StorageError {
        StorageError::Precondition {
            location: location.into(),
            said: said.into(),
        }
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// How long an answer asks to wait: seconds, or a date.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::from_secs(
        u64::try_from(at.as_second() - now.as_second()).unwrap_or(0),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_seconds_or_date_is_read() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(retry_after(" 7", now), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after("Thu, 01 Jan 2026 00:01:30 GMT", now),
            Some(Duration::from_secs(90))
        );
        assert_eq!(
            retry_after("Wed, 31 Dec 2025 23:00:00 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn every_error_names_its_place_and_has_a_class() {
        let place = || "s3://b/k".to_owned();
        let said = || "said".to_owned();
        let cases = [
            (StorageError::NotFound(place()), false),
            (
                StorageError::Denied {
                    location: place(),
                    said: said(),
                },
                false,
            ),
            (StorageError::precondition(place(), "x"), false),
            (StorageError::Archived(place()), false),
            (StorageError::unsupported(place(), "x"), false),
            (StorageError::invalid(place(), "x"), false),
            (
                StorageError::Blocked {
                    location: place(),
                    said: said(),
                },
                false,
            ),
            (StorageError::corrupt(place(), "x"), true),
            (StorageError::UploadGone(place()), true),
            (
                StorageError::Full {
                    location: place(),
                    said: said(),
                },
                true,
            ),
            (
                StorageError::Throttled {
                    location: place(),
                    said: said(),
                    retry_after: None,
                },
                true,
            ),
            (StorageError::unavailable(place(), "x"), true),
            (
                StorageError::Unknown {
                    location: place(),
                    said: said(),
                },
                true,
            ),
        ];
        for (error, retryable) in cases {
            assert!(error.to_string().contains("s3://b/k"), "{error}");
            assert_eq!(error.class().retryable(), retryable, "{error}");
            assert_eq!(error.failure().reason, error.reason());
        }
    }
}
