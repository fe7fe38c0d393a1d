//! From a configuration to a world: opens the store, loads keys and users, makes on first run what is missing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::users::Users;
use crate::config::shared_state::DatabaseUrl;
use crate::config::{Config, Login, Trust, TrustKeys, Upstream, UsersSource};
use crate::gateway::Snapshot;
use crate::gateway::answer::PASS;
use crate::policy::Refusal;
use crate::proxy::headers::Firewall;
use crate::proxy::room::Room;
use crate::store::embedded::Embedded;
use crate::store::events::{Events, Wanted};
use crate::store::file::edit;
use crate::store::postgres::{Postgres, START_WAIT};
use crate::store::{StateStore, StoreFault, keys};
use crate::telemetry::{self, Metrics};
use crate::token::keys::{Key, KeyRing};
use crate::token::trust::{KeySet, Trusted};
use crate::token::{Secret, UnixTime, assertion};

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
    /// The users that are open; the watch on their file lives as long as this is kept.
    pub users: Option<Users>,
}

/// Builds the first world of a process.
///
/// # Errors
/// [`StartFault`]: a store, key or users file that cannot be used, with the remedy where there is one.
pub fn first(config: Config, metrics: Arc<Metrics>) -> Result<Built, StartFault> {
    // The store comes first: an embedded one holds the lock that keeps a second gateway out of this directory.
    let state = state_store(&config, START_WAIT).map_err(|fault| StartFault(fault.to_string()))?;
    let first_user = match &config.login {
        Some(Login { users: UsersSource::Default(path), .. }) => {
            let made = edit::first_run(path).map_err(|fault| StartFault(fault.to_string()))?;
            made.map(|(name, password)| FirstUser { name, password })
        }
        _ => None,
    };
    let events = Arc::new(Events::new(Arc::clone(&metrics)));
    // Before the users: of those who left while no gateway ran, it is told.
    events.follow(wanted(&events, &config)?);
    let (mut snapshot, users) = assemble(config, (state, events), metrics, None)?;
    snapshot.places = places(&snapshot.config, None);
    Ok(Built { snapshot, first_user, users })
}

/// Where `[state]` says; one that many share is opened when all of it is read, or when `wait` has passed.
///
/// # Errors
/// The store's own words.
pub fn state_store(config: &Config, wait: Duration) -> Result<Arc<dyn StateStore>, StoreFault> {
    Ok(match &config.shared_state {
        Some(shared) => Arc::new(Postgres::open(shared, wait)?),
        None => Arc::new(Embedded::open(&config.state_dir)?),
    })
}

/// Builds the world that follows `previous`: the same store, and the same users where their file is the same.
///
/// # Errors
/// [`StartFault`] as for [`first`], or naming a key that cannot change while the gateway runs.
pub fn next(
    previous: &Snapshot,
    users: Option<&Users>,
    config: Config,
) -> Result<(Snapshot, Option<Users>), StartFault> {
    if let Some(key) = fixed_key(&previous.config, &config) {
        return Err(StartFault(format!(
            "`{key}` cannot change while the gateway runs: restart it, or put the old value back"
        )));
    }
    let metrics = Arc::clone(&previous.metrics);
    let (state, events) = (Arc::clone(&previous.state), Arc::clone(&previous.events));
    let wanted = wanted(&events, &config)?;
    let (mut snapshot, users) = assemble(config, (state, events), metrics, users)?;
    // Last, when nothing can fail any more: the places of the world that serves change with it, and whom it tells.
    snapshot.places = places(&snapshot.config, Some(previous));
    snapshot.events.follow(wanted);
    Ok((snapshot, users))
}

fn wanted(events: &Events, config: &Config) -> Result<Wanted, StartFault> {
    let ready = events.ready(&config.events);
    ready.map_err(|fault| StartFault(format!("`events.webhook.ca`: {fault}")))
}

/// The places at each upstream: those it has already, where it is the same place under the same name.
fn places(config: &Config, previous: Option<&Snapshot>) -> Vec<Arc<Room>> {
    let of = |one: &Upstream| {
        let previous = previous?;
        let same = |old: &Upstream| old.name == one.name && old.target == one.target;
        let index = previous.config.upstreams.iter().position(same)?;
        let kept = Arc::clone(&previous.places[index]);
        kept.resize(one.requests_max, one.queue_max);
        Some(kept)
    };
    let all = config.upstreams.iter();
    all.map(|one| of(one).unwrap_or_else(|| Room::new(one.requests_max, one.queue_max))).collect()
}

/// The first key that differs and is read at the start only.
fn fixed_key(old: &Config, new: &Config) -> Option<&'static str> {
    let same = [
        ("listen", old.listen == new.listen),
        ("admin", old.admin == new.admin),
        ("state.dir", old.state_dir == new.state_dir),
        ("state.postgres", database(old) == database(new)),
        ("state.stale_max", stale_max(old) == stale_max(new)),
        ("log.format", old.log.format == new.log.format),
        ("log.level", old.log.level == new.log.level),
        ("limits.threads", old.limits.threads == new.limits.threads),
        ("limits.token_cache", old.limits.token_cache == new.limits.token_cache),
        ("limits.login_queue", old.limits.login_queue == new.limits.login_queue),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(key, _)| key)
}

fn database(config: &Config) -> Option<&DatabaseUrl> {
    config.shared_state.as_ref().map(|shared| &shared.database)
}

fn stale_max(config: &Config) -> Option<Duration> {
    config.shared_state.as_ref().map(|shared| shared.stale_max)
}

fn assemble(
    config: Config,
    (state, events): (Arc<dyn StateStore>, Arc<Events>),
    metrics: Arc<Metrics>,
    kept: Option<&Users>,
) -> Result<(Snapshot, Option<Users>), StartFault> {
    let now = UnixTime::of(telemetry::clock());
    let keys = key_set(&config, now)?;
    if config.login.is_some() && keys.own().signer(now).is_none() {
        return Err(StartFault(
            "login is on, but no key can sign: add a [[tokens.key]] with `secret` or `private`, \
             or write `enabled = false` under [login]"
                .to_owned(),
        ));
    }
    let asserted = config.upstreams.iter().find(|one| one.assertion);
    if let (Some(upstream), None) = (asserted, assertion::signer(keys.own(), now)) {
        return Err(StartFault(format!(
            "`assertion = true` of [upstreams.{}]: no key can sign one, since a shared secret is never in the JWK set; \
             make one with `freshgate key generate --alg ES256`",
            upstream.name
        )));
    }
    let told = (&state, &events);
    let users = config.login.as_ref().map(|login| Users::open(login, &config, kept, told));
    let users = users.transpose()?;
    let routes = config.routes.routes();
    let meters = routes
        .iter()
        .map(|route| metrics.route(&route.id, route.requirement.name(), &DECISIONS))
        .collect();
    let snapshot = Snapshot {
        firewall: Firewall::new(&config),
        no_route: Arc::new(metrics.route("-", "-", &DECISIONS)),
        credentials: users.as_ref().map(Users::store),
        state,
        events,
        places: Vec::new(),
        config: Arc::new(config),
        keys,
        meters: Arc::new(meters),
        issuers: Vec::new(),
        metrics,
    };
    Ok((snapshot, users))
}

/// The keys of the configuration in their order, or those of the key folder, which gets one where none can sign.
///
/// # Errors
/// [`StartFault`] when a key of the folder cannot be read, or none can be made.
pub fn key_ring(config: &Config, now: UnixTime) -> Result<KeyRing, StartFault> {
    if config.keys.is_empty() {
        return keys::load_or_create(&config.state_dir, now)
            .map_err(|fault| StartFault(fault.to_string()));
    }
    let keys = config
        .keys
        .iter()
        .map(|spec| {
            Key::parse(spec).map_err(|fault| StartFault(format!("key `{}`: {fault}", spec.id)))
        })
        .collect::<Result<Vec<Key>, StartFault>>()?;
    Ok(KeyRing::new(keys))
}

/// Our keys and those of other issuers, as far as files hold them: what a URL says is known to a running gateway only.
///
/// # Errors
/// As [`key_ring`].
pub fn key_set(config: &Config, now: UnixTime) -> Result<KeySet, StartFault> {
    let of_file = |one: &Trust| {
        let keys = match &one.keys {
            TrustKeys::File { ring, .. } => ring.clone(),
            TrustKeys::Url(_) => None,
        };
        Trusted { trust: Arc::clone(&one.rules), keys }
    };
    Ok(KeySet::new(key_ring(config, now)?, config.trusts.iter().map(of_file).collect()))
}
