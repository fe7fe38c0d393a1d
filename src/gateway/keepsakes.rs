//! The application's own cookies, on the way of a request: which session has which, and what an answer changes.

use std::sync::Arc;

use http::HeaderMap;

use super::Scene;
use crate::config::{CookieName, UsersSource};
use crate::policy::Permit;
use crate::proxy::session_cookies::{SessionCookies, out_of_answer};
use crate::store::backend::COOKIES_BYTES_MAX;

impl<'a> Scene<'a> {
    /// What is kept of this caller's login for this upstream. Who proved a token has that or nothing: not even where
    /// nothing is kept do his own cookies choose whom the application sees.
    pub(super) fn session_cookies(
        &self,
        permit: &Permit,
        upstream: usize,
    ) -> Option<SessionCookies<'a>> {
        let names = self.kept_names(upstream)?;
        let session = permit.claims()?.session.as_deref();
        let field = session.and_then(|one| self.snapshot.state.keepsakes().of(one));
        Some(SessionCookies::new(names, field))
    }

    /// Takes over what the answer to such a request sets. Nobody waits until that is durable: after a crash the application
    /// may want its user to log in again.
    pub(super) fn keep_cookies(&self, permit: &Permit, upstream: usize, headers: &mut HeaderMap) {
        let Some(names) = self.kept_names(upstream) else { return };
        let changes = out_of_answer(names, headers);
        let session = permit.claims().and_then(|claims| claims.session.as_deref());
        let Some(session) = session else { return };
        let state = Arc::clone(&self.snapshot.state);
        let Some(cookies) = state.keepsakes().change(session, &changes, COOKIES_BYTES_MAX) else {
            return;
        };
        let session = session.to_owned();
        tokio::spawn(async move {
            if let Err(fault) = state.keep(&session, cookies, None).await {
                tracing::warn!(event = "cookies_not_kept", error = %fault, "an application's cookies are in memory only");
            }
        });
    }

    fn kept_names(&self, upstream: usize) -> Option<&'a [CookieName]> {
        let config = &self.snapshot.config;
        let UsersSource::Backend(users) = &config.login.as_ref()?.users else { return None };
        let kept = !users.keep_cookies.is_empty();
        (kept && config.upstreams[upstream].name == users.upstream).then_some(&users.keep_cookies)
    }
}
