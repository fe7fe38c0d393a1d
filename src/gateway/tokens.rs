//! Tokens whose signature was good before: *what they say*, never a decision. Expiry, revocation and policy
//! are judged on every request (Oathkeeper CVE-2026-33496).

use std::sync::{Mutex, PoisonError};

use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

use crate::telemetry::ThreadMeter;
use crate::token::TokenFault;
use crate::token::keys::KeyRing;
use crate::token::verify::{self, SignedClaims};

/// The verified tokens of one data thread: bounded, keyed by the whole token, dead with its key ring.
/// Bad tokens are never kept, so a flood of them pushes no good one out.
#[derive(Debug)]
pub struct TokenCache {
    capacity: usize,
    meter: ThreadMeter,
    verified: Mutex<Verified>,
}

#[derive(Debug)]
struct Verified {
    ring: [u8; 32],
    tokens: Cache<Box<str>, SignedClaims, UnitWeighter, DefaultHashBuilder>,
}

impl TokenCache {
    /// A cache of at most `capacity` tokens.
    pub fn new(capacity: usize, meter: ThreadMeter) -> TokenCache {
        let verified = Verified { ring: [0; 32], tokens: empty(capacity) };
        TokenCache { capacity, meter, verified: Mutex::new(verified) }
    }

    /// What the token says, from memory or by its signature.
    ///
    /// # Errors
    /// As [`verify::read`].
    pub fn read(&self, token: &str, ring: &KeyRing) -> Result<SignedClaims, TokenFault> {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.ring != ring.fingerprint() {
            *verified = Verified { ring: ring.fingerprint(), tokens: empty(self.capacity) };
        }
        if let Some(known) = verified.tokens.get(token) {
            self.meter.token_cache_hits.inc();
            return Ok(known.clone());
        }
        self.meter.token_cache_misses.inc();
        let signed = verify::read(token, ring)?;
        verified.tokens.insert(token.into(), signed.clone());
        Ok(signed)
    }
}

fn empty(capacity: usize) -> Cache<Box<str>, SignedClaims, UnitWeighter, DefaultHashBuilder> {
    let options = OptionsBuilder::new()
        .estimated_items_capacity(capacity)
        .weight_capacity(capacity as u64)
        .build()
        .expect("both capacities are given");
    Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), Default::default())
}
