//! The client of the HTTP API.
use crate::error::{CliError, CliResult};
use crate::settings::mask_url;
use coordinator::command::submission::{Sources, Submitted};
use coordinator::http::endpoint::{Ask, Endpoint};
use coordinator::http::{Import, Imported, Part, Problem};
use reqwest::{Method, RequestBuilder, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::runtime::Runtime;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(60);
/// A submission carries a key, so sending it again is safe: how often, and after which pause.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes of an answer that is no JSON shown at most.
const SHOWN_MAX: usize = 200;

/// A coordinator's API, for async callers.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    /// The address as it may be shown.
    shown: String,
}

impl Client {
    /// A client of the coordinator at `url`; nothing is sent yet.
    pub(crate) fn new(url: &str) -> CliResult<Client> {
        // A plain HOST:PORT has no place for a password, and it must be seen to be corrected.
        let is_plain = !url.contains("://") && !url.contains(['@', '?', '#', '=']);
        let shown = if is_plain {
            url.to_owned()
        } else {
            mask_url(url)
        };
        let wrong = |why: String| {
            let hint = match is_plain {
                true => format!("write http://{url}, or https://"),
                false => "http://127.0.0.1:8470 or https://HOST".to_owned(),
            };
            CliError::usage(format!("server {shown:?}: {why}")).hint(hint)
        };
        let mut base = Url::parse(url).map_err(|e| wrong(e.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() || !base.has_host()
        {
            return Err(wrong("it does not begin with http:// or https://".into()));
        }
        base.set_query(None);
        base.set_fragment(None);
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("showrunner/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| CliError::failed(format!("no HTTP client: {}", e.without_url())))?;
        Ok(Client { http, base, shown })
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_at(method, ["api", "v1"].iter().chain(path))
    }

    fn request_at(
        &self,
        method: Method,
        segments: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        self.http.request(method, url)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> CliResult<T> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            let wrong = |error| {
                CliError::failed(format!("{}: an answer cannot be read: {error}", self.shown))
            };
            return serde_json::from_slice(&body).map_err(wrong);
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(_) => {
                let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_MAX)]).into_owned();
                let code = match status.as_u16() {
                    401 | 403 => "forbidden",
                    404 => "not_found",
                    _ => "unavailable",
                };
                let problem = Problem::new(
                    code,
                    format!("{} answers {status}: {}", self.shown, text.trim()),
                );
                Err(problem
                    .hint("is this the address of a showrunner coordinator?")
                    .into())
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let mut why = error as &dyn std::error::Error;
        while let Some(deeper) = why.source() {
            why = deeper;
        }
        let why = if error.is_timeout() {
            "no answer in time".to_owned()
        } else {
            why.to_string()
        };
        let mut failed = CliError::failed(format!(
            "the coordinator at {} cannot be reached: {why}",
            self.shown
        ))
        .hint("is it running (showrunner up, showrunner coordinator) and is --server right?");
        failed.passing = true;
        failed
    }

    /// Adds a page of assets to the catalogue.
    pub(crate) async fn import(&self, page: &Import) -> CliResult<Imported> {
        self.answer(self.request(Method::POST, &["assets", "import"]).json(page))
            .await
    }

    /// The part that the coordinator plays.
    pub(crate) async fn part(&self) -> CliResult<Part> {
        self.answer(self.request(Method::GET, &["cluster"])).await
    }

    async fn submit(&self, sources: &Sources, key: &str, dry_run: bool) -> CliResult<Submitted> {
        let mut tried = 1;
        loop {
            let request = self
                .request(Method::POST, &["jobs"])
                .query(&[("dry_run", dry_run)]);
            match self
                .answer(request.header("Idempotency-Key", key).json(sources))
                .await
            {
                Err(error) if error.passing && tried < TRIES => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
            tried += 1;
        }
    }
}

/// The same for commands that wait for each answer.
pub(crate) struct Remote {
    client: Client,
    runtime: Runtime,
}

impl Remote {
    /// Creates a client as [`Client::new`] does.
    pub(crate) fn new(url: &str) -> CliResult<Remote> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.map_err(|e| CliError::failed(format!("cannot start: {e}")))?;
        Ok(Remote {
            client: Client::new(url)?,
            runtime,
        })
    }

    /// Sends a request of the table.
    pub(crate) fn send<E: Endpoint>(&self, ask: &Ask<E>) -> CliResult<E::Answer> {
        let method = if E::CHANGES {
            Method::POST
        } else {
            Method::GET
        };
        let request = self
            .client
            .request_at(method, ask.segments())
            .query(&ask.query);
        let request = if E::CHANGES {
            request.json(&ask.body)
        } else {
            request
        };
        self.runtime.block_on(self.client.answer(request))
    }

    /// Asks for a change.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> CliResult<T> {
        self.runtime.block_on(
            self.client
                .answer(self.client.request(Method::POST, path).json(body)),
        )
    }

    /// Asks for a change of what a query names.
    pub(crate) fn post_for<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
        body: &impl Serialize,
    ) -> CliResult<T> {
        let request = self
            .client
            .request(Method::POST, path)
            .query(query)
            .json(body);
        self.runtime.block_on(self.client.answer(request))
    }

    /// Hands a job in.
    pub(crate) fn submit(
        &self,
        sources: &Sources,
        key: &str,
        dry_run: bool,
    ) -> CliResult<Submitted> {
        self.runtime
            .block_on(self.client.submit(sources, key, dry_run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_server_is_shown_without_its_secrets() {
        let refused = |url: &str| Client::new(url).err().map(|error| error.to_string());
        let plain = refused("localhost:18471").unwrap_or_default();
        assert!(
            plain.contains("\"localhost:18471\"") && plain.contains("http://localhost:18471"),
            "{plain}"
        );
        for url in [
            "me:SECRET@host:1",
            "host?token=SECRET",
            "ftp://me:SECRET@host/",
        ] {
            let text = refused(url).unwrap_or_default();
            assert!(!text.is_empty() && !text.contains("SECRET"), "{text}");
        }
    }
}
