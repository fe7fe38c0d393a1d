//! Users in a table that was there before us: the [`CredentialStore`] that asks the operator's query.
//!
//! `desk` has the connections and the time limits, `postgres`, `mysql` and `sqlite` each ask one database, `row` says
//! what a row means. Every look-up is one transaction that can only read; what was typed goes beside the query, never
//! into it. A row counts only if it is of the name that was typed, as [`Account`] spells names: what a collation of the
//! database takes for the same would else be guessed at under many names.

mod capped;
mod desk;
mod mysql;
mod postgres;
mod row;
mod sqlite;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use serde_json::{Map, Value};

use super::leavers;
use super::password::{Checker, StoredHash};
use super::{
    Account, Answer, Attempt, Authenticated, CheckFault, CredentialStore, Session, StoreFault,
};
use crate::config::database::SqlUsers as Settings;
use crate::token::Secret;
use desk::{Desk, Fault, Which};
use row::{Found, Rows};

/// Most bytes of one answer of the database: a row of a user is far below, one with pictures above.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How often the same complaint about what is in the table is logged.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The users of one table.
pub struct SqlUsers {
    settings: Settings,
    desk: Desk,
    checker: Checker,
    /// Checked for a user that does not exist: as dear as the last hash that was found.
    dummy: ArcSwap<StoredHash>,
    complained: Mutex<Option<Instant>>,
}

impl fmt::Debug for SqlUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlUsers({})", self.settings.database)
    }
}

/// What the database says of the queries.
#[derive(Debug)]
pub enum Probe {
    /// They can be asked, and give every column that is named.
    Ready,
    /// It could not be asked: nobody can log in until it can.
    Away(String),
    /// It was asked and refuses, or a column is missing: nobody could ever log in.
    Refused(String),
}

/// What a name finds, for the operator.
#[derive(Debug)]
pub struct Tried {
    /// `sub`.
    pub subject: String,
    /// The claims of the tokens.
    pub claims: Map<String, Value>,
    /// What keeps this user from logging in, whatever the password.
    pub obstacle: Option<String>,
}

/// Who is found by a query.
enum Lookup {
    Nobody,
    /// More than one: nobody can say who is meant.
    Several,
    /// A row that cannot be read, and why.
    Odd(String),
    User(Found),
}

impl SqlUsers {
    /// Starts the thread that asks; connects only when it is asked. Passwords are checked by `checker`; at most
    /// `queue_max` look-ups wait.
    ///
    /// # Errors
    /// No thread, or certificates that cannot be used.
    pub fn start(
        settings: &Settings,
        checker: impl Into<Checker>,
        queue_max: usize,
    ) -> Result<SqlUsers, StoreFault> {
        let desk = Desk::start(settings, queue_max).map_err(StoreFault)?;
        let dummy =
            StoredHash::dummy().map_err(|fault| StoreFault(format!("no dummy hash: {fault}")))?;
        Ok(SqlUsers {
            settings: settings.clone(),
            desk,
            checker: checker.into(),
            dummy: ArcSwap::from_pointee(dummy),
            complained: Mutex::new(None),
        })
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Prepares the queries and looks at their columns. Blocks for the time of a look-up at most; never on a runtime.
    pub fn probe(&self) -> Probe {
        let queries = [Which::ByName].into_iter().chain(self.by_subject());
        for which in queries {
            let key = if which == Which::ByName { "query" } else { "refresh_query" };
            let columns = match self.desk.describe(which) {
                Ok(rows) => rows,
                Err(Fault::Refused(why) | Fault::Row(why)) => {
                    return Probe::Refused(format!("`{key}`: {why}"));
                }
                Err(Fault::Full) => return Probe::Away("too many look-ups wait".into()),
                Err(Fault::Away(why)) => return Probe::Away(why),
            };
            if let Err(why) = self.has_columns(&columns) {
                return Probe::Refused(format!("`{key}`: {why}"));
            }
        }
        Probe::Ready
    }

    /// What a name finds, as a login would; blocks as [`SqlUsers::probe`].
    ///
    /// # Errors
    /// What the database or the row has against it.
    pub fn try_name(&self, name: &str) -> Result<Option<Tried>, StoreFault> {
        let rows = self.desk.look_blocking(Which::ByName, name);
        let found = match self.read(rows, |found| is_of(found, &Account::of(name)))? {
            Lookup::Nobody => return Ok(None),
            Lookup::Several => return Err(StoreFault(SEVERAL.to_owned())),
            Lookup::Odd(why) => return Err(StoreFault(why)),
            Lookup::User(found) => found,
        };
        let obstacle = match (&found.password, found.enabled) {
            (_, false) => Some("is disabled".to_owned()),
            (None, _) => Some("has no password (NULL)".to_owned()),
            (Some(hash), _) => {
                StoredHash::parse(hash).err().map(|fault| format!("has a password that {fault}"))
            }
        };
        Ok(Some(Tried { subject: found.subject, claims: found.claims, obstacle }))
    }

    /// The second query, where there is one.
    fn by_subject(&self) -> Option<Which> {
        self.settings.by_subject.as_ref().map(|_| Which::BySubject)
    }

    async fn named(&self, attempt: &Attempt) -> Result<Lookup, CheckFault> {
        let typed = attempt.typed().trim();
        // Nobody has such a name, and some databases refuse it.
        if attempt.account().as_str().is_empty() || typed.chars().any(char::is_control) {
            return Ok(Lookup::Nobody);
        }
        let rows = self.desk.look(Which::ByName, typed).await;
        self.read(rows, |found| is_of(found, attempt.account())).map_err(|fault| match fault {
            Fault::Full => CheckFault::Overloaded,
            other => CheckFault::Away(other.into()),
        })
    }

    /// The user of a token. Its subject is compared byte for byte: it comes from a token and not from fingers. A row that
    /// cannot be read is a fault and not nobody: whoever has a session learns nothing by it, and must not lose it.
    async fn of_subject(&self, subject: &str) -> Result<Option<Found>, StoreFault> {
        if subject.chars().any(char::is_control) {
            return Ok(None);
        }
        let which = self.by_subject().unwrap_or(Which::ByName);
        let rows = self.desk.look(which, subject).await;
        match self.read(rows, |found| found.subject == subject)? {
            Lookup::Odd(why) => Err(StoreFault(why)),
            Lookup::User(found) if found.enabled => Ok(Some(found)),
            Lookup::User(_) | Lookup::Nobody | Lookup::Several => Ok(None),
        }
    }

    fn has_columns(&self, rows: &Rows) -> Result<(), String> {
        let mut wanted = self.settings.wanted().into_iter();
        wanted.try_for_each(|column| rows.place(column).map(drop))
    }

    /// What is wrong with the query is a fault, whoever is asked for. What is wrong with a row is none: else strangers would learn
    /// by it that there is one.
    fn read(
        &self,
        rows: Result<Rows, Fault>,
        is: impl Fn(&Found) -> bool,
    ) -> Result<Lookup, Fault> {
        let odd = |why: String| {
            self.complain("user_unreadable", &format!("{why}: nobody logs in by that name"));
            Ok(Lookup::Odd(why))
        };
        let rows = match rows {
            Err(Fault::Row(why)) => return odd(StoreFault::from(Fault::Row(why)).0),
            rows => rows?,
        };
        // Without columns the database knew by the name alone that there is nobody.
        if !rows.columns.is_empty() {
            self.has_columns(&rows).map_err(Fault::Refused)?;
        }
        match rows.count() {
            0 => Ok(Lookup::Nobody),
            1 => match rows.found(&self.settings.columns) {
                Ok(found) => Ok(found.filter(is).map_or(Lookup::Nobody, Lookup::User)),
                Err(why) => odd(why),
            },
            _ => {
                self.complain("user_ambiguous", SEVERAL);
                Ok(Lookup::Several)
            }
        }
    }

    /// Tells the operator what is wrong with the table, now and then: strangers choose how often it is met.
    fn complain(&self, event: &'static str, what: &str) {
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY) {
            *last = Some(Instant::now());
            tracing::error!(event, database = %self.settings.database, "{what}");
        }
    }

    /// The hash to check, and whether it is the user's own. There is always one, so that the time tells nothing about
    /// who exists, is disabled or has a password.
    fn hash_of(&self, found: Option<&Found>) -> (StoredHash, bool) {
        let dummy = || (StoredHash::clone(&self.dummy.load()), false);
        let Some(text) = found.and_then(|found| found.password.as_deref()) else { return dummy() };
        match StoredHash::parse(text) {
            Ok(hash) => {
                let alike = |one: &StoredHash| (one.microseconds(), one.scheme());
                if alike(&hash) != alike(&self.dummy.load())
                    && let Ok(dummy) = hash.dummy_alike()
                {
                    self.dummy.store(Arc::new(dummy));
                }
                (hash, true)
            }
            Err(fault) => {
                self.complain("user_hash_unknown", &format!("the password of a user {fault}"));
                dummy()
            }
        }
    }
}

const SEVERAL: &str = "the query gives more than one row for one name: nobody logs in by that name";

/// Whether one of the row's names is what was typed.
fn is_of(found: &Found, account: &Account) -> bool {
    found.names.iter().any(|name| Account::of(name) == *account)
}

fn mark(found: &Found) -> String {
    leavers::mark(found.password.as_deref().unwrap_or_default())
}

impl CredentialStore for SqlUsers {
    fn check(
        &self,
        attempt: Attempt,
        password: Secret,
    ) -> Answer<'_, Result<Authenticated, CheckFault>> {
        Box::pin(async move {
            let found = match self.named(&attempt).await? {
                Lookup::User(found) => Some(found),
                Lookup::Nobody | Lookup::Several | Lookup::Odd(_) => None,
            };
            let (hash, own) = self.hash_of(found.as_ref());
            let right = {
                // A name that is nobody's goes the same way, under the name that was typed.
                let typed = attempt.account().as_str();
                let subject = found.as_ref().map_or(typed, |user| user.subject.as_str());
                self.checker.check(subject, &hash, password).await?
            };
            match found {
                Some(user) if right && own && user.enabled => {
                    let mark = mark(&user);
                    Ok(Authenticated::new(user.subject, user.claims).with_mark(mark))
                }
                _ => Err(CheckFault::Invalid),
            }
        })
    }

    fn claims_of<'a>(
        &'a self,
        subject: &'a str,
        _: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<Map<String, Value>>, StoreFault>> {
        Box::pin(async move { Ok(self.of_subject(subject).await?.map(|found| found.claims)) })
    }

    fn mark_of<'a>(&'a self, subject: &'a str) -> Answer<'a, Result<Option<String>, StoreFault>> {
        Box::pin(async move { Ok(self.of_subject(subject).await?.map(|found| mark(&found))) })
    }

    fn name_of<'a>(
        &'a self,
        subject: &'a str,
        _: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<String>, StoreFault>> {
        Box::pin(async move {
            let found = self.of_subject(subject).await?;
            Ok(found.and_then(|found| found.names.into_iter().next()))
        })
    }
}
