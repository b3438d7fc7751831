//! The door of the API: requests that are refused before a handler runs, and limits per client.
//!
//! The API has no login yet, so these checks keep pages of other sites, names that an attacker resolves to this
//! machine (DNS rebinding) and clients that hold connections open away from it. Health and metrics pass every check.
use super::connections::{Open, Place, Shares};
use super::problem::Problem;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderName, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Requests of one client in work at once, streams of events included.
const REQUESTS_PER_CLIENT: usize = 256;
/// Paths that every probe may read, by any name.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// The entry that allows every host name.
const ANY: &str = "*";

/// Names by which clients may address this server. Addresses (`10.0.0.7`, `[::1]`) are always allowed: only a name
/// can be resolved anew.
#[derive(Debug, Clone)]
pub struct HostNames(BTreeSet<String>);

impl Default for HostNames {
    fn default() -> HostNames {
        HostNames(BTreeSet::from(["localhost".to_owned()]))
    }
}

impl HostNames {
    /// Adds names, or the hosts of URLs; `*` allows every name.
    #[must_use]
    pub fn and<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> HostNames {
        for name in names {
            let rest = name.split_once("://").map_or(name, |(_, rest)| rest);
            let host = host_of(rest.split('/').next().unwrap_or_default());
            self.0.extend(host.filter(|host| !host.is_empty()));
        }
        self
    }

    /// Whether a `Host` header addresses this server by an allowed name or by an address.
    fn allows(&self, header: &str) -> bool {
        let Some(host) = host_of(header) else {
            return false;
        };
        self.0.contains(ANY) || self.0.contains(&host) || host.parse::<IpAddr>().is_ok()
    }
}

/// The host of `host`, `host:port` or `[address]:port` in lower case; none where the text is malformed.
fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (
                address,
                port.strip_prefix(':')
                    .or_else(|| port.is_empty().then_some(""))?,
            )
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let plain = port.bytes().all(|b| b.is_ascii_digit()) && !host.contains(['@', '/', '\\', ' ']);
    plain.then(|| host.trim_end_matches('.').to_ascii_lowercase())
}

/// Whether an `Origin` header names the server that the `Host` header names.
fn same_origin(origin: &str, host: &str) -> bool {
    // Both leave out the port that is usual for the scheme.
    origin
        .split_once("://")
        .is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// The checks that each request passes before its handler runs.
#[derive(Debug, Clone)]
pub(super) struct Door {
    hosts: HostNames,
    requests: Requests,
}

impl Door {
    pub(super) fn new(hosts: HostNames) -> Door {
        Door {
            hosts,
            requests: Requests::new(),
        }
    }

    /// Answers a request: by its handler, or with the reason for which the handler does not run.
    pub(super) async fn answer(
        self,
        request: ServiceRequest,
        next: Next<BoxBody>,
    ) -> Result<ServiceResponse<BoxBody>, Error> {
        let reserved = is_reserved(request.request());
        let refused = refusal(request.request(), &self.hosts);
        // The place is kept until the handler has made its answer.
        let (_place, mut response) =
            match refused.map_or_else(|| self.requests.admit(request.request()), Err) {
                Ok(place) => (place, next.call(request).await?),
                Err(problem) => (None, request.error_response(problem)),
            };
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if reserved {
            response
                .response_mut()
                .head_mut()
                .set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }
}

/// Refuses texts no database takes, other names of this machine, and changes that a page of another site asks for.
fn refusal(request: &HttpRequest, hosts: &HostNames) -> Option<Problem> {
    let uri = request.uri();
    if [uri.path(), uri.query().unwrap_or("")]
        .iter()
        .any(|text| text.contains("%00"))
    {
        return Some(
            Problem::new("usage", "the address holds the character U+0000").hint("leave it out"),
        );
    }
    if is_probe(request) {
        return None;
    }
    let header = |name: HeaderName| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("\u{fffd}"))
    };
    // A request line with an authority goes before the header (RFC 9112 §3.2.2).
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| header(HOST))
        .unwrap_or_default();
    if !hosts.allows(host) {
        let problem = Problem::new(
            "misdirected",
            "this server is not known by the name in the Host header",
        );
        return Some(
            problem
                .hint("use its address, or start it with --allow-host NAME")
                .at("header Host"),
        );
    }
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        return None;
    }
    let site = header(HeaderName::from_static("sec-fetch-site"));
    let foreign = match (site, header(ORIGIN)) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => !same_origin(origin, host),
        (None, None) => false,
    };
    foreign.then(|| {
        Problem::new(
            "forbidden",
            "a page of another site may not change anything here",
        )
    })
}

/// Whether a request came over a connection beyond a limit: it is closed after its answer.
fn is_reserved(request: &HttpRequest) -> bool {
    request
        .conn_data::<Open>()
        .is_some_and(|open| open.probes_only)
}

/// Whether a request asks for health or metrics, which every limit lets pass.
fn is_probe(request: &HttpRequest) -> bool {
    PROBES.contains(&request.uri().path())
}

/// Requests in work by client: until a handler has made its answer.
#[derive(Debug, Clone)]
struct Requests(Shares);

impl Requests {
    fn new() -> Requests {
        Requests(Shares::new(REQUESTS_PER_CLIENT))
    }

    /// Counts a request of its client; refused where the client has too many in work.
    fn admit(&self, request: &HttpRequest) -> Result<Option<Place>, Problem> {
        let Some(client) = request
            .peer_addr()
            .map(|peer| peer.ip())
            .filter(|_| !is_probe(request))
        else {
            return Ok(None);
        };
        if is_reserved(request) {
            return Err(Problem::new(
                "too_many",
                "this client, or all clients together, hold too many connections",
            )
            .hint("close some; health and metrics are answered all the same"));
        }
        self.0.take(client).map(Some).ok_or_else(|| {
            Problem::new(
                "too_many",
                format!("{REQUESTS_PER_CLIENT} requests of this client are in work already"),
            )
            .hint("wait for an answer before sending more")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_header_by_name_or_address_is_judged() {
        let hosts = HostNames::default().and(["https://sr.example:8470/x", "other"]);
        for known in [
            "localhost",
            "LocalHost:8470",
            "127.0.0.1:1",
            "10.9.8.7",
            "[::1]:8470",
            "[::1]",
            "sr.example",
            "other.",
        ] {
            assert!(hosts.allows(known), "{known}");
        }
        for strange in [
            "evil.example",
            "evil.example:8470",
            "",
            "localhost@evil",
            "[::1",
            "a:b:c",
            "127.0.0.1.evil.example",
        ] {
            assert!(!hosts.allows(strange), "{strange}");
        }
        assert!(hosts.and(["*"]).allows("evil.example"));
    }

    #[test]
    fn origin_of_another_host_or_port_is_foreign() {
        assert!(same_origin("http://localhost:8470", "localhost:8470"));
        assert!(same_origin("https://SR.example", "sr.example"));
        for foreign in [
            "null",
            "http://evil.example",
            "http://localhost:9",
            "http://localhost",
            "",
        ] {
            assert!(!same_origin(foreign, "localhost:8470"), "{foreign}");
        }
    }
}
