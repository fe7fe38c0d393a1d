//! In words what is wrong with a token of another issuer. As in `anatomy`, this explains the verdict and never replaces it.

use serde_json::{Map, Value, json};

use super::anatomy::{ids, moment};
use crate::token::keys::KeyRing;
use crate::token::trust::{ClaimPath, Trust, Trusted};
use crate::token::{UnixTime, claims};

/// Why no key of this issuer verifies a token with this header.
pub fn why_no_key(header: &Map<String, Value>, issuer: &Trusted) -> String {
    let name = &issuer.trust.issuer;
    let Some(keys) = &issuer.keys else {
        return format!(
            "the running gateway fetches the keys of {name}; to check it here, save them and add --jwk FILE"
        );
    };
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    let (id, algorithm) = (text("kid"), text("alg"));
    if !issuer.trust.algorithms.iter().any(|one| one.name() == algorithm) {
        return format!("`alg` is {algorithm:?}, which `algorithms` of {name} does not list");
    }
    let known = |ring: &KeyRing| ids(ring.keys().iter());
    match keys.find(id) {
        None => format!("{name} has no key {id:?} here; there are: {}", known(keys)),
        Some(_) => format!("no signature of a key of {name}; there are: {}", known(keys)),
    }
}

/// What is wrong with what it says, `leeway` seconds forgiven.
pub fn claim_faults(
    said: &Map<String, Value>,
    trust: &Trust,
    (now, leeway): (UnixTime, std::time::Duration),
) -> Vec<String> {
    let mut faults = Vec::new();
    let wanted: Vec<Value> = trust.audience.iter().map(|one| json!(one)).collect();
    let found = match said.get("aud") {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    if !found.iter().any(|one| wanted.contains(one)) {
        faults.push(format!("`aud` is {}, here it is one of {}", json!(found), json!(wanted)));
    }
    for name in ["typ", "type", "token_use"] {
        if let Some(value) = said.get(name).filter(|value| !is_access(value)) {
            faults.push(format!("`{name}` is {value}: it is no access token"));
        }
    }
    for name in ["at_hash", "c_hash", "events", "cnf"] {
        if said.contains_key(name) {
            faults.push(format!("it has `{name}`, which no access token for us has"));
        }
    }
    let who = at(&trust.subject, said).and_then(Value::as_str).unwrap_or_default();
    if who.is_empty() {
        faults.push(format!("`{}`, the subject, is no text", trust.subject));
    }
    if said.get("jti").is_some_and(|id| id.as_str().is_none_or(str::is_empty)) {
        faults.push("`jti` is no text".to_owned());
    }
    let checked = trust.freshness.as_ref().map(|checked| &checked.path);
    if let Some(path) = checked.filter(|path| at(path, said).is_some_and(is_no_time)) {
        faults.push(format!("`{path}`, when the password was checked, is no time in seconds"));
    }
    let ways = trust.claims.iter().map(|(_, path)| path).chain(checked);
    let broken = ways.filter(|path| path.find(said).is_err());
    faults.extend(broken.map(|path| format!("`{path}` leads through something that is no object")));
    let times = ["iat", "exp", "nbf"].map(|name| (name, said.get(name)));
    for (name, value) in times {
        match value.map(claims::numeric_date) {
            None if name == "nbf" => {}
            None => faults.push(format!("`{name}` is missing")),
            Some(None) => faults.push(format!("`{name}` is no time in seconds")),
            Some(Some(time)) if name == "exp" && time.plus(leeway) <= now => {
                faults.push(format!("it expired: `exp` is {}", moment(time, now)));
            }
            Some(Some(time)) if name != "exp" && time > now.plus(leeway) => {
                faults.push(format!("it is not good yet: `{name}` is {}", moment(time, now)));
            }
            Some(Some(_)) => {}
        }
    }
    faults
}

fn is_access(value: &Value) -> bool {
    let name = value.as_str().map(str::to_ascii_lowercase);
    name.is_some_and(|name| crate::token::trust::ACCESS_TYPES.contains(&name.as_str()))
}

fn is_no_time(value: &Value) -> bool {
    claims::numeric_date(value).is_none()
}

fn at<'v>(path: &ClaimPath, said: &'v Map<String, Value>) -> Option<&'v Value> {
    path.find(said).ok().flatten()
}
