//! The header firewall: what a backend is told, and by whom. In this order, for this reason:
//!
//! 1. Read what the client says of itself (`X-Forwarded-*`, `Forwarded`); believed from listed proxies only.
//! 2. Remove hop-by-hop fields and all that `Connection` names (RFC 9110 §7.6.1), *before* ours exist, so that
//!    `Connection: X-User-Id` cannot remove ours (Traefik CVE-2024-45410).
//! 3. Remove every reserved name in every spelling that a CGI, WSGI or PHP backend folds to it
//!    (oauth2-proxy CVE-2025-64484), whatever the policy; trailers are never forwarded at all.
//! 4. Only then write ours: identity from the permit, the assertion, the forwarded chain, `Via`, the request id.

mod chain;
mod hops;
mod names;
mod response;

use std::net::IpAddr;

use foldhash::HashSet;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::credentials::{Credentials, Kept};
use super::session_cookies::SessionCookies;
use crate::config::{Config, HostRule, IdentityHeader};
use crate::policy::Permit;
use crate::token::Claims;
use chain::Chain;
pub use hops::{Hops, count_hop};
pub use names::fold;
use names::{RESERVED, STANDARD};

/// Our name in `Via` (RFC 9110 §7.6.3).
const VIA: HeaderValue = HeaderValue::from_static("1.1 freshgate");

/// The request id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The signed assertion, for upstreams with `assertion = true`.
pub const ASSERTION: HeaderName = HeaderName::from_static("x-freshgate-assertion");

/// Fields that belong to one connection (RFC 9110 §7.6.1), and `Expect`, which we answer ourselves.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
    )
}

/// What we add at most besides the identity: the assertion, a cookie, `Host`, the chain, `Via` and the request id.
const OWN_FIELDS: usize = 9;

/// Everything but visible ASCII, and `%` and `,`, is percent-encoded: no claim can end a field, start another
/// or look like two values of a list (CWE-113).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

/// Which names are reserved, and which claim goes into which field.
#[derive(Debug)]
pub struct Firewall {
    identity: Vec<IdentityHeader>,
    /// Their names and that of the assertion, folded.
    own: HashSet<String>,
    reserved: HashSet<String>,
    /// Where tokens are, which no backend must find unasked.
    pub credentials: Credentials,
}

/// The other end of a connection; made once for all its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// The same as text, as backends are told.
    pub text: HeaderValue,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Peer {
        let text = HeaderValue::try_from(address.to_string());
        Peer { address, text: text.unwrap_or(HeaderValue::from_static("unknown")) }
    }
}

/// Who is on the other side of the connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// The other end of the connection.
    pub peer: Peer,
    /// The address the request came from: that, or the one that listed proxies name.
    pub origin: IpAddr,
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
    /// What the backend gets of the client's token.
    pub kept: Kept,
    /// What the backend gets of its own session with this user.
    pub cookies: Option<&'a SessionCookies<'a>>,
    /// What it gets signed by us of who the client is.
    pub assertion: Option<&'a HeaderValue>,
}

impl Firewall {
    /// Prepares the reserved set for the identity headers of this configuration.
    pub fn new(config: &Config) -> Firewall {
        let identity = config.identity.clone();
        let lines = identity.iter().map(|line| fold(line.name.as_str()));
        let own: HashSet<String> = lines.chain([fold(ASSERTION.as_str())]).collect();
        let fixed = RESERVED.iter().map(|name| (*name).to_owned());
        let reserved = own.iter().cloned().chain(fixed).collect();
        Firewall { identity, own, reserved, credentials: Credentials::of(config) }
    }

    /// Turns the client's header section into the backend's.
    pub fn toward_backend(&self, headers: &mut HeaderMap, facts: &Facts<'_>) {
        // At once, not step by step: each step would hash all names anew.
        headers.reserve(self.identity.len() + OWN_FIELDS);
        let chain = Chain::read(headers, facts.client);
        strip_hop_by_hop(headers);
        self.strip_reserved(headers);
        self.credentials.strip(headers, &facts.kept);
        if let Some(claims) = facts.permit.claims() {
            self.inject_identity(headers, claims, facts.permit.is_fresh());
        }
        if let Some(assertion) = facts.assertion {
            headers.insert(ASSERTION, assertion.clone());
        }
        if let Some(cookies) = facts.cookies {
            cookies.write(headers);
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

    fn inject_identity(&self, headers: &mut HeaderMap, claims: &Claims, fresh: bool) {
        for line in &self.identity {
            let value = match claims.all.get(&line.claim) {
                // Fresh until a moment: a backend that takes it for yes would not see that it has passed.
                Some(Value::Number(_)) if line.claim == "fresh" => {
                    Some(HeaderValue::from_static(if fresh { "true" } else { "false" }))
                }
                claim => claim.and_then(field_value),
            };
            if let Some(value) = value {
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

    /// Whether a backend that folds names reads this one as an identity of ours.
    fn is_identity(&self, name: &str) -> bool {
        if is_folded(name) { self.own.contains(name) } else { self.own.contains(&fold(name)) }
    }

    /// Whether a client's field of this name must not reach a backend.
    pub fn is_reserved(&self, name: &str) -> bool {
        if is_folded(name) {
            return name.starts_with("x-forwarded-") || self.reserved.contains(name);
        }
        let folded = fold(name);
        folded.starts_with("x-forwarded-")
            || self.reserved.contains(&folded)
            || STANDARD.contains(&folded.as_str())
            || folded == self.credentials.header()
    }
}

/// Whether a name is its own fold; the wire's names are lower-case already.
fn is_folded(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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
    // Most sections hold none of these: looking at each name costs less than looking up ten.
    let fixed: Vec<HeaderName> =
        headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in named.into_iter().chain(fixed) {
        headers.remove(name);
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
