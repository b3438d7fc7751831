//! Extractors of requests: JSON within limits; keys, paths and queries without characters that no database takes.
use super::problem::Problem;
use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Bytes of a body at most: a job file with its delivery specs, or a page of an import.
pub const BODY_MAX: usize = 8 << 20;
/// A body that stops for this long is given up.
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// A body has arrived after this long, or is given up: 8 MiB at 1 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(70);
/// Characters of an idempotency key at most.
const KEY_MAX: usize = 128;
/// Entropy for ids when no key was sent comes from the machine; the header's name is the usual one.
const KEY_HEADER: &str = "idempotency-key";

/// A JSON body. An absent body means an empty object.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Body<T>, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("")
            .to_owned();
        let payload = web::Payload::from_request(request, payload);
        Box::pin(async move {
            let payload = payload
                .await
                .map_err(|error| Problem::new("usage", error.to_string()))?;
            read(&kind, &whole(payload).await?).map(Body)
        })
    }
}

/// The bytes of a body, within limits of size and time.
async fn whole(mut payload: web::Payload) -> Result<web::BytesMut, Problem> {
    let mut bytes = web::BytesMut::new();
    let end = Instant::now() + BODY_TIMEOUT;
    loop {
        let piece = timeout_at(end.min(Instant::now() + PIECE_TIMEOUT), payload.next()).await;
        let piece = piece.map_err(|_| {
            Problem::new(
                "timeout",
                format!("the body stopped after {} bytes", bytes.len()),
            )
            .hint("send it again")
        })?;
        match piece {
            None => return Ok(bytes),
            Some(Err(error)) => {
                return Err(Problem::new(
                    "usage",
                    format!("the body could not be read: {error}"),
                ));
            }
            Some(Ok(piece)) if bytes.len() + piece.len() > BODY_MAX => {
                return Err(Problem::new(
                    "too_large",
                    format!("the body is larger than {BODY_MAX} bytes"),
                )
                .hint("send it in smaller pieces"));
            }
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
        }
    }
}

/// A request that is recorded: a body in which a misspelt member is refused, because what it left out would be done for real.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned + Serialize + Default + 'static> FromRequest for Asked<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Asked<T>, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Body::<serde_json::Value>::from_request(request, payload);
        Box::pin(async move { strict(body.await?.0).map(Asked) })
    }
}

/// Reads such a body; it may hold the members that its default holds.
fn strict<T: DeserializeOwned + Serialize + Default>(
    sent: serde_json::Value,
) -> Result<T, Problem> {
    let wrong = |error: serde_json::Error| {
        Problem::new("usage", format!("the body cannot be read: {error}")).at("body")
    };
    let known = serde_json::to_value(T::default()).map_err(wrong)?;
    let known: Vec<&str> = known
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let members = sent
        .as_object()
        .ok_or_else(|| Problem::new("usage", "the body is no object").at("body"))?;
    if let Some(name) = members.keys().find(|name| !known.contains(&name.as_str())) {
        let problem = Problem::new("usage", format!("there is no member {name:?}")).at("body");
        return Err(problem.hint(protocol::yaml::suggest(name, &known)));
    }
    serde_json::from_value(sent).map_err(wrong)
}

fn read<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, Problem> {
    let essence = kind
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    // A form of another site cannot send this type, so it is asked for wherever there is a body.
    if !bytes.is_empty() && essence != "application/json" {
        return Err(
            Problem::new("unsupported_media_type", format!("the body is {essence:?}"))
                .hint("Content-Type: application/json"),
        );
    }
    let wrong = |error: serde_json::Error| {
        let place = format!("body line {} column {}", error.line(), error.column());
        Problem::new("usage", format!("the body cannot be read: {error}")).at(place)
    };
    if text.windows(6).any(|window| window == b"\\u0000") {
        let value: serde_json::Value = serde_json::from_slice(text).map_err(wrong)?;
        if has_nul(&value) {
            return Err(
                Problem::new("usage", "a text holds the character U+0000").hint("leave it out")
            );
        }
    }
    serde_json::from_slice(text).map_err(wrong)
}

fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// The idempotency key of a request, when it has one.
pub(super) fn key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(value) = request.headers().get(KEY_HEADER) else {
        return Ok(None);
    };
    let wrong = || {
        Problem::new("usage", "the idempotency key cannot be used")
            .hint(format!("1 to {KEY_MAX} visible ASCII characters"))
            .at("header Idempotency-Key")
    };
    let text = value.to_str().map_err(|_| wrong())?;
    let fits =
        !text.is_empty() && text.len() <= KEY_MAX && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        Ok(Some(text.to_owned()))
    } else {
        Err(wrong())
    }
}

/// How queries, paths and bodies are read.
pub(super) fn limits(config: &mut web::ServiceConfig) {
    let query = web::QueryConfig::default().error_handler(|error, _| {
        Problem::new("usage", format!("the query cannot be read: {error}"))
            .at("query")
            .into()
    });
    let path = web::PathConfig::default().error_handler(|error, _| {
        Problem::new("not_found", format!("the path names nothing: {error}"))
            .at("path")
            .into()
    });
    config.app_data(query).app_data(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_misspelt_member_of_an_order_is_refused_by_name() {
        use crate::audit::AuditContext;
        use crate::command::RetryRequest;
        let sent = |text: &str| serde_json::from_str(text).expect("JSON");
        let asked: RetryRequest =
            strict(sent(r#"{"all":true,"dry_run":true,"actor":"me"}"#)).expect("an order");
        assert!(asked.all && asked.audit.dry_run && asked.audit.actor == "me");
        let refused =
            strict::<AuditContext>(sent(r#"{"dry_runn":true}"#)).expect_err("no such member");
        assert!(
            refused.message.contains("dry_runn")
                && refused.hint.is_some_and(|hint| hint.contains("dry_run"))
        );
        for text in ["[]", "null", r#"{"dry_run":1}"#, r#"{"all":true}"#] {
            assert_eq!(
                strict::<AuditContext>(sent(text)).expect_err(text).status(),
                400,
                "{text}"
            );
        }
    }

    #[test]
    fn bodies_are_json_without_nul() {
        let read = |kind: &str, text: &str| read::<BTreeMap<String, String>>(kind, text.as_bytes());
        assert_eq!(read("", "").map(|map| map.len()), Ok(0));
        assert_eq!(
            read("application/json; charset=utf-8", r#"{"a":"b"}"#).map(|map| map.len()),
            Ok(1)
        );
        assert_eq!(
            read("application/json", r#"{"a":"\\u0000"}"#).map(|map| map.len()),
            Ok(1)
        );
        for (kind, text, status) in [
            ("text/plain", "{}", 415),
            ("application/json", "{", 400),
            ("application/json", "[]", 400),
            ("application/json", r#"{"a":"\u0000"}"#, 400),
            ("application/json", r#"{"\u0000":"b"}"#, 400),
        ] {
            assert_eq!(
                read(kind, text).expect_err(text).status(),
                status,
                "{kind} {text}"
            );
        }
    }
}
