//! The users of `users.toml`: the [`CredentialStore`] that needs nothing but a file.
//!
//! `users` reads its text, `edit` changes it for the command line, `import` adds many at once; here is what the gateway asks. Users are
//! kept in memory and reread when the file changes; a file that turned bad changes nothing. A check costs
//! the same time whoever is asked for. Never writes.

pub mod edit;
pub mod import;
#[cfg(test)]
mod tests;
pub mod users;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use serde_json::{Map, Value};

use super::leavers::Leavers;
use super::password::{Checker, PasswordFault, StoredHash};
use super::watch::{Watch, watch};
use super::{Answer, Attempt, Authenticated, CheckFault, CredentialStore, StoreFault};
use crate::token::Secret;
pub use edit::first_run;
pub use users::{Mistake, User, Users, UsersFault};

/// Largest users file, in bytes.
pub const USERS_FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The users of one file.
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    checker: Checker,
    read: ArcSwap<Read>,
}

/// What the file said when it was last good.
#[derive(Debug)]
struct Read {
    users: Users,
    /// Checked for a user that does not exist.
    dummy: StoredHash,
    /// Of the text, to tell a change from a mere touch.
    digest: Vec<u8>,
}

impl UsersFile {
    /// Reads the file; passwords are checked by `checker`, or just on a pool.
    ///
    /// # Errors
    /// [`UsersFault`]: the file is not there, cannot be read, or holds mistakes.
    pub fn open(path: &Path, checker: impl Into<Checker>) -> Result<UsersFile, UsersFault> {
        let checker = checker.into();
        let text = read(path)?;
        let read = Read::parse(path, &text)?;
        Ok(UsersFile { path: path.to_owned(), checker, read: ArcSwap::from_pointee(read) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.read.load().users.len()
    }

    /// Whether nobody can log in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rereads the file whenever it changes, until the answer is dropped. A file that turned bad or
    /// vanished leaves the users as they were and is logged once. Who was removed, disabled or given another password
    /// leaves with everything that they have.
    ///
    /// # Errors
    /// The machine gives no thread.
    pub fn watch(self: &Arc<Self>, leavers: Arc<Leavers>) -> io::Result<Watch> {
        let users = Arc::clone(self);
        let mut complaint = None;
        let look = move || match users.renew() {
            Ok(lost) => {
                if lost.is_some() || complaint.take().is_some() {
                    let count = users.len();
                    let path = users.path.display();
                    tracing::info!(event = "users_reread", %path, count, "the users were reread");
                }
                // Also what could not be ended before.
                if let Err(error) = leavers.end(lost.unwrap_or_default()) {
                    tracing::error!(event = "sessions_not_ended", %error, "sessions of users who left go on");
                }
            }
            Err(fault) => {
                let fault = fault.to_string();
                if complaint.as_ref() != Some(&fault) {
                    tracing::error!(
                        event = "users_refused",
                        "the old users stay, because the file is bad: {fault}"
                    );
                    complaint = Some(fault);
                }
            }
        };
        watch(&self.path, look)
    }

    /// Reads the file again; `true` when its text was another one.
    ///
    /// # Errors
    /// [`UsersFault`], and the users stay as they were.
    pub fn reread(&self) -> Result<bool, UsersFault> {
        self.renew().map(|lost| lost.is_some())
    }

    /// Reads the file again: who lost what they had, when its text was another one.
    fn renew(&self) -> Result<Option<Vec<String>>, UsersFault> {
        let text = read(&self.path)?;
        let before = self.read.load_full();
        if before.digest == digest_of(&text) {
            return Ok(None);
        }
        let next = Arc::new(Read::parse(&self.path, &text)?);
        let lost = before.users.lost_in(&next.users);
        self.read.store(next);
        Ok(Some(lost))
    }
}

impl CredentialStore for UsersFile {
    fn check(
        &self,
        attempt: Attempt,
        password: Secret,
    ) -> Answer<'_, Result<Authenticated, CheckFault>> {
        Box::pin(async move {
            let read = self.read.load_full();
            let found = read.users.find(attempt.account());
            // Always one hash, so that the time tells nothing about who exists or is disabled.
            let nobody = || (attempt.account().as_str(), &read.dummy);
            let (name, hash) = found.map_or_else(nobody, |(name, user)| (name, &user.hash));
            let right = self.checker.check(name, hash, password).await?;
            match found {
                // The name as the file spells it: tokens never say what somebody typed.
                Some((name, user)) if right && !user.disabled => {
                    let who = Authenticated::new(name.to_owned(), user.claims.clone());
                    Ok(who.with_mark(user.mark.clone()))
                }
                _ => Err(CheckFault::Invalid),
            }
        })
    }

    fn claims_of<'a>(
        &'a self,
        subject: &'a str,
    ) -> Answer<'a, Result<Option<Map<String, Value>>, StoreFault>> {
        let read = self.read.load();
        let claims = read.users.subject(subject).map(|user| user.claims.clone());
        Box::pin(std::future::ready(Ok(claims)))
    }

    fn mark_of<'a>(&'a self, subject: &'a str) -> Answer<'a, Result<Option<String>, StoreFault>> {
        let read = self.read.load();
        let mark = read.users.subject(subject).map(|user| user.mark.clone());
        Box::pin(std::future::ready(Ok(mark)))
    }
}

impl Read {
    fn parse(path: &Path, text: &str) -> Result<Read, UsersFault> {
        let users = Users::parse(path, text)?;
        let dummy = dummy_for(&users)
            .map_err(|fault| UsersFault::whole(path, format!("no dummy hash: {fault}")))?;
        Ok(Read { users, dummy, digest: digest_of(text) })
    }
}

/// A dummy as dear as most users' hashes, which may come from another program with other costs.
fn dummy_for(users: &Users) -> Result<StoredHash, PasswordFault> {
    let mut counts: HashMap<_, (usize, &StoredHash)> = HashMap::new();
    for (_, user) in users.iter() {
        let alike = (user.hash.microseconds(), user.hash.scheme());
        counts.entry(alike).or_insert((0, &user.hash)).0 += 1;
    }
    match counts.into_iter().max_by_key(|(alike, (count, _))| (*count, *alike)) {
        Some((_, (_, hash))) => hash.dummy_alike(),
        None => StoredHash::dummy(),
    }
}

fn digest_of(text: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().to_vec()
}

/// Reads the whole text, up to [`USERS_FILE_MAX_BYTES`].
fn read(path: &Path) -> Result<String, UsersFault> {
    let fault = |error: io::Error| {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "; `freshgate user add NAME` makes it",
            _ => "",
        };
        UsersFault::whole(path, format!("the file cannot be read: {error}{remedy}"))
    };
    let mut text = String::new();
    let file = File::open(path).map_err(fault)?;
    file.take(USERS_FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(fault)?;
    match text.len() as u64 > USERS_FILE_MAX_BYTES {
        true => Err(UsersFault::whole(path, "the file is larger than 16 MiB")),
        false => Ok(text),
    }
}
