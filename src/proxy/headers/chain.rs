//! The chain of proxies in front of a backend: `X-Forwarded-*` and `Forwarded`, rebuilt for every request.
//!
//! What a client says of itself is believed from listed proxies only (RFC 7239 §8.1). Called by the firewall: read
//! before anything is removed, written after.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Client;
use crate::policy::host::canonical;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The chain of proxies as the backend will read it (RFC 7239, and the older `X-Forwarded-*`).
pub(super) struct Chain {
    addresses: Option<HeaderValue>,
    proto: HeaderValue,
    host: Option<HeaderValue>,
    forwarded: String,
}

impl Chain {
    /// What the client's side says, where it is believed, and ours. Before any field is removed.
    pub(super) fn read(headers: &HeaderMap, client: &Client) -> Chain {
        let said = |name: &HeaderName| headers.get(name).filter(|_| client.trusted).cloned();
        let said_all = |name: &HeaderName| {
            if !client.trusted {
                return String::new();
            }
            let fields = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            fields.map(|field| format!("{field}, ")).collect::<String>()
        };
        let proto = said(&X_FORWARDED_PROTO)
            .filter(|proto| proto == "http" || proto == "https")
            .unwrap_or(HeaderValue::from_static("http"));
        let is_host = |host: &HeaderValue| host.to_str().is_ok_and(|text| canonical(text).is_ok());
        let host =
            said(&X_FORWARDED_HOST).filter(is_host).or_else(|| headers.get(header::HOST).cloned());
        let address = client.peer.text.to_str().unwrap_or("unknown");
        let (open, close) = match client.peer.address {
            IpAddr::V4(_) => ("", ""),
            IpAddr::V6(_) => ("\"[", "]\""),
        };
        // The host was parsed before: it holds no quote, no `;` and no comma (Heimdall CVE-2026-57209).
        let own_host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host_pair = own_host.map_or(["", "", ""], |host| [";host=\"", host, "\""]).concat();
        let before = Some(said_all(&header::FORWARDED)).filter(|before| has_closed_quotes(before));
        let before = before.unwrap_or_default();
        let forwarded =
            [before.as_str(), "for=", open, address, close, &host_pair, ";proto=http"].concat();
        let addresses = match client.trusted {
            true => HeaderValue::try_from(said_all(&X_FORWARDED_FOR) + address).ok(),
            false => Some(client.peer.text.clone()),
        };
        Chain { addresses, proto, host, forwarded }
    }

    /// Replaces whatever stands there.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        if let Some(value) = self.addresses {
            headers.insert(X_FORWARDED_FOR, value);
        }
        if let Ok(value) = HeaderValue::try_from(self.forwarded) {
            headers.insert(header::FORWARDED, value);
        }
        headers.insert(X_FORWARDED_PROTO, self.proto);
        if let Some(host) = self.host {
            headers.insert(X_FORWARDED_HOST, host);
        }
    }
}

/// Whether every quoted string ends (RFC 9110 §5.6.4). A proxy may pass on what its client wrote: an open quote would
/// swallow what we add behind it.
fn has_closed_quotes(list: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for sign in list.chars() {
        match sign {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}
