//! The sessions of whoever asks: listed, ended one by one, or all at once with every token; and what follows from that
//! for a login in the same second.
//!
//! Nobody learns of the sessions of others, not even whether they exist. Called by [`super::answer`] and `session`.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::line::Line;
use super::{AuthContext, away, no_content, private_json};
use crate::policy::Refusal;
use crate::policy::path::segments;
use crate::store::{Authenticated, CredentialStore, Revoked, Session, leavers};
use crate::telemetry::EventKind;
use crate::token::{Claims, UnixTime};

/// Most sessions in one list: the last to start.
pub const LISTED_MAX: usize = 1000;

/// Longest that a login waits for the second after a revocation, in seconds: between two gateways clocks differ a little.
const SETTLE_MAX_S: u64 = 5;

/// The caller's sessions.
pub(super) async fn list(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let found = context.state.sessions(Some(&claims.subject), now, LISTED_MAX + 1).await;
    let mut found = found.map_err(|fault| away(&fault))?;
    let truncated = found.len() > LISTED_MAX;
    found.truncate(LISTED_MAX);
    let shown = |session: &Session| {
        let mut one = described(session);
        one["current"] = json!(claims.session.as_deref() == Some(&session.id));
        one
    };
    let sessions: Vec<Value> = found.iter().map(shown).collect();
    Ok(private_json(&json!({ "sessions": sessions, "truncated": truncated })))
}

/// A session as people see it.
fn described(session: &Session) -> Value {
    json!({
        "sid": session.id,
        "device": session.device.as_ref().map(|device| device.as_str()),
        "address": session.address.map(|address| address.to_string()),
        "created": session.started_at.0,
        "last_used": session.last_used_at.0,
        "expires": session.tokens_until.0,
    })
}

/// Ends the session that the path names, if it is the caller's.
pub(super) async fn end_one(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let id = segments(context.path).last().unwrap_or_default();
    let mut line = Line::of_token(EventKind::Revocation, "sessions", claims, context);
    let outcome = end_own(id, claims, context, now).await;
    if outcome.is_ok() {
        line.learn(|event| event.within(Some(id)).revoked("user", "session"));
    }
    line.told(outcome)?;
    ended(context, claims.session.as_deref() == Some(id))
}

async fn end_own(
    id: &str,
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<(), Refusal> {
    let found = context.state.session(id, now).await.map_err(|fault| away(&fault))?;
    let own = found.filter(|session| session.subject == claims.subject);
    let session = own.ok_or(Refusal::NoRoute)?;
    let until = session.revoked_until();
    let revoked = context.state.revoke(Revoked::Session(session.id), until).await;
    revoked.map_err(|fault| away(&fault))
}

/// Ends all sessions of the caller, and every token issued to them up to now.
pub(super) async fn end_all(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let what = Revoked::Subject { subject: claims.subject.clone(), at: now };
    let until = now.plus(context.rules.revoked_life());
    let mut line = Line::of_token(EventKind::Revocation, "sessions", claims, context);
    line.learn(|event| event.revoked("user", "user"));
    line.told(context.state.revoke(what, until).await.map_err(|fault| away(&fault)))?;
    ended(context, true)
}

/// A browser whose own session has ended keeps no cookies of it, as after a logout.
fn ended(context: &AuthContext<'_>, is_own: bool) -> Result<Response<Bytes>, Refusal> {
    let mut answer = no_content();
    if let Some(jar) = context.cookies.filter(|_| is_own) {
        jar.clear(answer.headers_mut())?;
    }
    Ok(answer)
}

/// The second in which the tokens of a login are issued. A token tells its second and no more, so of a second in which
/// everything was revoked all tokens are dead: a login waits for the next one, and then its password must still be
/// the user's.
pub(super) async fn settled(
    user: &Authenticated,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<UnixTime, Refusal> {
    let revoked = context.state.revocations().subject(user.subject());
    let Some(last) = revoked.filter(|last| *last >= now) else { return Ok(now) };
    let next = last.plus(Duration::from_secs(1));
    let wait = next.since(now);
    if wait.as_secs() > SETTLE_MAX_S {
        tracing::error!(
            event = "clock_differs",
            wait_s = wait.as_secs(),
            "a user was revoked in the future"
        );
        return Err(Refusal::StoreUnavailable);
    }
    tokio::time::sleep(wait).await;
    let credentials = context.credentials.ok_or(Refusal::StoreUnavailable)?;
    let stays = leavers::may_stay(credentials, user.subject(), user.mark()).await;
    match stays.map_err(|fault| away(&fault))? {
        true => Ok(next),
        false => Err(Refusal::CredentialsInvalid),
    }
}

/// The credential is the one that the session began with.
///
/// # Errors
/// [`Refusal::TokenRevoked`] for another one.
pub(super) async fn require_same(
    credentials: &dyn CredentialStore,
    subject: &str,
    mark: Option<&str>,
) -> Result<(), Refusal> {
    let stays = leavers::may_stay(credentials, subject, mark).await;
    stays.map_err(|fault| away(&fault))?.then_some(()).ok_or(Refusal::TokenRevoked)
}
