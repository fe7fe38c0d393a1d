//! A token taken apart as far as it goes, and in words what is wrong with it. For people only: whether a token is good
//! is judged by `token::verify`, and what is said here explains that verdict and never replaces it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::foreign;
use crate::token::keys::{Key, KeyRing, KeyState};
use crate::token::trust::KeySet;
use crate::token::verify::{TOKEN_BYTES_MAX, TokenRules};
use crate::token::{Claims, RESERVED_CLAIMS, UnixTime, claims, json as strict};

/// What a token holds.
pub struct Anatomy<'r> {
    /// The first part.
    pub header: Option<Value>,
    /// The second.
    pub claims: Option<Value>,
    /// The key whose signature it is, and what it does here, or whose it is.
    pub key: Option<(&'r Key, String)>,
    /// Everything that is wrong, in the order in which a reader meets it.
    pub faults: Vec<String>,
}

/// Takes a token apart.
pub fn take_apart<'r>(
    token: &str,
    keys: &'r KeySet,
    rules: &TokenRules,
    now: UnixTime,
) -> Anatomy<'r> {
    let mut faults = Vec::new();
    if token.len() > TOKEN_BYTES_MAX {
        faults.push(format!("it has {} bytes; {TOKEN_BYTES_MAX} are read", token.len()));
    }
    let legal = |sign: &char| sign.is_ascii_alphanumeric() || "-_.=".contains(*sign);
    if let Some(sign) = token.chars().find(|sign| !legal(sign)) {
        faults.push(format!("it has {sign:?}, which is in no token"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    match parts.len() {
        3 => {}
        5 => faults
            .push("it has five parts: an encrypted token (JWE), which is not read here".into()),
        count => faults.push(format!("a token has three parts between dots, this has {count}")),
    }
    let mut part = |index: usize, name: &str| {
        let text = parts.get(index).filter(|text| parts.len() > 1 || text.starts_with("ey"))?;
        json_part(text, name, &mut faults)
    };
    let (header, claims) = (part(0, "header"), part(1, "claims"));
    if let Some(signature) = parts.get(2) {
        match signature.is_empty() {
            true => faults.push("the signature is empty".to_owned()),
            false => drop(bytes(signature, "signature", &mut faults)),
        }
    }
    let (issuer, ring) = (keys.named_by(token), keys.own());
    let key = keys.read_raw(token).ok().map(|(_, key)| key);
    if let (None, Some(Value::Object(header)), 3) = (key, &header, parts.len()) {
        let why = issuer.map(|issuer| foreign::why_no_key(header, issuer));
        faults.push(why.unwrap_or_else(|| why_no_key(header, ring)));
    }
    let own = key.filter(|_| issuer.is_none());
    if let Some(KeyState::Retired(end)) = own.map(|key| ring.state(key, now)) {
        faults.push(format!("the key that signed it has ended: {}", moment(end, now)));
    }
    if let Some(Value::Object(claims)) = &claims {
        faults.extend(match issuer {
            Some(issuer) => {
                let header = header.as_ref().and_then(Value::as_object);
                foreign::faults((header, claims), &issuer.trust, (now, rules.leeway))
            }
            None => claim_faults(claims, rules, now),
        });
        let by = issuer.map(|issuer| &*issuer.trust);
        let subject = match by {
            Some(trust) => foreign::subject(claims, trust),
            None => claims.get(&rules.identity_claim).and_then(Value::as_str).map(str::to_owned),
        };
        let owner = subject.as_ref().and_then(|subject| keys.kept_from(subject, by));
        if let (Some(owner), Some(subject)) = (owner, &subject) {
            faults.push(format!("only {} may say `{subject}`: `subject_prefix`", owner.issuer));
        }
    }
    let key = key.map(|key| {
        let state = match issuer {
            Some(issuer) => format!("of {}", issuer.trust.issuer),
            None => ring.state(key, now).to_string(),
        };
        (key, state)
    });
    Anatomy { header, claims, key, faults }
}

fn json_part(text: &str, name: &str, faults: &mut Vec<String>) -> Option<Value> {
    let bytes = bytes(text, name, faults)?;
    match strict::object(&bytes) {
        Ok(members) => Some(Value::Object(members)),
        Err(error) => {
            faults.push(format!("the {name}: {error}"));
            serde_json::from_slice(&bytes).ok()
        }
    }
}

/// The bytes, also where the spelling is one that no reader may accept.
fn bytes(text: &str, name: &str, faults: &mut Vec<String>) -> Option<Vec<u8>> {
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) {
        return Some(bytes);
    }
    faults.push(format!("the {name} is not base64url without padding (RFC 7515 §2)"));
    let other = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    STANDARD_NO_PAD.decode(other).ok()
}

/// What a header has that nothing here understands.
pub fn not_understood(header: &Map<String, Value>) -> Option<String> {
    let name = ["crit", "zip", "enc", "b64"].into_iter().find(|name| header.contains_key(*name))?;
    Some(format!("the header has `{name}`, which nothing here understands"))
}

/// Why no key of the ring verifies a token with this header.
fn why_no_key(header: &Map<String, Value>, ring: &KeyRing) -> String {
    if let Some(why) = not_understood(header) {
        return why;
    }
    let Some(Value::String(algorithm)) = header.get("alg") else {
        return "the header does not say its `alg` as text".to_owned();
    };
    let of_algorithm = ring.keys().iter().filter(|key| key.algorithm().name() == algorithm);
    match header.get("kid") {
        Some(Value::String(id)) => match ring.find(id) {
            None => format!("no key has the id {id:?}; there are: {}", ids(ring.keys().iter())),
            Some(key) if key.algorithm().name() != algorithm => format!(
                "the key `{id}` is for {}, and the token says {algorithm:?}",
                key.algorithm().name()
            ),
            Some(_) => format!("the signature is not that of the key `{id}` over this token"),
        },
        Some(_) => "`kid` is not text".to_owned(),
        None if of_algorithm.clone().next().is_none() => {
            format!("no key is for {algorithm:?}; there are: {}", ids(ring.keys().iter()))
        }
        None => format!("the signature is not that of any of: {}", ids(of_algorithm)),
    }
}

pub fn ids<'k>(keys: impl Iterator<Item = &'k Key>) -> String {
    let all: Vec<String> =
        keys.map(|key| format!("`{}` ({})", key.id(), key.algorithm().name())).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// What is wrong with what it says.
fn claim_faults(said: &Map<String, Value>, rules: &TokenRules, now: UnixTime) -> Vec<String> {
    let mut faults: Vec<String> = RESERVED_CLAIMS
        .into_iter()
        .filter(|name| !stands_alone(name, said.get(*name)))
        .map(|name| match said.get(name) {
            None => format!("`{name}` is missing"),
            Some(value)
                if value.as_f64().is_some_and(|number| number > LOOKS_LIKE_MILLISECONDS) =>
            {
                format!("`{name}` is no time in seconds (in milliseconds?)")
            }
            Some(_) => format!("`{name}` is not what this claim can be"),
        })
        .collect();
    let ours = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
    let Ok(claims) = Claims::identified_by(&rules.identity_claim, said.clone()) else {
        return faults;
    };
    if rules.issuer.is_some() && claims.issuer != rules.issuer {
        faults.push(format!(
            "`iss` is {}, here it is {}",
            ours(&claims.issuer),
            ours(&rules.issuer)
        ));
    }
    if let Some(audience) = rules.audience.as_ref().filter(|one| !claims.audience.contains(one)) {
        faults.push(format!("`aud` is {}, here it is {audience:?}", json!(claims.audience)));
    }
    if claims.expires_at.plus(rules.leeway) <= now {
        faults.push(format!("it expired: `exp` is {}", moment(claims.expires_at, now)));
    }
    let starts = [
        ("iat", Some(claims.issued_at)),
        ("nbf", claims.not_before),
        ("auth_time", claims.auth_time),
    ];
    for (name, start) in starts {
        if let Some(start) = start.filter(|start| *start > now.plus(rules.leeway)) {
            faults.push(format!("it is not good yet: `{name}` is {}", moment(start, now)));
        }
    }
    faults
}

/// A number so large is no time before the year 10000, but one of our century in milliseconds.
const LOOKS_LIKE_MILLISECONDS: f64 = 253_402_300_800.0;

/// Whether the claim is good by the real rules: in a token where every other one is.
fn stands_alone(name: &str, value: Option<&Value>) -> bool {
    let good = json!({"sub": "a", "jti": "a", "type": "access", "iat": 1, "exp": 2});
    let Value::Object(mut all) = good else { return true };
    match value {
        Some(value) => all.insert(name.to_owned(), value.clone()),
        None => all.remove(name),
    };
    Claims::from_json(all).is_ok()
}

/// The claims that are times, with the moments they name.
pub fn times(claims: &Value) -> Vec<(&'static str, UnixTime)> {
    let names = ["iat", "nbf", "exp", "auth_time", "fresh"];
    let time = |name| Some((name, claims::numeric_date(claims.get(name)?)?));
    names.into_iter().filter_map(time).collect()
}

/// `2026-11-23T16:04:25Z, 5m ago`.
pub fn moment(time: UnixTime, now: UnixTime) -> String {
    format!("{time}, {}", distance(time, now))
}

/// `5m ago`, `in 5m`, `now`.
pub fn distance(time: UnixTime, now: UnixTime) -> String {
    use std::cmp::Ordering;
    let span = |span| humantime::format_duration(span);
    match time.cmp(&now) {
        Ordering::Less => format!("{} ago", span(now.since(time))),
        Ordering::Equal => "now".to_owned(),
        Ordering::Greater => format!("in {}", span(time.since(now))),
    }
}
