//! The keys of other issuers in the world that serves: who fetches them, and how they get into it. New keys are a new world
//! with the same configuration, swapped in by the thread that reloads.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};

use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::reload::Ask;
use crate::config::{Config, Trust, TrustKeys};
use crate::gateway::Snapshot;
use crate::proxy::headers::Firewall;
use crate::store::issuers::{Freshness, RemoteKeys, Source};
use crate::token::UnixTime;
use crate::token::trust::{KeySet, Trusted};

/// Where keys are fetched, and who is told of new ones. The asks are held weakly: the thread behind them holds the world,
/// and so this.
#[derive(Clone, Debug)]
pub struct Control {
    /// The control runtime.
    pub runtime: Handle,
    /// Where to ask for a world with the new keys.
    pub asks: Weak<Sender<Ask>>,
}

impl Control {
    /// Has the keys of this world's issuers fetched. Whoever fetches for `previous` from the same place in the same way
    /// goes on, with the keys that are there.
    pub fn attend(&self, snapshot: &mut Snapshot, previous: Option<&Snapshot>) {
        let all = snapshot.config.trusts.iter();
        snapshot.issuers = all
            .map(|one| {
                let source = source(one)?;
                let kept = previous.and_then(|world| fetching(world, &source));
                Some(kept.unwrap_or_else(|| Arc::new(self.start(source))))
            })
            .collect();
        snapshot.keys = key_set(snapshot);
    }

    fn start(&self, source: Source) -> RemoteKeys {
        let asks = Weak::clone(&self.asks);
        let on_change = move || {
            if let Some(asks) = asks.upgrade() {
                // The thread lives as long as the process.
                let _ended = asks.send(Ask::Keys);
            }
        };
        RemoteKeys::start(source, on_change, &self.runtime)
    }
}

/// The world that serves, with the keys of other issuers as they are now.
pub fn with_their_keys(serving: &Snapshot) -> Snapshot {
    Snapshot {
        config: Arc::clone(&serving.config),
        keys: key_set(serving),
        issuers: serving.issuers.clone(),
        firewall: Firewall::new(&serving.config),
        credentials: serving.credentials.clone(),
        state: Arc::clone(&serving.state),
        events: Arc::clone(&serving.events),
        places: serving.places.clone(),
        meters: Arc::clone(&serving.meters),
        no_route: Arc::clone(&serving.no_route),
        metrics: Arc::clone(&serving.metrics),
    }
}

/// Ends the fetching that the new world has no use for: the old one may live on for a while.
pub fn dismiss(old: &Snapshot, new: &Snapshot) {
    let goes_on =
        |one: &Arc<RemoteKeys>| new.issuers.iter().flatten().any(|new| Arc::ptr_eq(one, new));
    old.issuers.iter().flatten().filter(|one| !goes_on(one)).for_each(|one| one.end());
}

/// How the keys of each issuer stand, for `/readyz`, and which issuers have none.
pub fn told(snapshot: &Snapshot) -> (Vec<Value>, Vec<String>) {
    let mut away = Vec::new();
    let all = fetched(snapshot).map(|(issuer, keys)| {
        let status = keys.status();
        let (name, since) = match status.freshness {
            Freshness::Never => ("none", None),
            Freshness::Fresh { fetched_at } => ("fresh", Some(fetched_at)),
            Freshness::Stale { since } => ("stale", Some(since)),
            Freshness::Expired { since } => ("expired", Some(since)),
        };
        if keys.ring().is_none() {
            away.push(format!("keys of {issuer}"));
        }
        json!({
            "issuer": issuer, "keys": name, "since": since.map(|time| time.0), "fault": status.last_fault,
        })
    });
    (all.collect(), away)
}

/// Brings the metrics of other issuers up to date.
pub fn count(snapshot: &Snapshot, now: UnixTime) {
    snapshot.metrics.no_issuers();
    for (issuer, keys) in fetched(snapshot) {
        let (status, ring) = (keys.status(), keys.ring());
        let age = ring.map(|fetched| now.since(fetched.fetched_at).as_secs());
        snapshot.metrics.issuer(issuer, (status.fetched, status.failed), age);
    }
}

fn fetched(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &RemoteKeys)> {
    let all = snapshot.config.trusts.iter().zip(&snapshot.issuers);
    all.filter_map(|(trust, keys)| Some((trust.rules.issuer.as_str(), keys.as_deref()?)))
}

/// Our keys as they are, and those of other issuers as far as they have come.
fn key_set(snapshot: &Snapshot) -> KeySet {
    let trusted = |(index, one): (usize, &Trust)| {
        let keys = match &one.keys {
            TrustKeys::File { ring, .. } => ring.clone(),
            TrustKeys::Url(_) => {
                let fetching = snapshot.issuers.get(index).and_then(Option::as_ref);
                fetching.and_then(|one| one.ring()).map(|fetched| Arc::clone(&fetched.ring))
            }
        };
        Trusted { trust: Arc::clone(&one.rules), keys }
    };
    let Config { trusts, .. } = &*snapshot.config;
    let trusted = trusts.iter().enumerate().map(trusted).collect();
    KeySet::new(Arc::clone(snapshot.keys.own()), trusted)
}

fn source(trust: &Trust) -> Option<Source> {
    let TrustKeys::Url(at) = &trust.keys else { return None };
    Some(Source {
        url: at.url.clone(),
        algorithms: trust.rules.algorithms.clone(),
        refresh: at.refresh,
        refetch_min: at.refetch_min,
        stale_max: at.stale_max,
        allow_private: at.allow_private.clone(),
        ca: at.ca.clone(),
    })
}

/// Who fetches for this world from this place in this way.
fn fetching(world: &Snapshot, wanted: &Source) -> Option<Arc<RemoteKeys>> {
    let mut all = world.config.trusts.iter().zip(&world.issuers);
    let (_, found) = all.find(|(trust, _)| source(trust).as_ref() == Some(wanted))?;
    found.clone()
}
