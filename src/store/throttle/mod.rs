//! The throttle: the only way to a password check. Whatever door a guess comes through (JSON, form, reauth),
//! it needs an [`Attempt`], and only [`check`] makes one, after the counters of the account and of the
//! address have let it through (CVE-2024-21500).
//!
//! `tally` is the arithmetic, `tallies` the counters in memory, `under_way` an attempt; the state store keeps them over restarts.
//! Never tells known users from unknown ones. Called by `auth`.

pub mod tallies;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod under_way;

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderValue;

use super::account::TYPED_BYTES_MAX;
use super::{Account, Authenticated, CheckFault, CredentialStore, StateStore};
use crate::config::Limits;
use crate::telemetry::Limit;
use crate::token::{Secret, UnixTime};
pub use tallies::Tallies;
use tally::Allowance;
pub use under_way::UnderWay;

/// How long an address stays known to an account after it has logged in from there.
pub const ADDRESS_KNOWN_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All that fails for one account, from addresses at which it is not known.
    Account = 0,
    /// What fails for one account at one address.
    Pair = 1,
    /// All that fails at one address.
    Address = 2,
}

impl Kind {
    /// The limit that is reached when this counter makes an attempt wait.
    pub fn limit(self) -> Limit {
        match self {
            Kind::Account | Kind::Pair => Limit::LoginFailuresAccount,
            Kind::Address => Limit::LoginFailuresAddress,
        }
    }
}

/// What each kind of counter allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// One account: a short longest delay, so that others cannot lock it for long.
    pub account: Allowance,
    /// One account at one address that it is not known at.
    pub pair: Allowance,
    /// One address.
    pub address: Allowance,
}

impl Rules {
    /// As `[limits]` says.
    pub fn of_limits(limits: &Limits) -> Rules {
        let allowance = |free: usize, delay_max| Allowance { free: free as u64, delay_max };
        Rules {
            account: allowance(limits.login_failures_account, limits.login_delay_account),
            pair: allowance(limits.login_failures_account, limits.login_delay_address),
            address: allowance(limits.login_failures_address, limits.login_delay_address),
        }
    }

    /// Where the account is known, only its own counter there keeps its owner out, and whoever shares the address can
    /// fill it: hence the short longest delay.
    pub(in crate::store) fn of(&self, kind: Kind, known: bool) -> &Allowance {
        match kind {
            Kind::Account => &self.account,
            Kind::Pair if known => &self.account,
            Kind::Pair => &self.pair,
            Kind::Address => &self.address,
        }
    }
}

/// Too many attempts have failed: no password is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// How long to wait, in whole seconds, at least one.
    pub retry_after: Duration,
    /// The counter that asks for it.
    pub by: Kind,
}

/// The right to check one password for one account: made only by [`check`], used up by a [`CredentialStore`].
#[derive(Debug)]
pub struct Attempt {
    account: Account,
    typed: String,
    visitor: Visitor,
}

/// Who asks for a login, as far as another program that checks it wants to know.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Where the guess comes from: what guesses are counted by.
    pub address: IpAddr,
    /// The `Host` that was asked for.
    pub host: Option<HeaderValue>,
    /// What the client calls itself (`User-Agent`).
    pub agent: Option<HeaderValue>,
}

impl Visitor {
    /// Known by nothing but an address.
    pub fn at(address: IpAddr) -> Visitor {
        Visitor { address, host: None, agent: None }
    }
}

impl Attempt {
    /// Whose password is to be checked.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The name as somebody typed it, for stores that hold names in spellings of their own.
    pub fn typed(&self) -> &str {
        &self.typed
    }

    /// Who asks.
    pub fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// For the tests of credential stores alone.
    #[cfg(test)]
    pub(in crate::store) fn unthrottled(name: &str) -> Attempt {
        Attempt::of(name, Account::of(name), Visitor::at(IpAddr::from([127, 0, 0, 1])))
    }

    fn of(typed: &str, account: Account, visitor: Visitor) -> Attempt {
        // A name that is too long is nobody's, in no spelling.
        let typed = if typed.len() > TYPED_BYTES_MAX { "" } else { typed }.to_owned();
        Attempt { account, typed, visitor }
    }
}

/// What a guess is checked with.
pub struct Door<'a> {
    /// The users.
    pub credentials: &'a dyn CredentialStore,
    /// Keeps the counters.
    pub state: &'a dyn StateStore,
    /// What the counters allow.
    pub rules: Rules,
    /// Who makes the guess.
    pub visitor: Visitor,
}

/// Checks the password of the name that was typed, unless too many attempts have failed. When it says that the password is wrong, the
/// failure is durable.
///
/// # Errors
/// [`CheckFault`]. An attempt that met a full queue or a store that is away is not counted as failed, except
/// when the store went away before the failure could be written down.
pub async fn check(
    door: &Door<'_>,
    typed: &str,
    password: Secret,
    now: UnixTime,
) -> Result<Authenticated, CheckFault> {
    let account = Account::of(typed);
    let under_way = door.state.begin(&account, door.visitor.address, &door.rules, now).await?;
    let attempt = Attempt::of(typed, account, door.visitor.clone());
    match door.credentials.check(attempt, password).await {
        Ok(user) => {
            door.state.succeeded(under_way).await.map_err(CheckFault::Away)?;
            Ok(user)
        }
        Err(CheckFault::Invalid) => {
            door.state.failed(under_way).await.map_err(CheckFault::Away)?;
            Err(CheckFault::Invalid)
        }
        Err(other) => {
            door.state.withdrawn(under_way).await;
            Err(other)
        }
    }
}
