//! HTTP as storage speaks it: one client per endpoint, answers read the same way everywhere.
use super::error::chain;
use super::network::{Network, may_use};
use super::settings::EndpointSettings;
use super::{ByteStream, StorageError};
use bytes::Bytes;
use futures_util::StreamExt;
use protocol::model::location::shown;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode, Url};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Between two packets of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Makes a client. With `guarded`, names only resolve to addresses a source may have, at the moment of connecting.
/// The client follows no redirects. The error names the wrong setting.
pub(super) fn client(
    settings: &EndpointSettings,
    guarded: Option<Vec<Network>>,
) -> Result<Client, String> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_MAX)
        .read_timeout(SILENCE_MAX)
        .user_agent("showrunner");
    if let Some(allowed) = guarded {
        // A proxy would resolve names without a check of their addresses.
        builder = builder
            .no_proxy()
            .dns_resolver(Arc::new(GuardedResolver { allowed }));
    }
    if let Some(path) = &settings.ca {
        let pem = std::fs::read(path)
            .map_err(|error| format!("ca {} cannot be read: {error}", path.display()))?;
        let wrong = |error| format!("ca {}: {error}", path.display());
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem).map_err(wrong)?);
    }
    builder.build().map_err(|error| chain(&error))
}

/// Resolves as the system does, and refuses addresses that may not be used.
struct GuardedResolver {
    allowed: Vec<Network>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (host, allowed) = (name.as_str().to_owned(), self.allowed.clone());
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> = found
                .filter(|address| may_use(address.ip(), &allowed))
                .collect();
            if usable.is_empty() {
                return Err(refused(&host).into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

fn refused(host: &str) -> String {
    format!(
        "{host} has no public address: add its network to allow_private in the storage settings if it is yours"
    )
}

/// Checks a URL before a request: a literal address is not resolved, so the resolver cannot check it.
pub(super) fn check_url(url: &Url, allowed: &[Network]) -> Result<(), StorageError> {
    let invalid = |said: String| Err(StorageError::invalid(shown(url.as_str()), said));
    if !["http", "https"].contains(&url.scheme()) {
        return invalid(format!("{} is no web address", url.scheme()));
    }
    let Some(host) = url.host_str() else {
        return invalid("it has no host".into());
    };
    // Every other spelling of an address, such as one number, has been made this one when the URL was read.
    let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return Ok(());
    };
    if may_use(address, allowed) {
        Ok(())
    } else {
        invalid(refused(&address.to_string()))
    }
}

/// Whether a lost reply leaves the outcome unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing changes, or doing it again is the same.
    Repeatable,
    /// Something may have become visible.
    Commit,
}

/// An error of the client: nothing, or not all, of an answer came.
pub(super) fn unsent(location: &str, effect: Effect, error: &reqwest::Error) -> StorageError {
    let (location, said) = (location.to_owned(), without_url(error));
    if said.contains("allow_private") {
        return StorageError::Invalid { location, said };
    }
    match effect {
        Effect::Commit if !error.is_connect() && !error.is_builder() => {
            StorageError::Unknown { location, said }
        }
        _ if error.is_builder() => StorageError::Invalid { location, said },
        _ => StorageError::Unavailable { location, said },
    }
}

/// An answer that is an error.
pub(super) fn answered(
    location: &str,
    effect: Effect,
    status: StatusCode,
    said: String,
    wait: Option<Duration>,
) -> StorageError {
    let location = location.to_owned();
    match status.as_u16() {
        401 | 403 => StorageError::Denied { location, said },
        404 | 410 => StorageError::NotFound(location),
        405 | 501 => StorageError::Unsupported { location, said },
        // The object is shorter than it was.
        412 | 416 => StorageError::Precondition { location, said },
        408 | 425 => StorageError::Unavailable { location, said },
        429 | 503 => StorageError::Throttled {
            location,
            said,
            retry_after: wait,
        },
        507 => StorageError::Full { location, said },
        500..=599 if effect == Effect::Commit => StorageError::Unknown { location, said },
        500..=599 => StorageError::Unavailable { location, said },
        _ => StorageError::Invalid { location, said },
    }
}

/// The wait that a response asks for.
pub(super) fn retry_after(response: &Response) -> Option<Duration> {
    super::error::retry_after(&header(response, "retry-after")?, jiff::Timestamp::now())
}

/// A header as text.
pub(super) fn header(response: &Response, name: &str) -> Option<String> {
    response
        .headers()
        .get(name)?
        .to_str()
        .ok()
        .map(str::to_owned)
}

/// What a response says of the range that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// Offset of its first byte.
    pub(super) start: u64,
    /// Offset behind its last byte.
    pub(super) end: u64,
    /// Size of the whole object, when it is named.
    pub(super) whole: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 0-9/100`.
    pub(super) fn parse(text: &str) -> Option<ContentRange> {
        let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let end = last.trim().parse::<u64>().ok()?.checked_add(1)?;
        Some(ContentRange {
            start: first.trim().parse().ok()?,
            end,
            whole: whole.trim().parse().ok(),
        })
    }

    /// The range of a response with the whole object.
    pub(super) fn whole(bytes: u64) -> ContentRange {
        ContentRange {
            start: 0,
            end: bytes,
            whole: Some(bytes),
        }
    }

    /// What differs from the range that was requested; `length` is the length that the response announces.
    pub(super) fn differs(&self, wanted: &Range<u64>, length: Option<u64>) -> Option<String> {
        let bytes = wanted.end.saturating_sub(wanted.start);
        let same = (self.start, self.end) == (wanted.start, wanted.end)
            && length.is_none_or(|length| length == bytes);
        let said = || {
            let sent = length.unwrap_or(self.end.saturating_sub(self.start));
            format!(
                "asked for {bytes} bytes from {}, it sends {sent} bytes from {}",
                wanted.start, self.start
            )
        };
        (!same).then(said)
    }
}

/// The range of a response.
pub(super) fn content_range(response: &Response) -> Option<ContentRange> {
    ContentRange::parse(&header(response, "content-range")?)
}

/// The content of a response of `bytes` bytes.
pub(super) fn reading(location: String, bytes: u64, response: Response) -> ByteStream {
    let place = location.clone();
    let pieces = response.bytes_stream().map(move |piece| {
        piece.map_err(|error| {
            StorageError::unavailable(place.clone(), format!("broken off: {}", chain(&error)))
        })
    });
    ByteStream::new(location, bytes, pieces)
}

/// A stretch of an answer that holds the whole. Where its server does not tell the length, `whole` is the one that was
/// counted, and the content must end there. What is passed over comes as pieces without bytes, so that it is no
/// silence.
pub(super) fn window(
    location: String,
    range: Range<u64>,
    response: Response,
    whole: Option<u64>,
) -> ByteStream {
    let (place, wanted) = (location.clone(), range.end.saturating_sub(range.start));
    let start = (Box::pin(response.bytes_stream().fuse()), 0, None::<Bytes>);
    let pieces = futures_util::stream::try_unfold(start, move |(mut stream, mut at, mut held)| {
        let (place, range) = (place.clone(), range.clone());
        async move {
            loop {
                if whole.is_none() && at >= range.end {
                    return Ok(None);
                }
                let next = stream.next().await.transpose();
                let next = next.map_err(|error| {
                    StorageError::unavailable(&place, format!("broken off: {}", chain(&error)))
                })?;
                // The last piece is held back until the end is seen.
                let Some(piece) = next else {
                    return Ok(held.take().map(|last| (last, (stream, at, held))));
                };
                let (from, to) = (at, at + piece.len() as u64);
                at = to;
                if whole.is_some_and(|whole| to > whole) {
                    return Err(StorageError::precondition(
                        place,
                        "it has grown: it is longer than it was counted",
                    ));
                }
                let cut = |bound: u64| {
                    usize::try_from(bound.clamp(from, to) - from).unwrap_or(piece.len())
                };
                let piece = piece.slice(cut(range.start)..cut(range.end));
                let given = if whole.is_some() {
                    held.replace(piece)
                } else {
                    Some(piece)
                };
                if let Some(given) = given {
                    return Ok(Some((given, (stream, at, held))));
                }
            }
        }
    });
    ByteStream::new(location, wanted, pieces)
}

/// Errors carry the URL, whose query may hold a signature: it is left out.
fn without_url(error: &reqwest::Error) -> String {
    let text = chain(error);
    match error.url() {
        Some(url) => text.replace(url.as_str(), url.host_str().unwrap_or("its server")),
        None => text,
    }
}
