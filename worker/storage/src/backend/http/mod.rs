//! Web servers as sources. Ranges are asked for under the condition that the content is still the same; every redirect
//! is judged like the first address; nothing inside our own networks is read unless the settings allow it.
use super::{Backend, Binding, Opening};
use crate::network::Network;
use crate::settings::EndpointSettings;
use crate::web::{self, Effect, answered, content_range, header, retry_after, unsent};
use crate::{
    ByteStream, Capabilities, ChecksumKind, ListRequest, Listing, ObjectState, PutRequest,
    StateWithContent, Storage, StorageError, Version,
};
use async_trait::async_trait;
use futures_util::FutureExt;
use protocol::model::location::Scheme;
use protocol::time::Timestamp;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, IF_RANGE, LOCATION, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// Longest time to count the bytes of content whose server does not report its length: an endless response would hold a
/// slot forever.
const COUNT_MAX: Duration = Duration::from_secs(4 * 60 * 60);

/// The registry's line.
pub const BACKEND: Backend = Backend {
    schemes: &[Scheme::Https, Scheme::Http],
    bind: |opening| {
        let url = opening.url()?;
        let storage = format!(
            "{}|{}",
            url.origin().ascii_serialization(),
            opening.settings.prefix
        );
        Ok(Binding {
            storage,
            key: key(url),
        })
    },
    open: |opening| async move { open(opening) }.boxed(),
};

fn key(url: &Url) -> String {
    let path = url.path().trim_start_matches('/');
    url.query()
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

fn open(opening: &Opening<'_>) -> Result<Arc<dyn Storage>, StorageError> {
    Ok(Arc::new(HttpStorage::new(
        opening.url()?,
        opening.settings,
    )?))
}

/// A web server.
pub struct HttpStorage {
    client: Client,
    origin: Url,
    allowed: Vec<Network>,
    token_file: Option<PathBuf>,
    count_max: Duration,
}

impl HttpStorage {
    /// Binds to the server of a URL.
    pub fn new(url: &Url, settings: &EndpointSettings) -> Result<HttpStorage, StorageError> {
        let mut origin = url.clone();
        origin.set_path("/");
        origin.set_query(None);
        origin.set_fragment(None);
        let invalid = |said| StorageError::invalid(origin.to_string(), said);
        let allowed: Result<Vec<_>, _> = settings
            .allow_private
            .iter()
            .map(|text| Network::parse(text))
            .collect();
        let allowed = allowed.map_err(invalid)?;
        let client = web::client(settings, Some(allowed.clone())).map_err(invalid)?;
        Ok(HttpStorage {
            client,
            origin,
            allowed,
            token_file: settings.token_file.clone(),
            count_max: COUNT_MAX,
        })
    }

    fn at(&self, key: &str) -> String {
        // Signatures stand in queries.
        format!(
            "{}{}",
            self.origin,
            key.split('?').next().unwrap_or_default()
        )
    }

    fn read_only(&self, key: &str) -> StorageError {
        StorageError::unsupported(self.at(key), "it can only be read")
    }

    fn url(&self, key: &str) -> Result<Url, StorageError> {
        self.origin
            .join(key)
            .map_err(|error| StorageError::invalid(self.at(key), error.to_string()))
    }

    /// Sends a request and follows redirects. The token is sent to its own server only.
    async fn ask(
        &self,
        method: Method,
        key: &str,
        range: Option<(&Range<u64>, Option<&Version>)>,
    ) -> Result<Response, StorageError> {
        let location = self.at(key);
        let mut url = self.url(key)?;
        for _ in 0..=REDIRECTS_MAX {
            web::check_url(&url, &self.allowed)?;
            // Compressed content would have another length and another hash.
            let mut request = self
                .client
                .request(method.clone(), url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some((range, same)) = range {
                request = request.header(RANGE, format!("bytes={}-{}", range.start, range.end - 1));
                if let Some(same) = same.filter(|same| strong(&same.tag)) {
                    request = request.header(IF_RANGE, &same.tag);
                }
            }
            if let (Some(file), true) = (&self.token_file, url.origin() == self.origin.origin()) {
                let token = std::fs::read_to_string(file).map_err(|error| {
                    StorageError::invalid(&location, format!("token_file: {error}"))
                })?;
                request = request.header(AUTHORIZATION, format!("Bearer {}", token.trim()));
            }
            let response = request
                .send()
                .await
                .map_err(|error| unsent(&location, Effect::Repeatable, &error))?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED
            {
                return self.sound(&location, response);
            }
            let target = response
                .headers()
                .get(LOCATION)
                .and_then(|target| target.to_str().ok());
            let target = target.and_then(|target| url.join(target).ok());
            let target = target
                .ok_or_else(|| StorageError::invalid(&location, "it redirects to nowhere"))?;
            if url.scheme() == "https" && target.scheme() == "http" {
                return Err(StorageError::invalid(
                    &location,
                    "it redirects from https to http",
                ));
            }
            if !target.username().is_empty() || target.password().is_some() {
                return Err(StorageError::invalid(
                    &location,
                    "it redirects to an address with a login in it",
                ));
            }
            url = target;
        }
        Err(StorageError::invalid(
            location,
            format!("it redirects more than {REDIRECTS_MAX} times"),
        ))
    }

    /// The length of content whose server does not report it: the content is read to its end.
    async fn measure(&self, key: &str) -> Result<u64, StorageError> {
        let location = self.at(key);
        let mut response = self.ask(Method::GET, key, None).await?;
        let mut bytes = 0;
        let counting = async {
            while let Some(piece) = response.chunk().await? {
                bytes += piece.len() as u64;
            }
            Ok(())
        };
        match tokio::time::timeout(self.count_max, counting).await {
            Ok(Ok(())) => Ok(bytes),
            Ok(Err(error)) => Err(unsent(&location, Effect::Repeatable, &error)),
            Err(_) => {
                let said = format!(
                    "its server does not report the length of the content, which has no end within {:?} and {bytes} bytes",
                    self.count_max
                );
                Err(StorageError::unsupported(location, said))
            }
        }
    }

    fn sound(&self, location: &str, response: Response) -> Result<Response, StorageError> {
        let status = response.status();
        if status.is_success() {
            return match packed(&response) {
                Some(how) => {
                    let said =
                        format!("its server packs the content ({how}) though it was asked not to");
                    Err(StorageError::unsupported(location, said))
                }
                None => Ok(response),
            };
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            return Err(StorageError::precondition(
                location,
                "it is shorter than it was",
            ));
        }
        let wait = retry_after(&response);
        Err(answered(
            location,
            Effect::Repeatable,
            status,
            format!("status {status}"),
            wait,
        ))
    }
}

/// How the content of an answer is encoded, where its bytes are not those of the file. `aws-chunked` is a word that
/// some servers keep of the way an object came to them.
fn packed(response: &Response) -> Option<String> {
    let how = header(response, "content-encoding")?;
    let plain = |word: &str| {
        ["", "identity", "aws-chunked"].contains(&word.trim().to_ascii_lowercase().as_str())
    };
    (!how.split(',').all(plain)).then_some(how)
}

/// Whether a tag says that bytes are equal: weak ones and dates only say that the meaning is.
fn strong(tag: &str) -> bool {
    tag.starts_with('"')
}

/// Identifies a state by the strongest validator of the response.
fn version_of(response: &Response) -> Version {
    let tag = header(response, "etag").or_else(|| header(response, "last-modified"));
    Version {
        tag: tag.unwrap_or_default(),
        id: None,
    }
}

fn modified(response: &Response) -> Option<Timestamp> {
    let text = header(response, "last-modified")?;
    let at = jiff::fmt::rfc2822::parse(&text).ok()?;
    Some(Timestamp(at.timestamp().as_microsecond()))
}

#[async_trait]
impl Storage for HttpStorage {
    fn location(&self, key: &str) -> String {
        self.at(key)
    }

    fn capabilities(&self) -> Capabilities<'_> {
        Capabilities {
            write: false,
            list: false,
            files: false,
            ranges: false,
            create_only: false,
            replace_same: false,
            put_bytes_max: 0,
            checksum: ChecksumKind::Crc64nvme,
            whole_checksum: false,
            multipart: None,
            server_copy: None,
            classes: None,
            archive: None,
            versions: None,
            rename: None,
        }
    }

    /// Asks for the first byte and not for HEAD, whose answer servers make by other means than that to GET: with
    /// another status, or another length than the content has. An address that is signed for GET answers it as well.
    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        let response = match self.ask(Method::GET, key, Some((&(0..1), None))).await {
            // There is no first byte.
            Err(StorageError::Precondition { .. }) => self.ask(Method::GET, key, None).await?,
            answered => answered?,
        };
        let (version, modified) = (version_of(&response), modified(&response));
        let declared = match response.status() {
            StatusCode::PARTIAL_CONTENT => content_range(&response).and_then(|range| range.whole),
            _ => response.content_length(),
        };
        let bytes = match declared {
            Some(bytes) => bytes,
            None => self.measure(key).await?,
        };
        Ok(ObjectState {
            key: key.to_owned(),
            bytes,
            version,
            checksum: None,
            modified,
            class: None,
            archive: None,
        })
    }

    async fn stat_with_content(
        &self,
        key: &str,
        _bytes_max: u64,
    ) -> Result<StateWithContent, StorageError> {
        Ok((self.stat(key).await?, None))
    }

    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        version: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        let location = self.at(key);
        let wanted = range.end.saturating_sub(range.start);
        if wanted == 0 {
            let now = self.stat(key).await?;
            if version.is_some_and(|expected| *expected != now.version) {
                return Err(StorageError::precondition(location, "it has changed"));
            }
            let empty = ByteStream::new(location, 0, futures_util::stream::empty());
            return Ok(empty.of(Some(now.version), Some(now.bytes)));
        }
        let response = self.ask(Method::GET, key, Some((&range, version))).await?;
        let found = version_of(&response);
        if version.is_some_and(|expected| !expected.tag.is_empty() && expected.tag != found.tag) {
            return Err(StorageError::precondition(
                location,
                format!("it has changed: it is now {}", found.tag),
            ));
        }
        let length = response.content_length();
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // The server gives everything, whatever is asked for: what comes before the range is passed over.
            if let Some(length) = length.filter(|length| *length < range.end) {
                return Err(StorageError::precondition(
                    location,
                    format!("it has {length} bytes now"),
                ));
            }
            let whole = length.is_none().then_some(range.end);
            return Ok(web::window(location, range, response, whole).of(Some(found), length));
        }
        let sent = content_range(&response);
        let sent = sent.ok_or_else(|| {
            StorageError::invalid(&location, "it does not name the range that it sends")
        })?;
        if let Some(whole) = sent.whole.filter(|whole| *whole < range.end) {
            return Err(StorageError::precondition(
                location,
                format!("it has {whole} bytes now"),
            ));
        }
        if let Some(said) = sent.differs(&range, length) {
            return Err(StorageError::unsupported(location, said));
        }
        Ok(web::reading(location, wanted, response).of(Some(found), sent.whole))
    }
    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        Err(StorageError::unsupported(
            self.at(request.prefix),
            "it cannot be listed",
        ))
    }

    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError> {
        Err(self.read_only(request.key))
    }

    async fn delete(&self, key: &str, _version: Option<&Version>) -> Result<(), StorageError> {
        Err(self.read_only(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn content_without_a_length_and_an_end_is_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a free port");
        let url = Url::parse(&format!(
            "http://{}/x",
            listener.local_addr().expect("bound")
        ))
        .expect("a URL");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    drop(stream.read(&mut [0; 1024]).await);
                    let mut piece: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                    while stream.write_all(piece).await.is_ok() {
                        piece = b"more";
                        tokio::task::yield_now().await;
                    }
                });
            }
        });
        let settings = EndpointSettings {
            allow_private: vec!["127.0.0.0/8".into()],
            ..EndpointSettings::default()
        };
        let storage = HttpStorage {
            count_max: Duration::from_millis(50),
            ..HttpStorage::new(&url, &settings).expect("opened")
        };
        let error = storage.stat("x").await.expect_err("it never ends");
        assert!(
            matches!(&error, StorageError::Unsupported { said, .. } if said.contains("no end")),
            "{error}"
        );
    }
}
