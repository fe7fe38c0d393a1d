//! Who has to go when the users change, and that they do; on a real users file and a real state.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};

use super::contract::{issued, session};
use super::embedded::Embedded;
use super::events::Events;
use super::file::{UsersFile, edit};
use super::leavers::{Leavers, mark};
use super::password::{Hash, Pool};
use super::throttle::Rules;
use super::{
    Account, Answer, CheckFault, CredentialStore as _, Keepsakes, Marks, Renewal, Replacement,
    Revocations, Revoked, Rotation, Session, StateStore, StoreFault, UnderWay,
};
use crate::telemetry;
use crate::token::{Secret, UnixTime};

/// Users `alice`, `bob` and `carol`, each with a session as a login gives it.
struct World {
    dir: tempfile::TempDir,
    users: UsersFile,
    state: Arc<dyn StateStore>,
    leavers: Leavers,
    runtime: tokio::runtime::Runtime,
}

fn now() -> UnixTime {
    UnixTime::of(telemetry::clock())
}

fn told() -> Arc<Events> {
    Arc::new(Events::new(Arc::new(telemetry::Metrics::new())))
}

fn hash(password: &str) -> Hash {
    Hash::of(&Secret::new(password)).unwrap()
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.toml");
        for name in ["alice", "bob", "carol"] {
            edit::add(&path, name, &hash(name), &serde_json::Map::new()).unwrap();
        }
        let users = UsersFile::open(&path, Pool::start(10).unwrap()).unwrap();
        let state: Arc<dyn StateStore> = Arc::new(Embedded::open(dir.path()).unwrap());
        let leavers = Leavers::new(Arc::clone(&state), Duration::from_secs(3600), told());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let world = World { dir, users, state, leavers, runtime };
        for name in ["alice", "bob", "carol"] {
            let mark = world.runtime.block_on(world.users.mark_of(name)).unwrap();
            world.start(name, mark);
        }
        world
    }

    fn start(&self, name: &str, credential_mark: Option<String>) {
        self.start_at(name, credential_mark, now());
    }

    fn start_at(&self, name: &str, credential_mark: Option<String>, at: UnixTime) {
        let session = Session {
            id: format!("{name} since {}", at.0),
            subject: name.to_owned(),
            started_at: at,
            tokens_until: now().plus(Duration::from_secs(60)),
            expires_at: now().plus(Duration::from_secs(60)),
            credential_mark,
            ..session("")
        };
        self.runtime.block_on(self.state.start(session)).unwrap();
    }

    /// Changes the file, and compares as a start does.
    fn compared(&self, change: impl FnOnce(&Path)) -> Vec<String> {
        change(&self.dir.path().join("users.toml"));
        self.users.reread().unwrap();
        self.leavers.compare(&self.users).unwrap();
        self.living()
    }

    fn living(&self) -> Vec<String> {
        let all = self.runtime.block_on(self.state.sessions(None, now(), 99)).unwrap();
        let mut all: Vec<String> = all.into_iter().map(|session| session.subject).collect();
        all.sort();
        all
    }
}

fn write(users: &Path, change: impl FnOnce(String) -> String) {
    fs::write(users, change(fs::read_to_string(users).unwrap())).unwrap();
}

#[test]
fn after_a_downtime_who_left_has_no_session() {
    let world = World::new();
    let begun = now();
    assert_eq!(world.compared(|_| {}), ["alice", "bob", "carol"]);
    let claims = |users: &Path| {
        write(users, |text| text.replace("[users.bob]", "[users.bob]\nteam = \"red\""));
    };
    assert_eq!(world.compared(claims), ["alice", "bob", "carol"]);
    let password = |users: &Path| edit::set_password(users, "alice", &hash("another")).unwrap();
    assert_eq!(world.compared(password), ["bob", "carol"]);
    let disabled = |users: &Path| {
        write(users, |text| text.replace("[users.bob]", "[users.bob]\ndisabled = true"));
    };
    assert_eq!(world.compared(disabled), ["carol"]);
    let claims = |sub: &str| {
        let mut one = issued("t", "none", begun.0);
        sub.clone_into(&mut one.subject);
        one
    };
    assert!(!world.state.revocations().holds(&claims("carol")));
    assert_eq!(world.compared(|users| edit::remove(users, "carol").unwrap()), [""; 0]);
    for name in ["alice", "bob", "carol"] {
        assert!(world.state.revocations().holds(&claims(name)), "{name}");
    }
}

#[test]
fn session_that_knows_no_mark_is_only_ended_with_its_user() {
    let world = World::new();
    world.compared(|users| edit::remove(users, "carol").unwrap());
    edit::add(&world.dir.path().join("users.toml"), "dave", &hash("d"), &serde_json::Map::new())
        .unwrap();
    world.users.reread().unwrap();
    world.start("dave", None);
    let password = |users: &Path| edit::set_password(users, "dave", &hash("another")).unwrap();
    assert_eq!(world.compared(password), ["alice", "bob", "dave"]);
    assert_eq!(world.compared(|users| edit::remove(users, "dave").unwrap()), ["alice", "bob"]);
}

#[test]
fn name_that_is_spelled_otherwise_is_another_subject() {
    let world = World::new();
    let renamed = |users: &Path| write(users, |text| text.replace("[users.bob]", "[users.Bob]"));
    assert_eq!(world.compared(renamed), ["alice", "carol"]);
}

#[test]
fn many_leave_at_once() {
    let world = World::new();
    let names: Vec<String> = (0..600).map(|n| format!("user-{n}")).collect();
    for name in &names {
        world.start(name, None);
    }
    assert_eq!(world.living().len(), 99);
    world.leavers.end(names).unwrap();
    assert_eq!(world.living(), ["alice", "bob", "carol"]);
}

#[test]
fn mark_is_of_the_hash_as_it_was_written() {
    let hash =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    assert_eq!(mark(hash), mark(hash));
    assert_eq!(mark(hash).len(), 32);
    assert_ne!(mark(hash), mark(&hash.replace("/4", "/5")));
    assert!(!hash.contains(&mark(hash)));
}

/// The store of a world, which can be away.
struct Flaky {
    state: Arc<dyn StateStore>,
    is_away: AtomicBool,
}

fn away<T: Send + 'static>() -> Answer<'static, Result<T, StoreFault>> {
    Box::pin(std::future::ready(Err(StoreFault("away".into()))))
}

impl StateStore for Flaky {
    fn start(&self, session: Session) -> Answer<'_, Result<(), StoreFault>> {
        self.state.start(session)
    }
    fn session<'a>(
        &'a self,
        id: &'a str,
        now: UnixTime,
    ) -> Answer<'a, Result<Option<Session>, StoreFault>> {
        self.state.session(id, now)
    }
    fn sessions<'a>(
        &'a self,
        of: Option<&'a str>,
        now: UnixTime,
        max: usize,
    ) -> Answer<'a, Result<Vec<Session>, StoreFault>> {
        self.state.sessions(of, now, max)
    }
    fn marks(&self, now: UnixTime) -> Answer<'_, Result<Marks, StoreFault>> {
        if self.is_away.load(Ordering::SeqCst) { away() } else { self.state.marks(now) }
    }
    fn step_up<'a>(
        &'a self,
        _: &'a str,
        _: UnixTime,
        _: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>> {
        away()
    }
    fn rotate(&self, _: Renewal) -> Answer<'_, Result<Rotation, StoreFault>> {
        away()
    }
    fn revoke(&self, what: Revoked, until: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        if self.is_away.load(Ordering::SeqCst) { away() } else { self.state.revoke(what, until) }
    }
    fn replacement<'a>(
        &'a self,
        _: &'a str,
    ) -> Answer<'a, Result<Option<Replacement>, StoreFault>> {
        away()
    }
    fn replace<'a>(&'a self, _: &'a str, _: Replacement) -> Answer<'a, Result<(), StoreFault>> {
        away()
    }
    fn keep<'a>(
        &'a self,
        _: &'a str,
        _: Vec<String>,
        _: Option<Map<String, Value>>,
    ) -> Answer<'a, Result<(), StoreFault>> {
        away()
    }
    fn keepsakes(&self) -> &Keepsakes {
        self.state.keepsakes()
    }
    fn revocations(&self) -> &Revocations {
        self.state.revocations()
    }
    fn begin<'a>(
        &'a self,
        account: &Account,
        address: IpAddr,
        rules: &Rules,
        now: UnixTime,
    ) -> Answer<'a, Result<UnderWay<'a>, CheckFault>> {
        self.state.begin(account, address, rules, now)
    }
    fn probe(&self, now: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        self.state.probe(now)
    }
    fn withdrawn<'a>(&'a self, attempt: UnderWay<'a>) -> Answer<'a, ()> {
        self.state.withdrawn(attempt)
    }
    fn failed<'a>(&'a self, _: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        away()
    }
    fn succeeded<'a>(&'a self, _: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        away()
    }
}

#[test]
fn who_left_while_the_state_was_away_goes_when_it_is_back() {
    let world = World::new();
    let flaky = Arc::new(Flaky { state: Arc::clone(&world.state), is_away: true.into() });
    let state: Arc<dyn StateStore> = Arc::clone(&flaky) as Arc<dyn StateStore>;
    let leavers = Leavers::new(state, Duration::from_secs(60), told());
    leavers.end(vec!["alice".into()]).unwrap_err();
    leavers.end(vec!["bob".into()]).unwrap_err();
    leavers.compare(&world.users).unwrap_err();
    assert_eq!(world.living(), ["alice", "bob", "carol"]);
    flaky.is_away.store(false, Ordering::SeqCst);
    leavers.end(Vec::new()).unwrap();
    assert_eq!(world.living(), ["carol"]);
    // And once only: who logs in after that stays.
    let mark = world.runtime.block_on(world.users.mark_of("alice")).unwrap();
    world.start_at("alice", mark, now().plus(Duration::from_secs(1)));
    leavers.end(Vec::new()).unwrap();
    assert_eq!(world.living(), ["alice", "carol"]);
}
