//! In words what is wrong with a token of another issuer. As in `anatomy`, this explains the verdict and never replaces it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::anatomy::{ids, moment, not_understood};
use crate::token::keys::KeyRing;
use crate::token::trust::{ClaimPath, Trust, Trusted};
use crate::token::{UnixTime, claims};

/// Why no key of this issuer verifies a token with this header.
pub fn why_no_key(header: &Map<String, Value>, issuer: &Trusted) -> String {
    if let Some(why) = not_understood(header) {
        return why;
    }
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
pub fn faults(
    (header, said): (Option<&Map<String, Value>>, &Map<String, Value>),
    trust: &Trust,
    (now, leeway): (UnixTime, Duration),
) -> Vec<String> {
    let mut faults = audience_faults(said.get("aud"), trust);
    if let Some(typ) = header.and_then(|header| header.get("typ")).filter(|typ| !is_access(typ)) {
        faults.push(format!("`typ` of the header is {typ}: it is no access token"));
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
    if subject(said, trust).is_none() {
        faults.push(format!("`{}`, the subject, is no text", trust.subject));
    }
    if said.get("jti").is_some_and(|id| id.as_str().is_none_or(str::is_empty)) {
        faults.push("`jti` is no text".to_owned());
    }
    let checked = trust.freshness.as_ref().map(|checked| &checked.path);
    let paths = trust.claims.iter().map(|(_, path)| path).chain(checked);
    for path in paths.filter(|path| path.find(said).is_err()) {
        faults.push(format!("`{path}` leads through what is no object"));
    }
    faults.extend(time_faults(said, checked, (now, leeway)));
    faults
}

/// Who it is, in our words.
pub fn subject(said: &Map<String, Value>, trust: &Trust) -> Option<String> {
    let name = at(&trust.subject, said)?.as_str().filter(|name| !name.is_empty())?;
    Some(format!("{}{name}", trust.subject_prefix))
}

fn audience_faults(aud: Option<&Value>, trust: &Trust) -> Vec<String> {
    let wanted: Vec<Value> = trust.audience.iter().map(|one| json!(one)).collect();
    let found = match aud {
        Some(Value::Array(all)) => all.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let mut faults = Vec::new();
    if !found.iter().all(Value::is_string) {
        faults.push("`aud` is neither a text nor a list of texts".to_owned());
    }
    if !found.iter().any(|one| wanted.contains(one)) {
        faults.push(format!("`aud` is {}, here it is one of {}", json!(found), json!(wanted)));
    }
    faults
}

fn time_faults(
    said: &Map<String, Value>,
    checked: Option<&ClaimPath>,
    (now, leeway): (UnixTime, Duration),
) -> Vec<String> {
    let mut faults = Vec::new();
    let times = ["iat", "exp", "nbf"].map(|name| (name.to_owned(), said.get(name)));
    let checked = checked.map(|path| (path.to_string(), at(path, said)));
    for (name, value) in times.into_iter().chain(checked) {
        match value.map(claims::numeric_date) {
            None if name == "iat" || name == "exp" => faults.push(format!("`{name}` is missing")),
            None => {}
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

fn at<'v>(path: &ClaimPath, said: &'v Map<String, Value>) -> Option<&'v Value> {
    path.find(said).ok().flatten()
}
