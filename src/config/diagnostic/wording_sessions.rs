//! The words for lives of tokens and sessions that do not fit together.

use super::{Diagnostics, Span};

impl Diagnostics {
    /// More than a minute of two good tokens.
    pub(crate) fn reuse_window_too_long(&mut self, span: &Span) {
        self.error(
            "reuse-window-too-long",
            span,
            "`tokens.reuse_window` is longer than 60 seconds".to_owned(),
            "a stolen refresh token that was replaced would be good for this long",
            "write at most \"60s\": it is for answers that got lost and tabs that ask at once",
        );
    }

    /// A window of nothing.
    pub(crate) fn window_without_rotation(&mut self, span: &Span) {
        self.warning(
            "no-rotation",
            Some(span),
            "`tokens.reuse_window` has no effect".to_owned(),
            "no refresh token is replaced",
            "remove it, or write rotation = \"on\"",
        );
    }

    /// `session_max` over `refresh_ttl`, and nobody gets another refresh token.
    pub(crate) fn session_without_rotation(&mut self, span: &Span) {
        self.warning(
            "no-rotation",
            Some(span),
            "`tokens.session_max` has no effect".to_owned(),
            "without rotation a session ends with its one refresh token, after `refresh_ttl`",
            "remove it, make it shorter than `refresh_ttl`, or write rotation = \"on\"",
        );
    }

    /// Access tokens that would outlive every session.
    pub(crate) fn session_below_access(&mut self, span: &Span, access: &Span) {
        self.error(
            "session-max",
            span,
            "`tokens.session_max` is shorter than `access_ttl`".to_owned(),
            "no access token would live as long as it says",
            "make `access_ttl` the shorter one: usual are \"15m\" and \"90d\"",
        );
        if !access.is_empty() {
            self.beside(access, "the longer one");
        }
    }

    /// Refresh tokens that end with their session.
    pub(crate) fn refresh_beyond_session(&mut self, refresh: &Span, session: &Span) {
        self.warning(
            "session-max",
            Some(refresh),
            "`tokens.refresh_ttl` is longer than `session_max`".to_owned(),
            "no refresh token lives this long",
            "make it the shorter one, or remove it: a refresh token ends with its session",
        );
        self.beside(session, "the session ends after this");
    }

    /// Sessions that end before their clients have a reason to refresh.
    pub(crate) fn idle_below_access(&mut self, span: &Span, access: &Span) {
        self.error(
            "refresh-idle",
            span,
            "`tokens.refresh_idle` is not longer than `access_ttl`".to_owned(),
            "a client that refreshes when its access token expires comes too late",
            "make it several times as long as `access_ttl`: usual are \"8h\" and \"15m\"",
        );
        if !access.is_empty() {
            self.beside(access, "the access token lives this long");
        }
    }

    /// Idle for longer than anything lives.
    pub(crate) fn idle_beyond_refresh(&mut self, span: &Span) {
        self.warning(
            "refresh-idle",
            Some(span),
            "`tokens.refresh_idle` has no effect".to_owned(),
            "the refresh token or the session has ended by then",
            "make it shorter than `refresh_ttl` and `session_max`, or remove it",
        );
    }
}
