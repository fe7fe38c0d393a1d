//! Checks a stored hash, and replaces a weak one by a hash of our own, where the operator says so.
//!
//! The replacement lies in our state, with the fingerprint of the hash that it stands for; where the user is kept
//! nothing changes. While that hash is the same only the replacement opens; once it is another one (the password was changed there),
//! the replacement is void. Every credential store that holds hashes checks them through here.

use std::sync::Arc;

use super::{Pool, StoredHash};
use crate::store::{CheckFault, Replacement, StateStore};
use crate::token::Secret;

/// The pool, and the state if weak hashes are replaced.
pub struct Checker {
    pool: Arc<Pool>,
    replacements: Option<Arc<dyn StateStore>>,
}

impl Checker {
    /// Checks on `pool`; replaces weak hashes in `replacements` if there is one (`[login.users] rehash`).
    pub fn new(pool: Arc<Pool>, replacements: Option<Arc<dyn StateStore>>) -> Checker {
        Checker { pool, replacements }
    }

    /// Whether `password` opens `stored`, the hash of `subject`. For a user that does not exist, the account that was
    /// typed and a dummy go the same way and take the same time.
    ///
    /// # Errors
    /// [`CheckFault::Overloaded`], and [`CheckFault::Away`] where the replacements cannot be asked: a weak hash never
    /// opens on doubt.
    pub async fn check(
        &self,
        subject: &str,
        stored: &StoredHash,
        password: Secret,
    ) -> Result<bool, CheckFault> {
        let Some(state) = &self.replacements else {
            return self.pool.verify(stored.clone(), password).await;
        };
        let found = state.replacement(subject).await.map_err(CheckFault::Away)?;
        if let Some(found) = found.filter(|one| one.of == *stored.fingerprint()) {
            return self.pool.verify(found.hash.into(), password).await;
        }
        let right = self.pool.verify(stored.clone(), password.clone()).await?;
        if right && stored.is_weak() {
            self.replace(state, subject, stored, password).await;
        }
        Ok(right)
    }

    /// A login does not fail because its hash stays as it is: the next one tries again.
    async fn replace(
        &self,
        state: &Arc<dyn StateStore>,
        subject: &str,
        stored: &StoredHash,
        password: Secret,
    ) {
        let scheme = stored.scheme();
        let hash = match self.pool.hash(password).await {
            Ok(Ok(hash)) => hash,
            Ok(Err(error)) => return not_replaced(subject, scheme, &error),
            Err(_) => return not_replaced(subject, scheme, &"too many checks are waiting"),
        };
        match state.replace(subject, Replacement { of: *stored.fingerprint(), hash }).await {
            Ok(()) => {
                tracing::info!(event = "password_rehashed", sub = ?subject, scheme, "a weak hash was replaced");
            }
            Err(error) => not_replaced(subject, scheme, &error),
        }
    }
}

fn not_replaced(subject: &str, scheme: &str, why: &dyn std::fmt::Display) {
    tracing::warn!(event = "password_not_rehashed", sub = ?subject, scheme, "a weak hash stays: {why}");
}

impl From<Arc<Pool>> for Checker {
    /// Replaces nothing.
    fn from(pool: Arc<Pool>) -> Checker {
        Checker::new(pool, None)
    }
}

impl std::fmt::Debug for Checker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Checker(replaces: {})", self.replacements.is_some())
    }
}
