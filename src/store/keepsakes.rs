//! What a legacy application gave at a login and wants to see again: the cookies of its own session, kept for each
//! session of ours, in memory for the request path.
//!
//! Reads take no lock. A store fills it after the session is durable; only sessions that have such cookies are here.

use std::fmt;

use cookie::Cookie;
use foldhash::fast::RandomState;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use papaya::{Compute, HashMap, Operation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::CookieName;
use crate::token::UnixTime;

/// What is kept of a login that another program checked, for it cannot be asked again without the password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepsake {
    /// The name that was sent: what a step-up sends again.
    pub name: String,
    /// The claims of its answer.
    pub claims: Map<String, Value>,
    /// Its cookies, `name=value`. Whoever has them is the user there.
    pub cookies: Vec<String>,
}

impl fmt::Debug for Keepsake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keepsake").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What an answer of the application does to the cookies of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// `name=value`, new or in the place of an older one.
    pub set: Vec<String>,
    /// Names that are taken away.
    pub removed: Vec<String>,
}

impl Changes {
    /// What the answer with these fields does to the cookies of these names.
    pub fn of(headers: &HeaderMap, names: &[CookieName]) -> Changes {
        let mut changes = Changes::default();
        for cookie in headers.get_all(SET_COOKIE).iter().filter_map(cookie_of) {
            let name = cookie.name();
            if !names.iter().any(|one| one.means(name)) {
                continue;
            }
            changes.set.retain(|set| name_of(set) != name);
            changes.removed.retain(|removed| removed != name);
            match is_taken_away(&cookie) {
                true => changes.removed.push(name.to_owned()),
                false => changes.set.push(format!("{name}={}", cookie.value())),
            }
        }
        changes
    }

    fn apply(&self, cookies: &[String]) -> Vec<String> {
        let replaced = |cookie: &String| {
            let named = name_of(cookie);
            self.removed.iter().any(|name| name == named)
                || self.set.iter().any(|new| name_of(new) == named)
        };
        let kept = cookies.iter().filter(|cookie| !replaced(cookie));
        kept.chain(&self.set).cloned().collect()
    }
}

/// The cookie that a `Set-Cookie` field sets.
fn cookie_of(field: &HeaderValue) -> Option<Cookie<'static>> {
    Cookie::parse(field.to_str().ok()?.to_owned()).ok()
}

/// A program takes a cookie away by an end in the past, and some by an empty value.
fn is_taken_away(cookie: &Cookie<'_>) -> bool {
    let ended = cookie.max_age().is_some_and(|age| age.whole_seconds() <= 0);
    let past = cookie.max_age().is_none()
        && cookie.expires_datetime().is_some_and(|end| end.unix_timestamp() <= LONG_AGO);
    ended || past || cookie.value().is_empty()
}

/// A day in 2001: what ends before it was never meant to live. An end near the present is left to the program, whose
/// clock need not be ours.
const LONG_AGO: i64 = 1_000_000_000;

/// The name of `name=value`.
pub fn name_of(cookie: &str) -> &str {
    cookie.split_once('=').map_or(cookie, |(name, _)| name)
}

/// The kept cookies of every living session, by `sid`.
#[derive(Debug, Default)]
pub struct Keepsakes {
    by_session: HashMap<Box<str>, Jar, RandomState>,
}

/// The cookies of one session.
#[derive(Clone)]
struct Jar {
    cookies: Vec<String>,
    /// All of them, as one field.
    field: HeaderValue,
    expires_at: UnixTime,
}

impl fmt::Debug for Jar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jar").field("cookies", &self.cookies.len()).finish_non_exhaustive()
    }
}

impl Jar {
    /// `None` where there is nothing to send.
    fn of(cookies: Vec<String>, expires_at: UnixTime) -> Option<Jar> {
        let mut field = HeaderValue::try_from(cookies.join("; ")).ok()?;
        field.set_sensitive(true);
        (!cookies.is_empty()).then_some(Jar { cookies, field, expires_at })
    }
}

impl Keepsakes {
    /// The `Cookie` field of a session, if anything is kept for it.
    pub fn of(&self, session: &str) -> Option<HeaderValue> {
        self.by_session.pin().get(session).map(|jar| jar.field.clone())
    }

    /// Takes an answer's changes over at once; what the session has then, if that is something else than before. A session
    /// that is not here has ended.
    pub fn change(
        &self,
        session: &str,
        changes: &Changes,
        bytes_max: usize,
    ) -> Option<Vec<String>> {
        let pinned = self.by_session.pin();
        let outcome = pinned.compute(session.into(), |entry| {
            let Some((_, old)) = entry else { return Operation::Abort(None) };
            let cookies = changes.apply(&old.cookies);
            let size: usize = cookies.iter().map(|one| one.len() + 2).sum();
            if cookies == old.cookies || size > bytes_max {
                return Operation::Abort(None);
            }
            match Jar::of(cookies, old.expires_at) {
                Some(jar) => Operation::Insert(jar),
                // It is logged out there; here it has a session still.
                None => Operation::Abort(Some(Vec::new())),
            }
        });
        match outcome {
            Compute::Updated { new: (_, jar), .. } => Some(jar.cookies.clone()),
            Compute::Aborted(Some(none)) => {
                pinned.remove(session);
                Some(none)
            }
            _ => None,
        }
    }

    /// What a step-up gave: this instead of what there was.
    pub fn replace(&self, session: &str, cookies: Vec<String>, expires_at: UnixTime) {
        self.forget(session);
        self.put(session, cookies, expires_at);
    }

    /// How many sessions have something kept.
    pub fn len(&self) -> usize {
        self.by_session.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }

    /// A session that began, or was read from where it is kept.
    pub(in crate::store) fn put(&self, session: &str, cookies: Vec<String>, expires_at: UnixTime) {
        if let Some(jar) = Jar::of(cookies, expires_at) {
            self.by_session.pin().insert(session.into(), jar);
        }
    }

    /// A session that ended.
    pub(in crate::store) fn forget(&self, session: &str) {
        self.by_session.pin().remove(session);
    }

    /// Forgets those of sessions that expired at `now` or earlier.
    pub(in crate::store) fn purge(&self, now: UnixTime) {
        self.by_session.pin().retain(|_, jar| jar.expires_at > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|&one| one.to_owned()).collect()
    }

    fn kept() -> Keepsakes {
        let kept = Keepsakes::default();
        kept.put("s", texts(&["a=1", "b=2"]), UnixTime(10));
        kept
    }

    #[test]
    fn a_session_gets_its_own_cookies_and_no_other() {
        let kept = kept();
        assert_eq!(kept.of("s").expect("cookies"), "a=1; b=2");
        assert!(kept.of("s").expect("cookies").is_sensitive());
        assert!(kept.of("t").is_none());
        kept.put("t", Vec::new(), UnixTime(10));
        kept.put("u", texts(&["a=\n"]), UnixTime(10));
        assert_eq!(kept.len(), 1);
    }

    #[test]
    fn an_answer_sets_replaces_and_takes_away() {
        let kept = kept();
        let changes = Changes { set: texts(&["b=3", "c=4"]), removed: texts(&["a"]) };
        assert_eq!(kept.change("s", &changes, 100), Some(texts(&["b=3", "c=4"])));
        assert_eq!(kept.of("s").expect("cookies"), "b=3; c=4");
        assert_eq!(kept.change("s", &changes, 100), None, "nothing new");
        assert_eq!(kept.change("gone", &changes, 100), None);
        assert!(kept.of("gone").is_none());
        let large = Changes { set: texts(&["d=xxxxxxxxxxxxxxxx"]), removed: Vec::new() };
        assert_eq!(kept.change("s", &large, 20), None);
        assert_eq!(kept.of("s").expect("cookies"), "b=3; c=4");
        let all = Changes { set: Vec::new(), removed: texts(&["b", "c"]) };
        assert_eq!(kept.change("s", &all, 100), Some(Vec::new()));
        assert!(kept.of("s").is_none());
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let kept = kept();
        kept.purge(UnixTime(9));
        assert_eq!(kept.len(), 1);
        kept.purge(UnixTime(10));
        assert!(kept.is_empty());
        kept.put("s", texts(&["a=1"]), UnixTime(10));
        kept.forget("s");
        assert!(kept.is_empty());
    }

    #[test]
    fn cookies_never_print() {
        let keepsake = Keepsake { cookies: texts(&["sid=secret"]), ..Keepsake::default() };
        assert!(!format!("{keepsake:?} {:?}", kept()).contains("secret"));
    }
}
