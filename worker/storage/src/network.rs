//! Which addresses a source from the outside world may not have: those inside, which a job file could use to read what
//! only this machine can reach.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network as `10.0.0.0/8` or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads a network. Says what is wrong otherwise.
    pub(super) fn parse(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text:?} is no network: write 10.0.0.0/8 or fd00::/8");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most {
            Err(wrong())
        } else {
            Ok(Network { address, bits })
        }
    }

    /// Whether an address belongs to it.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let shared = |own: u128, other: u128, width: u32| {
            let left = width - u32::from(self.bits);
            left >= width || own >> left == other >> left
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                shared(own.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => shared(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

/// Whether an address may be used: a public one, or one that `allowed` contains.
pub(super) fn may_use(address: IpAddr, allowed: &[Network]) -> bool {
    let plain = match address {
        // An old address in new clothes is judged as the old one.
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    };
    let public = match plain {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    };
    public || allowed.iter().any(|network| network.contains(plain))
}

/// The special-purpose registries of IANA (RFC 6890 and its updates).
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19));
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3; within it, documentation, 6to4 and Teredo lead to addresses that are not looked at.
    let global = first & 0xe000 == 0x2000;
    let special =
        (first == 0x2001 && (second == 0 || second == 0xdb8)) || first == 0x2002 || first == 0x3fff;
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_used_unless_allowed() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!may_use(ip(inside), &[]), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "8.8.8.8",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(may_use(ip(outside), &[]), "{outside}");
        }
        let allowed = [
            Network::parse("10.0.0.0/8").expect("reads"),
            Network::parse("::1").expect("reads"),
        ];
        assert!(may_use(ip("10.9.9.9"), &allowed) && may_use(ip("::ffff:10.0.0.1"), &allowed));
        assert!(may_use(ip("::1"), &allowed));
        assert!(!may_use(ip("127.0.0.1"), &allowed));
        assert!(may_use(
            ip("127.0.0.1"),
            &[Network::parse("0.0.0.0/0").expect("reads")]
        ));
    }
}
