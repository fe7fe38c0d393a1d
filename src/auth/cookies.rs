//! The cookies of our login (`[login] cookies`): set by login, refresh and reauth, cleared by logout.
//!
//! The tokens are for the browser alone: no script reads them (`HttpOnly`), no page of another site sends them
//! (`SameSite`), and the refresh token goes only where it is wanted. Who reads them is `token::extract`.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, SET_COOKIE};

use crate::config::{CSRF_COOKIES, Config, LoginCookies};
use crate::policy::Refusal;
use crate::token::TokenKind;
use crate::token::extract::Locations;
use crate::token::mint::Minted;

/// Name and value together, in bytes: what every browser keeps (RFC 6265 §6.1).
pub const COOKIE_BYTES_MAX: usize = 4096;

/// How the cookies of this configuration look.
#[derive(Clone, Copy, Debug)]
pub struct Jar<'a> {
    settings: &'a LoginCookies,
    names: &'a Locations,
    csrf: bool,
}

/// One cookie.
struct Cookie<'a> {
    name: &'a str,
    path: &'a str,
    same_site: &'static str,
    for_scripts: bool,
}

impl<'a> Jar<'a> {
    /// That of this configuration; `None` when the login sets no cookies.
    pub fn of(config: &'a Config) -> Option<Jar<'a>> {
        let settings = config.login.as_ref()?.cookies.as_ref()?;
        Some(Jar { settings, names: &config.locations, csrf: config.tokens.csrf })
    }

    /// Whether the answers hold the tokens besides.
    pub(super) fn is_beside_bodies(&self) -> bool {
        self.settings.in_bodies
    }

    /// Sets the cookies of a token for `ttl`.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when no browser would keep them.
    pub(super) fn set(
        &self,
        headers: &mut HeaderMap,
        (kind, minted): (TokenKind, &Minted),
        ttl: Duration,
    ) -> Result<(), Refusal> {
        let [token, csrf] = self.cookies(kind);
        let mut values = vec![(token, minted.token.as_str())];
        values.extend(minted.csrf.as_deref().filter(|_| self.csrf).map(|value| (csrf, value)));
        for (cookie, value) in values {
            let bytes = cookie.name.len() + value.len();
            if bytes > COOKIE_BYTES_MAX {
                let name = cookie.name;
                tracing::error!(
                    event = "cookie_too_large",
                    name,
                    bytes,
                    max = COOKIE_BYTES_MAX,
                    "no browser keeps this cookie: give the user fewer claims"
                );
                return Err(Refusal::Internal);
            }
            headers.append(SET_COOKIE, self.field(&cookie, value, ttl)?);
        }
        Ok(())
    }

    /// Clears all of them, by the attributes that they were set with.
    ///
    /// # Errors
    /// None that a checked configuration has.
    pub(super) fn clear(&self, headers: &mut HeaderMap) -> Result<(), Refusal> {
        for kind in [TokenKind::Access, TokenKind::Refresh] {
            let count = if self.csrf { 2 } else { 1 };
            for cookie in self.cookies(kind).into_iter().take(count) {
                headers.append(SET_COOKIE, self.field(&cookie, "", Duration::ZERO)?);
            }
        }
        Ok(())
    }

    /// The cookie of the token, and that of its `csrf` claim.
    fn cookies(&self, kind: TokenKind) -> [Cookie<'a>; 2] {
        let [csrf_access, csrf_refresh] = CSRF_COOKIES;
        let (name, path, same_site, csrf) = match kind {
            // A link from another site leads to a page that knows who asks; it changes nothing.
            TokenKind::Access => (&self.names.cookie, "/", "Lax", csrf_access),
            TokenKind::Refresh => {
                let path = self.settings.refresh_path.as_str();
                (&self.names.refresh_cookie, path, "Strict", csrf_refresh)
            }
        };
        [
            Cookie { name, path, same_site, for_scripts: false },
            // Any page may be the one that refreshes.
            Cookie { name: csrf, path: "/", same_site, for_scripts: true },
        ]
    }

    fn field(
        &self,
        cookie: &Cookie<'_>,
        value: &str,
        ttl: Duration,
    ) -> Result<HeaderValue, Refusal> {
        let Cookie { name, path, same_site, for_scripts } = cookie;
        let seconds = ttl.as_secs();
        // For programs that know no Max-Age (RFC 6265 §5.2.1).
        let expires = if seconds == 0 { "; Expires=Thu, 01 Jan 1970 00:00:00 GMT" } else { "" };
        let only = if *for_scripts { "" } else { "; HttpOnly" };
        let secure = if self.settings.secure { "; Secure" } else { "" };
        let text = format!(
            "{name}={value}; Path={path}; Max-Age={seconds}{expires}; SameSite={same_site}{only}{secure}"
        );
        let mut field = HeaderValue::try_from(text).map_err(|_| Refusal::Internal)?;
        field.set_sensitive(true);
        Ok(field)
    }
}
