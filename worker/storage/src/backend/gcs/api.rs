//! Requests to the JSON interface: credentials, conditions, errors.
use super::credentials::Renewed;
use crate::settings::EndpointSettings;
use crate::web::{self, Effect, answered, retry_after, unsent};
use crate::{Precondition, StorageError};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

const CLOUD: &str = "https://storage.googleapis.com";
/// Reasons of a refusal that limits the rate of requests.
const RATE_LIMITS: [&str; 2] = ["rateLimitExceeded", "userRateLimitExceeded"];
/// Longest part of an error's text that is shown.
const SAID_CHARS_MAX: usize = 300;

/// The interface of one bucket's service.
pub(super) struct Api {
    client: Client,
    base: String,
    /// `None` for emulators and public buckets.
    credentials: Option<Renewed>,
    billing_project: Option<String>,
}

/// An object as the service describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default, deserialize_with = "number")]
    pub(super) size: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) generation: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) storage_class: Option<String>,
    pub(super) updated: Option<String>,
    #[serde(default)]
    pub(super) metadata: Option<BTreeMap<String, String>>,
    pub(super) content_type: Option<String>,
}

/// A bucket as the service describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Bucket {
    pub(super) versioning: Option<Versioning>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Versioning {
    #[serde(default)]
    pub(super) enabled: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(u64),
    Text(String),
}

/// Numbers come as text, and from emulators as numbers.
fn number<'de, D: Deserializer<'de>>(input: D) -> Result<Option<u64>, D::Error> {
    Ok(match Option::<Loose>::deserialize(input)? {
        Some(Loose::Number(number)) => Some(number),
        Some(Loose::Text(text)) => text.parse().ok(),
        None => None,
    })
}

fn text<'de, D: Deserializer<'de>>(input: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<Loose>::deserialize(input)? {
        Some(Loose::Number(number)) => Some(number.to_string()),
        Some(Loose::Text(text)) => Some(text),
        None => None,
    })
}

/// A precondition as a parameter of a request.
pub(super) fn precondition(precondition: &Precondition) -> Option<(&'static str, String)> {
    match precondition {
        Precondition::IfAbsent => Some(("ifGenerationMatch", "0".to_owned())),
        Precondition::IfMatch(version) => Some(("ifGenerationMatch", version.tag.clone())),
        Precondition::Unconditional => None,
    }
}

impl Api {
    pub(super) fn new(bucket: &str, settings: &EndpointSettings) -> Result<Api, String> {
        let base = settings
            .url
            .as_deref()
            .unwrap_or(CLOUD)
            .trim_end_matches('/')
            .to_owned();
        let credentials = if settings.anonymous {
            None
        } else {
            Some(Renewed::new(bucket, settings)?)
        };
        let client = web::client(settings, None)?;
        Ok(Api {
            client,
            base,
            credentials,
            billing_project: settings.billing_project.clone(),
        })
    }

    /// Who serves it.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
    ) -> RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .query(query);
        match &self.billing_project {
            Some(project) => request.query(&[("userProject", project)]),
            None => request,
        }
    }

    /// Sends a request; an answer that is an error is one.
    pub(super) async fn send(
        &self,
        location: &str,
        effect: Effect,
        mut request: RequestBuilder,
    ) -> Result<Response, StorageError> {
        if let Some(credentials) = &self.credentials {
            let token = credentials.provider().get_credential().await;
            request =
                request.bearer_auth(&token.map_err(|error| no_token(location, &error))?.bearer);
        }
        let response = request
            .send()
            .await
            .map_err(|error| unsent(location, effect, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = retry_after(&response);
        let Refusal { said, reasons } = Refusal::read(&response.text().await.unwrap_or_default());
        if status.as_u16() == 401 && self.credentials.as_ref().is_some_and(Renewed::refuse) {
            let said = format!("it refused credentials, which are loaded again: {said}");
            return Err(StorageError::unavailable(location, said));
        }
        if status.as_u16() == 403
            && reasons
                .iter()
                .any(|reason| RATE_LIMITS.contains(&reason.as_str()))
        {
            return Err(StorageError::Throttled {
                location: location.to_owned(),
                said,
                retry_after: wait,
            });
        }
        if status.as_u16() == 400 && is_about_checksums(&said) {
            return Err(StorageError::corrupt(location, said));
        }
        // A missing object is called "No such object".
        if status.as_u16() == 404 && said.to_ascii_lowercase().contains("bucket does not exist") {
            return Err(StorageError::invalid(location, said));
        }
        Err(answered(
            location,
            effect,
            status,
            format!("status {status}: {said}"),
            wait,
        ))
    }

    /// Sends a request and reads the answer.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        location: &str,
        effect: Effect,
        request: RequestBuilder,
    ) -> Result<T, StorageError> {
        let response = self.send(location, effect, request).await?;
        response
            .json()
            .await
            .map_err(|error| unsent(location, effect, &error))
    }
}

/// A token that is refused is a matter of rights; one that does not come may come later.
fn no_token(location: &str, error: &object_store::Error) -> StorageError {
    let said = format!("the credentials could not be loaded: {error}");
    match error {
        object_store::Error::Unauthenticated { .. }
        | object_store::Error::PermissionDenied { .. } => StorageError::Denied {
            location: location.to_owned(),
            said,
        },
        _ => StorageError::unavailable(location, said),
    }
}

fn is_about_checksums(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    ["crc32c", "md5", "hash", "checksum"]
        .iter()
        .any(|word| said.contains(word))
}

/// What an error says.
struct Refusal {
    /// The message in its JSON, or the beginning of the text that was sent.
    said: String,
    /// The reasons in its JSON.
    reasons: Vec<String>,
}

impl Refusal {
    fn read(body: &str) -> Refusal {
        let parsed: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let said = parsed
            .pointer("/error/message")
            .and_then(|said| said.as_str())
            .unwrap_or(body);
        let said = said.chars().take(SAID_CHARS_MAX).collect();
        let errors = parsed
            .pointer("/error/errors")
            .and_then(|errors| errors.as_array());
        let reasons = errors
            .into_iter()
            .flatten()
            .filter_map(|error| error.get("reason")?.as_str());
        Refusal {
            said,
            reasons: reasons.map(str::to_owned).collect(),
        }
    }
}
