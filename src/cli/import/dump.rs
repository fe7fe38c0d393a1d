//! JSON as Django's `dumpdata` and WP-CLI write it.
//!
//! Such files are often one line: a user's place is its number in the list, counted from 1.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Found, table};
use crate::store::file::Mistake;
use crate::store::file::import::Candidate;

/// `manage.py dumpdata auth.user auth.group`, or of a user model of one's own that is called `user`.
///
/// # Errors
/// It is not a list of objects.
pub(super) fn django(text: &str) -> Result<Found, String> {
    let all = objects(text)?;
    let model =
        |one: &Map<String, Value>| one.get("model").and_then(Value::as_str).map(str::to_lowercase);
    let is = |one: &Map<String, Value>, name: &str| {
        model(one).is_some_and(|model| model.rsplit('.').next() == Some(name))
    };
    let fields = |one: &Map<String, Value>| one.get("fields").and_then(Value::as_object).cloned();
    let groups: HashMap<u64, String> = all
        .iter()
        .filter(|one| is(one, "group"))
        .filter_map(|one| Some((one.get("pk")?.as_u64()?, text_of(&fields(one)?, "name")?)))
        .collect();
    let mut found = Found::default();
    for (index, one) in all.iter().enumerate().filter(|(_, one)| is(one, "user")) {
        let line = index + 1;
        match fields(one).ok_or("it has no `fields`".to_owned()).and_then(|fields| {
            user(&fields, &groups).map(|(name, hash, claims)| Candidate {
                line,
                name,
                hash,
                claims,
                disabled: fields.get("is_active").and_then(Value::as_bool) == Some(false),
            })
        }) {
            Ok(candidate) => found.candidates.push(candidate),
            Err(message) => found.bad.push(Mistake { line: Some(line), message }),
        }
    }
    Ok(found)
}

type User = (String, String, Map<String, Value>);

/// The name, the hash and the claims: `roles` are the names of the groups.
fn user(fields: &Map<String, Value>, groups: &HashMap<u64, String>) -> Result<User, String> {
    let must = |field: &str| {
        text_of(fields, field).ok_or_else(|| format!("the user has no text in `{field}`"))
    };
    let (name, hash) = (must("username")?, must("password")?);
    let mut roles = Vec::new();
    for group in fields.get("groups").and_then(Value::as_array).into_iter().flatten() {
        let known = match group {
            // `--natural-foreign` writes the name itself, in a list.
            Value::Array(key) => key.first().and_then(Value::as_str).map(str::to_owned),
            key => key.as_u64().and_then(|key| groups.get(&key).cloned()),
        };
        roles.push(Value::from(known.ok_or_else(|| {
            format!("the group {group} of the user has no name here: dump `auth.user auth.group`")
        })?));
    }
    let mut claims = Map::new();
    if !roles.is_empty() {
        claims.insert("roles".to_owned(), Value::from(roles));
    }
    for flag in ["is_staff", "is_superuser"] {
        if fields.get(flag).and_then(Value::as_bool) == Some(true) {
            claims.insert(flag.to_owned(), Value::from(true));
        }
    }
    Ok((name, hash, claims))
}

/// `wp user list --format=json`.
///
/// # Errors
/// It is not a list of objects.
pub(super) fn wordpress(text: &str) -> Result<Found, String> {
    let mut found = Found::default();
    for (index, one) in objects(text)?.iter().enumerate() {
        let line = index + 1;
        let (name, hash) = (text_of(one, "user_login"), text_of(one, "user_pass"));
        let (Some(name), Some(hash)) = (name, hash) else {
            let message = "there is no `user_login` or no `user_pass`: name both in --fields";
            found.bad.push(Mistake { line: Some(line), message: message.to_owned() });
            continue;
        };
        let mut claims = Map::new();
        if let Some(roles) = text_of(one, "roles").filter(|roles| !roles.is_empty()) {
            claims.insert("roles".to_owned(), table::list(&roles));
        }
        found.candidates.push(Candidate { line, name, hash, claims, disabled: false });
    }
    Ok(found)
}

fn objects(text: &str) -> Result<Vec<Map<String, Value>>, String> {
    serde_json::from_str(text)
        .map_err(|error| format!("this is not a JSON list of objects: {error}"))
}

fn text_of(object: &Map<String, Value>, field: &str) -> Option<String> {
    object.get(field).and_then(Value::as_str).map(str::to_owned)
}
