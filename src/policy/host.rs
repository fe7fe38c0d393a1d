//! One host, one spelling: lower-case, without port and trailing dot (RFC 9110 §4.2.3, CVE-2021-39155).
//!
//! Never resolves a name and never looks at a route. Called by the wire guard to check `Host`, by the
//! gateway to choose a route, and for the hosts of patterns.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// Bytes in one `Host` value at most: a DNS name has 253, a port 6, brackets and dot a few.
pub const HOST_BYTES_MAX: usize = 270;

/// The port of an authority that names none (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;

/// Why a `Host` value is not a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFault(pub &'static str);

/// The canonical form of a `Host` value; borrows when it is canonical already.
///
/// # Errors
/// [`HostFault`] when it is empty or too long, or holds anything but a name (letters, digits, `-`, `_`,
/// `.`), an IPv4 address or a bracketed IPv6 address, and a port (RFC 9112 §3.2, CVE-2026-57209).
pub fn canonical(raw: &str) -> Result<Cow<'_, str>, HostFault> {
    if raw.len() > HOST_BYTES_MAX {
        return Err(HostFault("the host is too long"));
    }
    if let Some(rest) = raw.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(HostFault("`[` without `]`"))?;
        check_port(port)?;
        let address: Ipv6Addr =
            address.parse().map_err(|_| HostFault("no IPv6 address is inside the brackets"))?;
        // One address has many spellings; RFC 5952 names one.
        let inner = address.to_string();
        let spelled = &raw[..raw.len() - port.len()];
        return Ok(if spelled[1..spelled.len() - 1] == *inner {
            Cow::Borrowed(spelled)
        } else {
            Cow::Owned(format!("[{inner}]"))
        });
    }
    let colon = memchr::memchr(b':', raw.as_bytes()).unwrap_or(raw.len());
    check_port(&raw[colon..])?;
    let name = &raw[..colon];
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        return Err(HostFault("the host is empty"));
    }
    Ok(if has_upper_case(name)? {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    })
}

/// Whether a name is to be folded, if it is one. By a table: each request asks.
fn has_upper_case(name: &str) -> Result<bool, HostFault> {
    let signs = name.bytes().fold(0, |signs, byte| signs | SIGNS[usize::from(byte)]);
    if signs & OTHER != 0 {
        return Err(HostFault("the host holds a character that no name or address has"));
    }
    if name.starts_with('.')
        || name.ends_with('.')
        || name.as_bytes().windows(2).any(|two| two == b"..")
    {
        return Err(HostFault("a label of the host is empty"));
    }
    Ok(signs & UPPER != 0)
}

/// What a byte of a host is, where it is nothing usual.
const UPPER: u8 = 1;
const OTHER: u8 = 2;
const SIGNS: [u8; 256] = {
    let mut table = [OTHER; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        table[byte as usize] = match byte {
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => 0,
            _ => OTHER,
        };
        byte += 1;
    }
    table
};

/// The canonical form of a `Host` value or an authority, and its port: the one of `http` where it names none.
///
/// # Errors
/// As [`canonical`].
pub fn with_port(raw: &str) -> Result<(Cow<'_, str>, u16), HostFault> {
    let host = canonical(raw)?;
    let after = raw.rfind(']').unwrap_or(0);
    let port = raw[after..].split_once(':').and_then(|(_, digits)| digits.parse().ok());
    Ok((host, port.unwrap_or(HTTP_PORT)))
}

/// Nothing, or `:` and a port; `host:` is allowed by RFC 3986 §3.2.3.
fn check_port(port: &str) -> Result<(), HostFault> {
    let fault = HostFault("what follows the host is not a port");
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        None => Err(fault),
        Some("") => Ok(()),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u16>().map(|_| ()).map_err(|_| fault)
        }
        Some(_) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (raw, wanted) in [
            ("app.example.com", "app.example.com"),
            ("APP.Example.com.:443", "app.example.com"),
            ("my_host:8080", "my_host"),
            ("a:", "a"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("[0:0::0001]", "[::1]"),
            ("[2001:DB8::A]", "[2001:db8::a]"),
        ] {
            let host = canonical(raw).expect(raw);
            assert_eq!(host, wanted);
            assert_eq!(canonical(&host).expect("canonical"), wanted);
        }
    }

    #[test]
    fn a_port_that_is_not_named_is_that_of_http() {
        for (raw, wanted) in [
            ("A.example.", ("a.example", 80)),
            ("a.example:", ("a.example", 80)),
            ("a.example:80", ("a.example", 80)),
            ("a.example:8080", ("a.example", 8080)),
            ("[::1]", ("[::1]", 80)),
            ("[0::1]:81", ("[::1]", 81)),
        ] {
            assert_eq!(with_port(raw), Ok((wanted.0.into(), wanted.1)), "{raw}");
        }
        assert!(with_port("u@a").is_err());
    }

    #[test]
    fn a_canonical_host_is_borrowed() {
        for raw in ["app.example.com:80", "a.", "[::1]:8080", "10.0.0.1"] {
            assert!(matches!(canonical(raw), Ok(Cow::Borrowed(_))), "{raw}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for raw in [
            "",
            ":80",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            "u@h",
            "h/p",
            "a,b",
            "a b",
            " a",
            "a;for=1",
            "a%2e",
            "h:80a",
            "h:+80",
            "h:70000",
            "h:80:80",
            "[::1",
            "[::1]x",
            "[]",
            "[::g]",
            "::1",
            "h\\x",
            "h#x",
            "h?x",
            "é.example",
            "[fe80::1%25eth0]",
            "a\0",
            "a\tb",
        ] {
            assert!(canonical(raw).is_err(), "{raw:?}");
        }
        assert!(canonical(&"a".repeat(HOST_BYTES_MAX + 1)).is_err());
    }
}
