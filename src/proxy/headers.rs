//! The header firewall: what a backend is told, and by whom. In this order, for this reason:
//!
//! 1. Read what the client says of itself (`X-Forwarded-*`, `Forwarded`); believed from listed proxies only.
//! 2. Remove hop-by-hop fields and all that `Connection` names (RFC 9110 §7.6.1), *before* ours exist, so that
//!    `Connection: X-User-Id` cannot remove ours (Traefik CVE-2024-45410).
//! 3. Remove every reserved name in every spelling that a CGI, WSGI or PHP backend folds to it
//!    (oauth2-proxy CVE-2025-64484), whatever the policy; trailers are never forwarded at all.
//! 4. Only then write ours: identity from the permit, the forwarded chain, `Via`, the request id.

use std::net::IpAddr;

use foldhash::HashSet;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::location;
use crate::config::{HostRule, IdentityHeader};
use crate::policy::Permit;
use crate::token::{Claims, extract};

/// Our name in `Via` (RFC 9110 §7.6.3).
const VIA: HeaderValue = HeaderValue::from_static("1.1 freshgate");

/// The request id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Fields that belong to one connection (RFC 9110 §7.6.1), and `Expect`, which we answer ourselves.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];

/// Folded names that a client may never set: backends believe them. Besides these, all `x-forwarded-…`.
const RESERVED: [&str; 25] = [
    "forwarded",
    "via",
    "x-request-id",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    // PHP snippets that look for "the real address" try these, one after the other.
    "client-ip",
    "x-forwarded",
    "forwarded-for",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-remote-addr",
    "x-host",
    "x-http-host-override",
    // Some frameworks take the path or the method from these (oauth2-proxy CVE-2026-40575).
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // CGI makes it HTTP_PROXY (httpoxy, CVE-2016-5385).
    "proxy",
    // CGI programs read the first as the user that the server authenticated.
    "remote-user",
    "x-remote-user",
];

/// Names whose meaning is fixed: a spelling with another sign than `-` is dropped, since a backend that
/// folds it would read it as the real one.
const STANDARD: [&str; 13] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "origin",
    "proxy-authorization",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Everything but visible ASCII, and `%` and `,`, is percent-encoded: no claim can end a field, start another
/// or look like two values of a list (CWE-113).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

/// Which names are reserved, and which claim goes into which field.
#[derive(Debug)]
pub struct Firewall {
    identity: Vec<IdentityHeader>,
    reserved: HashSet<String>,
}

/// Who is on the other side of the connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address the connection came from.
    pub address: IpAddr,
    /// Whether that address is a listed proxy.
    pub trusted: bool,
    /// The id of this request, ours or a listed proxy's.
    pub request_id: HeaderValue,
}

/// What the header step must know besides the headers.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The proof that the route was passed: the only source of an identity.
    pub permit: &'a Permit,
    /// The other side.
    pub client: &'a Client,
    /// Which `Host` the backend gets.
    pub host: &'a HostRule,
    /// The upstream's own authority.
    pub authority: &'a HeaderValue,
    /// Whether the backend gets the token.
    pub forward_token: bool,
}

impl Firewall {
    /// Prepares the reserved set for these identity headers.
    pub fn new(identity: &[IdentityHeader]) -> Firewall {
        let own = identity.iter().map(|line| fold(line.name.as_str()));
        let fixed = RESERVED.iter().map(|name| (*name).to_owned());
        Firewall { identity: identity.to_vec(), reserved: own.chain(fixed).collect() }
    }

    /// Turns the client's header section into the backend's.
    pub fn toward_backend(&self, headers: &mut HeaderMap, facts: &Facts<'_>) {
        let chain = Chain::read(headers, facts.client);
        strip_hop_by_hop(headers);
        self.strip_reserved(headers);
        // What report mode let pass without proof is no token that a backend may take for one.
        let unproven = facts.permit.reported().is_some() && facts.permit.claims().is_none();
        if !facts.forward_token || unproven {
            strip_bearer(headers);
        }
        if let Some(claims) = facts.permit.claims() {
            self.inject_identity(headers, claims);
        }
        set_host(headers, facts);
        chain.write(headers);
        headers.insert(header::VIA, VIA);
        headers.insert(REQUEST_ID, facts.client.request_id.clone());
    }

    /// The names that carry an identity, in the order of the configuration.
    pub fn identity_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.identity.iter().map(|line| &line.name)
    }

    fn inject_identity(&self, headers: &mut HeaderMap, claims: &Claims) {
        for line in &self.identity {
            if let Some(value) = claims.all.get(&line.claim).and_then(field_value) {
                headers.insert(line.name.clone(), value);
            }
        }
    }

    fn strip_reserved(&self, headers: &mut HeaderMap) {
        let reserved: Vec<HeaderName> =
            headers.keys().filter(|name| self.is_reserved(name.as_str())).cloned().collect();
        for name in reserved {
            headers.remove(name);
        }
    }

    /// Whether a client's field of this name must not reach a backend.
    pub fn is_reserved(&self, name: &str) -> bool {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if plain {
            // The wire's names are lower-case already: the fold of a plain name is the name.
            return name.starts_with("x-forwarded-") || self.reserved.contains(name);
        }
        let folded = fold(name);
        folded.starts_with("x-forwarded-")
            || self.reserved.contains(&folded)
            || STANDARD.contains(&folded.as_str())
    }
}

/// One spelling for all that a folding backend reads as one name.
pub fn fold(name: &str) -> String {
    name.chars()
        .map(|sign| if sign.is_ascii_alphanumeric() { sign.to_ascii_lowercase() } else { '-' })
        .collect()
}

/// A claim as a field value; `None` where there is nothing to say.
fn field_value(claim: &Value) -> Option<HeaderValue> {
    let text = match claim {
        Value::Array(elements) => {
            elements.iter().filter_map(scalar).collect::<Vec<String>>().join(",")
        }
        one => scalar(one)?,
    };
    if text.is_empty() { None } else { HeaderValue::try_from(text).ok() }
}

fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(utf8_percent_encode(&text, ENCODED).to_string())
}

/// Removes what belongs to this connection only, on the way in and on the way out.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        // Byte by byte: what is no text beside a name must not hide the name.
        .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // Framing and routing are ours to keep right: no client may take them away.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn strip_bearer(headers: &mut HeaderMap) {
    let bearer = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .any(|value| extract::is_bearer(value.as_bytes()));
    if bearer {
        headers.remove(header::AUTHORIZATION);
    }
}

fn set_host(headers: &mut HeaderMap, facts: &Facts<'_>) {
    let host = match facts.host {
        // An HTTP/1.0 request may have none; the backend speaks 1.1 and must get one.
        HostRule::Keep if headers.contains_key(header::HOST) => return,
        HostRule::Keep | HostRule::Upstream => facts.authority.clone(),
        HostRule::Fixed(name) => name.clone(),
    };
    headers.insert(header::HOST, host);
}

/// The chain of proxies as the backend will read it (RFC 7239, and the older `X-Forwarded-*`).
struct Chain {
    addresses: String,
    proto: HeaderValue,
    host: Option<HeaderValue>,
    forwarded: String,
}

impl Chain {
    fn read(headers: &HeaderMap, client: &Client) -> Chain {
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
        let host = said(&X_FORWARDED_HOST).or_else(|| headers.get(header::HOST).cloned());
        let node = match client.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        // The host was parsed before: it holds no quote, no `;` and no comma (Heimdall CVE-2026-57209).
        let own_host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host_pair = own_host.map(|host| format!(";host=\"{host}\"")).unwrap_or_default();
        let before = said_all(&header::FORWARDED);
        Chain {
            addresses: format!("{}{}", said_all(&X_FORWARDED_FOR), client.address),
            proto,
            host,
            forwarded: format!("{before}for={node}{host_pair};proto=http"),
        }
    }

    fn write(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.addresses) {
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

/// Turns the backend's header section into the client's.
pub fn toward_client(headers: &mut HeaderMap, client: &Client, authority: &HeaderValue) {
    strip_hop_by_hop(headers);
    location::hide_authority(headers, authority);
    headers.append(header::VIA, VIA);
    headers.insert(REQUEST_ID, client.request_id.clone());
}
