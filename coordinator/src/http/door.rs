//! The door of the API: requests that are refused before a handler runs, and limits per client.
//!
//! The API has no login yet, so these checks keep pages of other sites, names that an attacker resolves to this
//! machine (DNS rebinding) and clients that hold connections open away from it. Health and metrics pass every check.
use super::problem::Problem;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderName, ORIGIN};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Shutdown};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::net::TcpStream;

/// Requests of one client in work at once, streams of events included.
const REQUESTS_PER_CLIENT: usize = 256;
/// Connections of one client at once; more are closed.
const CONNECTIONS_PER_CLIENT: usize = 1_536;
/// Paths that every probe may read, by any name.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];
/// The entry that allows every host name.
const ANY: &str = "*";

/// Names by which clients may address this server. Addresses (`10.0.0.7`, `[::1]`) are always allowed: only a name
/// can be resolved anew.
#[derive(Debug, Clone)]
pub struct HostNames(BTreeSet<String>);

impl Default for HostNames {
    /// `localhost` alone.
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
        let Some(host) = host_of(header) else { return false };
        self.0.contains(ANY) || self.0.contains(&host) || host.parse::<IpAddr>().is_ok()
    }
}

/// The host of `host`, `host:port` or `[address]:port` in lower case; none where the text is malformed.
fn host_of(authority: &str) -> Option<String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (address, port.strip_prefix(':').or_else(|| port.is_empty().then_some(""))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let plain = port.bytes().all(|b| b.is_ascii_digit()) && !host.contains(['@', '/', '\\', ' ']);
    plain.then(|| host.trim_end_matches('.').to_ascii_lowercase())
}

/// Whether an `Origin` header names the server that the `Host` header names.
fn same_origin(origin: &str, host: &str) -> bool {
    // Both leave out the port that is usual for the scheme.
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

/// Refuses texts no database takes, other names of this machine, and changes that a page of another site asks for.
pub(super) fn refusal(request: &HttpRequest, hosts: &HostNames) -> Option<Problem> {
    let uri = request.uri();
    if [uri.path(), uri.query().unwrap_or("")].iter().any(|text| text.contains("%00")) {
        return Some(Problem::new("usage", "the address holds the character U+0000").hint("leave it out"));
    }
    if is_probe(request) {
        return None;
    }
    let header = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    // A request line with an authority goes before the header (RFC 9112 §3.2.2).
    let host = uri.authority().map(|authority| authority.as_str()).or_else(|| header(HOST)).unwrap_or_default();
    if !hosts.allows(host) {
        let problem = Problem::new("misdirected", "this server is not known by the name in the Host header");
        return Some(problem.hint("use its address, or start it with --allow-host NAME").at("header Host"));
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
    foreign.then(|| Problem::new("forbidden", "a page of another site may not change anything here"))
}

/// Whether a request asks for health or metrics, which every limit lets pass.
fn is_probe(request: &HttpRequest) -> bool {
    PROBES.contains(&request.uri().path())
}

/// A count by client address, with a limit for each client.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    limit: usize,
}

/// One place of a client; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    shares: Shares,
    client: IpAddr,
}

impl Shares {
    /// At most `limit` places for each client.
    pub(super) fn new(limit: usize) -> Shares {
        Shares { counts: Arc::default(), limit }
    }

    /// A place for a client; none where it has as many as it may.
    pub(super) fn take(&self, client: IpAddr) -> Option<Place> {
        let mut counts = self.counts.lock();
        let count = counts.entry(client).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place { shares: self.clone(), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.shares.counts.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Requests in work by client: until a handler has made its answer.
#[derive(Debug, Clone)]
pub(super) struct Requests(Shares);

impl Requests {
    pub(super) fn new() -> Requests {
        Requests(Shares::new(REQUESTS_PER_CLIENT))
    }

    /// Counts a request of its client; refused where the client has too many in work.
    pub(super) fn admit(&self, request: &HttpRequest) -> Result<Option<Place>, Problem> {
        let Some(client) = request.peer_addr().map(|peer| peer.ip()).filter(|_| !is_probe(request)) else {
            return Ok(None);
        };
        self.0.take(client).map(Some).ok_or_else(|| {
            Problem::new("too_many", format!("{REQUESTS_PER_CLIENT} requests of this client are in work already"))
                .hint("wait for an answer before sending more")
        })
    }
}

/// Open connections by client.
#[derive(Debug, Clone)]
pub(super) struct Connections(Shares);

/// The place of a connection, kept with it.
#[derive(Debug, Clone)]
struct Open {
    _place: Arc<Place>,
}

impl Connections {
    pub(super) fn new() -> Connections {
        Connections(Shares::new(CONNECTIONS_PER_CLIENT))
    }

    /// Counts a new connection of its client; shuts it down where the client has too many.
    pub(super) fn admit(&self, stream: &TcpStream, extensions: &mut Extensions) {
        let Ok(client) = stream.peer_addr() else { return };
        match self.0.take(client.ip()) {
            Some(place) => {
                extensions.insert(Open { _place: Arc::new(place) });
            }
            None => {
                // Both descriptors are of one socket: the server reads its end and closes the other.
                let copy = stream.as_fd().try_clone_to_owned().map(std::net::TcpStream::from);
                if let Err(error) = copy.and_then(|stream| stream.shutdown(Shutdown::Both)) {
                    tracing::debug!(%error, "a connection above the limit of its client could not be closed");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_header_by_name_or_address_is_judged() {
        let hosts = HostNames::default().and(["https://sr.example:8470/x", "other"]);
        for known in
            ["localhost", "LocalHost:8470", "127.0.0.1:1", "10.9.8.7", "[::1]:8470", "[::1]", "sr.example", "other."]
        {
            assert!(hosts.allows(known), "{known}");
        }
        for strange in
            ["evil.example", "evil.example:8470", "", "localhost@evil", "[::1", "a:b:c", "127.0.0.1.evil.example"]
        {
            assert!(!hosts.allows(strange), "{strange}");
        }
        assert!(hosts.and(["*"]).allows("evil.example"));
    }

    #[test]
    fn origin_of_another_host_or_port_is_foreign() {
        assert!(same_origin("http://localhost:8470", "localhost:8470"));
        assert!(same_origin("https://SR.example", "sr.example"));
        for foreign in ["null", "http://evil.example", "http://localhost:9", "http://localhost", ""] {
            assert!(!same_origin(foreign, "localhost:8470"), "{foreign}");
        }
    }

    #[test]
    fn client_with_too_many_requests_is_refused_until_one_ends() {
        let shares = Shares::new(3);
        let (one, two) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let mut held: Vec<Place> = (0..3).filter_map(|_| shares.take(one)).collect();
        assert_eq!(held.len(), 3);
        assert!(shares.take(one).is_none() && shares.take(two).is_some());
        held.pop();
        assert!(shares.take(one).is_some());
        drop(held);
        assert!(shares.counts.lock().is_empty(), "clients without requests are forgotten");
    }
}
