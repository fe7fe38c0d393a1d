//! Where users and sessions are kept: two contracts with domain verbs, each saying which way it fails.
//!
//! `session` says what a session is and when a refresh token was reused. `file` and `password` are the users of `users.toml`, `sql`
//! those of a database, `backend` the login of a legacy application, `account` is the one spelling of their names, and
//! `throttle` the only way to a check of a password. `embedded` keeps sessions, revocations and failed attempts
//! in one SQLite file, `postgres` keeps them in a database that many gateways share; `revocations` is their picture in
//! memory, the only part that the request path asks. `leavers` ends what users have who have to go. `keys` is the key
//! folder. `events` is where all of that is told, in the log and to a webhook. `outbound` is the one client for requests of our own, and `issuers` holds the key sets of others.

pub mod account;
pub mod backend;
#[cfg(test)]
mod contract;
pub mod embedded;
pub mod events;
pub mod file;
pub mod issuers;
pub mod keepsakes;
pub mod keys;
pub mod leavers;
#[cfg(test)]
mod leavers_tests;
pub mod outbound;
pub mod password;
pub mod postgres;
pub mod revocations;
pub mod session;
pub mod sql;
pub mod throttle;
pub mod watch;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;

use serde_json::{Map, Value};

use crate::token::{Secret, UnixTime};
pub use account::Account;
pub use keepsakes::{Keepsake, Keepsakes};
pub use revocations::Revocations;
pub use session::{Device, Renewal, Rotation, Session, Successor};
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
    mark: Option<String>,
    keepsake: Option<Keepsake>,
}

impl Authenticated {
    /// Only a credential store may say this.
    pub(in crate::store) fn new(subject: String, claims: Map<String, Value>) -> Authenticated {
        Authenticated { subject, claims, mark: None, keepsake: None }
    }

    /// With what the credential looked like, as a short hash: a session whose user has another one by now can be told.
    pub fn with_mark(self, mark: String) -> Authenticated {
        Authenticated { mark: Some(mark), ..self }
    }

    /// With what the program that checked the password wants to see again.
    pub(in crate::store) fn with_keepsake(self, keepsake: Keepsake) -> Authenticated {
        Authenticated { keepsake: Some(keepsake), ..self }
    }

    /// What is kept with the session, if anything.
    pub fn keepsake(&self) -> Option<&Keepsake> {
        self.keepsake.as_ref()
    }

    /// Who it is: the `sub` of the tokens.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The user's own claims, for the tokens.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// What the credential looked like, if the store says so.
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
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

    /// The claims of a subject that may still have tokens, and of its session where the token names one; `None` when the user
    /// is gone or disabled, and then a refresh must say no.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller refuses the refresh with 503.
    fn claims_of<'a>(
        &'a self,
        subject: &'a str,
        session: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<Map<String, Value>>, StoreFault>>;

    /// Whether it knows its users without their passwords. One that does not can say nothing of who has left.
    fn can_be_asked(&self) -> bool {
        true
    }

    /// The name under which the user of this subject logs in: what a step-up checks and is counted by. `None`
    /// when the user is gone. Where nothing else is said, it is the subject.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller refuses with 503.
    fn name_of<'a>(
        &'a self,
        subject: &'a str,
        _session: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<String>, StoreFault>> {
        Box::pin(std::future::ready(Ok(Some(subject.to_owned()))))
    }

    /// What the credential of a subject looks like now, as [`Authenticated::mark`] tells it at a login: a session
    /// that began with another one has ended. `None` when the store cannot say, or the subject is gone.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller refuses the refresh with 503.
    fn mark_of<'a>(&'a self, _subject: &'a str) -> Answer<'a, Result<Option<String>, StoreFault>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A password hash of ours that stands for a weak one, kept elsewhere.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// [`password::StoredHash::fingerprint`] of the weak hash: while that is the same, only this one opens.
    pub of: [u8; 32],
    /// Ours.
    pub hash: password::Hash,
}
/// Subjects with living sessions, each with a mark that its credential had at a login.
pub type Marks = Vec<(String, Option<String>)>;

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revoked {
    /// One token, by `jti`.
    Token(String),
    /// A whole session, by `sid`.
    Session(String),
    /// Everything of a subject: its sessions, and each of its tokens that was issued in the second `at` or earlier.
    Subject {
        /// `sub`.
        subject: String,
        /// The last second of which everything is revoked.
        at: UnixTime,
    },
}

/// Sessions, revocations and failed attempts. Each verb is atomic, and durable before it answers: what was acknowledged
/// survives `kill -9`.
pub trait StateStore: Send + Sync {
    /// Records a new session. One of a subject of whom everything was revoked in the second of its start or later is
    /// refused: its tokens would be dead.
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

    /// The sessions of a subject that live at `now`, or those of everybody: the last to start first, at most `max`.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller refuses with 503.
    fn sessions<'a>(
        &'a self,
        of: Option<&'a str>,
        now: UnixTime,
        max: usize,
    ) -> Answer<'a, Result<Vec<Session>, StoreFault>>;

    /// Each subject that has sessions living at `now`, with each of the marks that its credential had at their logins.
    ///
    /// # Errors
    /// [`StoreFault`].
    fn marks(&self, now: UnixTime) -> Answer<'_, Result<Marks, StoreFault>>;

    /// Records that the credentials were checked again, for a token that expires at `tokens_until`. `false` when the
    /// session has ended meanwhile.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing was recorded, and the step-up must be refused.
    fn step_up<'a>(
        &'a self,
        id: &'a str,
        auth_time: UnixTime,
        tokens_until: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>>;

    /// A refresh token was presented: does what [`Session::judge`] says of the living session, in one step. Of any
    /// number that present the same token at once, one rotates and the others hear its successor. When it
    /// answers that a token was reused, the session is revoked, durably and as seen by [`StateStore::revocations`].
    ///
    /// # Errors
    /// [`StoreFault`]: the refresh must be refused. It may be recorded all the same; the client tries again with the
    /// same token.
    fn rotate(&self, renewal: Renewal) -> Answer<'_, Result<Rotation, StoreFault>>;

    /// Revokes until `expires_at`, after which the tokens are dead anyway. When it answers, the
    /// revocation is durable *and* seen by [`StateStore::revocations`], and no session that it ended can be found,
    /// refreshed or stepped up. A subject's sessions that outlive `expires_at` are revoked until their own end.
    ///
    /// # Errors
    /// [`StoreFault`]: the caller answers 503; the revocation may or may not be kept, and can be repeated.
    fn revoke(&self, what: Revoked, expires_at: UnixTime) -> Answer<'_, Result<(), StoreFault>>;

    /// What stands for the hash of a subject's password; `None` when nothing ever did.
    ///
    /// # Errors
    /// [`StoreFault`]: the login must be refused, for a hash that was replaced must not open any more.
    fn replacement<'a>(
        &'a self,
        subject: &'a str,
    ) -> Answer<'a, Result<Option<Replacement>, StoreFault>>;

    /// Records what stands for the hash of a subject's password from now on, instead of what did before.
    ///
    /// # Errors
    /// [`StoreFault`]: nothing was recorded; the login may go on with the old hash.
    fn replace<'a>(
        &'a self,
        subject: &'a str,
        new: Replacement,
    ) -> Answer<'a, Result<(), StoreFault>>;

    /// Keeps these cookies of another program for a session, in the place of those it had, and its claims if there are new ones; of
    /// a session that has ended, nothing. The cookies are in [`StateStore::keepsakes`] already.
    ///
    /// # Errors
    /// [`StoreFault`]: they may be lost with the process.
    fn keep<'a>(
        &'a self,
        id: &'a str,
        cookies: Vec<String>,
        claims: Option<Map<String, Value>>,
    ) -> Answer<'a, Result<(), StoreFault>>;

    /// What is kept of logins, in memory, for the request path.
    fn keepsakes(&self) -> &Keepsakes;

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
    fn probe(&self, now: UnixTime) -> Answer<'_, Result<(), StoreFault>>;
}
