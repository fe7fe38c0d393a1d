//! The login of a legacy application as the store of users: it alone knows the passwords, and is asked whether one
//! is right, as its own form would ask.
//!
//! `request` writes the question, `verdict` reads the answer. Guesses are throttled before they get here. A user's claims
//! are what the application said at the login: it cannot be asked again without the password.

mod request;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::outbound::{Budget, Options, Outbound};
use super::{
    Answer, Attempt, Authenticated, CheckFault, CredentialStore, Keepsake, Session, StoreFault,
};
use crate::config::BackendUsers;
use crate::token::Secret;
pub use verdict::{CLAIMS_BYTES_MAX, COOKIES_BYTES_MAX, SUBJECT_BYTES_MAX};
use verdict::{Person, Verdict};

/// Largest answer of a login that is read, in bytes: the page after a login may be a large one.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most logins that are asked at once; the application checks passwords on its own threads, which are few.
pub const CHECKS_MAX: usize = 16;

/// Every address.
fn anywhere() -> Vec<IpNet> {
    let all = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    all.into_iter().filter_map(|zero| IpNet::new(zero, 0).ok()).collect()
}

/// One application's login.
#[derive(Debug)]
pub struct BackendLogin {
    users: BackendUsers,
    outbound: Outbound,
    places: Semaphore,
}

impl BackendLogin {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// This machine gave no client for requests.
    pub fn new(users: BackendUsers) -> Result<BackendLogin, StoreFault> {
        let options = Options {
            // The operator named this very host as an upstream: it may be anywhere.
            allow_private: anywhere(),
            ..Options::default()
        };
        let outbound = Outbound::new(options).map_err(|fault| StoreFault(fault.to_string()))?;
        Ok(BackendLogin { users, outbound, places: Semaphore::new(CHECKS_MAX) })
    }

    /// What it was made of.
    pub fn settings(&self) -> &BackendUsers {
        &self.users
    }

    async fn ask(&self, attempt: Attempt, password: Secret) -> Result<Authenticated, CheckFault> {
        let name = match self.users.as_typed {
            true => attempt.typed(),
            false => attempt.account().as_str(),
        };
        let request = request::request(&self.users, name, &password, attempt.visitor());
        let Some(request) = request.filter(|_| !name.is_empty()) else {
            return Err(CheckFault::Invalid);
        };
        let waited = timeout(self.users.timeout, self.places.acquire()).await;
        let Ok(Ok(_place)) = waited else { return Err(CheckFault::Overloaded) };
        let budget = Budget { timeout: self.users.timeout, body_max: ANSWER_BYTES_MAX };
        let answer = self.outbound.send(request, budget).await;
        let answer = answer.map_err(|fault| self.away(&fault))?;
        match verdict::verdict(&self.users, &answer) {
            Verdict::Right(person) => Ok(authenticated(name, person)),
            Verdict::Wrong => Err(CheckFault::Invalid),
            Verdict::Unclear(why) => Err(self.away(&why)),
        }
    }

    fn away(&self, why: &dyn fmt::Display) -> CheckFault {
        let upstream = &self.users.upstream;
        CheckFault::Away(StoreFault(format!("the login of upstream `{upstream}`: {why}")))
    }
}

fn authenticated(name: &str, person: Person) -> Authenticated {
    let Person { subject, claims, cookies } = person;
    let keepsake = Keepsake { name: name.to_owned(), claims: claims.clone(), cookies };
    let subject = subject.unwrap_or_else(|| name.to_owned());
    Authenticated::new(subject, claims).with_keepsake(keepsake)
}

impl CredentialStore for BackendLogin {
    fn check(
        &self,
        attempt: Attempt,
        password: Secret,
    ) -> Answer<'_, Result<Authenticated, CheckFault>> {
        Box::pin(self.ask(attempt, password))
    }

    fn can_be_asked(&self) -> bool {
        false
    }

    fn claims_of<'a>(
        &'a self,
        _subject: &'a str,
        session: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<Map<String, Value>>, StoreFault>> {
        // A token without a session is of nobody whom the application let in.
        let keepsake = session.and_then(|session| session.keepsake.as_ref());
        Box::pin(std::future::ready(Ok(keepsake.map(|keepsake| keepsake.claims.clone()))))
    }

    fn name_of<'a>(
        &'a self,
        subject: &'a str,
        session: Option<&'a Session>,
    ) -> Answer<'a, Result<Option<String>, StoreFault>> {
        let keepsake = session.and_then(|session| session.keepsake.as_ref());
        let name = keepsake.map_or(subject, |keepsake| &keepsake.name);
        Box::pin(std::future::ready(Ok(Some(name.to_owned()))))
    }
}
