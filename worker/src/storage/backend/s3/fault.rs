//! What the errors of S3 servers mean.
use crate::storage::StorageError;
use crate::storage::error::chain;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::time::Duration;

/// Whether a lost answer leaves open what has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing changes, or doing it again is the same.
    Repeatable,
    /// Something may have become visible.
    Commit,
}

/// Reads an error at `location`.
pub(super) fn fault<E>(location: String, effect: Effect, error: &SdkError<E, HttpResponse>) -> StorageError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let said = chain(error);
    match error {
        SdkError::ConstructionFailure(_) => StorageError::Invalid { location, said },
        SdkError::ServiceError(service) => {
            let (code, message) = (service.err().code(), service.err().message());
            let status = service.raw().status().as_u16();
            let said = match (code, message) {
                (Some(code), Some(message)) => format!("{code}: {message}"),
                (Some(code), None) => code.to_owned(),
                (None, _) => format!("status {status}"),
            };
            let wait = service.raw().headers().get("retry-after").and_then(|wait| wait.parse().ok());
            answered(location, effect, status, code.unwrap_or_default(), said, wait.map(Duration::from_secs))
        }
        // The chain of credentials failed: nothing was sent.
        SdkError::DispatchFailure(failure) if failure.is_other() || failure.is_user() => {
            StorageError::Denied { location, said }
        }
        _ if effect == Effect::Commit => StorageError::Unknown { location, said },
        _ => StorageError::Unavailable { location, said },
    }
}

/// Reads an answer that is an error.
fn answered(
    location: String,
    effect: Effect,
    status: u16,
    code: &str,
    said: String,
    retry_after: Option<Duration>,
) -> StorageError {
    match (code, status) {
        ("NoSuchUpload", _) => StorageError::UploadGone(location),
        ("NoSuchBucket", _) => StorageError::Invalid { location, said },
        ("InvalidObjectState", _) => StorageError::Archived(location),
        ("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests", _)
        | (_, 429 | 503) => StorageError::Throttled { location, said, retry_after },
        ("BadDigest" | "InvalidDigest" | "XAmzContentSHA256Mismatch" | "XAmzContentChecksumMismatch", _) => {
            StorageError::Corrupt { location, said }
        }
        ("PreconditionFailed", _) | (_, 412) => StorageError::Condition { location, said },
        // Two commits met; AWS asks to look and try again.
        ("ConditionalRequestConflict" | "OperationAborted", _) => StorageError::Unavailable { location, said },
        ("RequestTimeout" | "IncompleteBody" | "RequestTimeTooSkewed" | "ExpiredToken", _) => {
            StorageError::Unavailable { location, said }
        }
        ("EntityTooLarge" | "EntityTooSmall" | "InvalidPart" | "InvalidPartOrder" | "InvalidRange", _) => {
            StorageError::Invalid { location, said }
        }
        ("NotImplemented" | "MethodNotAllowed", _) | (_, 405 | 501) => StorageError::Unsupported { location, said },
        (_, 401 | 403) => StorageError::Denied { location, said },
        (_, 404) => StorageError::NotFound(location),
        (_, 507) => StorageError::Full { location, said },
        // Also errors in the body of an answer that began with 200, as completions give them.
        ("InternalError", _) | (_, 500..=599) if effect == Effect::Commit => StorageError::Unknown { location, said },
        ("InternalError", _) | (_, 500..=599) => StorageError::Unavailable { location, said },
        _ => StorageError::Invalid { location, said },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_may_be_done_about_them() {
        let of =
            |effect, status, code: &str| answered("s3://b/k".into(), effect, status, code, "x".into(), None).reason();
        for (status, code, reason) in [
            (404, "NoSuchKey", "storage_missing"),
            (404, "NoSuchUpload", "storage_upload_gone"),
            (404, "NoSuchBucket", "storage_invalid"),
            (403, "AccessDenied", "storage_denied"),
            (403, "InvalidObjectState", "storage_archived"),
            (400, "ExpiredToken", "storage_unavailable"),
            (400, "BadDigest", "storage_corrupt"),
            (412, "PreconditionFailed", "storage_conflict"),
            (503, "SlowDown", "storage_throttled"),
            (429, "", "storage_throttled"),
            (501, "NotImplemented", "storage_unsupported"),
            (507, "", "storage_full"),
            (400, "InvalidArgument", "storage_invalid"),
        ] {
            assert_eq!(of(Effect::Commit, status, code), reason, "{code}");
            assert_eq!(of(Effect::Repeatable, status, code), reason, "{code}");
        }
        assert_eq!(of(Effect::Commit, 500, "InternalError"), "storage_unknown");
        assert_eq!(of(Effect::Commit, 200, "InternalError"), "storage_unknown");
        assert_eq!(of(Effect::Repeatable, 500, "InternalError"), "storage_unavailable");
    }
}
