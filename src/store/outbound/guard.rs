//! The address guard: which addresses a request of our own may go to. A name in a URL is somebody else's word, and
//! may lead into our own network; only what is an ordinary address of the internet passes, and what is listed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Why;

/// What is no ordinary address (IANA IPv4 Special-Purpose Address Registry; RFC 6890).
const SPECIAL_V4: [(Ipv4Net, &str); 15] = [
    (v4(0, 0, 0, 0, 8), "an unspecified address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(100, 64, 0, 0, 10), "an address shared by a provider's customers"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 0, 0, 0, 24), "an address kept for protocols"),
    (v4(192, 0, 2, 0, 24), "an address for documentation"),
    (v4(192, 88, 99, 0, 24), "an address that carries others"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(198, 18, 0, 0, 15), "an address for measurements"),
    (v4(198, 51, 100, 0, 24), "an address for documentation"),
    (v4(203, 0, 113, 0, 24), "an address for documentation"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
    (v4(240, 0, 0, 0, 4), "an address kept for later"),
];

/// The same in IPv6, in this order; what is in none of these and not in [`GLOBAL_V6`] is refused too.
const SPECIAL_V6: [(Ipv6Net, &str); 12] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "an unspecified address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "an address that carries one of IPv4"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "an address that carries one of IPv4"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32), "an address that carries one of IPv4"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "an address kept for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "an address for documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "an address that carries one of IPv4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "an address for documentation"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

/// The only part of IPv6 that is routed between networks (RFC 4291 §2.4).
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(s: [u16; 8], prefix: u8) -> Ipv6Net {
    let address = Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]);
    Ipv6Net::new_assert(address, prefix)
}

/// An address that passed the guard: the only kind that is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked(SocketAddr);

impl Checked {
    pub(super) fn address(self) -> SocketAddr {
        self.0
    }
}

/// Refuses what is no ordinary address of the internet, unless listed.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressGuard {
    allow: Vec<IpNet>,
}

impl AddressGuard {
    pub(super) fn new(allow: Vec<IpNet>) -> AddressGuard {
        AddressGuard { allow }
    }

    /// Judges the very address that will be connected to.
    ///
    /// # Errors
    /// [`Why::Refused`]: it is special and not listed.
    pub(super) fn check(&self, address: SocketAddr) -> Result<Checked, Why> {
        let ip = address.ip();
        match special(ip) {
            Some(kind) if !self.lists(ip) => Err(Why::Refused { address: ip, kind }),
            _ => Ok(Checked(address)),
        }
    }

    /// Whether it is listed; one of IPv4 may be listed as such and written as a mapped one (RFC 4291 §2.5.5.2), since
    /// both reach the same host.
    fn lists(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|net| net.contains(&ip) || net.contains(&ip.to_canonical()))
    }
}

/// What makes it special; `None` for an ordinary address.
fn special(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => {
            SPECIAL_V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, kind)| *kind)
        }
        IpAddr::V6(ip) => match SPECIAL_V6.iter().find(|(net, _)| net.contains(&ip)) {
            Some((_, kind)) => Some(kind),
            None if GLOBAL_V6.contains(&ip) => None,
            None => Some("an address that no network routes"),
        },
    }
}
