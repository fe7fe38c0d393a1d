//! Our own endpoints: login, refresh, step-up, logout, who am I, my sessions, and the public keys.
//!
//! They are routes like any other: [`answer`] takes the [`Permit`] that the policy gave. `session` holds what
//! a session goes through, `refresh` how its refresh token is replaced, `devices` shows and ends the sessions of whoever
//! asks, `line` tells what came of each, `body` reads what clients send, `cookies` writes those of browsers. Never forwards anything, and never writes a
//! password or a token to a log. Called by `gateway`.

mod body;
mod cookies;
mod devices;
#[cfg(test)]
mod devices_tests;
mod line;
mod refresh;
#[cfg(test)]
mod refresh_tests;
mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body::Body;
use serde_json::{Map, Value, json};

pub use body::{BODY_MAX_BYTES, BODY_TIMEOUT};
pub use cookies::{COOKIE_BYTES_MAX, Jar};

use crate::config::{Profile, SessionRules};
use crate::policy::route::Endpoint;
use crate::policy::{Permit, Refusal, host, origin};
use crate::store::events::Events;
use crate::store::{CheckFault, CredentialStore, StateStore, StoreFault, throttle};
use crate::telemetry::{Limit, Metrics};
use crate::token::keys::KeyRing;
use crate::token::verify::TokenRules;
use crate::token::{Claims, RESERVED_CLAIMS, Secret, UnixTime, jwks};

/// What the endpoints work with.
#[derive(Clone, Copy)]
pub struct AuthContext<'a> {
    /// The keys that sign.
    pub ring: &'a KeyRing,
    /// What our tokens say and how long they live.
    pub rules: &'a TokenRules,
    /// How sessions go on and end.
    pub sessions: &'a SessionRules,
    /// The token that the permit speaks of, where a refresh is asked: its successor is kept under it.
    pub token: Option<&'a Secret>,
    /// The users; `None` when login is switched off.
    pub credentials: Option<&'a dyn CredentialStore>,
    /// Sessions and revocations.
    pub state: &'a dyn StateStore,
    /// How long a client may pause inside a body.
    pub body_idle: Duration,
    /// How many passwords may be wrong, and what then.
    pub guesses: throttle::Rules,
    /// Counts limits that are reached.
    pub metrics: &'a Metrics,
    /// Whom is told what comes of it.
    pub events: &'a Events,
    /// Whose clients the answers are for.
    pub profile: Profile,
    /// The path that was judged.
    pub path: &'a str,
    /// The cookies that are set; `None`: none.
    pub cookies: Option<Jar<'a>>,
    /// For the log: the request.
    pub request_id: &'a str,
    /// Where the request came from: what guesses are counted by, and for the log.
    pub address: IpAddr,
}

impl fmt::Debug for AuthContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// Answers a request to one of our endpoints.
///
/// # Errors
/// The [`Refusal`] that the client is told; then nothing was changed, except that a store that failed
/// during a logout may have ended the session all the same.
pub async fn answer<B: Body<Data = Bytes>>(
    permit: Permit,
    endpoint: Endpoint,
    request: (Parts, B),
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let (parts, body) = request;
    if context.cookies.is_some() && !is_own_page(endpoint, &parts) {
        return Err(Refusal::CrossSite);
    }
    // An endpoint that needs a token has a route that demands one.
    let claims = || permit.claims().ok_or(Refusal::TokenMissing);
    // Another issuer's user has no session here, whatever they are called.
    let own = || match claims()? {
        claims if claims.foreign => Err(Refusal::TokenWrongType),
        claims => Ok(claims),
    };
    match endpoint {
        Endpoint::Login => session::login(&parts.headers, body, context, now).await,
        Endpoint::Reauth => session::reauth(claims()?, &parts.headers, body, context, now).await,
        Endpoint::Refresh => refresh::refresh(claims()?, context, now).await,
        Endpoint::Logout => session::logout(claims()?, context, now).await,
        Endpoint::Me => Ok(me(claims()?, now)),
        Endpoint::Sessions => devices::list(own()?, context, now).await,
        Endpoint::EndSession => devices::end_one(own()?, context, now).await,
        Endpoint::EndSessions => devices::end_all(own()?, context, now).await,
        Endpoint::Jwks => Ok(public_keys(context.ring, &parts.headers, now)),
    }
}

/// Whether no page of another site can make a browser change its session by this request: without it such a page could log
/// its visitor in as somebody else (login CSRF).
fn is_own_page(endpoint: Endpoint, parts: &Parts) -> bool {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host::canonical(host).ok()).unwrap_or_default();
    match endpoint {
        Endpoint::Login
        | Endpoint::Refresh
        | Endpoint::Reauth
        | Endpoint::Logout
        | Endpoint::EndSession
        | Endpoint::EndSessions => origin::is_own(parts.method.as_str(), &host, &parts.headers),
        Endpoint::Me | Endpoint::Sessions | Endpoint::Jwks => true,
    }
}

fn me(claims: &Claims, now: UnixTime) -> Response<Bytes> {
    let own = claims.all.iter().filter(|(name, _)| !RESERVED_CLAIMS.contains(&name.as_str()));
    let own: Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    private_json(&json!({
        "sub": claims.subject,
        "claims": own,
        "fresh": claims.is_fresh(now),
        "auth_time": claims.auth_time.map(|time| time.0),
        "expires_at": claims.expires_at.0,
        "session": claims.session,
    }))
}

/// The only answer that may be kept by others, for as long as a rotation waits for them.
fn public_keys(ring: &KeyRing, asked: &HeaderMap, now: UnixTime) -> Response<Bytes> {
    let document = jwks::document(ring, now);
    let tag = jwks::entity_tag(&document);
    let mut response = if is_known(asked, &tag) {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        json_text(document)
    };
    let fields = [
        (header::CACHE_CONTROL, format!("public, max-age={}", jwks::MAX_AGE.as_secs())),
        (header::ETAG, tag),
    ];
    for (name, value) in fields {
        let value = HeaderValue::try_from(value).expect("digits and base64url");
        response.headers_mut().insert(name, value);
    }
    response
}

/// Whether `If-None-Match` names this tag; weak ones compare as strong (RFC 9110 §13.1.2).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let fields = asked.get_all(header::IF_NONE_MATCH).iter();
    let mut tags = fields.filter_map(|field| field.to_str().ok()).flat_map(|list| list.split(','));
    tags.any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    })
}

fn private_json(body: &Value) -> Response<Bytes> {
    let mut response = json_text(body.to_string());
    keep_nowhere(&mut response);
    response
}

fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    keep_nowhere(&mut response);
    response
}

/// With a final newline, so that a terminal's prompt does not stand behind it.
fn json_text(mut text: String) -> Response<Bytes> {
    text.push('\n');
    let mut response = Response::new(Bytes::from(text));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// RFC 6749 §5.1.
fn keep_nowhere(response: &mut Response<Bytes>) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

/// The client learns that a store is away; the operator learns why.
fn away(fault: &StoreFault) -> Refusal {
    tracing::error!(event = "store_unavailable", error = %fault, "a store is away");
    Refusal::StoreUnavailable
}

fn refusal_of(fault: &CheckFault, metrics: &Metrics) -> Refusal {
    match fault {
        CheckFault::Invalid => Refusal::CredentialsInvalid,
        CheckFault::Throttled(throttled) => {
            metrics.limit_reached(throttled.by.limit());
            Refusal::LoginThrottled { retry_after: throttled.retry_after }
        }
        CheckFault::Overloaded => {
            metrics.limit_reached(Limit::LoginQueue);
            Refusal::Overloaded
        }
        CheckFault::Away(fault) => away(fault),
    }
}
