//! From a configuration to a world: opens the store, loads keys and users, makes on first run what is missing.

use std::fmt;
use std::sync::Arc;

use crate::config::{Config, Login, UsersSource};
use crate::gateway::Snapshot;
use crate::gateway::answer::PASS;
use crate::policy::Refusal;
use crate::proxy::headers::Firewall;
use crate::store::embedded::Embedded;
use crate::store::file::{UsersFile, edit};
use crate::store::watch::Watch;
use crate::store::{CredentialStore, keyfile, password};
use crate::telemetry::Metrics;
use crate::token::Secret;
use crate::token::keys::{Key, KeyRing};

/// Why the gateway cannot start; the text is for the operator.
#[derive(Debug)]
pub struct StartFault(pub String);

impl fmt::Display for StartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartFault {}

/// The user made on first run. The password is shown once and kept only as a hash.
#[derive(Debug)]
pub struct FirstUser {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// The decision codes of the counters: `pass`, then every refusal.
pub static DECISIONS: [&str; Refusal::CODES.len() + 1] = {
    let mut all = [PASS; Refusal::CODES.len() + 1];
    let mut index = 0;
    while index < Refusal::CODES.len() {
        all[index + 1] = Refusal::CODES[index];
        index += 1;
    }
    all
};

/// A world and what came with making it.
#[derive(Debug)]
pub struct Built {
    /// The world.
    pub snapshot: Snapshot,
    /// The user made on first run.
    pub first_user: Option<FirstUser>,
    /// Rereads the users when their file changes, for as long as it is kept.
    pub watch: Option<Watch>,
}

/// Builds the first world of a process.
///
/// # Errors
/// [`StartFault`]: a store, key or users file that cannot be used, with the remedy where there is one.
pub fn world(config: Config, metrics: Arc<Metrics>) -> Result<Built, StartFault> {
    // The store comes first: it holds the lock that keeps a second gateway out of this directory.
    let state = Embedded::open(&config.state_dir).map_err(|fault| StartFault(fault.to_string()))?;
    let ring = key_ring(&config)?;
    if config.login.is_some() && ring.signer().is_none() {
        return Err(StartFault(
            "login is on, but no key can sign: add a [[tokens.key]] with `secret` or `private`, \
             or write `enabled = false` under [login]"
                .to_owned(),
        ));
    }
    let login = config.login.as_ref().map(|login| users(login, config.limits.login_queue));
    let (credentials, first_user, watch) = match login.transpose()? {
        None => (None, None, None),
        Some(users) => (Some(users.credentials), users.first, Some(users.watch)),
    };
    let routes = config.routes.routes();
    let meters = routes
        .iter()
        .map(|route| metrics.route(&route.id, route.requirement.name(), &DECISIONS))
        .collect();
    let snapshot = Snapshot {
        firewall: Firewall::new(&config.identity),
        no_route: metrics.route("-", "-", &DECISIONS),
        state: Arc::new(state),
        config,
        ring,
        credentials,
        meters,
        metrics,
    };
    Ok(Built { snapshot, first_user, watch })
}

/// The keys of the configuration, or the one made on first run.
///
/// # Errors
/// [`StartFault`] when the key of the first run cannot be read or made.
pub fn key_ring(config: &Config) -> Result<KeyRing, StartFault> {
    let made;
    let specs = if config.keys.is_empty() {
        made = [keyfile::load_or_create(&config.state_dir)
            .map_err(|fault| StartFault(fault.to_string()))?];
        made.as_slice()
    } else {
        config.keys.as_slice()
    };
    let keys = specs
        .iter()
        .map(|spec| {
            Key::parse(spec).map_err(|fault| StartFault(format!("key `{}`: {fault}", spec.id)))
        })
        .collect::<Result<Vec<Key>, StartFault>>()?;
    Ok(KeyRing::new(keys))
}

struct Users {
    credentials: Arc<dyn CredentialStore>,
    first: Option<FirstUser>,
    watch: Watch,
}

fn users(login: &Login, queue_max: usize) -> Result<Users, StartFault> {
    let fault = |error: &dyn fmt::Display| StartFault(error.to_string());
    let first = match &login.users {
        UsersSource::File(_) => None,
        UsersSource::Default(path) => edit::first_run(path).map_err(|error| fault(&error))?,
    };
    let pool = password::Pool::start(queue_max).map_err(|error| fault(&error))?;
    let users = UsersFile::open(login.users.path(), pool).map_err(|error| fault(&error))?;
    let users = Arc::new(users);
    let watch = users.watch().map_err(|error| fault(&error))?;
    let first = first.map(|(name, password)| FirstUser { name, password });
    Ok(Users { credentials: users, first, watch })
}
