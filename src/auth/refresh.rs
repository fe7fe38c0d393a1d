//! A refresh: a stale access token, and the next refresh token with it (RFC 9700 §4.14.2).
//!
//! A session has one living refresh token. Presenting it gives the next one and ends it; whoever presents it
//! again inside the reuse window gets the very same next one, and later the session ends, because two have the
//! token and one of them is a thief. The store judges and records that in one step; what was recorded and did not reach the
//! client is asked for again. Called by [`super::answer`].

use bytes::Bytes;
use http::Response;
use serde_json::Map;

use super::line::Line;
use super::session::{Access, Given, living, no_signer};
use super::{AuthContext, away, devices};
use crate::policy::Refusal;
use crate::store::{Renewal, Rotation, Session, Successor};
use crate::telemetry::{Event, EventKind};
use crate::token::mint::{Mint, Minted};
use crate::token::seal::{NotOpened, Sealed};
use crate::token::{Claims, Secret, TokenKind, UnixTime};

/// A refresh token → a stale access token with the user's claims of today, and the next refresh token.
pub(super) async fn refresh(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let line = Line::of_token(EventKind::Refresh, "refresh", claims, context);
    line.told(renew(claims, context, now).await)
}

async fn renew(
    claims: &Claims,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Response<Bytes>, Refusal> {
    let session = living(claims, context, now).await?;
    let credentials = context.credentials.ok_or(Refusal::StoreUnavailable)?;
    let own = credentials
        .claims_of(&claims.subject, session.as_ref())
        .await
        .map_err(|fault| away(&fault))?;
    // The user is gone or disabled. Nothing is replaced, so a client whose user comes back can go on.
    let own = own.ok_or(Refusal::TokenRevoked)?;
    let mark = session.as_ref().and_then(|session| session.credential_mark.as_deref());
    devices::require_same(credentials, &claims.subject, mark).await?;
    let auth_time = session.as_ref().map_or(claims.auth_time, |session| Some(session.auth_time));
    let session = session.as_ref();
    let access = Access { claims, session, own: &own, fresh: false, auth_time };
    let access = access.mint(context, now)?;
    // A refresh token of no session was minted by hand or by another program: its holder expects no other.
    let next = match session {
        None => None,
        Some(session) => rotate(session, claims, context, (access.expires_at, now)).await?,
    };
    Given { access: &access, refresh: next.as_ref(), fresh: false }.told(context, now)
}

/// The refresh token that the client is to keep from now on; `None`: the one it has.
async fn rotate(
    session: &Session,
    claims: &Claims,
    context: &AuthContext<'_>,
    (access_until, now): (UnixTime, UnixTime),
) -> Result<Option<Minted>, Refusal> {
    let presented = context.token.ok_or(Refusal::TokenMissing)?;
    let next = match context.sessions.rotation {
        true => Some(successor(session, context, now)?),
        false => None,
    };
    let sealed = |next: &Minted| -> Result<Successor, Refusal> {
        let sealed = Sealed::seal(presented, &next.token).map_err(not_opened)?;
        Ok(Successor { id: next.id.clone(), sealed })
    };
    let renewal = Renewal {
        session: session.id.clone(),
        id: claims.id.clone(),
        now,
        successor: next.as_ref().map(sealed).transpose()?,
        window: context.sessions.reuse_window,
        tokens_until: next.as_ref().map_or(access_until, |next| next.expires_at.max(access_until)),
    };
    match context.state.rotate(renewal).await.map_err(|fault| away(&fault))? {
        Rotation::Rotated => Ok(next),
        Rotation::Again(sealed) => opened(&sealed, presented).map(Some),
        Rotation::Reused { .. } => {
            tell_reuse(session, context);
            Err(Refusal::TokenRevoked)
        }
        Rotation::Ended => Err(Refusal::TokenRevoked),
    }
}

/// The next refresh token; it ends with its session at the latest.
fn successor(
    session: &Session,
    context: &AuthContext<'_>,
    now: UnixTime,
) -> Result<Minted, Refusal> {
    let mint = Mint {
        subject: &session.subject,
        kind: TokenKind::Refresh,
        fresh: false,
        auth_time: Some(session.auth_time),
        session: Some(&session.id),
        claims: &Map::new(),
        ttl: context.rules.refresh_ttl.min(session.expires_at.since(now)),
    };
    mint.sign(context.ring, context.rules, now).map_err(no_signer)
}

fn opened(sealed: &Sealed, presented: &Secret) -> Result<Minted, Refusal> {
    // The same message under a signature of another form, which ECDSA allows: nobody honest writes one.
    let token = sealed.open(presented).map_err(|_| Refusal::TokenInvalid)?;
    let token = String::from_utf8(token.expose().to_vec()).map_err(|_| not_opened(NotOpened))?;
    Minted::reread(token).ok_or_else(|| not_opened(NotOpened))
}

fn not_opened(error: NotOpened) -> Refusal {
    tracing::error!(event = "successor_unreadable", %error, "the next refresh token cannot be told");
    Refusal::Internal
}

/// The operator learns of the theft, once for each session; the line of the refresh that was refused follows.
fn tell_reuse(session: &Session, context: &AuthContext<'_>) {
    context.metrics.refresh_reuse.inc();
    let event = Event {
        endpoint: Some("refresh"),
        address: Some(context.address),
        request_id: Some(context.request_id.to_owned()),
        ..Event::now(EventKind::Reuse)
    };
    context.events.tell(event.of(&session.subject).within(Some(&session.id)));
}
