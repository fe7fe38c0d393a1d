//! Each endpoint on real stores, with the policy in front as `gateway` has it; time is an argument.

use std::sync::Arc;

use http::Request;
use http_body_util::Full;

use super::*;
use crate::config::Profile;
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::pattern::Pattern;
use crate::policy::route::{Action, Route};
use crate::policy::{Requirement, decide};
use crate::store::embedded::Embedded;
use crate::store::file::{UsersFile, edit};
use crate::store::password::{Hash, Pool};
use crate::store::throttle::tally::Allowance;
use crate::store::{
    Account, Answer, Keepsakes, Renewal, Replacement, Revocations, Revoked, Rotation, Session,
    UnderWay,
};
use crate::token::mint::Mint;
use crate::token::{Secret, Standing, TokenKind, verify};

/// Real stores in a directory that is removed at the end, and a user `alice` with `password`.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) ring: KeyRing,
    pub(super) rules: TokenRules,
    pub(super) sessions: SessionRules,
    users: UsersFile,
    pub(super) state: Box<dyn StateStore>,
    guesses: throttle::Rules,
    pub(super) metrics: Metrics,
    pub(super) events: Events,
}

pub(super) const NOW: UnixTime = UnixTime(1_000_000);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Four passwords may be wrong.
const FEW: Allowance = Allowance { free: 4, delay_max: MINUTE };

pub(super) fn at(seconds: u64) -> UnixTime {
    UnixTime(NOW.0 + seconds)
}

impl World {
    pub(super) fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let users = dir.path().join("users.toml");
        let hash = Hash::of(&Secret::new("password")).unwrap();
        let claims = json!({"roles": ["reader"]});
        edit::add(&users, "alice", &hash, claims.as_object().unwrap()).unwrap();
        let rules = TokenRules {
            issuer: Some("here".into()),
            audience: None,
            access_ttl: 15 * MINUTE,
            refresh_ttl: 60 * MINUTE,
            leeway: Duration::ZERO,
            csrf: false,
            identity_claim: "sub".into(),
            others: false,
        };
        World {
            ring: crate::store::keys::load_or_create(dir.path(), NOW).unwrap(),
            rules,
            sessions: SessionRules {
                rotation: true,
                reuse_window: Duration::from_secs(10),
                refresh_idle: None,
                session_max: 60 * MINUTE,
            },
            users: UsersFile::open(&users, Pool::start(100).unwrap()).unwrap(),
            state: Box::new(Embedded::open_at(dir.path(), || NOW).unwrap()),
            guesses: throttle::Rules { account: FEW, pair: FEW, address: FEW },
            metrics: Metrics::new(),
            events: Events::new(std::sync::Arc::new(Metrics::new())),
            dir,
        }
    }

    /// As `gateway::handle` does it: what the token proves, the policy, then the endpoint.
    pub(super) async fn ask(
        &self,
        endpoint: Endpoint,
        token: Option<&str>,
        body: &Value,
        now: UnixTime,
    ) -> Result<(Response<Bytes>, Value), Refusal> {
        let requirement = match endpoint {
            Endpoint::Login | Endpoint::Jwks => Requirement::Public,
            Endpoint::Refresh => Requirement::Refresh,
            Endpoint::Reauth | Endpoint::Me | Endpoint::Sessions => Requirement::Access,
            Endpoint::EndSession | Endpoint::EndSessions => Requirement::Fresh { max_age: None },
            Endpoint::Logout => Requirement::AnyToken,
        };
        let path = format!("/auth/sessions/{}", body["sid"].as_str().unwrap_or("-"));
        let pattern = Pattern::parse("/**").unwrap();
        let route = Arc::new(Route::new("/x", pattern, requirement, Action::Endpoint(endpoint)));
        let standing = token.map_or(Standing::Anonymous, |token| self.prove(token, now));
        let path = CanonicalPath::parse(&path, &PathRules::default()).unwrap();
        let permit = decide(&route, &path, standing, now)?;
        let request = Request::builder().header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::USER_AGENT, "an agent");
        let token = token.map(Secret::new);
        let body = Full::new(Bytes::from(body.to_string()));
        let context = AuthContext {
            ring: &self.ring,
            rules: &self.rules,
            sessions: &self.sessions,
            token: token.as_ref(),
            credentials: Some(&self.users),
            state: self.state.as_ref(),
            body_idle: MINUTE,
            guesses: self.guesses,
            metrics: &self.metrics,
            events: &self.events,
            profile: Profile::Standard,
            path: path.judged(),
            cookies: None,
            request_id: "r1",
            address: [192, 0, 2, 1].into(),
        };
        let request = request.body(body).unwrap().into_parts();
        let response = answer(permit, endpoint, request, &context, now).await?;
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        Ok((response, body))
    }

    fn prove(&self, token: &str, now: UnixTime) -> Standing {
        let signed = verify::read(token, &self.ring, &self.rules).unwrap();
        match self.state.revocations().holds(signed.claims()) {
            true => Standing::Unproven(crate::token::TokenFault::Revoked),
            false => signed.standing(&self.rules, now),
        }
    }

    pub(super) fn read(&self, token: &str) -> Claims {
        verify::read(token, &self.ring, &self.rules).unwrap().claims().clone()
    }

    pub(super) async fn login(&self) -> (String, String) {
        let body = json!({"username": "alice", "password": "password"});
        let (_, body) = self.ask(Endpoint::Login, None, &body, NOW).await.unwrap();
        let token = |name: &str| body[name].as_str().unwrap().to_owned();
        (token("access_token"), token("refresh_token"))
    }

    /// A fresh access token of no session.
    pub(super) fn minted(&self, subject: &str, now: UnixTime) -> String {
        let claims = Map::new();
        let mint = Mint {
            subject,
            kind: TokenKind::Access,
            fresh: true,
            auth_time: Some(now),
            session: None,
            claims: &claims,
            ttl: MINUTE,
        };
        mint.sign(&self.ring, &self.rules, now).unwrap().token
    }

    pub(super) fn edit(&self, change: impl FnOnce(&std::path::Path)) {
        change(&self.dir.path().join("users.toml"));
        self.users.reread().unwrap();
    }
}

#[tokio::test]
async fn login_gives_a_fresh_access_token_and_a_refresh_token() {
    let world = World::new();
    let body = json!({"username": "alice", "password": "password", "else": 1});
    let (response, body) = world.ask(Endpoint::Login, None, &body, NOW).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["pragma"], "no-cache");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(body["fresh"], json!(true));
    let access = world.read(body["access_token"].as_str().unwrap());
    assert_eq!((access.kind, access.is_fresh(NOW)), (TokenKind::Access, true));
    assert_eq!((access.auth_time, access.expires_at), (Some(NOW), at(900)));
    assert_eq!(access.all["roles"], json!(["reader"]));
    let refresh = world.read(body["refresh_token"].as_str().unwrap());
    assert_eq!((refresh.kind, refresh.is_fresh(NOW)), (TokenKind::Refresh, false));
    assert_eq!(refresh.expires_at, at(3600));
    assert_eq!(refresh.session, access.session);
    assert_ne!(refresh.id, access.id);
    let session = world.state.session(&access.session.unwrap(), at(3599)).await.unwrap().unwrap();
    assert_eq!((session.subject.as_str(), session.expires_at), ("alice", at(3600)));
}

#[tokio::test]
async fn wrong_credentials_are_refused_alike() {
    let world = World::new();
    for (name, password) in [("alice", "Password"), ("nobody", "password"), ("", "")] {
        let body = json!({"username": name, "password": password});
        let outcome = world.ask(Endpoint::Login, None, &body, NOW).await;
        assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
    }
    let (access, _) = world.login().await;
    let body = json!({"password": "wrong"});
    let outcome = world.ask(Endpoint::Reauth, Some(&access), &body, NOW).await;
    assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
}

#[tokio::test]
async fn login_and_reauth_share_their_counters_and_nothing_is_checked_while_they_wait() {
    let world = World::new();
    let (access, _) = world.login().await;
    let login = |name: &str, password: &str| json!({"username": name, "password": password});
    for name in ["alice", "ALICE"] {
        let outcome = world.ask(Endpoint::Login, None, &login(name, "wrong"), NOW).await;
        assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
        let wrong = json!({"password": "wrong"});
        let outcome = world.ask(Endpoint::Reauth, Some(&access), &wrong, NOW).await;
        assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
    }
    let throttled = |seconds| Refusal::LoginThrottled { retry_after: Duration::from_secs(seconds) };
    // Also with the right password.
    let right = json!({"username": "alice", "password": "password"});
    for (endpoint, token) in [(Endpoint::Login, None), (Endpoint::Reauth, Some(&*access))] {
        let outcome = world.ask(endpoint, token, &right, NOW).await;
        assert_eq!(outcome.unwrap_err(), throttled(1));
    }
    let outcome = world.ask(Endpoint::Login, None, &login("alice", "wrong"), at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
    let outcome = world.ask(Endpoint::Login, None, &right, at(1)).await;
    assert_eq!(outcome.unwrap_err(), throttled(2));
    world.ask(Endpoint::Login, None, &right, at(3)).await.unwrap();
}

#[tokio::test]
async fn reauth_of_a_name_that_is_only_alike_is_refused() {
    let world = World::new();
    let claims = Map::new();
    let mint = Mint {
        subject: "Alice",
        kind: TokenKind::Access,
        fresh: false,
        auth_time: None,
        session: None,
        claims: &claims,
        ttl: MINUTE,
    };
    let token = mint.sign(&world.ring, &world.rules, NOW).unwrap().token;
    let right = json!({"password": "password"});
    let outcome = world.ask(Endpoint::Reauth, Some(&token), &right, NOW).await;
    assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
}

#[tokio::test]
async fn every_login_starts_another_session() {
    let world = World::new();
    let (one, two) = (world.login().await.0, world.login().await.0);
    assert_ne!(world.read(&one).session, world.read(&two).session);
    world.ask(Endpoint::Logout, Some(&one), &json!({}), at(1)).await.unwrap();
    world.ask(Endpoint::Me, Some(&two), &json!({}), at(1)).await.unwrap();
}

#[tokio::test]
async fn refresh_gives_a_stale_token_with_the_claims_of_today() {
    let world = World::new();
    let (access, refresh) = world.login().await;
    world.edit(|path| {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace("reader", "writer")).unwrap();
    });
    let (response, body) =
        world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(60)).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!((&body["fresh"], body.get("refresh_token").is_some()), (&json!(false), true));
    let renewed = world.read(body["access_token"].as_str().unwrap());
    assert_eq!((renewed.kind, renewed.is_fresh(at(60))), (TokenKind::Access, false));
    assert_eq!((renewed.auth_time, renewed.expires_at), (Some(NOW), at(960)));
    assert_eq!(renewed.all["roles"], json!(["writer"]));
    assert_eq!(renewed.session, world.read(&access).session);
}

#[tokio::test]
async fn no_token_outlives_its_session() {
    let world = World::new();
    let (_, refresh) = world.login().await;
    let (_, body) =
        world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(3500)).await.unwrap();
    assert_eq!(body["expires_in"], json!(100));
    let late = body["access_token"].as_str().unwrap();
    assert_eq!(world.read(late).expires_at, at(3600));
    let body = json!({"password": "password"});
    let (_, body) = world.ask(Endpoint::Reauth, Some(late), &body, at(3590)).await.unwrap();
    assert_eq!(body["expires_in"], json!(10));
    let outcome = world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(3600)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenExpired);
}

#[tokio::test]
async fn user_who_is_gone_gets_no_more_tokens() {
    let world = World::new();
    let (access, refresh) = world.login().await;
    world.edit(|path| edit::remove(path, "alice").unwrap());
    let outcome = world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
    let body = json!({"password": "password"});
    let outcome = world.ask(Endpoint::Reauth, Some(&access), &body, at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::CredentialsInvalid);
}

#[tokio::test]
async fn reauth_gives_a_fresh_token_in_the_same_session() {
    let world = World::new();
    let (access, refresh) = world.login().await;
    let (_, body) = world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(60)).await.unwrap();
    let stale = body["access_token"].as_str().unwrap().to_owned();
    let refresh = body["refresh_token"].as_str().unwrap().to_owned();
    let body = json!({"password": "password", "username": "somebody else"});
    let (_, body) = world.ask(Endpoint::Reauth, Some(&stale), &body, at(120)).await.unwrap();
    assert_eq!((&body["fresh"], body.get("refresh_token")), (&json!(true), None));
    let fresh = world.read(body["access_token"].as_str().unwrap());
    assert!(fresh.is_fresh(at(120)));
    assert_eq!((fresh.subject.as_str(), fresh.auth_time), ("alice", Some(at(120))));
    assert_eq!(fresh.session, world.read(&access).session);
    // The step-up is the session's: the next refresh tells it.
    let (_, body) =
        world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(180)).await.unwrap();
    let renewed = world.read(body["access_token"].as_str().unwrap());
    assert_eq!((renewed.auth_time, renewed.is_fresh(at(180))), (Some(at(120)), false));
}

#[tokio::test]
async fn logout_kills_every_token_of_the_session_and_still_after_a_restart() {
    for with_refresh_token in [false, true] {
        let mut world = World::new();
        let (access, refresh) = world.login().await;
        let with = if with_refresh_token { &refresh } else { &access };
        let (response, _) =
            world.ask(Endpoint::Logout, Some(with), &json!({}), at(1)).await.unwrap();
        assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
        assert_eq!(response.headers()["cache-control"], "no-store");
        for _restart in 0..2 {
            for (endpoint, token) in [
                (Endpoint::Me, &access),
                (Endpoint::Refresh, &refresh),
                (Endpoint::Logout, &access),
                (Endpoint::Logout, &refresh),
            ] {
                let outcome = world.ask(endpoint, Some(token), &json!({}), at(2)).await;
                assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked, "{endpoint:?}");
            }
            // The clock of these tests is in 1970, so the revocations must be loaded by it too.
            world.state = Box::new(Away);
            world.state = Box::new(Embedded::open_at(world.dir.path(), || at(2)).unwrap());
        }
    }
}

#[tokio::test]
async fn token_without_a_session_stands_and_dies_alone() {
    let world = World::new();
    let claims = Map::new();
    let mint = |kind| Mint {
        subject: "alice",
        kind,
        fresh: false,
        auth_time: None,
        session: None,
        claims: &claims,
        ttl: MINUTE,
    };
    let sign = |kind| mint(kind).sign(&world.ring, &world.rules, NOW).unwrap().token;
    let (access, refresh) = (sign(TokenKind::Access), sign(TokenKind::Refresh));
    let (_, body) = world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(1)).await.unwrap();
    let renewed = world.read(body["access_token"].as_str().unwrap());
    assert_eq!((renewed.session, renewed.auth_time, body.get("refresh_token")), (None, None, None));
    assert_eq!(renewed.expires_at, at(901));
    world.ask(Endpoint::Logout, Some(&access), &json!({}), at(1)).await.unwrap();
    let outcome = world.ask(Endpoint::Me, Some(&access), &json!({}), at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
    world.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(1)).await.unwrap();
}

#[tokio::test]
async fn session_that_the_store_does_not_know_gives_no_more_tokens() {
    let world = World::new();
    let (access, refresh) = world.login().await;
    let elsewhere = World { ring: world.ring, ..World::new() };
    let outcome = elsewhere.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
    let body = json!({"password": "password"});
    let outcome = elsewhere.ask(Endpoint::Reauth, Some(&access), &body, at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
    // Logging out of it still works, for as long as any of its tokens can live.
    elsewhere.ask(Endpoint::Logout, Some(&access), &json!({}), at(1)).await.unwrap();
    let outcome = elsewhere.ask(Endpoint::Refresh, Some(&refresh), &json!({}), at(1)).await;
    assert_eq!(outcome.unwrap_err(), Refusal::TokenRevoked);
}

#[tokio::test]
async fn me_tells_what_the_token_says() {
    let world = World::new();
    let (access, _) = world.login().await;
    let (response, body) = world.ask(Endpoint::Me, Some(&access), &json!({}), at(1)).await.unwrap();
    let expected = json!({
        "sub": "alice",
        "claims": {"roles": ["reader"]},
        "fresh": true,
        "auth_time": NOW.0,
        "expires_at": NOW.0 + 900,
        "session": world.read(&access).session,
    });
    assert_eq!(body, expected);
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn public_keys_may_be_kept_and_hold_nothing_private() {
    let world = World::new();
    let (response, body) = world.ask(Endpoint::Jwks, None, &json!({}), NOW).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "public, max-age=300");
    assert_eq!(body["keys"][0]["kid"], json!(world.ring.keys()[0].id()));
    assert_eq!(body["keys"][0].get("d"), None);
}

/// A store that is away.
struct Away;

fn down<T: Send + 'static>() -> Answer<'static, Result<T, StoreFault>> {
    Box::pin(std::future::ready(Err(StoreFault("down".into()))))
}

impl StateStore for Away {
    fn start(&self, _: Session) -> Answer<'_, Result<(), StoreFault>> {
        down()
    }
    fn session<'a>(
        &'a self,
        _: &'a str,
        _: UnixTime,
    ) -> Answer<'a, Result<Option<Session>, StoreFault>> {
        down()
    }
    fn sessions<'a>(
        &'a self,
        _: Option<&'a str>,
        _: UnixTime,
        _: usize,
    ) -> Answer<'a, Result<Vec<Session>, StoreFault>> {
        down()
    }
    fn marks(&self, _: UnixTime) -> Answer<'_, Result<crate::store::Marks, StoreFault>> {
        down()
    }
    fn step_up<'a>(
        &'a self,
        _: &'a str,
        _: UnixTime,
        _: UnixTime,
    ) -> Answer<'a, Result<bool, StoreFault>> {
        down()
    }
    fn rotate(&self, _: Renewal) -> Answer<'_, Result<Rotation, StoreFault>> {
        down()
    }
    fn revoke(&self, _: Revoked, _: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        down()
    }
    fn replacement<'a>(
        &'a self,
        _: &'a str,
    ) -> Answer<'a, Result<Option<Replacement>, StoreFault>> {
        down()
    }
    fn replace<'a>(&'a self, _: &'a str, _: Replacement) -> Answer<'a, Result<(), StoreFault>> {
        down()
    }
    fn keep<'a>(
        &'a self,
        _: &'a str,
        _: Vec<String>,
        _: Option<Map<String, Value>>,
    ) -> Answer<'a, Result<(), StoreFault>> {
        down()
    }
    fn keepsakes(&self) -> &Keepsakes {
        static NONE: std::sync::LazyLock<Keepsakes> = std::sync::LazyLock::new(Keepsakes::default);
        &NONE
    }
    fn revocations(&self) -> &Revocations {
        static NONE: std::sync::LazyLock<Revocations> =
            std::sync::LazyLock::new(Revocations::default);
        &NONE
    }
    fn begin<'a>(
        &'a self,
        _: &Account,
        _: IpAddr,
        _: &throttle::Rules,
        _: UnixTime,
    ) -> Answer<'a, Result<UnderWay<'a>, CheckFault>> {
        Box::pin(std::future::ready(Err(CheckFault::Away(StoreFault("down".into())))))
    }
    fn probe(&self, _: UnixTime) -> Answer<'_, Result<(), StoreFault>> {
        down()
    }
    fn withdrawn<'a>(&'a self, _: UnderWay<'a>) -> Answer<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    fn failed<'a>(&'a self, _: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        down()
    }
    fn succeeded<'a>(&'a self, _: UnderWay<'a>) -> Answer<'a, Result<(), StoreFault>> {
        down()
    }
}

#[tokio::test]
async fn store_that_is_away_refuses_all_that_needs_it() {
    let mut world = World::new();
    let (access, refresh) = world.login().await;
    world.state = Box::new(Away);
    let body = json!({"username": "alice", "password": "password"});
    for (endpoint, token) in [
        (Endpoint::Login, None),
        (Endpoint::Refresh, Some(&refresh)),
        (Endpoint::Reauth, Some(&access)),
        (Endpoint::Logout, Some(&access)),
    ] {
        let outcome = world.ask(endpoint, token.map(String::as_str), &body, at(1)).await;
        assert_eq!(outcome.unwrap_err(), Refusal::StoreUnavailable, "{endpoint:?}");
    }
    world.ask(Endpoint::Me, Some(&access), &body, at(1)).await.unwrap();
}
