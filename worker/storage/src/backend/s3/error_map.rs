//! Maps errors of S3 servers to storage errors.
use crate::StorageError;
use crate::error::{chain, retry_after};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use jiff::Timestamp;
use std::error::Error;
use std::time::Duration;

/// Whether a lost reply leaves the outcome unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing changes, or doing it again is the same.
    Repeatable,
    /// Something may have become visible.
    Commit,
}

/// Remedy for missing credentials.
const NAME_THEM: &str =
    "name them in the storage settings (`credentials_file`, `profile`), or say `anonymous: true`";

/// An error reply.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The error code of its body; answers to HEAD have none.
    pub(super) code: String,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    /// The region of the bucket, where the request went to another one.
    pub(super) region: Option<String>,
    /// The time of the server, as it writes it.
    pub(super) date: Option<String>,
}

impl Answer {
    /// The answer behind an error; `None` where none came.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Option<Answer>
    where
        E: ProvideErrorMetadata,
    {
        let raw = error.raw_response()?;
        let header = |name: &str| raw.headers().get(name).map(str::to_owned);
        let known = error.as_service_error();
        // An answer that is no document of the service, as proxies give them, has a status all the same.
        let status = raw.status().as_u16();
        (known.is_some() || status >= 300).then(|| Answer {
            status,
            code: known
                .and_then(|error| error.code())
                .unwrap_or_default()
                .to_owned(),
            message: known
                .and_then(|error| error.message())
                .unwrap_or_default()
                .to_owned(),
            retry_after: header("retry-after")
                .and_then(|wait| retry_after(&wait, Timestamp::now())),
            region: header("x-amz-bucket-region"),
            date: header("date"),
        })
    }

    fn said(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", _) => format!("status {}", self.status),
            (code, "") => code.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }

    /// Whether new credentials may be all that is needed.
    pub(super) fn refuses_credentials(&self) -> bool {
        self.expired() || matches!(self.status, 401 | 403)
    }

    /// Whether the credentials are too old.
    pub(super) fn expired(&self) -> bool {
        matches!(
            self.code.as_str(),
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired"
        )
    }

    /// Whether the request went to the wrong region.
    pub(super) fn elsewhere(&self) -> bool {
        let code = matches!(
            self.code.as_str(),
            "PermanentRedirect"
                | "TemporaryRedirect"
                | "Redirect"
                | "AuthorizationHeaderMalformed"
                | "IllegalLocationConstraintException"
        );
        code || matches!(self.status, 301 | 302 | 307 | 308)
            || (self.status == 400 && self.region.is_some())
    }
}

/// Reads an error at `location` without an answer.
pub(super) fn unanswered<E>(
    location: String,
    effect: Effect,
    error: &SdkError<E, HttpResponse>,
) -> StorageError
where
    E: Error + 'static,
{
    let said = chain(error);
    if let SdkError::ConstructionFailure(_) = error {
        return StorageError::Invalid { location, said };
    }
    // Without credentials nothing was sent.
    match credentials_error(error) {
        Some(CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_)) => {
            let said = format!("the credentials could not be loaded: {said}; {NAME_THEM}");
            StorageError::Unavailable { location, said }
        }
        Some(_) => StorageError::Denied {
            location,
            said: format!("there are no credentials: {said}; {NAME_THEM}"),
        },
        // A connection that ends before the reply leaves the outcome unknown.
        None if effect == Effect::Commit => StorageError::Unknown { location, said },
        None => StorageError::Unavailable { location, said },
    }
}

fn credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Reads an answer that is an error.
pub(super) fn answered(location: String, effect: Effect, answer: &Answer) -> StorageError {
    let said = answer.said();
    let transient = transient(&said, answer);
    match (answer.code.as_str(), answer.status) {
        ("NoSuchUpload", _) => StorageError::UploadGone(location),
        ("NoSuchBucket", _) => StorageError::Invalid {
            said: no_bucket(&location),
            location,
        },
        ("InvalidObjectState", _) => StorageError::Archived(location),
        (
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests",
            _,
        )
        | (_, 429 | 503) => StorageError::Throttled {
            location,
            said,
            retry_after: answer.retry_after,
        },
        (
            "BadDigest"
            | "InvalidDigest"
            | "XAmzContentSHA256Mismatch"
            | "XAmzContentChecksumMismatch",
            _,
        ) => StorageError::Corrupt { location, said },
        ("PreconditionFailed", _) | (_, 412) => StorageError::Precondition { location, said },
        // The object is shorter than it was.
        ("InvalidRange", _) | (_, 416) => StorageError::Precondition { location, said },
        _ if transient.is_some() => StorageError::Unavailable {
            location,
            said: transient.unwrap_or(said),
        },
        ("QuotaExceeded" | "XMinioStorageFull" | "InsufficientCapacity", _) | (_, 507) => {
            StorageError::Full { location, said }
        }
        ("EntityTooLarge" | "EntityTooSmall" | "InvalidPart" | "InvalidPartOrder", _) => {
            StorageError::Invalid { location, said }
        }
        _ if answer.elsewhere() => StorageError::Invalid {
            location,
            said: wrong_region(&said, answer),
        },
        ("NotImplemented" | "MethodNotAllowed", _) | (_, 405 | 501) => {
            StorageError::Unsupported { location, said }
        }
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "AccessDenied", _)
        | (_, 401 | 403) => StorageError::Denied { location, said },
        (_, 404) => StorageError::NotFound(location),
        // Also errors in the body of an answer that began with 200, as completions give them.
        ("InternalError", _) | (_, 500..=599) if effect == Effect::Commit => {
            StorageError::Unknown { location, said }
        }
        ("InternalError", _) | (_, 500..=599) => StorageError::Unavailable { location, said },
        _ => StorageError::Invalid { location, said },
    }
}

/// What is said of an answer that a later attempt need not get; nothing for other answers.
fn transient(said: &str, answer: &Answer) -> Option<String> {
    match (answer.code.as_str(), answer.status) {
        // Two commits met; AWS asks to look and try again.
        ("ConditionalRequestConflict" | "OperationAborted", _) => Some(said.to_owned()),
        ("RequestTimeout" | "IncompleteBody", _) | (_, 408) => Some(said.to_owned()),
        ("RequestTimeTooSkewed" | "RequestExpired", _) => {
            Some(format!("{said}; {}", clock(answer.date.as_deref())))
        }
        _ if answer.expired() => Some(format!(
            "{said}; renew the credentials where they come from, they are read again at the next attempt"
        )),
        _ => None,
    }
}

/// Names the bucket that does not exist.
pub(super) fn no_bucket(location: &str) -> String {
    let bucket = location
        .trim_start_matches("s3://")
        .split('/')
        .next()
        .unwrap_or_default();
    format!("the bucket {bucket:?} does not exist")
}

fn wrong_region(said: &str, answer: &Answer) -> String {
    match &answer.region {
        Some(region) => {
            format!("{said}; the bucket is in the region {region:?}: set `region` of its endpoint")
        }
        None => format!("{said}; the bucket is in another region: set `region` of its endpoint"),
    }
}

/// How far the clocks are apart, and what to do.
fn clock(date: Option<&str>) -> String {
    let theirs = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let apart =
        theirs.map(|theirs| (Timestamp::now().as_second() - theirs.timestamp().as_second()).abs());
    let by = apart.map_or_else(String::new, |seconds| format!(" by {seconds} s"));
    format!("the clock of this machine differs from the server's{by}: set it, best by NTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_difference_is_named() {
        assert!(clock(Some("Thu, 01 Jan 1970 00:00:10 GMT")).contains("by "));
        assert!(clock(None).contains("the clock of this machine differs from the server's:"));
    }
}
