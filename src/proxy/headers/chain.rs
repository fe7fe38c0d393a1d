//! The chain of proxies in front of a backend: `X-Forwarded-*` and `Forwarded`, rebuilt for every request.
//!
//! What a client says of itself is believed from listed proxies only (RFC 7239 §8.1). Called by the firewall, which lets
//! nothing of these names through: what stands here is all that a backend reads of them.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Client;
use super::section::Section;
use crate::policy::host::canonical;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Writes what the client's side says, where it is believed, and ours (RFC 7239, and the older `X-Forwarded-*`).
pub(super) fn write(headers: &HeaderMap, client: &Client, section: &mut Section) {
    let said = |name: &HeaderName| client.trusted.then(|| headers.get(name)).flatten();
    let host = headers.get(header::HOST);
    section.compose(&X_FORWARDED_FOR, |value| {
        said_all(headers, client, &X_FORWARDED_FOR).for_each(|part| append(value, &[part, ", "]));
        value.extend_from_slice(client.peer.text.as_bytes());
    });
    let proto = said(&X_FORWARDED_PROTO).filter(|proto| *proto == "http" || *proto == "https");
    section.add(&X_FORWARDED_PROTO, proto.unwrap_or(&HTTP));
    let is_host = |host: &&HeaderValue| host.to_str().is_ok_and(|text| canonical(text).is_ok());
    if let Some(value) = said(&X_FORWARDED_HOST).filter(is_host).or(host) {
        section.add(&X_FORWARDED_HOST, value);
    }
    section.compose(&header::FORWARDED, |value| forwarded(headers, client, value));
}

static HTTP: HeaderValue = HeaderValue::from_static("http");

fn forwarded(headers: &HeaderMap, client: &Client, value: &mut Vec<u8>) {
    let start = value.len();
    said_all(headers, client, &header::FORWARDED).for_each(|part| append(value, &[part, ", "]));
    if !has_closed_quotes(value.get(start..).unwrap_or_default()) {
        value.truncate(start);
    }
    let (open, close) = match client.peer.address {
        IpAddr::V4(_) => ("for=", ""),
        IpAddr::V6(_) => ("for=\"[", "]\""),
    };
    append(value, &[open, client.peer.text.to_str().unwrap_or("unknown"), close]);
    // The host was parsed before: it holds no quote, no `;` and no comma (Heimdall CVE-2026-57209).
    if let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) {
        append(value, &[";host=\"", host, "\""]);
    }
    append(value, &[";proto=http"]);
}

/// Each field of this name that is text, from a proxy that is believed.
fn said_all<'h>(
    headers: &'h HeaderMap,
    client: &Client,
    name: &HeaderName,
) -> impl Iterator<Item = &'h str> {
    let all = client.trusted.then(|| headers.get_all(name).iter());
    all.into_iter().flatten().filter_map(|value| value.to_str().ok())
}

fn append(value: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| value.extend_from_slice(part.as_bytes()));
}

/// Whether every quoted string ends (RFC 9110 §5.6.4). A proxy may pass on what its client wrote: an open quote would
/// swallow what we add behind it.
fn has_closed_quotes(list: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for sign in list {
        match sign {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}
