//! `[login] cookies`: what of the login goes into cookies, and whether anybody would read them.

use super::Lowering;
use crate::config::raw::RawLogin;
use crate::config::read::Spanned;
use crate::config::words::CookiesWord;
use crate::config::{Login, LoginCookies};
use crate::token::extract::{Location, Locations};

/// Names that browsers keep only under conditions (RFC 6265bis §4.1.3).
const SECURE_PREFIXES: [&str; 2] = ["__host-", "__secure-"];

impl Lowering<'_> {
    /// The cookies of this login; `None` where it sets none.
    pub(super) fn login_cookies(
        &mut self,
        raw: Option<&Spanned<RawLogin>>,
        login: &Login,
        names: &Locations,
    ) -> Option<LoginCookies> {
        let raw = raw.map(|raw| raw.value.clone()).unwrap_or_default();
        let (word, secure) = (raw.cookies(), raw.cookie_secure());
        if word.value == CookiesWord::Off {
            return None;
        }
        if !names.accept.holds(Location::Cookie) {
            self.out.unread_cookies(&word.span);
        }
        let has = |name: &str, prefix: &str| name.to_ascii_lowercase().starts_with(prefix);
        if !secure.value {
            let all = [&names.cookie, &names.refresh_cookie];
            match all.iter().find(|name| SECURE_PREFIXES.iter().any(|one| has(name, one))) {
                Some(name) => self.out.insecure_prefix(&secure.span, name),
                None => self.out.insecure_cookies(&secure.span),
            }
        }
        let whole = has(&names.refresh_cookie, SECURE_PREFIXES[0]);
        let refresh_path =
            if whole { "/".to_owned() } else { shared(&login.refresh, &login.logout) };
        let in_bodies = word.value == CookiesWord::Both;
        Some(LoginCookies { in_bodies, secure: secure.value, refresh_path })
    }
}

/// The path that both are under.
fn shared(one: &str, other: &str) -> String {
    let (one, other) = (one.split('/'), other.split('/'));
    let same: Vec<&str> = one.zip(other).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    match same.join("/") {
        none if none.is_empty() => "/".to_owned(),
        path => path,
    }
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn a_path_is_shared_in_whole_segments() {
        assert_eq!(shared("/auth/refresh", "/auth/logout"), "/auth");
        assert_eq!(shared("/a/b/refresh", "/a/b/refresh/logout"), "/a/b/refresh");
        assert_eq!(shared("/refresh", "/logout"), "/");
        assert_eq!(shared("/auth/x", "/authentic/x"), "/");
    }
}
