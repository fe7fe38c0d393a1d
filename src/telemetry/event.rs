//! What happens to people's logins: eight kinds of events, each one line of the log and, where it is wanted, one message to a
//! webhook. Both are written from the same [`Event`], so they say the same. Neither ever holds a token or a password.
//!
//! The lines have the target `freshgate::audit`; docs/events.md is the page for operators.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

/// The most characters of a name that somebody typed: people type passwords where their name belongs, and strangers anything.
const TYPED_CHARS_MAX: usize = 64;
/// The most characters of a subject, a `sid` or a `jti`, which come from tokens that we believe.
const PROVEN_CHARS_MAX: usize = 512;

/// Declares the list: a variant and its name.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $name:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl EventKind {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [EventKind] = &[$(EventKind::$kind),*];

            /// Its name in the log, in the metrics, in the configuration and in messages.
            pub fn name(self) -> &'static str {
                match self {
                    $(EventKind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A password was right: a session began.
    Login = "login",
    /// Something that was asked of an endpoint was refused, or its client left.
    Failure = "failure",
    /// A password was not looked at: too many were wrong.
    Throttle = "throttle",
    /// A refresh token gave a new access token.
    Refresh = "refresh",
    /// A refresh token came back after it had been replaced: its session ended.
    Reuse = "reuse",
    /// The password again: a fresh access token in the same session.
    StepUp = "step_up",
    /// A session, or a token without one, was ended by who had it.
    Logout = "logout",
    /// A session, a token or everything of a user was ended in another way.
    Revocation = "revocation",
}

impl EventKind {
    /// Whether anybody can cause as many of them as they like.
    pub fn is_cheap(self) -> bool {
        matches!(self, EventKind::Failure | EventKind::Throttle)
    }
}

/// One event. What is not known stays `None`, and is neither in the line nor in the message.
#[derive(Clone, Debug)]
pub struct Event {
    /// Names it, for whoever gets it twice or looks for it in the log.
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub time: SystemTime,
    /// The verb of the endpoint that was asked.
    pub endpoint: Option<&'static str>,
    /// The `sub` of the tokens, where it was proven.
    pub subject: Option<String>,
    /// The session: its `sid`.
    pub session: Option<String>,
    /// A single token: its `jti`.
    pub token: Option<String>,
    /// The name as somebody typed it.
    pub user: Option<Typed>,
    /// That name in the one spelling by which guesses are counted.
    pub account: Option<Typed>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// Its id.
    pub request_id: Option<String>,
    /// Why it was refused: the code of the refusal.
    pub reason: Option<&'static str>,
    /// After how many seconds the next attempt is looked at.
    pub retry_after: Option<u64>,
    /// Who revoked: `user`, `operator`, or `users` for a list of users that changed.
    pub by: Option<&'static str>,
    /// What was revoked: `session`, `token`, or `user` for everything of one.
    pub scope: Option<&'static str>,
}

impl Event {
    /// It happened now; nothing else is known of it yet.
    pub fn now(kind: EventKind) -> Event {
        Event {
            id: uuid::Uuid::new_v4().to_string(),
            kind,
            time: super::clock(),
            endpoint: None,
            subject: None,
            session: None,
            token: None,
            user: None,
            account: None,
            address: None,
            request_id: None,
            reason: None,
            retry_after: None,
            by: None,
            scope: None,
        }
    }

    /// The same of this subject.
    pub fn of(mut self, subject: &str) -> Event {
        self.subject = Some(cut(subject));
        self
    }

    /// The same in this session, if there is one.
    pub fn within(mut self, session: Option<&str>) -> Event {
        self.session = session.map(cut);
        self
    }

    /// The same of one token, by its `jti`.
    pub fn token(mut self, id: &str) -> Event {
        self.token = Some(cut(id));
        self
    }

    /// The same as a revocation: by whom, and of what.
    pub fn revoked(mut self, by: &'static str, scope: &'static str) -> Event {
        (self.by, self.scope) = (Some(by), Some(scope));
        self
    }

    /// Its line in the log: what went as it should at level `info`, the rest at `warn`.
    pub fn log(&self) {
        macro_rules! line {
            ($level:ident, $words:literal) => {
                tracing::$level!(
                    target: "freshgate::audit",
                    event = self.kind.name(),
                    id = self.id,
                    time = self.time(),
                    endpoint = self.endpoint,
                    subject = self.subject.as_deref(),
                    sid = self.session.as_deref(),
                    jti = self.token.as_deref(),
                    user = self.user.as_ref().map(Typed::as_str),
                    account = self.account.as_ref().map(Typed::as_str),
                    address = self.address.map(tracing::field::display),
                    request_id = self.request_id.as_deref(),
                    reason = self.reason,
                    retry_after_s = self.retry_after,
                    by = self.by,
                    scope = self.scope,
                    $words
                )
            };
        }
        match self.kind {
            EventKind::Login => line!(info, "a session began"),
            EventKind::Refresh => line!(info, "a session went on"),
            EventKind::StepUp => line!(info, "the password was right again"),
            EventKind::Logout => line!(info, "a session was ended by who had it"),
            EventKind::Revocation => line!(info, "what was issued is dead"),
            EventKind::Failure => line!(warn, "refused"),
            EventKind::Throttle => line!(warn, "refused unchecked: too many passwords were wrong"),
            EventKind::Reuse => line!(
                warn,
                "a refresh token came back after it had been replaced: its session is ended"
            ),
        }
    }

    /// Its message: `type`, `timestamp`, and under `data` what the line in the log says.
    pub fn message(&self) -> String {
        let texts = [
            ("endpoint", self.endpoint.map(str::to_owned)),
            ("subject", self.subject.clone()),
            ("sid", self.session.clone()),
            ("jti", self.token.clone()),
            ("user", self.user.as_ref().map(Typed::to_string)),
            ("account", self.account.as_ref().map(Typed::to_string)),
            ("address", self.address.map(|address| address.to_string())),
            ("request_id", self.request_id.clone()),
            ("reason", self.reason.map(str::to_owned)),
            ("by", self.by.map(str::to_owned)),
            ("scope", self.scope.map(str::to_owned)),
        ];
        let known = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
        let mut data: Map<String, Value> =
            known.map(|(name, text)| (name, Value::String(text))).collect();
        if let Some(seconds) = self.retry_after {
            data.insert("retry_after_s".to_owned(), seconds.into());
        }
        let (kind, time) = (self.kind.name(), self.time());
        json!({ "type": kind, "timestamp": time, "data": data }).to_string()
    }

    fn time(&self) -> String {
        humantime::format_rfc3339_millis(self.time).to_string()
    }
}

fn cut(proven: &str) -> String {
    proven.chars().take(PROVEN_CHARS_MAX).collect()
}

/// Text that a stranger wrote: at most 64 characters of it, with everything escaped that could begin a line, move a
/// cursor or turn the direction of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed(String);

impl Typed {
    /// Takes it over, cut and escaped.
    pub fn new(text: &str) -> Typed {
        let mut escaped = String::new();
        for character in text.chars().take(TYPED_CHARS_MAX) {
            escaped.extend(character.escape_debug());
        }
        if text.chars().nth(TYPED_CHARS_MAX).is_some() {
            escaped.push('…');
        }
        Typed(escaped)
    }

    fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_what_is_known_and_nothing_else() {
        let event = Event {
            id: "e1".to_owned(),
            time: std::time::UNIX_EPOCH,
            reason: Some("login-throttled"),
            retry_after: Some(7),
            address: Some([192, 0, 2, 1].into()),
            user: Some(Typed::new("ada\n")),
            ..Event::now(EventKind::Throttle)
        };
        let message: Value = serde_json::from_str(&event.message()).unwrap();
        assert_eq!(
            message,
            json!({
                "type": "throttle",
                "timestamp": "1970-01-01T00:00:00.000Z",
                "data": {
                    "user": "ada\\n",
                    "address": "192.0.2.1",
                    "reason": "login-throttled",
                    "retry_after_s": 7,
                },
            })
        );
    }

    #[test]
    fn what_was_typed_is_cut_and_escaped() {
        assert_eq!(Typed::new("a\u{202e}b\u{1b}").to_string(), "a\\u{202e}b\\u{1b}");
        assert_eq!(Typed::new("a\n\u{1b}[31m\"b").to_string(), r#"a\n\u{1b}[31m\"b"#);
        assert_eq!(Typed::new(&"é".repeat(64)).to_string(), "é".repeat(64));
        let long = Typed::new(&"x".repeat(65)).to_string();
        assert_eq!(long, format!("{}…", "x".repeat(64)));
        let worst = Typed::new(&"\u{10ffff}".repeat(1000)).to_string();
        assert!(worst.len() <= 64 * 10 + 3, "{}", worst.len());
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let mut names: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EventKind::ALL.len());
        let places = EventKind::ALL.iter().map(|kind| *kind as usize);
        assert!(places.eq(0..EventKind::ALL.len()));
    }
}
