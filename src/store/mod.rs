//! Where users and sessions are kept: two contracts with domain verbs, each saying which way it fails.
//!
//! `file` and `password` are the users of `users.toml`, `account` is the one spelling of their names, and
//! `throttle` the only way to a check of a password. `embedded` keeps sessions, revocations and failed attempts
//! in one SQLite file, `postgres` keeps them in a database that many gateways share; `revocations` is their picture in memory, the only part that the request path asks. `keys` is the
//! key folder.

pub mod account;
#[cfg(test)]
mod contract;
pub mod embedded;
pub mod file;
pub mod keys;
pub mod password;
pub mod postgres;
pub mod revocations;
pub mod throttle;
pub mod watch;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use serde_json::{Map, Value};

use crate::token::{Secret, UnixTime};
pub use account::Account;
pub use revocations::Revocations;
use throttle::Rules;
pub use throttle::{Attempt, Tallies, Throttled, UnderWay};

/// A future that a store hands out.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The store is away or refused to write: the caller answers 503 and has changed nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreFault(pub String);

/// A password was checked, after the throttle, and was right. Made only by a [`CredentialStore`], which
/// demands an [`Attempt`]; starting a session demands one of these.
#[derive(Debug)]
pub struct Authenticated {
    subject: String,
    claims: Map<String, Value>,
}

impl Authenticated {
    /// Only a credential store may say this.
    pub(in crate::store) fn new(subject: String, claims: Map<String, Value>) -> Authenticated {
        Authenticated { subject, claims }
    }

    /// Who it is: the `sub` of the tokens.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The user's own claims, for the tokens.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Why a credential check said no.
#[derive(Debug)]
pub enum CheckFault {
    /// Unknown user, wrong password or disabled user: alike in answer and in time.
    Invalid,
    /// Too many attempts have failed: 429, nothing was checked.
    Throttled(Throttled),
    /// More checks are waiting than the pool takes: 503, nothing was checked.
    Overloaded,
    /// The store is away: 503.
    Away(StoreFault),
}

/// Users: who may log in, and what their tokens say.
pub trait CredentialStore: Send + Sync {
    /// Checks the password of an account. Only [`throttle::check`] can call this: it alone makes attempts.
    ///
    /// # Errors
    /// [`CheckFault`], never `Throttled`. When the store is away nobody logs in; nobody is ever let in on doubt.
    fn check(
        &self,
        attempt: Attempt,
        password: Secret,
    ) -> Answer<'_, Result<Authenticated, CheckFault>>;

    /// The claims of a subject that may still have tokens; `None` when the user is gone or disabled,
    /// and then a refresh must say no.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller refuses the refresh with 503.
    fn claims_of<'a>(
        &'a self,
        subject: &'a str,
    ) -> Answer<'a, Result<Option<Map<String, Value>>, StoreFault>>;
}

/// What one login started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `sid`.
    pub id: String,
    /// `sub`.
    pub subject: String,
    /// When the login was.
    pub started_at: UnixTime,
    /// When the credentials were last checked; a step-up moves it.
    pub auth_time: UnixTime,
    /// When its last token can expire: nothing of it is kept after that.
    pub expires_at: UnixTime,
}

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One token, by `jti`.
    Token(String),
    /// A whole session, by `sid`.
    Session(String),
}

/// Sessions, revocations and failed attempts. Each verb is atomic, and durable before it answers: what was acknowledged
/// survives `kill -9`.
pub trait StateStore: Send + Sync {
    /// Records a new session.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing was recorded, and the login must be refused.
    fn start(&self, session: Session) -> Answer<'_, Result<(), StoreFault>>;

    /// The living session with this `sid`; `None` when it never was, has ended or has expired at `now`.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller refuses with 503.
    fn session<'a>(
        &'a self,
        id: &'a str,
        now: UnixTime,
    ) -> Answer<'a, Result<Option<Session>, StoreFault>>;

    /// Records that the credentials were checked again. `false` when the session has ended meanwhile.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing was recorded, and the step-up must be refused.
    fn step_up<'a>(
        &'a self,
        id: &'a str,
        auth_time: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>>;

    /// Revokes until `expires_at`, after which the tokens are dead anyway. When it answers, the
    /// revocation is durable *and* seen by [`StateStore::revocations`].
    ///
    /// # Errors
    /// [`StoreFault`]: the caller answers 503; the revocation may or may not be kept, and can be repeated.
    fn revoke(&self, what: Revoked, expires_at: UnixTime) -> Answer<'_, Result<(), StoreFault>>;

    /// The revocations in memory, for the request path.
    fn revocations(&self) -> &Revocations;

    /// Begins an attempt at an account, which is counted from now on. `now` is when its request began; a store that has
    /// a clock of its own for this, because many gateways must agree, goes by that.
    ///
    /// # Errors
    /// [`CheckFault::Throttled`]: how long to wait. [`CheckFault::Away`]: nothing was counted, and nothing may be checked.
    fn begin<'a>(
        &'a self,
        account: &Account,
        address: IpAddr,
        rules: &Rules,
        now: UnixTime,
    ) -> Answer<'a, Result<UnderWay<'a>, CheckFault>>;

    /// Ends an attempt in which nothing was checked: it is not counted. What cannot be taken back stays counted.
    fn withdrawn<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, ()>;

    /// Records that an attempt failed. When it answers, the counters are durable.
    ///
    /// # Errors
    /// [`StoreFault`]: counted in memory only; the caller answers 503 and does not tell what the check said.
    fn failed<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>>;

    /// Records that an attempt succeeded: what failed for the account at this address is forgotten, and the
    /// address is known to it for [`throttle::ADDRESS_KNOWN_FOR`].
    ///
    /// # Errors
    /// [`StoreFault`]: recorded in memory only; the login must be refused.
    fn succeeded<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>>;

    /// Whether the store can be written at `now`, for those who ask whether the gateway is ready: a full disk can still
    /// be read.
    ///
    /// # Errors
    /// [`StoreFault`]: logins are refused.
    fn probe(&self, now: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        // The revocation, already expired, of a token that never was.
        self.revoke(Revoked::Token("readyz".to_owned()), now)
    }
}
