//! Where Redis is: `redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://host:port,host:port/service[/database]` and
//! `redis+cluster://host:port,host:port`; the last two with `rediss+` over TLS.
use redis::{ConnectionInfo, IntoConnectionInfo};
use thiserror::Error;

/// Port of Redis where a URL names none.
const PORT: u16 = 6379;
/// Port of Sentinels where a URL names none.
const SENTINEL_PORT: u16 = 26379;

/// What is wrong with a URL. The URL itself is not repeated: it may hold a password.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// No form this build knows.
    #[error(
        "the Redis URL must start with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (rediss+… for TLS)"
    )]
    Scheme,
    /// The rest of it.
    #[error("the Redis URL cannot be read: {0}")]
    Malformed(String),
    /// `#insecure`.
    #[error("a certificate that is not verified protects nothing: drop #insecure and name the CA with --redis-ca FILE")]
    Insecure,
    /// A Sentinel URL without a service.
    #[error("a Sentinel URL names the service it asks for: redis+sentinel://host:26379,host:26379/SERVICE")]
    NoService,
}

/// One server, or how to find it.
#[derive(Debug, Clone)]
pub enum Address {
    /// This one.
    One(Box<ConnectionInfo>),
    /// The one that these Sentinels say is the master of a service. The credentials are the server's.
    Sentinel {
        /// Host and port of each.
        sentinels: Vec<(String, u16)>,
        /// Name of the service.
        service: String,
        /// A URL of the master but for its host: what stands before it and what stands after.
        around: (String, String),
    },
    /// The nodes to ask first.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Address, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
        if rest.contains("#insecure") {
            return Err(AddressError::Insecure);
        }
        let plain = if scheme.starts_with("rediss") { "rediss" } else { "redis" };
        match scheme {
            "redis" | "rediss" | "unix" | "redis+unix" => Ok(Address::One(Box::new(info(url)?))),
            "redis+sentinel" | "rediss+sentinel" => sentinel(plain, rest),
            "redis+cluster" | "rediss+cluster" => {
                let (login, hosts, _) = split(rest);
                let nodes = places(hosts, PORT)?;
                let nodes = nodes.iter().map(|(host, port)| info(&format!("{plain}://{login}{host}:{port}/")));
                Ok(Address::Cluster(nodes.collect::<Result<_, _>>()?))
            }
            _ => Err(AddressError::Scheme),
        }
    }

    /// Whether keys are spread over several servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Address::Cluster(_))
    }
}

/// The client's own form of a URL.
pub(crate) fn info(url: &str) -> Result<ConnectionInfo, AddressError> {
    url.into_connection_info().map_err(|e| AddressError::Malformed(e.to_string()))
}

/// Login with its `@`, hosts, and what follows the slash.
fn split(rest: &str) -> (&str, &str, &str) {
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let at = place.rfind('@').map_or(0, |at| at + 1);
    (&place[..at], &place[at..], path)
}

fn places(hosts: &str, port: u16) -> Result<Vec<(String, u16)>, AddressError> {
    let place = |text: &str| {
        let wrong = || AddressError::Malformed(format!("{text:?} is no host:port"));
        // An IPv6 address stands in brackets and has colons of its own.
        let (host, given) = match text.rsplit_once(':') {
            Some((host, given)) if !given.contains(']') => (host, given.parse().map_err(|_| wrong())?),
            _ => (text, port),
        };
        if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), given)) }
    };
    hosts.split(',').map(str::trim).map(place).collect()
}

fn sentinel(plain: &str, rest: &str) -> Result<Address, AddressError> {
    let (login, hosts, path) = split(rest);
    let (service, database) = path.trim_end_matches('/').split_once('/').unwrap_or((path.trim_end_matches('/'), "0"));
    if service.is_empty() {
        return Err(AddressError::NoService);
    }
    let around = (format!("{plain}://{login}"), format!("/{database}"));
    info(&format!("{}host:1{}", around.0, around.1))?;
    Ok(Address::Sentinel { sentinels: places(hosts, SENTINEL_PORT)?, service: service.to_owned(), around })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_what_is_none_is_named_without_its_password() {
        assert!(matches!(Address::parse("rediss://u:p@h:1/2"), Ok(Address::One(_))));
        let Ok(Address::Sentinel { sentinels, service, around }) =
            Address::parse("rediss+sentinel://u:p%40@a:1,[::1]:2,c/main/3")
        else {
            panic!("a Sentinel URL")
        };
        assert_eq!(sentinels, [("a".to_owned(), 1), ("[::1]".to_owned(), 2), ("c".to_owned(), 26379)]);
        assert_eq!((service.as_str(), around.0.as_str(), around.1.as_str()), ("main", "rediss://u:p%40@", "/3"));
        let Ok(Address::Cluster(nodes)) = Address::parse("redis+cluster://u:p@a:1,b") else { panic!("a cluster URL") };
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[1].addr().to_string(), "b:6379");
        for (url, error) in [
            ("http://h/", AddressError::Scheme),
            ("nothing", AddressError::Scheme),
            ("rediss://u:canary@h/#insecure", AddressError::Insecure),
            ("redis+sentinel://u:canary@h", AddressError::NoService),
        ] {
            assert_eq!(Address::parse(url).expect_err(url), error);
        }
        let error = Address::parse("redis+cluster://u:canary@h:x").expect_err("no port");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}
