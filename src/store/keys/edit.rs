//! Changing the key folder: a rotation is publish, sign, retire, and no token dies of it.
//!
//! Each change holds the folder's lock and ends with `ring.toml` replaced in one step. A new key's file is there before
//! its record, and a retired one's is gone before, so that a process killed in between leaves a published key or none:
//! never one that lives again. Called by `freshgate key`, and for the first key of all by who loads the ring.

use std::path::Path;
use std::time::Duration;

use super::records::{self, Record};
use super::{FIRST_FILE, Folder, KeysFault, folder, name_of, place};
use crate::token::keys::{Algorithm, Key, KeyMaterial, KeySpec, KeyState, Life, generate as make};
use crate::token::{UnixTime, jwks};

/// How long a running gateway may take to notice a change of the folder; it looks every 15 seconds.
pub const NOTICED_WITHIN: Duration = Duration::from_secs(60);

/// How long a key is published before it signs: whoever keeps the JWK set for as long as it may has asked again.
pub const PUBLISHED_FOR: Duration =
    Duration::from_secs(jwks::MAX_AGE.as_secs() + NOTICED_WITHIN.as_secs());

/// Longest id given on the command line, in bytes.
const ID_BYTES_MAX: usize = 64;

/// A key that was made, and where.
#[derive(Debug)]
pub struct Made {
    /// `kid`.
    pub id: String,
    /// The name of its file.
    pub file: String,
}

/// What a rotation decided.
#[derive(Debug)]
pub struct Rotated {
    /// The key that signs next.
    pub id: String,
    /// Whether it was made for this.
    pub made: bool,
    /// From when it signs.
    pub signs_from: UnixTime,
    /// The keys that signed before, and until when they verify.
    pub before: Vec<(String, UnixTime)>,
}

/// What is asked of a rotation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// The algorithm, where a key must be made; `None`: as that of the key that signs.
    pub algorithm: Option<Algorithm>,
    /// Sign at once, although verifiers may not know the key yet.
    pub at_once: bool,
    /// The longest life of a token that the old key signed.
    pub overlap: Duration,
}

/// Publishes a new key: it verifies and is in the JWK set, and signs when a rotation says so.
///
/// # Errors
/// The id is taken or cannot be a file's name; or the folder is broken. Nothing was changed.
pub fn generate(
    state_dir: &Path,
    algorithm: Algorithm,
    id: Option<&str>,
    now: UnixTime,
) -> Result<Made, KeysFault> {
    let dir = folder(state_dir);
    let _lock = place::lock(&dir)?;
    let found = Folder::read(&dir)?;
    if let Some(id) = id.filter(|id| !names_a_file(id)) {
        return Err(KeysFault::Refused(format!(
            "`{id}` cannot be the id of a key: 1 to {ID_BYTES_MAX} of A-Z a-z 0-9 . _ -, the first a letter or a digit"
        )));
    }
    if let Some(known) = id.and_then(|id| found.ring.find(id)) {
        let file = found.file(known).unwrap_or_default();
        return Err(KeysFault::Refused(format!("there is a key `{}` already: {file}", known.id())));
    }
    let (made, key) = add(&dir, algorithm, id)?;
    let mut all = found.records();
    all.push(Record::of(&key, &made.file, now));
    save(&dir, all)?;
    Ok(made)
}

/// Makes the newest published key the one that signs, or a new one where there is none, as soon as every verifier can
/// know it. The key that signs today verifies on until its last token has expired.
///
/// # Errors
/// A rotation is under way; or the folder is broken. Nothing was changed.
pub fn rotate(state_dir: &Path, asked: Rotation, now: UnixTime) -> Result<Rotated, KeysFault> {
    let dir = folder(state_dir);
    let _lock = place::lock(&dir)?;
    let found = Folder::read(&dir)?;
    let signer = found.ring.signer(now);
    // Where nobody signs, nobody has to be waited for.
    let at_once = asked.at_once || signer.is_none();
    let mut all = found.records();
    let (next, made) = match coming(&found, now) {
        Some((key, from)) if !at_once => {
            return Err(KeysFault::Refused(format!(
                "a rotation is under way: `{}` signs from {from} (`--now` lets it sign at once); nothing was changed",
                key.id()
            )));
        }
        Some((key, _)) => (key.id().to_owned(), false),
        None => match newest_published(&found, now) {
            Some(key) => (key.id().to_owned(), false),
            None => {
                let as_before = signer.map_or(Algorithm::Es256, Key::algorithm);
                let (made, key) = add(&dir, asked.algorithm.unwrap_or(as_before), None)?;
                all.push(Record::of(&key, &made.file, now));
                (made.id, true)
            }
        },
    };
    let mut signs_from = now;
    for record in all.iter_mut().filter(|record| record.id == next) {
        if !at_once {
            signs_from = now.max(record.created().plus(PUBLISHED_FOR));
        }
        record.live(Life { signs_from: Some(signs_from), retires_at: None });
    }
    // The old key signs until a gateway has noticed.
    let end = signs_from.plus(asked.overlap).plus(NOTICED_WITHIN);
    let mut before = Vec::new();
    for record in all.iter_mut().filter(|record| record.id != next) {
        let life = record.life();
        let signed = life.signs_from.is_some_and(|from| from <= now);
        let signs = signer.is_some_and(|signer| signer.id() == record.id);
        if signs || (signed && life.retires_at.is_none()) {
            let signs_from = Some(life.signs_from.unwrap_or_else(|| record.created()));
            record.live(Life { signs_from, retires_at: Some(end) });
            before.push((record.id.clone(), end));
        }
    }
    save(&dir, all)?;
    Ok(Rotated { id: next, made, signs_from, before })
}

/// Removes a key. Before its tokens have expired only `at_once` does, and never the one that signs.
///
/// # Errors
/// There is no such key, it is still needed, or the folder is broken. Nothing was changed.
pub fn retire(
    state_dir: &Path,
    id: &str,
    at_once: bool,
    now: UnixTime,
) -> Result<String, KeysFault> {
    let dir = folder(state_dir);
    let _lock = place::lock(&dir)?;
    let found = Folder::read(&dir)?;
    let Some(key) = found.ring.find(id) else {
        let known: Vec<&str> = found.ring.keys().iter().map(Key::id).collect();
        return Err(KeysFault::Refused(format!("no key `{id}`; there are: {}", known.join(", "))));
    };
    let state = found.ring.state(key, now);
    let needed = match state {
        KeyState::Signs => {
            return Err(KeysFault::Refused(format!(
                "`{id}` signs: `freshgate key rotate` first, with `--now` if others may know the key"
            )));
        }
        KeyState::Published | KeyState::Retired(_) => None,
        KeyState::SignsFrom(from) => Some(format!("it signs from {from}")),
        KeyState::Verifies => Some("nothing says how long its tokens live".to_owned()),
        KeyState::VerifiesUntil(end) => Some(format!("tokens that it signed may live until {end}")),
    };
    if let Some(why) = needed.filter(|_| !at_once) {
        return Err(KeysFault::Refused(format!(
            "`{id}` is still needed: {why}; `--now` retires it all the same, and its tokens with it"
        )));
    }
    let file = found.file(key).unwrap_or_default().to_owned();
    place::remove(&dir, &file)?;
    let mut all = found.records();
    all.retain(|record| record.id != id);
    if matches!(state, KeyState::SignsFrom(_)) {
        // The rotation is taken back: who signs has no end.
        let signer = found.ring.signer(now).map(Key::id);
        for record in all.iter_mut().filter(|record| Some(record.id.as_str()) == signer) {
            let signs_from = record.life().signs_from;
            record.live(Life { signs_from, retires_at: None });
        }
    }
    save(&dir, all)?;
    Ok(file)
}

/// Makes the key that signs where none can: on the first run, and when the last one was removed. Of processes that
/// start together one makes it.
pub(super) fn first(dir: &Path, now: UnixTime) -> Result<(), KeysFault> {
    let _lock = place::lock(dir)?;
    let found = Folder::read(dir)?;
    if found.ring.signer(now).is_some() {
        return Ok(());
    }
    if !dir.join(FIRST_FILE).exists() {
        let material = made(Algorithm::Es256)?;
        return place::put_new(dir, FIRST_FILE, text_of(&material));
    }
    let (made, key) = add(dir, Algorithm::Es256, None)?;
    let mut all = found.records();
    let key = key.living(Life { signs_from: Some(now), retires_at: None });
    all.push(Record::of(&key, &made.file, now));
    save(dir, all)
}

/// The key that is to sign, and from when.
fn coming(found: &Folder, now: UnixTime) -> Option<(&Key, UnixTime)> {
    found.ring.keys().iter().find_map(|key| match found.ring.state(key, now) {
        KeyState::SignsFrom(from) => Some((key, from)),
        _ => None,
    })
}

fn newest_published(found: &Folder, now: UnixTime) -> Option<&Key> {
    let published = |key: &&Key| found.ring.state(key, now) == KeyState::Published;
    found.ring.keys().iter().rev().find(published)
}

/// Makes a key and its file, without a record yet.
fn add(dir: &Path, algorithm: Algorithm, id: Option<&str>) -> Result<(Made, Key), KeysFault> {
    let material = match made(algorithm)? {
        KeyMaterial::Secret(text) => {
            let k = String::from_utf8_lossy(text.expose());
            let jwk = serde_json::json!({"kty": "oct", "alg": algorithm.name(), "k": k});
            KeyMaterial::Secret(crate::token::Secret::new(format!("{jwk}\n")))
        }
        other => other,
    };
    let parse = |id: String, material: KeyMaterial| {
        Key::parse(&KeySpec { id, algorithm, material })
            .map_err(|fault| KeysFault::Refused(fault.0.to_owned()))
    };
    let unnamed = parse(String::new(), material.clone())?;
    let id = id.map(str::to_owned).or_else(|| name_of(&unnamed)).unwrap_or_else(|| {
        let random = uuid::Uuid::new_v4().simple().to_string();
        random[..super::KEY_ID_CHARS].to_owned()
    });
    let ending = if algorithm.is_symmetric() { "jwk" } else { "pem" };
    let file = format!("{id}.{ending}");
    let key = parse(id.clone(), material.clone())?;
    place::put_new(dir, &file, text_of(&material))?;
    Ok((Made { id, file }, key))
}

fn made(algorithm: Algorithm) -> Result<KeyMaterial, KeysFault> {
    make(algorithm).map_err(|fault| KeysFault::Refused(fault.0.to_owned()))
}

fn text_of(material: &KeyMaterial) -> &[u8] {
    let (KeyMaterial::Secret(text) | KeyMaterial::Private(text) | KeyMaterial::Public(text)) =
        material;
    text.expose()
}

fn save(dir: &Path, all: Vec<Record>) -> Result<(), KeysFault> {
    place::replace(dir, records::FILE, records::write(all)?.as_bytes())
}

fn names_a_file(id: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    id.len() <= ID_BYTES_MAX
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(legal)
}
