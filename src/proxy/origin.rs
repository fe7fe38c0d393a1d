//! Where a request came from, behind proxies: the last address of the chain that is not one of ours.
//!
//! Each proxy adds the address of whoever spoke to it at the end of `X-Forwarded-For` (or `Forwarded`, RFC 7239),
//! so what stands before an address of a stranger is the stranger's own invention. Never asked about a peer that
//! is not listed in `trusted_proxies`. Called by `gateway`, once for each request.

use std::net::{IpAddr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client behind the listed proxy `peer`; `peer` itself when the chain does not say.
///
/// When both fields are sent they must agree: a proxy that writes one may pass the other on as the client sent it, and
/// whoever could choose an address could choose whom guesses are counted for.
pub fn origin(peer: IpAddr, headers: &HeaderMap, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let older = headers.contains_key(X_FORWARDED_FOR);
    let newer = headers.contains_key(header::FORWARDED);
    let by_older = || last_stranger(peer, &trusts, headers, &X_FORWARDED_FOR, element_of_older);
    let by_newer = || last_stranger(peer, &trusts, headers, &header::FORWARDED, element_of_newer);
    match (older, newer) {
        (false, false) => peer,
        (true, false) => by_older(),
        (false, true) => by_newer(),
        (true, true) => Some(by_older()).filter(|one| *one == by_newer()).unwrap_or(peer),
    }
}

/// Reads a list from its end: every address of a proxy of ours vouches for the one before it. What cannot be read
/// ends the chain, and the last proxy that vouches stands for whoever is behind it.
fn last_stranger(
    peer: IpAddr,
    trusts: &impl Fn(IpAddr) -> bool,
    headers: &HeaderMap,
    name: &HeaderName,
    read: fn(&str) -> Option<IpAddr>,
) -> IpAddr {
    let mut last = peer;
    let lines = headers.get_all(name).iter().rev();
    for element in lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')) {
        match read(element.trim()) {
            None => return last,
            Some(address) if !trusts(address) => return address,
            Some(address) => last = address,
        }
    }
    last
}

/// `192.0.2.1`, `2001:db8::1`, and with a port, as some proxies write them.
fn element_of_older(element: &str) -> Option<IpAddr> {
    let bare = element.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(element);
    let address = bare.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(element.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

/// The `for` of `for="[2001:db8::1]:80";proto=https`. Hidden names (`unknown`, `_secret`) say nothing, nor does one
/// that stands there twice. A comma in quotes breaks the element, which then cannot be read: that is safe.
fn element_of_newer(element: &str) -> Option<IpAddr> {
    let mut nodes = element.split(';').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    });
    let node = nodes.next().filter(|_| nodes.next().is_none())?;
    let node = node.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(node);
    element_of_older(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.1";

    /// Lines of the two fields; every address in 10/8 and fd00::/8 is a proxy of ours.
    fn of(older: &[&'static str], newer: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in older {
            headers.append(X_FORWARDED_FOR, header::HeaderValue::from_static(line));
        }
        for line in newer {
            headers.append(header::FORWARDED, header::HeaderValue::from_static(line));
        }
        let ours = |address: IpAddr| match address {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.segments()[0] == 0xfd00,
        };
        origin(PEER.parse().unwrap(), &headers, ours).to_string()
    }

    #[test]
    fn the_last_stranger_is_the_client_and_what_it_says_itself_is_not_read() {
        assert_eq!(of(&[], &[]), PEER);
        assert_eq!(of(&["203.0.113.9"], &[]), "203.0.113.9");
        assert_eq!(of(&["1.1.1.1, 203.0.113.9"], &[]), "203.0.113.9");
        assert_eq!(of(&["1.1.1.1, 203.0.113.9, 10.0.0.7,10.0.0.8"], &[]), "203.0.113.9");
        assert_eq!(of(&["1.1.1.1", "203.0.113.9", "10.0.0.7"], &[]), "203.0.113.9");
        assert_eq!(of(&["10.0.0.9, 203.0.113.9"], &[]), "203.0.113.9");
        assert_eq!(of(&["10.0.0.9, 10.0.0.7"], &[]), "10.0.0.9");
        assert_eq!(of(&["2001:db8::1, fd00::7"], &[]), "2001:db8::1");
        assert_eq!(of(&["::ffff:203.0.113.9"], &[]), "203.0.113.9");
    }

    #[test]
    fn ports_and_brackets_are_read_and_other_words_end_the_chain() {
        assert_eq!(of(&["203.0.113.9:4711"], &[]), "203.0.113.9");
        assert_eq!(of(&["[2001:db8::1]:80"], &[]), "2001:db8::1");
        assert_eq!(of(&["[2001:db8::1]"], &[]), "2001:db8::1");
        for odd in ["unknown", "", ",", "203.0.113.9,", "1.1.1.1, -", "203.0.113", "203.0.113.9 x"]
        {
            assert_eq!(of(&[odd], &[]), PEER, "{odd:?}");
        }
        assert_eq!(of(&["1.1.1.1, _hidden, 10.0.0.7"], &[]), "10.0.0.7");
    }

    #[test]
    fn the_newer_field_is_read_where_it_stands_alone() {
        assert_eq!(of(&[], &["for=203.0.113.9;proto=https"]), "203.0.113.9");
        assert_eq!(of(&[], &["for=1.1.1.1, proto=https; For=\"203.0.113.9:80\""]), "203.0.113.9");
        assert_eq!(of(&[], &["for=\"[2001:db8::1]\", for=10.0.0.7"]), "2001:db8::1");
        for odd in ["for=unknown", "by=203.0.113.9", "for=1.1.1.1;for=2.2.2.2", "for=\"1.1.1.1"] {
            assert_eq!(of(&[], &[odd]), PEER, "{odd:?}");
        }
    }

    #[test]
    fn two_fields_that_disagree_name_nobody() {
        assert_eq!(of(&["203.0.113.9"], &["for=203.0.113.9"]), "203.0.113.9");
        assert_eq!(of(&["203.0.113.9"], &["for=1.1.1.1"]), PEER);
        assert_eq!(of(&["1.1.1.1"], &["for=203.0.113.9"]), PEER);
    }
}
