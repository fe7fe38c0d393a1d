//! What a session goes through: it starts with a login, gives stale tokens at a [refresh](super::refresh) and fresh ones
//! at a reauth, and ends at a logout.
//!
//! Every change is in the store before the client hears of it, and no token outlives its session, so
//! ending the session ends them all. Called by [`super::answer`].

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body::Body;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::body::texts;
use super::line::Line;
use super::{AuthContext, away, devices, no_content, private_json, refusal_of};
use crate::config::Profile;
use crate::policy::Refusal;
use crate::store::throttle::{self, Door, Visitor};
use crate::store::{Authenticated, Device, Keepsake, Revoked, Session};
use crate::telemetry::EventKind;
use crate::token::mint::{Mint, Minted, NoSigner};
use crate::token::{Claims, Secret, TokenKind, UnixTime};

/// Name and password → a new session, a fresh access token and a refresh token.
pub(super) async fn login<B: Body<Data = Bytes>>(
    headers: &HeaderMap,
    body: B,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let [name, password] =
        texts(headers, body, context.body_idle, ["username", "password"]).await?;
    let mut line = Line::of_name(EventKind::Login, "login", &name, context);
    let started = start(headers, &name, password, context, now).await;
    if let Ok((_, subject, session)) = &started {
        line.learn(|event| event.of(subject).within(Some(session)));
    }
    line.told(started).map(|(answer, ..)| answer)
}

/// The answer, the subject and the id of the session.
async fn start(
    headers: &HeaderMap,
    name: &str,
    password: Zeroizing<String>,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<(Response<Bytes>, String, String), Refusal> {
    let user = check(headers, name, password, context, now).await?;
    let now = devices::settled(&user, context, now).await?;
    let (rules, most) = (context.rules, context.sessions.session_max);
    // 122 random bits; always a new one, so that nobody can fix it before (session fixation).
    let id = uuid::Uuid::new_v4().to_string();
    let mint = Mint {
        subject: user.subject(),
        kind: TokenKind::Access,
        fresh: true,
        auth_time: Some(now),
        session: Some(&id),
        claims: user.claims(),
        ttl: rules.access_ttl.min(most),
    };
    let access = mint.sign(context.ring, rules, now).map_err(no_signer)?;
    // The claims are asked again at each refresh: a refresh token carries none.
    let none = Map::new();
    let refresh = Mint {
        kind: TokenKind::Refresh,
        fresh: false,
        claims: &none,
        ttl: rules.refresh_ttl.min(most),
        ..mint.clone()
    };
    let refresh = refresh.sign(context.ring, rules, now).map_err(no_signer)?;
    let answer = Given { access: &access, refresh: Some(&refresh), fresh: true };
    let answer = answer.told(context, now)?;
    let agent = headers.get(header::USER_AGENT).map(|agent| agent.as_bytes());
    let session = Session {
        id: id.clone(),
        subject: user.subject().to_owned(),
        started_at: now,
        auth_time: now,
        last_used_at: now,
        expires_at: now.plus(most),
        tokens_until: access.expires_at.max(refresh.expires_at),
        refresh_id: Some(refresh.id),
        replaced: None,
        address: Some(context.address),
        device: agent.and_then(|agent| Device::of(&String::from_utf8_lossy(agent))),
        credential_mark: user.mark().map(str::to_owned),
        keepsake: user.keepsake().cloned(),
    };
    context.state.start(session).await.map_err(|fault| away(&fault))?;
    Ok((answer, user.subject().to_owned(), id))
}

/// The password again → a fresh access token in the same session.
pub(super) async fn reauth<B: Body<Data = Bytes>>(
    claims: &Claims,
    headers: &HeaderMap,
    body: B,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let [password] = texts(headers, body, context.body_idle, ["password"]).await?;
    let line = Line::of_token(EventKind::StepUp, "reauth", claims, context);
    line.told(step_up(headers, claims, password, context, now).await)
}

async fn step_up(
    headers: &HeaderMap,
    claims: &Claims,
    password: Zeroizing<String>,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    if claims.foreign {
        // The password of a user here says nothing of who that is there, whatever the name.
        return Err(Refusal::TokenWrongType);
    }
    let session = living(claims, context, now).await?;
    let credentials = context.credentials.ok_or(Refusal::StoreUnavailable)?;
    let name = credentials
        .name_of(&claims.subject, session.as_ref())
        .await
        .map_err(|fault| away(&fault))?;
    let name = name.ok_or(Refusal::TokenRevoked)?;
    let user = check(headers, &name, password, context, now).await?;
    if user.subject() != claims.subject {
        // Another issuer's name, alike but not the same: its claims are not this user's.
        return Err(Refusal::CredentialsInvalid);
    }
    let own = user.claims();
    let token =
        Access { claims, session: session.as_ref(), own, fresh: true, auth_time: Some(now) };
    let minted = token.mint(context, now)?;
    if let Some(session) = &session {
        let stepped = context.state.step_up(&session.id, now, minted.expires_at).await;
        // It may have ended while the password was checked.
        if !stepped.map_err(|fault| away(&fault))? {
            return Err(Refusal::TokenRevoked);
        }
        keep(&user, session, context).await?;
    }
    Given { access: &minted, refresh: None, fresh: true }.told(context, now)
}

/// What the program that checked the password gave this time.
async fn keep(
    user: &Authenticated,
    session: &Session,
    context: &AuthContext<'_>,
) -> Result<(), Refusal> {
    let Some(Keepsake { claims, cookies, .. }) = user.keepsake().cloned() else { return Ok(()) };
    context.state.keepsakes().replace(&session.id, cookies.clone(), session.expires_at);
    let kept = context.state.keep(&session.id, cookies, Some(claims)).await;
    kept.map_err(|fault| away(&fault))
}

/// Ends the session: all its tokens are dead when this answers. A token without one dies alone.
pub(super) async fn logout(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let mut line = Line::of_token(EventKind::Logout, "logout", claims, context);
    if claims.session.is_none() {
        line.learn(|event| event.token(&claims.id));
    }
    line.told(end(claims, context, now).await)?;
    let mut answer = match context.profile {
        Profile::Standard => no_content(),
        Profile::FlaskJwtExtended => {
            let kind = if claims.kind == TokenKind::Refresh { "Refresh" } else { "Access" };
            private_json(&json!({ "msg": format!("{kind} token revoked") }))
        }
    };
    if let Some(jar) = context.cookies {
        jar.clear(answer.headers_mut())?;
    }
    Ok(answer)
}

async fn end(claims: &Claims, context: &AuthContext<'_>, now: UnixTime) -> Result<(), Refusal> {
    let rules = context.rules;
    let (what, last) = match &claims.session {
        None => (Revoked::Token(claims.id.clone()), claims.expires_at),
        Some(id) => {
            let session = context.state.session(id, now).await.map_err(|fault| away(&fault))?;
            // Without a row nobody knows when its last token expires: as late as one could.
            let longest = now.plus(rules.refresh_ttl.max(rules.access_ttl));
            let last = session.map_or(longest, |session| session.tokens_until);
            (Revoked::Session(id.clone()), last.max(claims.expires_at))
        }
    };
    // An expired token is still accepted for the leeway.
    let until = last.plus(rules.leeway);
    context.state.revoke(what, until).await.map_err(|fault| away(&fault))
}

/// The session of a token, which must live if the token names one. A token without one was minted by
/// hand, or by another program with our key.
pub(super) async fn living(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Option<Session>, Refusal> {
    let Some(id) = &claims.session else { return Ok(None) };
    let session = context.state.session(id, now).await.map_err(|fault| away(&fault))?;
    let idle = context.sessions.refresh_idle;
    let is_idle = |one: &Session| idle.is_some_and(|most| one.last_used_at.plus(most) <= now);
    match session {
        Some(session) if session.subject == claims.subject && !is_idle(&session) => {
            Ok(Some(session))
        }
        _ => Err(Refusal::TokenRevoked),
    }
}

async fn check(
    headers: &HeaderMap,
    name: &str,
    mut password: Zeroizing<String>,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Authenticated, Refusal> {
    let door = Door {
        credentials: context.credentials.ok_or(Refusal::StoreUnavailable)?,
        state: context.state,
        rules: context.guesses,
        visitor: Visitor {
            address: context.address,
            host: headers.get(header::HOST).cloned(),
            agent: headers.get(header::USER_AGENT).cloned(),
        },
    };
    let password = Secret::new(std::mem::take(&mut *password));
    let checked = throttle::check(&door, name, password, now).await;
    checked.map_err(|fault| refusal_of(&fault, context.metrics))
}

/// An access token in a session that is under way.
pub(super) struct Access<'a> {
    pub(super) claims: &'a Claims,
    pub(super) session: Option<&'a Session>,
    pub(super) own: &'a Map<String, Value>,
    pub(super) fresh: bool,
    pub(super) auth_time: Option<UnixTime>,
}

impl Access<'_> {
    /// Signs it; it never outlives its session.
    pub(super) fn mint(&self, context: &AuthContext<'_>, now: UnixTime) -> Result<Minted, Refusal> {
        let rules = context.rules;
        let left = self.session.map(|session| session.expires_at.since(now));
        let mint = Mint {
            subject: &self.claims.subject,
            kind: TokenKind::Access,
            fresh: self.fresh,
            auth_time: self.auth_time,
            session: self.session.map(|session| session.id.as_str()),
            claims: self.own,
            ttl: left.map_or(rules.access_ttl, |left| left.min(rules.access_ttl)),
        };
        mint.sign(context.ring, rules, now).map_err(no_signer)
    }
}

/// What a client is given.
pub(super) struct Given<'a> {
    pub(super) access: &'a Minted,
    pub(super) refresh: Option<&'a Minted>,
    pub(super) fresh: bool,
}

impl Given<'_> {
    /// The OAuth names (RFC 6749 §5.1), and `fresh`; the tokens there, or in cookies, or both.
    pub(super) fn told(
        &self,
        context: &AuthContext<'_>,
        now: UnixTime,
    ) -> Result<Response<Bytes>, Refusal> {
        let ttl = self.access.expires_at.since(now);
        let mut body = json!({ "expires_in": ttl.as_secs(), "fresh": self.fresh });
        if context.cookies.is_none_or(|jar| jar.is_beside_bodies()) {
            body["access_token"] = json!(self.access.token);
            body["token_type"] = json!("Bearer");
            if let Some(refresh) = self.refresh {
                body["refresh_token"] = json!(refresh.token);
            }
        }
        let mut answer = private_json(&body);
        if let Some(jar) = context.cookies {
            let headers = answer.headers_mut();
            jar.set(headers, (TokenKind::Access, self.access), ttl)?;
            if let Some(refresh) = self.refresh {
                let ttl = refresh.expires_at.since(now);
                jar.set(headers, (TokenKind::Refresh, refresh), ttl)?;
            }
        }
        Ok(answer)
    }
}

pub(super) fn no_signer(error: NoSigner) -> Refusal {
    tracing::error!(event = "no_signer", %error, "no token can be signed");
    Refusal::Internal
}
