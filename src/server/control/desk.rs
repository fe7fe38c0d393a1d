//! What the command line can ask about sessions, answered from the state: by the gateway that has it open, or by the
//! command line itself when none runs.
//!
//! Answers are JSON; a refusal is a sentence for the person at the terminal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::store::events::Events;
use crate::store::file::users::check_name;
use crate::store::{Account, Revoked, Session, StateStore, StoreFault};
use crate::telemetry::{Event, EventKind};
use crate::token::UnixTime;
use crate::token::trust::KeySet;
use crate::token::verify::{TokenFault, TokenRules};

/// Most sessions in one list: the last to start.
pub const LISTED_MAX: usize = 10_000;

/// A question.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// The living sessions, of a user or of everybody.
    List {
        /// The name in any spelling.
        user: Option<String>,
    },
    /// End a session, by `sid`.
    Session(String),
    /// End everything that a user has, up to now.
    User(String),
    /// End one token.
    Token(String),
}

/// Who answers.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// The sessions.
    pub state: &'a dyn StateStore,
    /// The keys that tokens are believed by: ours, and those of other issuers.
    pub keys: &'a KeySet,
    /// What our tokens say.
    pub rules: &'a TokenRules,
    /// Whom a revocation is told to.
    pub events: &'a Events,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk<'_> {
    /// Does what is asked. What it revoked is dead, durably, when it answers.
    ///
    /// # Errors
    /// Why nothing was done.
    pub async fn answer(&self, asked: Asked, now: UnixTime) -> Result<Value, String> {
        match asked {
            Asked::List { user } => self.list(user.as_deref(), now).await,
            Asked::Session(id) => self.end_session(&id, now).await,
            Asked::User(name) => self.end_user(&name, now).await,
            Asked::Token(token) => self.end_token(token.trim(), now).await,
        }
    }

    async fn list(&self, user: Option<&str>, now: UnixTime) -> Result<Value, String> {
        let mut found = match user {
            None => self.state.sessions(None, now, LISTED_MAX + 1).await.map_err(away)?,
            Some(name) => {
                let mut all = Vec::new();
                for subject in self.spellings(name, now).await? {
                    let of = self.state.sessions(Some(&subject), now, LISTED_MAX + 1).await;
                    all.extend(of.map_err(away)?);
                }
                all.sort_by_key(|session| std::cmp::Reverse(session.started_at));
                all
            }
        };
        let truncated = found.len() > LISTED_MAX;
        found.truncate(LISTED_MAX);
        let sessions: Vec<Value> = found.iter().map(described).collect();
        Ok(json!({ "sessions": sessions, "truncated": truncated }))
    }

    async fn end_session(&self, id: &str, now: UnixTime) -> Result<Value, String> {
        let session = self.state.session(id, now).await.map_err(away)?;
        let session = session.ok_or_else(|| {
            format!("no session {id:?} lives; `freshgate session list` shows those that do")
        })?;
        let (user, until) = (session.subject.clone(), session.revoked_until());
        self.state.revoke(Revoked::Session(session.id), until).await.map_err(away)?;
        self.tell(Event::now(EventKind::Revocation).of(&user).within(Some(id)), "session");
        Ok(json!({ "users": [user], "sessions": 1 }))
    }

    async fn end_user(&self, name: &str, now: UnixTime) -> Result<Value, String> {
        check_name(name)?;
        let users = self.spellings(name, now).await?;
        let mut sessions = 0;
        for subject in &users {
            let of = self.state.sessions(Some(subject), now, usize::MAX).await.map_err(away)?;
            sessions += of.len();
            let what = Revoked::Subject { subject: subject.clone(), at: now };
            let until = now.plus(self.rules.revoked_life());
            self.state.revoke(what, until).await.map_err(away)?;
            self.tell(Event::now(EventKind::Revocation).of(subject), "user");
        }
        Ok(json!({ "users": users, "sessions": sessions }))
    }

    async fn end_token(&self, token: &str, now: UnixTime) -> Result<Value, String> {
        let signed = self.keys.read(token, self.rules).map_err(|unread| match unread.fault {
            TokenFault::Malformed => "this is not a token".to_owned(),
            _ => self.unbelieved(token),
        })?;
        let claims = signed.claims();
        let until = claims.expires_at.plus(self.rules.leeway);
        if until <= now {
            return Err(format!("this token has expired already, at {}", claims.expires_at));
        }
        self.state.revoke(Revoked::Token(claims.id.clone()), until).await.map_err(away)?;
        let user = &claims.subject;
        let event = Event::now(EventKind::Revocation).of(user);
        self.tell(event.within(claims.session.as_deref()).token(&claims.id), "token");
        let kind = claims.kind.name();
        Ok(json!({ "users": [user], "sessions": 0, "token": claims.id, "type": kind }))
    }

    fn tell(&self, event: Event, scope: &'static str) {
        self.events.tell(event.revoked("operator", scope));
    }

    /// Why a token is not believed by these keys. Those at a URL are known to a running gateway only.
    fn unbelieved(&self, token: &str) -> String {
        match self.keys.named_by(token) {
            Some(one) if one.keys.is_none() => format!(
                "the keys of {:?} are not here, so nobody can say whether this token is good: \
                 `--user` ends everything of its user",
                one.trust.issuer
            ),
            _ => "no key of this gateway signed this token: nobody here believes it".to_owned(),
        }
    }

    /// The name as it was given, and as sessions spell it that are of the same account.
    async fn spellings(&self, name: &str, now: UnixTime) -> Result<BTreeSet<String>, String> {
        let account = Account::of(name);
        let marks = self.state.marks(now).await.map_err(away)?;
        let alike = marks.into_iter().map(|(subject, _)| subject);
        let alike = alike.filter(|subject| Account::of(subject) == account);
        Ok(alike.chain([name.to_owned()]).collect())
    }
}

fn described(session: &Session) -> Value {
    json!({
        "sid": session.id,
        "user": session.subject,
        "device": session.device.as_ref().map(|device| device.as_str()),
        "address": session.address.map(|address| address.to_string()),
        "created": session.started_at.0,
        "last_used": session.last_used_at.0,
        "expires": session.tokens_until.0,
    })
}

fn away(fault: StoreFault) -> String {
    format!("the state store is away: {fault}")
}
