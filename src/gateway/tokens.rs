//! Tokens whose signature was good before: *what they say*, never a decision. Expiry, revocation and policy
//! are judged on every request (Oathkeeper CVE-2026-33496).

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use foldhash::fast::RandomState;
use quick_cache::unsync::Cache;
use quick_cache::{OptionsBuilder, UnitWeighter};

use super::forgers::Forgers;
use crate::telemetry::{Limit, Metrics, ThreadMeter};
use crate::token::TokenFault;
use crate::token::trust::{KeySet, Unread};
use crate::token::verify::{SignedClaims, TokenRules};

/// The verified tokens of one data thread: bounded, keyed by the whole token, dead with its key set.
/// Bad tokens are never kept, so a flood of them pushes no good one out; nor does it take more than its part of the
/// thread, for each address has a budget of forged ones (`[limits] token_failures`).
#[derive(Debug)]
pub struct TokenCache {
    capacity: usize,
    meter: ThreadMeter,
    metrics: Arc<Metrics>,
    verified: Mutex<Verified>,
}

/// Who presents a token, and how many forged ones that address may: `[limits] token_failures`.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The client's address; behind a listed proxy the one that it names, so that not all who come that way pay.
    pub address: IpAddr,
    /// Forged tokens that are checked in a second.
    pub each_second: usize,
}

/// By a hash that is quick on the whole of a long token. Nobody can fill it with tokens that collide: what is kept was signed by us.
type Tokens = Cache<Box<str>, SignedClaims, UnitWeighter, RandomState>;

#[derive(Debug)]
struct Verified {
    keys: [u8; 32],
    /// How claims were read: by other rules the same token may be another's, or nobody's.
    reading: (String, bool),
    tokens: Tokens,
    forgers: Forgers,
}

impl Verified {
    fn by(keys: [u8; 32], reading: (String, bool), capacity: usize) -> Verified {
        Verified { keys, reading, tokens: empty(capacity), forgers: Forgers::new() }
    }
}

impl TokenCache {
    /// A cache of at most `capacity` tokens.
    pub fn new(capacity: usize, meter: ThreadMeter, metrics: Arc<Metrics>) -> TokenCache {
        let verified = Mutex::new(Verified::by([0; 32], Default::default(), capacity));
        TokenCache { capacity, meter, metrics, verified }
    }

    /// What the token of a client says, from memory or by its signature.
    ///
    /// # Errors
    /// As [`KeySet::read`]; [`TokenFault::Unchecked`] when too many forged ones came from the address.
    pub fn read(
        &self,
        token: &str,
        (keys, rules): (&KeySet, &TokenRules),
        budget: Budget,
    ) -> Result<SignedClaims, Unread> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, csrf) = &verified.reading;
        let same_reading = *identity == rules.identity_claim && *csrf == rules.csrf;
        if verified.keys != keys.fingerprint() || !same_reading {
            let reading = (rules.identity_claim.clone(), rules.csrf);
            *verified = Verified::by(keys.fingerprint(), reading, self.capacity);
        }
        if let Some(known) = verified.tokens.get(token) {
            self.meter.token_cache_hits.inc();
            return Ok(known.clone());
        }
        if verified.forgers.over(budget.address, budget.each_second, Instant::now()) {
            self.metrics.limit_reached(Limit::TokenFailures);
            return Err(TokenFault::Unchecked.into());
        }
        self.meter.token_cache_misses.inc();
        let read = keys.read(token, rules);
        match &read {
            Ok(signed) => verified.tokens.insert(token.into(), signed.clone()),
            Err(Unread { fault: TokenFault::Forged, .. }) => {
                verified.forgers.count(budget.address, budget.each_second, Instant::now());
            }
            Err(_) => {}
        }
        read
    }
}

fn empty(capacity: usize) -> Tokens {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(capacity)
        .weight_capacity(capacity as u64)
        .build()
        .expect("both capacities are given");
    Cache::with_options(options, UnitWeighter, RandomState::default(), Default::default())
}
