//! The header firewall: what a backend is told, and by whom. In this order, for this reason:
//!
//! 1. Hop-by-hop fields and all that `Connection` names stay here (RFC 9110 §7.6.1): of the client's fields alone, so that
//!    `Connection: X-User-Id` cannot remove ours (Traefik CVE-2024-45410).
//! 2. So does every reserved name in every spelling that a CGI, WSGI or PHP backend folds to it
//!    (oauth2-proxy CVE-2025-64484), whatever the policy; trailers are never forwarded at all.
//! 3. Ours come behind what is left: identity from the permit, the assertion, the chain of proxies, `Via`, the request id.
//!    Of what the client says of itself (`X-Forwarded-*`, `Forwarded`) only a listed proxy's word goes into the chain.

mod chain;
mod hops;
mod names;
mod response;
mod section;

use std::net::IpAddr;

use foldhash::HashSet;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use super::credentials::{Credentials, Kept};
use super::session_cookies::SessionCookies;
use crate::config::{Config, HostRule, IdentityHeader};
use crate::policy::Permit;
use crate::token::Claims;
pub use hops::{Hops, count_hop};
pub use names::fold;
use names::{RESERVED, STANDARD};
pub use section::Section;

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

/// Everything but visible ASCII, and `%` and `,`, is percent-encoded: no claim can end a field, start another
/// or look like two values of a list (CWE-113).
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b',');

/// Which names are reserved, and which claim goes into which field.
#[derive(Debug)]
pub struct Firewall {
    identity: Vec<IdentityHeader>,
    /// Their names and that of the assertion, folded.
    own: HashSet<String>,
    /// The lengths of these, a bit each: most names have another, and need not be folded.
    own_lengths: u128,
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
    /// What is asked, and of which target in origin-form.
    pub asked: (&'a Method, &'a Uri),
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
        let own_lengths = own.iter().fold(0, |lengths, name| lengths | length_bit(name));
        Firewall { identity, own, own_lengths, reserved, credentials: Credentials::of(config) }
    }

    /// The backend's header section, from the client's, of which nothing is left that is of use. It does not say where the
    /// body ends: who sends that says so.
    pub fn toward_backend(&self, headers: &mut HeaderMap, facts: &Facts<'_>) -> Section {
        let mut named = named_by_connection(headers.get_all(header::CONNECTION).iter());
        // Now, and not when all others are passed over: ours will be in the same field.
        if named.remove(&header::COOKIE) {
            headers.remove(header::COOKIE);
        }
        self.credentials.strip_cookies(headers, &facts.kept);
        if let Some(cookies) = facts.cookies {
            cookies.write(headers);
        }
        let headers = &*headers;
        let mut section = Section::new(facts.asked.0, facts.asked.1);
        section.add(&header::HOST, host(headers, facts));
        self.pass_on(headers, &named, &facts.kept, &mut section);
        if let Some(claims) = facts.permit.claims() {
            self.write_identity(claims, facts.permit.is_fresh(), &mut section);
        }
        if let Some(assertion) = facts.assertion {
            section.add(&ASSERTION, assertion);
        }
        chain::write(headers, facts.client, &mut section);
        section.add(&header::VIA, &VIA);
        section.add(&REQUEST_ID, &facts.client.request_id);
        section
    }

    /// Adds those of the client's fields that a backend may have.
    fn pass_on(
        &self,
        headers: &HeaderMap,
        named: &HashSet<HeaderName>,
        kept: &Kept,
        section: &mut Section,
    ) {
        let withheld = self.credentials.withheld(headers, kept);
        for (name, value) in headers {
            // The first two are said anew.
            let stays = *name == header::HOST
                || *name == header::CONTENT_LENGTH
                || is_hop_by_hop(name)
                || withheld == Some(name)
                || (!named.is_empty() && named.contains(name))
                || self.is_reserved(name.as_str());
            if !stays {
                section.add(name, value);
            }
        }
        if let Some((name, value)) = self.credentials.instead(kept) {
            section.add(name, value);
        }
    }

    /// The names that carry an identity, in the order of the configuration.
    pub fn identity_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.identity.iter().map(|line| &line.name)
    }

    fn write_identity(&self, claims: &Claims, fresh: bool, section: &mut Section) {
        for line in &self.identity {
            section.compose(&line.name, |value| match claims.all.get(&line.claim) {
                // Fresh until a moment: a backend that takes it for yes would not see that it has passed.
                Some(Value::Number(_)) if line.claim == "fresh" => {
                    write_scalar(&Value::Bool(fresh), value);
                }
                Some(claim) => write_claim(claim, value),
                None => {}
            });
        }
    }

    /// Whether a backend that folds names reads this one as an identity of ours.
    fn is_identity(&self, name: &str) -> bool {
        if self.own_lengths & length_bit(name) == 0 {
            return false;
        }
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

/// A bit for the length of a name, which folding leaves as it is; all long ones share the last.
fn length_bit(name: &str) -> u128 {
    1 << name.len().min(127)
}

/// Whether a name is its own fold; the wire's names are lower-case already.
fn is_folded(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A claim as a field value; nothing where there is nothing to say.
fn write_claim(claim: &Value, out: &mut Vec<u8>) {
    let Value::Array(elements) = claim else { return write_scalar(claim, out) };
    for (index, element) in elements.iter().filter(|one| !one.is_null()).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_scalar(element, out);
    }
}

fn write_scalar(value: &Value, out: &mut Vec<u8>) {
    let mut encode = |text: &str| {
        utf8_percent_encode(text, ENCODED).for_each(|part| out.extend_from_slice(part.as_bytes()));
    };
    match value {
        Value::Null => {}
        Value::String(text) => encode(text),
        Value::Bool(true) => encode("true"),
        Value::Bool(false) => encode("false"),
        other => encode(&other.to_string()),
    }
}

/// The names in `Connection`: their fields are for us alone (RFC 9110 §7.6.1). Most name what stays here anyway.
fn named_by_connection<'h>(fields: impl Iterator<Item = &'h HeaderValue>) -> HashSet<HeaderName> {
    // Byte by byte: what is no text beside a name must not hide the name.
    fields
        .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|name| *name != b"keep-alive")
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        // Framing and routing are ours to keep right: nobody may take them away.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect()
}

fn host<'a>(headers: &'a HeaderMap, facts: &Facts<'a>) -> &'a HeaderValue {
    match facts.host {
        // An HTTP/1.0 request may have none; the backend speaks 1.1 and must get one.
        HostRule::Keep => headers.get(header::HOST).unwrap_or(facts.authority),
        HostRule::Upstream => facts.authority,
        HostRule::Fixed(name) => name,
    }
}
