//! The address of Redis: `redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://host:port,host:port/service[/database]` and
//! `redis+cluster://host:port,host:port`. The last two use TLS with `rediss+`.
use redis::{ConnectionInfo, IntoConnectionInfo};
use thiserror::Error;

/// Port of Redis where a URL names none.
const PORT: u16 = 6379;
/// Port of Sentinels where a URL names none.
const SENTINEL_PORT: u16 = 26379;

/// Why a URL is refused. Messages do not repeat the URL, since it may hold a password.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// The scheme is unknown.
    #[error(
        "the Redis URL must start with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// (rediss+… for TLS)"
    )]
    Scheme,
    /// The part after the scheme cannot be read.
    #[error("the Redis URL cannot be read: {0}")]
    Malformed(String),
    /// `#insecure` would accept any certificate.
    #[error(
        "a certificate that is not verified protects nothing: drop #insecure and name the CA with --redis-ca FILE"
    )]
    Insecure,
    /// A Sentinel URL names no service.
    #[error(
        "a Sentinel URL names the service it asks for: redis+sentinel://host:26379,host:26379/SERVICE"
    )]
    NoService,
}

/// One server, or the servers that lead to it.
#[derive(Debug, Clone)]
pub enum Address {
    /// A single server.
    Single(Box<ConnectionInfo>),
    /// The master of a service, as its Sentinels name it. The credentials are those of the master.
    Sentinel {
        /// Host and port of each Sentinel.
        sentinels: Vec<(String, u16)>,
        /// Service that the Sentinels watch.
        service: String,
        /// URL of the master without its host: the text before the host and the text after it.
        master_url: (String, String),
    },
    /// The nodes that the client contacts first.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Address, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
        if rest.contains("#insecure") {
            return Err(AddressError::Insecure);
        }
        let plain = if scheme.starts_with("rediss") {
            "rediss"
        } else {
            "redis"
        };
        match scheme {
            "redis" | "rediss" | "unix" | "redis+unix" => Ok(Address::Single(Box::new(info(url)?))),
            "redis+sentinel" | "rediss+sentinel" => sentinel(plain, rest),
            "redis+cluster" | "rediss+cluster" => {
                let (login, hosts, _) = split(rest);
                let nodes = endpoints(hosts, PORT)?;
                let nodes = nodes
                    .iter()
                    .map(|(host, port)| info(&format!("{plain}://{login}{host}:{port}/")));
                Ok(Address::Cluster(nodes.collect::<Result<_, _>>()?))
            }
            _ => Err(AddressError::Scheme),
        }
    }

    /// Whether keys are distributed over several servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self, Address::Cluster(_))
    }
}

/// Parses a URL into the form of the client library.
pub(crate) fn info(url: &str) -> Result<ConnectionInfo, AddressError> {
    url.into_connection_info()
        .map_err(|e| AddressError::Malformed(e.to_string()))
}

/// Splits into the login with its `@`, the hosts, and the text after the slash.
fn split(rest: &str) -> (&str, &str, &str) {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let at = authority.rfind('@').map_or(0, |at| at + 1);
    (&authority[..at], &authority[at..], path)
}

fn endpoints(hosts: &str, port: u16) -> Result<Vec<(String, u16)>, AddressError> {
    let endpoint = |text: &str| {
        let wrong = || AddressError::Malformed(format!("{text:?} is no host:port"));
        // An IPv6 address is in brackets and contains colons.
        let (host, given) = match text.rsplit_once(':') {
            Some((host, given)) if !given.contains(']') => {
                (host, given.parse().map_err(|_| wrong())?)
            }
            _ => (text, port),
        };
        if host.is_empty() {
            Err(wrong())
        } else {
            Ok((host.to_owned(), given))
        }
    };
    hosts.split(',').map(str::trim).map(endpoint).collect()
}

fn sentinel(plain: &str, rest: &str) -> Result<Address, AddressError> {
    let (login, hosts, path) = split(rest);
    let (service, database) = path
        .trim_end_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_end_matches('/'), "0"));
    if service.is_empty() {
        return Err(AddressError::NoService);
    }
    let master_url = (format!("{plain}://{login}"), format!("/{database}"));
    info(&format!("{}host:1{}", master_url.0, master_url.1))?;
    Ok(Address::Sentinel {
        sentinels: endpoints(hosts, SENTINEL_PORT)?,
        service: service.to_owned(),
        master_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_every_form_is_read_and_errors_hide_the_password() {
        assert!(matches!(
            Address::parse("rediss://u:p@h:1/2"),
            Ok(Address::Single(_))
        ));
        let Ok(Address::Sentinel {
            sentinels,
            service,
            master_url,
        }) = Address::parse("rediss+sentinel://u:p%40@a:1,[::1]:2,c/main/3")
        else {
            panic!("a Sentinel URL")
        };
        assert_eq!(
            sentinels,
            [
                ("a".to_owned(), 1),
                ("[::1]".to_owned(), 2),
                ("c".to_owned(), 26379)
            ]
        );
        assert_eq!(
            (
                service.as_str(),
                master_url.0.as_str(),
                master_url.1.as_str()
            ),
            ("main", "rediss://u:p%40@", "/3")
        );
        let Ok(Address::Cluster(nodes)) = Address::parse("redis+cluster://u:p@a:1,b") else {
            panic!("a cluster URL")
        };
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
