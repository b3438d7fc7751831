//! The one shape of errors: a code, a message, a hint and a place.
use crate::error::Error;
use crate::store::StoreError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use protocol::yaml;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::{IntoResponses, ToSchema};

/// Seconds after which an answer of "not now" may be asked again.
const ASK_AGAIN: &str = "1";

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable code: `usage`, `invalid`, `forbidden`, `not_found`, `method_not_allowed`, `conflict`, `too_large`,
    /// `unsupported_media_type`, `timeout`, `misdirected`, `too_many`, `standby` or `unavailable`.
    pub error: String,
    /// The error as a sentence.
    pub message: String,
    /// The next step for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// File, line and column, parameter or field.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Where the same request belongs; sent as a redirection.
    #[serde(skip)]
    pub elsewhere: Option<String>,
}

/// Codes and their statuses.
const CODES: [(&str, u16); 13] = [
    ("usage", 400),
    ("forbidden", 403),
    ("not_found", 404),
    ("method_not_allowed", 405),
    ("timeout", 408),
    ("conflict", 409),
    ("too_large", 413),
    ("unsupported_media_type", 415),
    ("misdirected", 421),
    ("invalid", 422),
    ("too_many", 429),
    ("standby", 503),
    ("unavailable", 503),
];

impl Problem {
    /// A problem of this code.
    pub fn new(error: &str, message: impl Into<String>) -> Problem {
        Problem {
            error: error.to_owned(),
            message: message.into(),
            hint: None,
            place: None,
            elsewhere: None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the place of the error in the request or file, such as `job.yaml:3:7`.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Problem {
        self.place = Some(place.into());
        self
    }

    /// The HTTP status of its code.
    pub fn status(&self) -> u16 {
        CODES
            .iter()
            .find(|(code, _)| *code == self.error)
            .map_or(503, |(_, status)| *status)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = match &self.elsewhere {
            Some(place) => {
                let mut redirect = HttpResponse::TemporaryRedirect();
                redirect.insert_header((LOCATION, place.as_str()));
                redirect
            }
            None => HttpResponse::build(self.status_code()),
        };
        if matches!(self.status(), 429 | 503) {
            response.insert_header((RETRY_AFTER, ASK_AGAIN));
        }
        response.insert_header((CONTENT_TYPE, "application/json"));
        response.json(self)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::NotFound => Problem::new("not_found", "no such job").hint("showrunner job list"),
            Error::Unknown(what) => Problem::new("not_found", what),
            Error::Conflict(why) => Problem::new("conflict", why),
            Error::Invalid(why, hint) if hint.is_empty() => Problem::new("usage", why),
            Error::Invalid(why, hint) => Problem::new("usage", why).hint(hint),
            Error::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let code = if matches!(error, StoreError::NotLeader(_)) {
            "standby"
        } else {
            "unavailable"
        };
        Problem::new(code, error.to_string())
    }
}

impl From<Vec<yaml::Problem>> for Problem {
    fn from(problems: Vec<yaml::Problem>) -> Problem {
        let count = problems.len();
        let text: Vec<String> = problems.iter().map(yaml::Problem::to_string).collect();
        let more = if count > 1 {
            format!("\n{count} problems")
        } else {
            String::new()
        };
        let first = problems.first().map(|p| match p.at {
            Some((line, column)) => format!("{}:{line}:{column}", p.file),
            None => p.file.clone(),
        });
        Problem {
            place: first,
            ..Problem::new("invalid", format!("{}{more}", text.join("\n")))
        }
    }
}

/// The refusals that any request may meet.
#[derive(IntoResponses)]
#[expect(
    dead_code,
    reason = "used only to generate the responses of the OpenAPI document"
)]
pub(super) enum Refused {
    /// Sent by a standby that knows the leader's address; without it, a standby answers writes with 503.
    #[response(
        status = 307,
        description = "this coordinator is a standby: the leader is in `Location`"
    )]
    Elsewhere(#[to_schema] Problem),
    #[response(status = 400, description = "the request is malformed")]
    Usage(#[to_schema] Problem),
    /// Not from a browser on another site.
    #[response(status = 403, description = "not allowed")]
    Forbidden(#[to_schema] Problem),
    #[response(status = 404, description = "there is no such thing")]
    NotFound(#[to_schema] Problem),
    /// The body did not arrive.
    #[response(status = 408, description = "the body did not arrive in time")]
    Timeout(#[to_schema] Problem),
    /// Its state does not allow it.
    #[response(status = 409, description = "its state does not allow it")]
    Conflict(#[to_schema] Problem),
    /// Too large a body.
    #[response(status = 413, description = "the body is too large")]
    TooLarge(#[to_schema] Problem),
    #[response(status = 415, description = "the body is not application/json")]
    MediaType(#[to_schema] Problem),
    /// The `Host` header names another server.
    #[response(status = 421, description = "the Host header names another server")]
    Misdirected(#[to_schema] Problem),
    /// The request is well-formed JSON, but a value in it is not allowed.
    #[response(status = 422, description = "the content is wrong")]
    Invalid(#[to_schema] Problem),
    #[response(status = 429, description = "too many requests at once: retry later")]
    TooMany(#[to_schema] Problem),
    #[response(
        status = 503,
        description = "the database is unavailable, or no leader is elected: retry later"
    )]
    Unavailable(#[to_schema] Problem),
}
