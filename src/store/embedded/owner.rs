//! The one thread that touches `state.db`: it takes every verb that waits, does them in one transaction,
//! commits, and only then answers everybody (group commit).
//!
//! Nobody is answered before the disk is: a commit that fails is a fault for the whole batch, and the next
//! batch tries again. It also forgets what has expired. Started by [`super::Embedded`].

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rusqlite::{ErrorCode, Transaction};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::database::{self, Database};
use super::{failures, keepsakes, replacements, revoked, sessions};
use crate::store::throttle::tallies::Ids;
use crate::store::{
    Keepsakes, Marks, Renewal, Replacement, Revocations, Revoked, Rotation, Session, StoreFault,
    Tallies,
};
use crate::telemetry::{self, panics};
use crate::token::UnixTime;

/// Most verbs in one transaction: bounds how long the first of them waits for the others.
const BATCH_MAX: usize = 512;
/// How often expired rows are removed.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// A system's clock that is this far behind is told.
const BEHIND_TOLD: Duration = Duration::from_secs(2);
/// How long a row is kept beyond its expiry: longer than the greatest `[tokens] leeway` (5 minutes), for
/// which an expired token may still be accepted, and a clock that is set back a little.
const PURGE_MARGIN_S: u64 = 900;

/// Where the answer to a verb goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreFault>>;

/// What can be asked of the store, and where the answer goes.
#[derive(Debug)]
pub(super) enum Verb {
    Start(Session, Reply<()>),
    Find(String, UnixTime, Reply<Option<Session>>),
    StepUp(String, UnixTime, UnixTime, Reply<bool>),
    Rotate(Box<Renewal>, Reply<Rotation>),
    Marks(UnixTime, Reply<Marks>),
    List { of: Option<String>, now: UnixTime, max: usize, reply: Reply<Vec<Session>> },
    Revoke(Revoked, UnixTime, Reply<()>),
    Keep(Ids, Reply<()>),
    Replacement(String, Reply<Option<Replacement>>),
    Replace(String, Replacement, Reply<()>),
    Remember(String, Vec<String>, Option<Map<String, Value>>, Reply<()>),
}

/// What a verb did in a transaction that is not yet committed.
enum Outcome {
    /// Its caller went away, so nothing was done.
    Nothing,
    Done,
    Found(Option<Box<Session>>),
    Replacement(Option<Replacement>),
    Alive(bool),
    Rotation(Rotation),
    Listed(Vec<Session>),
    Marks(Marks),
    /// The sessions that a revocation ended, each with its last second.
    Ended(Vec<(String, UnixTime)>),
    /// A constraint refused it: this verb alone fails.
    Refused(StoreFault),
}

/// The thread's whole world.
pub(super) struct Owner {
    database: Database,
    verbs: Receiver<Verb>,
    memory: Memory,
    clock: fn() -> UnixTime,
    purge_at: Instant,
    /// Whether it was told that the system's clock is behind.
    pub(super) told_behind: bool,
}

/// What the file says, in memory.
pub(super) struct Memory {
    pub(super) revocations: Arc<Revocations>,
    pub(super) tallies: Arc<Tallies>,
    pub(super) keepsakes: Arc<Keepsakes>,
}

impl Memory {
    fn started(&self, session: Session) {
        if let Some(keepsake) = session.keepsake {
            self.keepsakes.put(&session.id, keepsake.cookies, session.expires_at);
        }
    }

    fn ended(&self, sessions: &[(String, UnixTime)]) {
        for (id, until) in sessions {
            self.keepsakes.forget(id);
            self.revocations.add_session(id, *until);
        }
    }

    fn revoked(&self, what: Revoked, until: UnixTime) {
        if let Revoked::Session(id) = &what {
            self.keepsakes.forget(id);
        }
        self.revocations.add(what, until);
    }
}

impl Owner {
    pub(super) fn new(
        database: Database,
        verbs: Receiver<Verb>,
        memory: Memory,
        clock: fn() -> UnixTime,
    ) -> Owner {
        let purge_at = Instant::now();
        Owner { database, verbs, memory, clock, purge_at, told_behind: false }
    }

    /// Runs until every sender is gone and every verb is answered.
    pub(super) fn run(mut self) {
        loop {
            let wait = self.purge_at.saturating_duration_since(Instant::now());
            match self.verbs.recv_timeout(wait) {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(self.verbs.try_iter().take(BATCH_MAX - 1));
                    // This thread is everybody's: a panic ends one batch, whose callers hear that the store failed,
                    // for their replies are dropped and nothing was committed.
                    if let Err(panicked) = panics::catch(|| self.commit(batch)) {
                        panicked.report("-");
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= self.purge_at {
                self.purge();
                self.tell_behind();
            }
        }
        // What happened since the last commit, for whoever opens the file next.
        let now = (self.clock)();
        let _kept_a_minute_ago = self.database.change(now, |_| Ok(()));
    }

    fn commit(&mut self, batch: Vec<Verb>) {
        let now = (self.clock)();
        match in_transaction(&mut self.database, &batch, &self.memory.tallies, now) {
            Ok(outcomes) => {
                for (verb, outcome) in batch.into_iter().zip(outcomes) {
                    verb.answer(outcome, &self.memory);
                }
            }
            Err(error) => {
                tracing::error!(event = "state_store_failed", %error, "the state store refused to write");
                for verb in batch {
                    verb.fail(StoreFault(format!("the state store failed: {error}")));
                }
            }
        }
    }

    fn purge(&mut self) {
        let now = (self.clock)();
        let before = UnixTime(now.0.saturating_sub(PURGE_MARGIN_S));
        let purged = self
            .database
            .change(now, |on| Ok(database::purge(on, before, now)? | failures::purge(on, now)?));
        self.memory.revocations.purge(before);
        self.memory.tallies.purge(now);
        self.memory.keepsakes.purge(now);
        match purged {
            // The rest after the verbs that wait meanwhile.
            Ok(true) => {}
            Ok(false) => self.purge_at = Instant::now() + PURGE_EVERY,
            Err(error) => {
                tracing::warn!(event = "state_purge_failed", %error, "expired rows could not be removed");
                self.purge_at = Instant::now() + PURGE_EVERY;
            }
        }
    }

    /// Says that the system's clock was set back, once each time that it happens.
    fn tell_behind(&mut self) {
        let behind = telemetry::clock_behind();
        if behind >= BEHIND_TOLD && !self.told_behind {
            tracing::warn!(
                event = "clock_behind",
                seconds = behind.as_secs(),
                "the system's clock was set back; time goes on here as if it had not been"
            );
        }
        self.told_behind = behind >= BEHIND_TOLD;
    }
}

/// Does every verb and commits; on an error nothing is kept.
fn in_transaction(
    database: &mut Database,
    batch: &[Verb],
    tallies: &Tallies,
    now: UnixTime,
) -> rusqlite::Result<Vec<Outcome>> {
    let act = |on: &Transaction<'_>| batch.iter().map(|verb| verb.act(on, tallies)).collect();
    // A batch that only asks needs no disk.
    if batch.iter().all(Verb::only_asks) { database.ask(act) } else { database.change(now, act) }
}

impl Verb {
    /// Whether it changes nothing.
    fn only_asks(&self) -> bool {
        use Verb::{Find, List, Marks, Replacement};
        matches!(self, Find(..) | Replacement(..) | List { .. } | Marks(..))
    }

    /// A caller that went away is not served, except that a revocation is done, and an attempt counted, for
    /// whoever asked.
    fn act(&self, on: &Transaction<'_>, tallies: &Tallies) -> rusqlite::Result<Outcome> {
        match self {
            Verb::Start(_, reply) if reply.is_closed() => Ok(Outcome::Nothing),
            Verb::Find(_, _, reply) if reply.is_closed() => Ok(Outcome::Nothing),
            Verb::StepUp(_, _, _, reply) if reply.is_closed() => Ok(Outcome::Nothing),
            Verb::Rotate(_, reply) if reply.is_closed() => Ok(Outcome::Nothing),
            Verb::List { reply, .. } if reply.is_closed() => Ok(Outcome::Nothing),
            Verb::Start(session, _) if revoked::is_born_dead(on, session)? => {
                let fault = StoreFault("everything of this subject was revoked meanwhile".into());
                Ok(Outcome::Refused(fault))
            }
            Verb::Start(session, _) => match sessions::start(on, session) {
                Err(error) if is_constraint(&error) => {
                    let fault = StoreFault("a session with this id is there already".into());
                    Ok(Outcome::Refused(fault))
                }
                started => started.map(|()| Outcome::Done),
            },
            Verb::Find(id, now, _) => {
                sessions::find(on, id, *now).map(|found| Outcome::Found(found.map(Box::new)))
            }
            Verb::StepUp(id, time, until, _) => {
                sessions::step_up(on, id, *time, *until).map(Outcome::Alive)
            }
            Verb::Rotate(renewal, _) => sessions::rotate(on, renewal).map(Outcome::Rotation),
            Verb::Marks(now, _) => sessions::marks(on, *now).map(Outcome::Marks),
            Verb::List { of, now, max, .. } => {
                sessions::list(on, of.as_deref(), *now, *max).map(Outcome::Listed)
            }
            Verb::Replacement(subject, _) => {
                replacements::find(on, subject).map(Outcome::Replacement)
            }
            Verb::Replace(subject, new, _) => {
                replacements::keep(on, subject, new).map(|()| Outcome::Done)
            }
            Verb::Revoke(what, until, _) => revoked::revoke(on, what, *until).map(Outcome::Ended),
            Verb::Keep(ids, _) => failures::keep(on, &tallies.rows(ids)).map(|()| Outcome::Done),
            Verb::Remember(id, cookies, claims, _) => {
                keepsakes::keep(on, id, cookies, claims.as_ref()).map(|()| Outcome::Done)
            }
        }
    }

    /// After the commit: a revocation is in memory before its caller hears of it. Callers that went away
    /// meanwhile are no mistake, so what `send` says is not looked at.
    fn answer(self, outcome: Outcome, memory: &Memory) {
        match (self, outcome) {
            (Verb::Revoke(what, until, reply), Outcome::Ended(sessions)) => {
                memory.ended(&sessions);
                memory.revoked(what, until);
                drop(reply.send(Ok(())));
            }
            (Verb::Start(session, reply), Outcome::Done) => {
                memory.started(session);
                drop(reply.send(Ok(())));
            }
            (
                Verb::Keep(_, reply) | Verb::Replace(_, _, reply) | Verb::Remember(_, _, _, reply),
                Outcome::Done,
            ) => {
                drop(reply.send(Ok(())));
            }
            (Verb::Find(_, _, reply), Outcome::Found(found)) => {
                drop(reply.send(Ok(found.map(|one| *one))))
            }
            (Verb::StepUp(_, _, _, reply), Outcome::Alive(alive)) => drop(reply.send(Ok(alive))),
            (Verb::Marks(_, reply), Outcome::Marks(all)) => drop(reply.send(Ok(all))),
            (Verb::List { reply, .. }, Outcome::Listed(all)) => drop(reply.send(Ok(all))),
            (Verb::Rotate(renewal, reply), Outcome::Rotation(rotation)) => {
                if let Rotation::Reused { revoked_until } = rotation {
                    memory.revoked(Revoked::Session(renewal.session), revoked_until);
                }
                drop(reply.send(Ok(rotation)));
            }
            (Verb::Replacement(_, reply), Outcome::Replacement(found)) => {
                drop(reply.send(Ok(found)))
            }
            (verb, Outcome::Refused(fault)) => verb.fail(fault),
            // Nobody waits: dropping the reply is the answer.
            (_, _) => {}
        }
    }

    fn fail(self, fault: StoreFault) {
        match self {
            Verb::Start(_, reply)
            | Verb::Revoke(_, _, reply)
            | Verb::Keep(_, reply)
            | Verb::Replace(_, _, reply)
            | Verb::Remember(_, _, _, reply) => {
                drop(reply.send(Err(fault)));
            }
            Verb::Find(_, _, reply) => drop(reply.send(Err(fault))),
            Verb::Replacement(_, reply) => drop(reply.send(Err(fault))),
            Verb::StepUp(_, _, _, reply) => drop(reply.send(Err(fault))),
            Verb::Rotate(_, reply) => drop(reply.send(Err(fault))),
            Verb::Marks(_, reply) => drop(reply.send(Err(fault))),
            Verb::List { reply, .. } => drop(reply.send(Err(fault))),
        }
    }
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
