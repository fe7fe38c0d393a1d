//! Every key that may verify a token here, each under its issuer: ours, and those of `[[tokens.trust]]`.
//!
//! Whose keys a token is checked with is said by its `iss`, before anything of it is proved. That is a look-up and no
//! more: key, algorithm, issuer, audience and times are then those of this one issuer, so a `kid` means nothing outside
//! its own ring, and a token that names no issuer of the list is one of ours or of nobody.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Foreign, Trust};
use crate::token::keys::{Key, KeyRing};
use crate::token::verify::{Parts, SignedClaims, TokenRules, possible, read_own};
use crate::token::{Standing, TokenFault, UnixTime, json};

/// Our keys and those of other issuers.
#[derive(Debug)]
pub struct KeySet {
    own: Arc<KeyRing>,
    trusts: Vec<Trusted>,
    fingerprint: [u8; digest::SHA256_OUTPUT_LEN],
}

/// Another issuer and its keys.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// What its tokens must say.
    pub trust: Arc<Trust>,
    /// Its keys; `None` before they came, and when they are too old: then none of its tokens is good.
    pub keys: Option<Arc<KeyRing>>,
}

/// Why a token was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// What the client is told.
    pub fault: TokenFault,
    /// The issuer, by its place in the list, that may have made keys which are not known here yet.
    pub may_have_new_keys: Option<usize>,
}

impl From<TokenFault> for Unread {
    fn from(fault: TokenFault) -> Unread {
        Unread { fault, may_have_new_keys: None }
    }
}

impl KeySet {
    /// Our ring and the others. The configuration has refused two issuers of one name.
    pub fn new(own: impl Into<Arc<KeyRing>>, trusts: Vec<Trusted>) -> KeySet {
        let own = own.into();
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&own.fingerprint());
        for Trusted { trust, keys } in &trusts {
            let rules = format!("{trust:?}");
            hash.update(&(rules.len() as u64).to_be_bytes());
            hash.update(rules.as_bytes());
            hash.update(&keys.as_ref().map_or([0; 32], |ring| ring.fingerprint()));
        }
        let mut fingerprint = [0; digest::SHA256_OUTPUT_LEN];
        fingerprint.copy_from_slice(hash.finish().as_ref());
        KeySet { own, trusts, fingerprint }
    }

    /// The keys that sign ours, and the only ones that are shown to others.
    pub fn own(&self) -> &Arc<KeyRing> {
        &self.own
    }

    /// The other issuers, in the order of the configuration.
    pub fn trusts(&self) -> &[Trusted] {
        &self.trusts
    }

    /// Equal for sets by which the same tokens are read in the same way, and only for those.
    pub fn fingerprint(&self) -> [u8; digest::SHA256_OUTPUT_LEN] {
        self.fingerprint
    }

    /// Reads a token with the keys of the issuer that it names.
    ///
    /// # Errors
    /// As [`read`](crate::token::verify::read), and whether the issuer should be asked for its keys again.
    pub fn read(&self, token: &str, rules: &TokenRules) -> Result<SignedClaims, Unread> {
        let parts = Parts::of(token)?;
        let (signed, index) = match self.issuer_of(&parts) {
            None => (read_own(&parts, &self.own, rules)?, None),
            Some((index, payload)) => {
                (self.read_foreign(&parts, &payload, index, rules)?, Some(index))
            }
        };
        match self.may_say(&signed.claims().subject, index) {
            true => Ok(signed),
            false => Err(TokenFault::Invalid.into()),
        }
    }

    /// Judges what was read at `now`: the key's end, for ours issuer and audience, and the times. `signed` was read by this set.
    pub fn standing(&self, signed: &SignedClaims, rules: &TokenRules, now: UnixTime) -> Standing {
        let Some(index) = signed.trust else { return signed.standing(rules, now) };
        match self.trusts.get(index).is_some_and(|one| one.keys.is_some()) {
            true => signed.in_time(rules, now),
            false => Standing::Unproven(TokenFault::Invalid),
        }
    }

    /// Reads a token and judges it. For the command line, which remembers none.
    pub fn judge(&self, token: &str, rules: &TokenRules, now: UnixTime) -> Standing {
        match self.read(token, rules) {
            Ok(signed) => self.standing(&signed, rules, now),
            Err(unread) => Standing::Unproven(unread.fault),
        }
    }

    /// The issuer that a token says it is from, unproved; `None`: ours. For people, see [`KeySet::read`].
    pub fn named_by(&self, token: &str) -> Option<&Trusted> {
        let (index, _) = self.issuer_of(&Parts::of(token).ok()?)?;
        self.trusts.get(index)
    }

    /// The payload under a good signature of the issuer that the token names, whatever it is, and the key that checked
    /// it. For the command line.
    ///
    /// # Errors
    /// As [`KeySet::read`], but for the claims.
    pub fn read_raw(&self, token: &str) -> Result<(Vec<u8>, &Key), TokenFault> {
        let parts = Parts::of(token)?;
        let Some((index, _)) = self.issuer_of(&parts) else { return parts.believed(&self.own) };
        let payload = URL_SAFE_NO_PAD.decode(parts.payload).map_err(|_| TokenFault::Malformed)?;
        let keys = self.trusts[index].keys.as_ref().ok_or(TokenFault::Invalid)?;
        Ok((payload, signer(&parts, keys)?))
    }

    /// The same set where the issuer that this token names has these keys; `None`: it names none of the list.
    pub fn with_keys_for(self, token: &str, ring: KeyRing) -> Option<KeySet> {
        let (index, _) = self.issuer_of(&Parts::of(token).ok()?)?;
        let mut trusts = self.trusts;
        trusts[index].keys = Some(Arc::new(ring));
        Some(KeySet::new(self.own, trusts))
    }

    fn issuer_of(&self, parts: &Parts<'_>) -> Option<(usize, Map<String, Value>)> {
        if self.trusts.is_empty() {
            return None;
        }
        let payload = json::object(&URL_SAFE_NO_PAD.decode(parts.payload).ok()?).ok()?;
        let issuer = payload.get("iss")?.as_str()?;
        let index = self.trusts.iter().position(|one| one.trust.issuer == issuer)?;
        Some((index, payload))
    }

    fn read_foreign(
        &self,
        parts: &Parts<'_>,
        payload: &Map<String, Value>,
        index: usize,
        rules: &TokenRules,
    ) -> Result<SignedClaims, Unread> {
        let Trusted { trust, keys } = &self.trusts[index];
        let key = keys.as_ref().map_or(Err(TokenFault::Invalid), |ring| signer(parts, ring));
        let key = key.map_err(|fault| Unread {
            fault,
            may_have_new_keys: is_news(parts, trust, keys.as_deref()).then_some(index),
        })?;
        let token = Foreign { header: &parts.header, payload, message: parts.message };
        let claims = trust.claims(&token, rules)?;
        // Ours is compared with a field of the request, and must be text.
        if rules.csrf && claims.all.get("csrf").is_some_and(|csrf| !csrf.is_string()) {
            return Err(TokenFault::Invalid.into());
        }
        Ok(SignedClaims::by(key, claims, Some(index)))
    }

    /// Whether an issuer may speak of this subject: a prefix belongs to those that have it, and to nobody else.
    fn may_say(&self, subject: &str, index: Option<usize>) -> bool {
        let by = index.map(|index| &*self.trusts[index].trust);
        self.kept_from(subject, by).is_none()
    }

    /// The issuer that alone may speak of this subject, where that is not `by`, nor one of the same prefix.
    pub fn kept_from(&self, subject: &str, by: Option<&Trust>) -> Option<&Trust> {
        let own = by.map(|by| &by.subject_prefix);
        let mut others = self.trusts.iter().map(|one| &*one.trust);
        others.find(|one| Some(&one.subject_prefix) != own && one.claims_subject(subject))
    }
}

/// The key of another issuer whose signature this is. By its name; a key without one serves where it is the only one
/// for the algorithm, and so does a token without (OIDC Core §10.1).
fn signer<'r>(parts: &Parts<'_>, ring: &'r KeyRing) -> Result<&'r Key, TokenFault> {
    let (id, algorithm) = possible(&parts.header)?;
    let fits = |key: &&Key| key.algorithm().name() == algorithm;
    let all: Vec<&Key> = ring.keys().iter().filter(fits).collect();
    let named: Vec<&Key> = all.iter().filter(|key| id == Some(key.id())).copied().collect();
    let found = match id {
        Some(_) if !named.is_empty() => named,
        Some(_) => all.into_iter().filter(|key| key.id().is_empty()).collect(),
        None => all,
    };
    let [key] = found.as_slice() else { return Err(TokenFault::Invalid) };
    match key.verifies(parts.message.as_bytes(), &parts.signature) {
        true => Ok(key),
        false => Err(TokenFault::Forged),
    }
}

/// Whether the token names a key that is not there, of an algorithm that would be taken.
fn is_news(parts: &Parts<'_>, trust: &Trust, keys: Option<&KeyRing>) -> bool {
    let Ok((id, algorithm)) = possible(&parts.header) else { return false };
    let unknown = |id: &str| keys.is_none_or(|ring| ring.find(id).is_none());
    id.is_none_or(unknown)
        && (id.is_some() || keys.is_none())
        && trust.algorithms.iter().any(|one| one.name() == algorithm)
}
