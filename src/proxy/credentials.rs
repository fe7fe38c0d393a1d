//! No backend finds a token that was not judged: what is removed from a request, and what of it goes on.
//!
//! Removed is every place where any route of the configuration takes a token, on every route: a browser sends its
//! cookie wherever it goes. What goes on is the one credential that decided, and only where the route says
//! `forward_token`; a refresh cookie never does, and a token from the query goes on as a header. Called by the
//! firewall and for the backend's target.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::fold;
use crate::config::{CSRF_COOKIES, Config};
use crate::policy::Permit;
use crate::policy::route::Forward;
use crate::token::extract::{Accept, Cookies, Location, Locations, Presented};

/// Where tokens are.
#[derive(Debug)]
pub struct Credentials {
    locations: Locations,
    /// All that any route accepts.
    anywhere: Accept,
    /// The name of the header field, folded.
    header: String,
    /// Whether the cookies are set by us, so that no backend sets them.
    sets_cookies: bool,
    /// Those of the double submit, where they are.
    csrf_cookies: &'static [&'static str],
}

/// What the backend gets of the client's token.
#[derive(Debug)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// The header field, as sent.
    Header,
    /// The access cookie, as sent.
    Cookie,
    /// The token of the query, as this header field.
    Query(HeaderValue),
}

impl Credentials {
    /// Of this configuration.
    pub fn of(config: &Config) -> Credentials {
        let own = config.routes.routes().iter().filter_map(|route| route.accept);
        let all = own.chain([config.locations.accept]).flat_map(Accept::iter);
        Credentials {
            anywhere: Accept::of(all),
            header: fold(config.locations.header.as_str()),
            locations: config.locations.clone(),
            sets_cookies: config.login.as_ref().is_some_and(|login| login.cookies.is_some()),
            csrf_cookies: if config.tokens.csrf { &CSRF_COOKIES } else { &[] },
        }
    }

    /// The name of the header field, folded.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// What goes on to the backend: the credential that decided, found again by the code that found it for `judge`.
    pub fn kept(
        &self,
        permit: &Permit,
        plan: &Forward,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Kept {
        // What report mode let pass without proof is no token that a backend may take for one.
        let unproven = permit.reported().is_some() && permit.claims().is_none();
        if !plan.forward_token || unproven {
            return Kept::Nothing;
        }
        let route = permit.route();
        let (accept, cookies) = (route.accepts(&self.locations), route.requirement.cookies());
        let found = self.locations.find(accept, cookies, headers, query);
        match (found.location, found.presented) {
            (Some(Location::Header), Presented::Token(_)) => Kept::Header,
            (Some(Location::Cookie), Presented::Token(_)) if cookies == Cookies::Access => {
                Kept::Cookie
            }
            (Some(Location::Query), Presented::Token(token)) => {
                self.locations.field(token).map_or(Kept::Nothing, Kept::Query)
            }
            _ => Kept::Nothing,
        }
    }

    /// Removes every token from the cookies but the one that is kept.
    pub fn strip_cookies(&self, headers: &mut HeaderMap, kept: &Kept) {
        if self.anywhere.holds(Location::Cookie) {
            self.locations.strip_cookies(headers, matches!(kept, Kept::Cookie));
        }
    }

    /// The name of the header field, where what the client sent there stays here.
    pub fn withheld(&self, headers: &HeaderMap, kept: &Kept) -> Option<&HeaderName> {
        let stays = match kept {
            Kept::Header => false,
            Kept::Query(_) => true,
            Kept::Nothing | Kept::Cookie => self.locations.in_header(headers),
        };
        stays.then_some(&self.locations.header)
    }

    /// The field that carries on the token of the query.
    pub fn instead<'k>(&'k self, kept: &'k Kept) -> Option<(&'k HeaderName, &'k HeaderValue)> {
        match kept {
            Kept::Query(field) => Some((&self.locations.header, field)),
            Kept::Nothing | Kept::Header | Kept::Cookie => None,
        }
    }

    /// Whether a field of a backend's answer sets a cookie of ours. Where our login sets none they are the backend's to set.
    pub fn is_set_by(&self, field: &HeaderValue) -> bool {
        self.sets_cookies && self.locations.is_set_by(field, self.csrf_cookies)
    }

    /// Whether the query holds what is taken for a token on some route.
    pub fn in_query(&self, query: Option<&str>) -> bool {
        self.anywhere.holds(Location::Query)
            && query.is_some_and(|query| self.locations.in_query(query))
    }

    /// The query without any token; `None` when nothing else is in it.
    pub fn strip_query<'q>(&self, query: &'q str) -> Option<Cow<'q, str>> {
        if self.anywhere.holds(Location::Query) {
            self.locations.strip_query(query)
        } else {
            Some(query.into())
        }
    }
}
