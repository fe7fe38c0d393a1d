//! What came of a request to an endpoint: one event, whatever comes of it. Used by `session`, `refresh` and `devices`.

use super::AuthContext;
use crate::policy::Refusal;
use crate::store::Account;
use crate::telemetry::{Event, EventKind, Typed};
use crate::token::Claims;

/// The reason of a request whose client left before it was answered.
const ABANDONED: &str = "abandoned";

/// Told when it is dropped, so that a client that leaves early leaves a line all the same.
pub(super) struct Line<'a> {
    /// What is told when it succeeds.
    event: Event,
    context: &'a AuthContext<'a>,
    outcome: Result<(), Option<Refusal>>,
}

impl<'a> Line<'a> {
    fn new(kind: EventKind, endpoint: &'static str, context: &'a AuthContext<'a>) -> Line<'a> {
        let event = Event {
            endpoint: Some(endpoint),
            address: Some(context.address),
            request_id: Some(context.request_id.to_owned()),
            ..Event::now(kind)
        };
        Line { event, context, outcome: Err(None) }
    }

    /// Of whoever types this name. It comes from strangers, so it is cut and escaped; `account` is the name in
    /// the one spelling that guesses are counted by.
    pub(super) fn of_name(
        kind: EventKind,
        endpoint: &'static str,
        name: &str,
        context: &'a AuthContext<'a>,
    ) -> Line<'a> {
        let mut line = Line::new(kind, endpoint, context);
        line.event.user = Some(Typed::new(name));
        // What can be nobody's has no spelling.
        let account = Account::of(name);
        line.event.account = Some(account.as_str()).filter(|name| !name.is_empty()).map(Typed::new);
        line
    }

    /// Of whoever has this token.
    pub(super) fn of_token(
        kind: EventKind,
        endpoint: &'static str,
        claims: &Claims,
        context: &'a AuthContext<'a>,
    ) -> Line<'a> {
        let mut line = Line::new(kind, endpoint, context);
        line.learn(|event| event.of(&claims.subject).within(claims.session.as_deref()));
        line
    }

    /// More is known of it.
    pub(super) fn learn(&mut self, more: impl FnOnce(Event) -> Event) {
        self.event = more(self.event.clone());
    }

    /// What came of it.
    pub(super) fn told<T>(mut self, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        self.outcome = outcome.as_ref().map(drop).map_err(|refusal| Some(*refusal));
        outcome
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let mut event = self.event.clone();
        event.time = crate::telemetry::clock();
        if let Err(refusal) = self.outcome {
            (event.by, event.scope) = (None, None);
            event.kind = EventKind::Failure;
            event.reason = Some(refusal.map_or(ABANDONED, |refusal| refusal.code()));
            if let Some(Refusal::LoginThrottled { retry_after }) = refusal {
                event.kind = EventKind::Throttle;
                event.retry_after = Some(retry_after.as_secs());
            }
        }
        self.context.events.tell(event);
    }
}
