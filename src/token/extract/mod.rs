//! Where the token is in a request: a header field, a cookie or a query parameter (RFC 6750 §2, RFC 6265).
//!
//! The first accepted location that holds something decides; a bad token there never falls through to the next, and a
//! location that is not accepted is never looked at. One location holds one credential: two are a mistake, in any
//! spelling that some backend reads as the name. Never verifies anything. `judge` asks where the token is, the header
//! firewall asks the same code what a backend must not find.

mod cookie;
mod header;
mod name;
mod query;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};

use super::{Standing, TokenFault};
pub use name::NamePattern;

/// What a request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// No token; another scheme is the backend's business.
    Nothing,
    /// One token, not looked at yet.
    Token(&'a str),
    /// The place of a token, and in it something that cannot be one.
    Malformed,
    /// More than one credential (RFC 6750 §2; Envoy CVE-2026-26308).
    Duplicated,
}

impl<'a> Presented<'a> {
    /// The one token to verify, or who it is without verifying any.
    ///
    /// # Errors
    /// The standing of a caller that presented none, or no token that could be one.
    pub fn token(self) -> Result<&'a str, Standing> {
        match self {
            Presented::Token(token) => Ok(token),
            Presented::Nothing => Err(Standing::Anonymous),
            Presented::Malformed => Err(Standing::Unproven(TokenFault::Malformed)),
            Presented::Duplicated => Err(Standing::Unproven(TokenFault::Duplicated)),
        }
    }

    /// What these bytes are, where nothing but a token may stand: `b64token` of RFC 6750 §2.1. A token needs no
    /// escapes, so it has one spelling.
    fn whole(bytes: &'a [u8]) -> Presented<'a> {
        match std::str::from_utf8(bytes) {
            Ok("") => Presented::Nothing,
            Ok(token) if is_token(bytes) => Presented::Token(token),
            _ => Presented::Malformed,
        }
    }
}

/// Whether these are the bytes of a token (RFC 6750 §2.1). Each request asks of each byte, so no byte depends on the one
/// before it: many are then looked at in one instruction.
fn is_token(bytes: &[u8]) -> bool {
    // Those of a JWT, and `/`, which stands between them.
    let usual = |byte: u8| {
        let letter = (byte | b' ').wrapping_sub(b'a') < 26;
        letter | (byte.wrapping_sub(b'-') <= b'9' - b'-') | (byte == b'_')
    };
    let others = bytes.iter().fold(0, |others, byte| others | u8::from(!usual(*byte)));
    others == 0 || bytes.iter().all(|byte| usual(*byte) || matches!(byte, b'~' | b'+' | b'='))
}

/// A part of a request that may hold a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// A header field.
    Header,
    /// A cookie: the browser sends it by itself, so it proves no intent.
    Cookie,
    /// A query parameter: it ends up in histories and logs (RFC 6750 §2.3).
    Query,
}

impl Location {
    /// Its word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Location::Header => "header",
            Location::Cookie => "cookie",
            Location::Query => "query",
        }
    }
}

/// The locations that are looked at, in order, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept([Option<Location>; 3]);

impl Accept {
    /// The header alone.
    pub const HEADER: Accept = Accept([Some(Location::Header), None, None]);

    /// These, in this order; one that was there before is left out.
    pub fn of(list: impl IntoIterator<Item = Location>) -> Accept {
        let mut accept = Accept::default();
        for location in list {
            if !accept.holds(location)
                && let Some(place) = accept.0.iter_mut().find(|place| place.is_none())
            {
                *place = Some(location);
            }
        }
        accept
    }

    /// Each, in order.
    pub fn iter(self) -> impl Iterator<Item = Location> {
        self.0.into_iter().flatten()
    }

    /// Whether this one is among them.
    pub fn holds(self, location: Location) -> bool {
        self.0.contains(&Some(location))
    }
}

/// `header cookie`: in order.
impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iter().map(Location::name).collect::<Vec<_>>().join(" "))
    }
}

/// Which of the two cookies is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookies {
    /// The one for access tokens.
    Access,
    /// The one for refresh tokens.
    Refresh,
    /// The first of both that holds something, access first.
    Either,
}

/// `[tokens]`: where tokens are looked for, and by which names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// Where, for a route that does not say it itself.
    pub accept: Accept,
    /// The field.
    pub header: HeaderName,
    /// The scheme in front of the token; empty: the whole value is the token.
    pub scheme: String,
    /// The cookie of the access token.
    pub cookie: String,
    /// The cookie of the refresh token. Never forwarded.
    pub refresh_cookie: String,
    /// The query parameter.
    pub query: String,
}

/// RFC 6750 §2.1, and its names elsewhere.
impl Default for Locations {
    fn default() -> Locations {
        Locations {
            accept: Accept::HEADER,
            header: AUTHORIZATION,
            scheme: "Bearer".to_owned(),
            cookie: "access_token".to_owned(),
            refresh_cookie: "refresh_token".to_owned(),
            query: "access_token".to_owned(),
        }
    }
}

/// What the first location that holds something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'r> {
    /// What is there.
    pub presented: Presented<'r>,
    /// Where; `None` when nothing is anywhere.
    pub location: Option<Location>,
}

impl Locations {
    /// Looks at the accepted locations in order; the first that holds something decides. Allocates nothing unless a
    /// cookie or a query is looked at.
    pub fn find<'r>(
        &self,
        accept: Accept,
        cookies: Cookies,
        headers: &'r HeaderMap,
        query: Option<&'r str>,
    ) -> Found<'r> {
        for location in accept.iter() {
            let presented = match location {
                Location::Header => header::find(headers, &self.header, &self.scheme),
                Location::Cookie => self.in_cookies(cookies, headers),
                Location::Query => {
                    query.map_or(Presented::Nothing, |query| query::find(query, &self.query))
                }
            };
            if presented != Presented::Nothing {
                return Found { presented, location: Some(location) };
            }
        }
        Found { presented: Presented::Nothing, location: None }
    }

    fn in_cookies<'r>(&self, cookies: Cookies, headers: &'r HeaderMap) -> Presented<'r> {
        match cookies {
            Cookies::Access => cookie::find(headers, &self.cookie),
            Cookies::Refresh => cookie::find(headers, &self.refresh_cookie),
            Cookies::Either => match cookie::find(headers, &self.cookie) {
                Presented::Nothing => cookie::find(headers, &self.refresh_cookie),
                presented => presented,
            },
        }
    }

    /// Whether the header field carries a token, well formed or not. Of `Authorization` the scheme `Bearer` is always a
    /// token's; of any other field the whole is.
    pub fn in_header(&self, headers: &HeaderMap) -> bool {
        let other = (!self.scheme.eq_ignore_ascii_case(header::BEARER)).then_some(&*self.scheme);
        let carries = |value: &HeaderValue| {
            self.header != AUTHORIZATION
                || header::carries(value.as_bytes(), header::BEARER)
                || other.is_some_and(|scheme| header::carries(value.as_bytes(), scheme))
        };
        headers.get_all(&self.header).iter().any(carries)
    }

    /// Removes the refresh cookie, and the access cookie too unless it is kept, in every spelling that a backend may
    /// read as its name. All other cookies stay as they are, byte for byte.
    pub fn strip_cookies(&self, headers: &mut HeaderMap, keep_access: bool) {
        let access = (!keep_access).then_some(self.cookie.as_str());
        let of_ours: Vec<&str> = access.into_iter().chain([self.refresh_cookie.as_str()]).collect();
        cookie::strip(headers, &of_ours);
    }

    /// Whether a `Set-Cookie` field sets one of our cookies, or one of these `others`, in any spelling.
    pub fn is_set_by(&self, field: &HeaderValue, others: &[&str]) -> bool {
        let own = [self.cookie.as_str(), self.refresh_cookie.as_str()];
        cookie::sets(field.as_bytes(), &[&own[..], others].concat())
    }

    /// Whether the query has the parameter, in any spelling.
    pub fn in_query(&self, query: &str) -> bool {
        query::has(query, &self.query)
    }

    /// The query without the parameter, the others as they are; `None` when nothing is left.
    pub fn strip_query<'q>(&self, query: &'q str) -> Option<Cow<'q, str>> {
        query::strip(query, &self.query)
    }

    /// The header field that carries this token.
    pub fn field(&self, token: &str) -> Option<HeaderValue> {
        let text = match self.scheme.as_str() {
            "" => token.to_owned(),
            scheme => format!("{scheme} {token}"),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Puts a token into a request, beside what is there: for `explain` and for tests in a configuration.
    pub fn place(
        &self,
        (location, cookies): (Location, Cookies),
        token: &str,
        headers: &mut HeaderMap,
        query: &mut Option<String>,
    ) {
        let cookie = if cookies == Cookies::Refresh { &self.refresh_cookie } else { &self.cookie };
        match location {
            Location::Header => {
                if let Some(value) = self.field(token) {
                    headers.append(&self.header, value);
                }
            }
            Location::Cookie => {
                if let Ok(value) = HeaderValue::try_from(format!("{cookie}={token}")) {
                    headers.append(COOKIE, value);
                }
            }
            Location::Query => {
                let before = query.take().map(|before| format!("{before}&")).unwrap_or_default();
                *query = Some(format!("{before}{}={token}", self.query));
            }
        }
    }
}

/// Removes every cookie whose name some backend takes for one of these.
pub fn strip_cookies_named(headers: &mut HeaderMap, names: &[NamePattern]) {
    cookie::strip_where(headers, |name| names.iter().any(|one| one.means(name)));
}

/// Whether a `Set-Cookie` field sets what some backend later takes for one of these.
pub fn sets_cookie(field: &HeaderValue, names: &[NamePattern]) -> bool {
    cookie::sets_where(field.as_bytes(), |name| names.iter().any(|one| one.means(name)))
}
