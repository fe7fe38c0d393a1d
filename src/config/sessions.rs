//! `[tokens]`, as far as it is about sessions: how long they last, and what a refresh does.

use std::time::Duration;

/// Longest `reuse_window`: for so long a stolen token that was replaced is as good as the one in its place. A state store
/// forgets what was replaced once this is over.
pub const REUSE_WINDOW_MAX: Duration = Duration::from_secs(60);

/// From the login to the end of a session, where the file does not say; longer where `refresh_ttl` is.
pub const SESSION_MAX_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How sessions go on and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRules {
    /// Whether a refresh gives the next refresh token and ends the one that was presented.
    pub rotation: bool,
    /// How long a replaced refresh token gives the same successor again; at most [`REUSE_WINDOW_MAX`].
    pub reuse_window: Duration,
    /// How long a session may be without a refresh or a step-up; `None`: as long as its refresh token lives.
    pub refresh_idle: Option<Duration>,
    /// From the login to the end, whatever is done meanwhile. Without rotation at most `refresh_ttl`, since nobody
    /// gets another refresh token.
    pub session_max: Duration,
}
