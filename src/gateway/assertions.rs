//! Assertions that a data thread has signed: a signature costs more than all else that a request does here, so the same one
//! goes with every request of a token to an upstream for half of its life.
//!
//! Called where a request is about to be forwarded; `token::assertion` signs.

use std::sync::{Arc, PoisonError};

use http::HeaderValue;
use quick_cache::unsync::Cache;

use super::{Scene, Snapshot};
use crate::policy::{Permit, Refusal};
use crate::token::assertion::{self, Assertion, AssertionFault, LIFE};
use crate::token::{UnixTime, VerifiedToken};

/// Assertions that one data thread remembers.
const KEPT_MAX: usize = 1_000;

/// Which token, by its reading, for which upstream.
type Whose = (usize, usize);

/// What was signed in one world: with the next one, which may have other keys, all of it is forgotten.
#[derive(Debug)]
pub(super) struct Assertions {
    made_for: Option<Arc<Snapshot>>,
    signed: Cache<Whose, Signed>,
}

#[derive(Debug)]
struct Signed {
    /// Held, so that no other reading gets its number.
    token: VerifiedToken,
    /// The key that signed, and what it said of freshness: a key has its time, and a timed freshness too.
    key: String,
    fresh: bool,
    expires_at: UnixTime,
    field: HeaderValue,
}

impl Default for Assertions {
    fn default() -> Assertions {
        Assertions { made_for: None, signed: Cache::new(KEPT_MAX) }
    }
}

impl Scene<'_> {
    /// What the upstream gets signed of who asks; `None` where it wants none, or nobody is known.
    ///
    /// # Errors
    /// [`Refusal::HeaderTooLarge`] when the claims fit into no field, [`Refusal::Internal`] when no key signs.
    pub(super) fn assertion(
        &self,
        permit: &Permit,
        upstream: usize,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let wants = &self.snapshot.config.upstreams[upstream];
        let Some(token) = permit.token().filter(|_| wants.assertion) else { return Ok(None) };
        let signed = self.signed(token, upstream);
        signed.map_err(|fault| {
            let request_id = self.client.request_id.to_str().unwrap_or_default();
            tracing::error!(event = "no_assertion", request_id, upstream.name = %wants.name, %fault, "not forwarded");
            match fault {
                AssertionFault::TooLarge(_) => Refusal::HeaderTooLarge,
                AssertionFault::NoSigner => Refusal::Internal,
            }
        })
    }

    fn signed(
        &self,
        token: &VerifiedToken,
        upstream: usize,
    ) -> Result<Option<HeaderValue>, AssertionFault> {
        let (now, rules) = (self.now, &self.snapshot.config.tokens);
        let key =
            assertion::signer(self.snapshot.keys.own(), now).ok_or(AssertionFault::NoSigner)?;
        let fresh = token.claims().is_fresh(now);
        let mut kept = self.data.assertions.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.made_for.as_ref().is_some_and(|world| Arc::ptr_eq(world, self.snapshot)) {
            *kept = Assertions { made_for: Some(Arc::clone(self.snapshot)), ..Default::default() };
        }
        let whose = (token.reading(), upstream);
        let serves = |one: &&Signed| {
            let left = one.expires_at.since(now);
            // One that ends with its token cannot be had for longer.
            let young = left * 2 >= LIFE || one.expires_at == token.claims().expires_at;
            one.token.is_same(token)
                && one.key == key.id()
                && one.fresh == fresh
                && young
                && !left.is_zero()
        };
        if let Some(one) = kept.signed.get(&whose).filter(serves) {
            return Ok(Some(one.field.clone()));
        }
        let audience = &self.snapshot.config.upstreams[upstream].name;
        let Some(made) = Assertion::sign(token, audience, key, rules, now)? else {
            return Ok(None);
        };
        let mut field = HeaderValue::try_from(made.text).map_err(|_| AssertionFault::NoSigner)?;
        field.set_sensitive(true);
        let (key, expires_at) = (key.id().to_owned(), made.expires_at);
        let one = Signed { token: token.clone(), key, fresh, expires_at, field: field.clone() };
        kept.signed.insert(whose, one);
        Ok(Some(field))
    }
}
