//! Where tokens are looked for: `accept` of `[tokens]` and of routes, and the names of the three places.

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::Lowering;
use super::sections::{fold, is_reserved_header};
use crate::config::raw::{RawRoute, RawTokens};
use crate::config::read::Spanned;
use crate::config::words::{Place, Places};
use crate::config::{IdentityHeader, Profile};
use crate::policy::Requirement;
use crate::token::extract::{Accept, Location, Locations};

impl Lowering<'_> {
    /// `[tokens]`: where, and by which names.
    pub(super) fn locations(
        &mut self,
        raw: RawTokens,
        profile: Profile,
        identity: &[IdentityHeader],
    ) -> Locations {
        let raw = with_names_of(profile, raw);
        let list = raw.accept();
        let accept = self.accept(&list, "tokens.accept");
        if let Some(query) = list.value.0.iter().find(|one| one.value == Place::Query) {
            self.out.query_token(&query.span, true);
        }
        let header = self.token_header(&raw.header(), identity);
        let (scheme, cookie, refresh) = (raw.scheme(), raw.cookie(), raw.refresh_cookie());
        let query = raw.query();
        for (name, at) in [
            (&scheme, "tokens.scheme"),
            (&cookie, "tokens.cookie"),
            (&refresh, "tokens.refresh_cookie"),
            (&query, "tokens.query"),
        ] {
            let none = name.value.is_empty() && at == "tokens.scheme";
            if !none && !is_name(&name.value) {
                self.out.token_name(&name.span, at, &name.value);
            }
        }
        if fold(&cookie.value) == fold(&refresh.value) {
            self.out.one_cookie(&refresh.span, &cookie.span);
        }
        Locations {
            accept,
            header,
            scheme: scheme.value,
            cookie: cookie.value,
            refresh_cookie: refresh.value,
            query: query.value,
        }
    }

    /// `accept` of a route; `None` where it goes by `[tokens]`.
    pub(super) fn route_accept(
        &mut self,
        raw: &RawRoute,
        requirement: Requirement,
        general: Accept,
    ) -> Option<Accept> {
        let list = raw.accept.get();
        let own = list.map(|list| self.accept(list, "accept"));
        if let Some(list) = list {
            let deaf = matches!(requirement, Requirement::Public | Requirement::Deny);
            if deaf && raw.policy.get().is_some() {
                let help = "it never looks at a token: remove `accept`";
                self.out.ignored_by_policy(&list.span, "accept", requirement.name(), help);
            }
            let query = list.value.0.iter().find(|one| one.value == Place::Query);
            if let Some(query) = query.filter(|_| !raw.exception().value) {
                self.out.query_token(&query.span, false);
            }
        }
        let forward = raw.forward_token();
        let cookie = own.unwrap_or(general).holds(Location::Cookie);
        if forward.value && cookie && requirement == Requirement::Refresh {
            self.out.refresh_cookie_kept(&forward.span);
        }
        own
    }

    fn accept(&mut self, list: &Spanned<Places>, at: &str) -> Accept {
        let Spanned { value: Places(list), span } = list;
        let named = |place: Place| match place {
            Place::Header => Location::Header,
            Place::Cookie => Location::Cookie,
            Place::Query => Location::Query,
        };
        if list.is_empty() {
            self.out.no_location(span, at);
        }
        for (index, one) in list.iter().enumerate() {
            if list[..index].iter().any(|before| before.value == one.value) {
                self.out.location_twice(&one.span, named(one.value).name());
            }
        }
        Accept::of(list.iter().map(|one| named(one.value)))
    }

    fn token_header(&mut self, name: &Spanned<String>, identity: &[IdentityHeader]) -> HeaderName {
        let Ok(header) = name.value.parse::<HeaderName>() else {
            self.out.bad_header_name(&name.span, &name.value);
            return AUTHORIZATION;
        };
        let folded = fold(&name.value);
        let carries_claim = || identity.iter().any(|line| fold(line.name.as_str()) == folded);
        let why = match folded.as_str() {
            // That no claim can be in it is told there.
            "authorization" => None,
            folded if is_reserved_header(folded) => {
                Some("HTTP or the gateway uses this field itself")
            }
            _ => carries_claim().then_some("it carries a claim to the backend"),
        };
        if let Some(why) = why {
            self.out.token_header(&name.span, &name.value, why);
        }
        header
    }
}

/// The names that the profile has where the file has none.
fn with_names_of(profile: Profile, mut raw: RawTokens) -> RawTokens {
    if profile == Profile::FlaskJwtExtended {
        raw.cookie = raw.cookie.or("access_token_cookie");
        raw.refresh_cookie = raw.refresh_cookie.or("refresh_token_cookie");
        raw.query = raw.query.or("jwt");
    }
    raw
}

/// What is one name to every backend: no sign that one of them decodes or splits at.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}
