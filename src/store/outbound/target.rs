//! Where a request goes, read from its URL: what cannot be asked is refused before anything is looked up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderValue, Uri};

use super::Why;

/// Longest name (RFC 1035 §2.3.4).
const NAME_MAX: usize = 253;

/// A URL that can be asked.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) tls: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// The `Host` field.
    pub(super) authority: HeaderValue,
    /// Path and query: what stands in the request line (RFC 9112 §3.2.1).
    pub(super) path: Uri,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// To be looked up. What looks like a number in another spelling (`0x7f.1`, `2130706433`) is one of these: the system's
    /// lookup reads it, and what comes out of that is checked.
    Name(String),
    /// Written as an address.
    Address(IpAddr),
}

impl Host {
    /// As the name in a certificate is compared with it.
    pub(super) fn text(&self) -> String {
        match self {
            // A certificate has no final dot (RFC 6066 §3).
            Host::Name(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Host::Address(address) => address.to_string(),
        }
    }
}

impl Target {
    /// Reads the URL.
    ///
    /// # Errors
    /// [`Why::Url`].
    pub(super) fn parse(uri: &Uri) -> Result<Target, Why> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(Why::Url("it begins with neither `https://` nor `http://`")),
        };
        let authority = uri.authority().ok_or(Why::Url("it has no host"))?.as_str();
        if authority.contains('@') {
            return Err(Why::Url("a user or a password in it is never sent"));
        }
        let name = uri.host().unwrap_or_default();
        let port = match authority.strip_prefix(name).unwrap_or(authority) {
            "" if tls => 443,
            "" => 80,
            rest => port(rest).ok_or(Why::Url("its port is no number from 1 to 65535"))?,
        };
        let path = match uri.query() {
            Some(query) => format!("{}?{query}", uri.path()),
            None => uri.path().to_owned(),
        };
        Ok(Target {
            tls,
            host: host(name)?,
            port,
            authority: HeaderValue::from_str(authority)
                .map_err(|_| Why::Url("its host has signs that no name has"))?,
            path: path.parse().map_err(|_| Why::Url("its path cannot be sent"))?,
        })
    }
}

fn port(rest: &str) -> Option<u16> {
    let digits = rest.strip_prefix(':')?;
    let plain = digits.bytes().all(|sign| sign.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0)
}

fn host(name: &str) -> Result<Host, Why> {
    if let Some(rest) = name.strip_prefix('[') {
        let address = rest.strip_suffix(']').and_then(|text| text.parse::<Ipv6Addr>().ok());
        let address = address.ok_or(Why::Url("what stands in brackets is no IPv6 address"))?;
        return Ok(Host::Address(address.into()));
    }
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Ok(Host::Address(address.into()));
    }
    let of_names = |sign: u8| sign.is_ascii_alphanumeric() || b"-._".contains(&sign);
    match name.bytes().all(of_names) && (1..=NAME_MAX).contains(&name.len()) {
        true => Ok(Host::Name(name.to_owned())),
        false => Err(Why::Url("its host has signs that no name has")),
    }
}

/// The URL as it may be logged: without user, password, query.
pub fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let authority = authority.rsplit('@').next().unwrap_or_default();
    match uri.scheme_str() {
        Some(scheme) => format!("{scheme}://{authority}{}", uri.path()),
        None => format!("{authority}{}", uri.path()),
    }
}
