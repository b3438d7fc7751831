//! Limits of connections and requests per client. A connection beyond a limit is reserved for health and metrics, which
//! always answer; the reserve has limits of its own.
use actix_web::dev::Extensions;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Numbers of open connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    /// Connections for every request, of all clients together.
    pub total: usize,
    /// Of these, connections of one client.
    pub per_client: usize,
    /// Further connections that answer health and metrics alone, of all clients together.
    pub reserve: usize,
    /// Of these, connections of one client.
    pub reserve_per_client: usize,
}

impl ConnectionLimits {
    /// Limits of the API.
    pub(super) const API: ConnectionLimits = ConnectionLimits {
        total: 4_096,
        per_client: 1_536,
        reserve: 512,
        reserve_per_client: 8,
    };
    /// Limits of a server of health and metrics: few probes come, and each is short.
    pub(super) const HEALTH: ConnectionLimits = ConnectionLimits {
        total: 64,
        per_client: 32,
        reserve: 64,
        reserve_per_client: 4,
    };

    /// Connections that the server accepts; more wait in the backlog.
    pub(super) fn accepted(self) -> usize {
        self.total + self.reserve
    }
}

/// The network by which a client is counted: its IPv4 address, or the /64 of its IPv6 address, all of which one host may
/// have.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

/// A count by client, with a limit for each client.
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
        Shares {
            counts: Arc::default(),
            limit,
        }
    }

    /// A place for a client; none where it has as many as it may.
    pub(super) fn take(&self, client: IpAddr) -> Option<Place> {
        let client = network(client);
        let mut counts = self.counts.lock();
        let count = counts.entry(client).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Place {
            shares: self.clone(),
            client,
        })
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

/// A limit for all clients together and one for each.
#[derive(Debug, Clone)]
struct Pool {
    all: Arc<Semaphore>,
    clients: Shares,
}

impl Pool {
    fn new(total: usize, per_client: usize) -> Pool {
        Pool {
            all: Arc::new(Semaphore::new(total)),
            clients: Shares::new(per_client),
        }
    }

    fn take(&self, client: IpAddr) -> Option<(Place, OwnedSemaphorePermit)> {
        // A client without a place must not hold a permit, not even for a moment.
        let place = self.clients.take(client)?;
        Some((place, Arc::clone(&self.all).try_acquire_owned().ok()?))
    }
}

/// Open connections by client.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    general: Pool,
    reserve: Pool,
}

/// The place of a connection, kept with it.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// Whether it answers health and metrics alone.
    pub probes_only: bool,
    _place: Arc<(Place, OwnedSemaphorePermit)>,
}

impl Connections {
    pub(super) fn within(limits: ConnectionLimits) -> Connections {
        Connections {
            general: Pool::new(limits.total, limits.per_client),
            reserve: Pool::new(limits.reserve, limits.reserve_per_client),
        }
    }

    /// A place for a connection; none where the client or the server has as many as it may.
    fn place(&self, client: IpAddr) -> Option<Open> {
        let general = self.general.take(client).map(|place| (false, place));
        let (probes_only, place) = general.or_else(|| Some((true, self.reserve.take(client)?)))?;
        Some(Open {
            probes_only,
            _place: Arc::new(place),
        })
    }

    /// Counts a new connection of its client; shuts it down where there is no place for it.
    pub(super) fn admit(&self, connection: &dyn Any, extensions: &mut Extensions) {
        let Some(stream) = connection.downcast_ref::<TcpStream>() else {
            return;
        };
        let Ok(client) = stream.peer_addr() else {
            return;
        };
        match self.place(client.ip()) {
            Some(open) => {
                extensions.insert(open);
            }
            None => {
                // Both descriptors are of one socket: the server reads its end and closes the other.
                let copy = stream
                    .as_fd()
                    .try_clone_to_owned()
                    .map(std::net::TcpStream::from);
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

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
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
        assert!(
            shares.counts.lock().is_empty(),
            "clients without requests are forgotten"
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let shares = Shares::new(1);
        let _held = shares.take(address("2001:db8:1:2::1")).expect("a place");
        assert!(
            shares.take(address("2001:db8:1:2:ffff:1:2:3")).is_none(),
            "the same /64"
        );
        assert!(
            shares.take(address("2001:db8:1:3::1")).is_some(),
            "another /64"
        );
        let _held = shares.take(address("::ffff:10.0.0.1")).expect("a place");
        assert!(
            shares.take(address("10.0.0.1")).is_none(),
            "one IPv4 address in two notations"
        );
        assert!(shares.take(address("10.0.0.2")).is_some());
    }

    #[test]
    fn clients_that_hold_all_connections_leave_the_reserve_to_others() {
        let limits = ConnectionLimits {
            total: 6,
            per_client: 3,
            reserve: 4,
            reserve_per_client: 1,
        };
        let connections = Connections::within(limits);
        let mut held: Vec<Open> = Vec::new();
        for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            held.extend((0..20).filter_map(|_| connections.place(address(client))));
        }
        let general = held.iter().filter(|open| !open.probes_only).count();
        assert_eq!(
            (general, held.len()),
            (6, 9),
            "three clients take all connections and one of the reserve each"
        );
        let probe = connections
            .place(address("10.0.0.9"))
            .expect("a probe of another address is answered");
        assert!(probe.probes_only);
        held.clear();
        assert!(
            connections
                .place(address("10.0.0.9"))
                .is_some_and(|open| !open.probes_only)
        );
    }
}
