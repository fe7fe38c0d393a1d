//! The key folder, `<state dir>/keys/`: one file a key, and `ring.toml`, which says when each signs and ends.
//!
//! Used when the configuration names no key. A file that is put there by hand, PEM or JWK, is a published key; a file
//! that is gone is a key that is gone. A key that others can read is refused, never repaired in silence, because it may
//! have been read already. `edit` changes the folder, `records` is `ring.toml`. Called when a gateway or the command
//! line builds its key ring.

pub mod edit;
mod place;
mod records;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::open::without_waiting;
use crate::token::keys::{Key, KeyRing, KeySpec, Life, recognise};
use crate::token::{Secret, UnixTime};
use records::{Record, Records};

/// Characters of the thumbprint that name a key: 96 bits, so two keys never share a name.
const KEY_ID_CHARS: usize = 16;
/// Largest key file read, in bytes; an RSA key of 8192 bits in PEM has 6 400.
const KEY_FILE_MAX_BYTES: u64 = 64 * 1024;
/// The key of the first run. Without a record it signs.
const FIRST_FILE: &str = "signing.pem";
/// What ends the name of a key file; all other files of the folder are passed over.
const ENDINGS: [&str; 3] = ["pem", "jwk", "json"];

/// What is wrong with the key folder; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// A file or the folder cannot be read or made.
    #[error("the key folder: {}: {error}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody else may have read the key.
    #[error("the key {} can be read by others (mode {mode:03o}); if nobody has, run: chmod 600 '{}'", path.display(), path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else may put keys there, and so sign tokens.
    #[error("others can put keys into {} (mode {mode:03o}); look at what is in it, then run: chmod 700 '{}'", path.display(), path.display())]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no key that can be used.
    #[error("the key {}: {why}; mend it, or remove it and all its tokens end", path.display())]
    NotAKey {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// `ring.toml` cannot be understood.
    #[error("{}: {why}", path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another process has been changing the folder for long.
    #[error("another process has been changing the keys for 10 s; nothing was changed")]
    Busy,
    /// What was asked is not done, and why.
    #[error("{0}")]
    Refused(String),
}

/// Where the keys of a state directory are.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("keys")
}

/// The file whose folder is to be watched.
pub fn watched(state_dir: &Path) -> PathBuf {
    folder(state_dir).join(records::FILE)
}

/// Loads the ring of a state directory. Where no key can sign, one is made first: on the first run, and when the last
/// one was removed.
///
/// # Errors
/// [`KeysFault`]; nothing that exists is ever overwritten.
pub fn load_or_create(state_dir: &Path, now: UnixTime) -> Result<KeyRing, KeysFault> {
    let dir = folder(state_dir);
    let found = Folder::read(&dir)?;
    if found.ring.signer(now).is_some() {
        return Ok(found.ring);
    }
    edit::first(&dir, now)?;
    Ok(Folder::read(&dir)?.ring)
}

/// What the folder holds, in the order of age.
#[derive(Debug)]
pub struct Folder {
    /// The keys with their times.
    pub ring: KeyRing,
    /// Where each is, in the order of the ring.
    files: Vec<Place>,
    /// Names of files that `ring.toml` knows and that are gone.
    pub missing: Vec<String>,
}

/// Where a key is and since when.
#[derive(Clone, Debug)]
struct Place {
    file: String,
    created: UnixTime,
}

impl Folder {
    /// Reads the folder; without one there are no keys.
    ///
    /// # Errors
    /// [`KeysFault`] when any file of it is broken: half a ring would refuse good tokens.
    pub fn read(dir: &Path) -> Result<Folder, KeysFault> {
        let records = Records::read(dir)?;
        let mut found: Vec<(Key, Place)> = Vec::new();
        for name in key_files(dir)? {
            if let Some(one) = read_key(dir, &name, records.of(&name))? {
                found.push(one);
            }
        }
        found.sort_by(|(a, at), (b, bt)| (at.created, a.id()).cmp(&(bt.created, b.id())));
        refuse_twins(dir, &found)?;
        let gone = |record: &&Record| !found.iter().any(|(_, place)| place.file == record.file);
        let missing = records.all().iter().filter(gone).map(|one| one.file.clone()).collect();
        let (keys, files) = found.into_iter().unzip();
        Ok(Folder { ring: KeyRing::new(keys), files, missing })
    }

    /// The name of a key's file.
    pub fn file(&self, key: &Key) -> Option<&str> {
        let at = self.ring.keys().iter().position(|one| one.id() == key.id())?;
        Some(&self.files[at].file)
    }

    /// What `ring.toml` is to say of these keys.
    fn records(&self) -> Vec<Record> {
        let one = |(key, place): (&Key, &Place)| Record::of(key, &place.file, place.created);
        self.ring.keys().iter().zip(&self.files).map(one).collect()
    }
}

/// The names of the key files, sorted.
fn key_files(dir: &Path) -> Result<Vec<String>, KeysFault> {
    let fault = |error| KeysFault::Io { path: dir.to_owned(), error };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fault)?,
    };
    let mode = fs::metadata(dir).map_err(fault)?.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(KeysFault::Writable { path: dir.to_owned(), mode });
    }
    let mut names = Vec::new();
    for entry in entries {
        let Ok(name) = entry.map_err(fault)?.file_name().into_string() else { continue };
        let ending = Path::new(&name).extension().and_then(OsStr::to_str);
        if !name.starts_with('.') && ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// One key; `None` when its file has gone meanwhile.
fn read_key(
    dir: &Path,
    name: &str,
    record: Option<&Record>,
) -> Result<Option<(Key, Place)>, KeysFault> {
    let path = dir.join(name);
    let Some((text, changed)) = read_file(&path)? else { return Ok(None) };
    let not_a_key = |why: &str| KeysFault::NotAKey { path: path.clone(), why: why.to_owned() };
    let parse = |record: Option<&Record>| {
        let said = record.map(Record::algorithm);
        let known = recognise(&text, said).map_err(|fault| not_a_key(fault.0))?;
        let id = record.map(|record| record.id.clone()).or(known.id.filter(|id| !id.is_empty()));
        let id = id.unwrap_or_else(|| stem(name));
        let spec = KeySpec { id, algorithm: known.algorithm, material: known.material };
        Key::parse(&spec).map(|key| (key, spec)).map_err(|fault| not_a_key(fault.0))
    };
    // A record speaks of one key only: another one under the same name is new.
    let fits = |record: &&Record| {
        parse(Some(record)).is_ok_and(|(key, _)| key.thumbprint() == record.thumbprint)
    };
    if let Some(record) = record.filter(fits) {
        let place = Place { file: name.to_owned(), created: record.created() };
        let key = parse(Some(record))?.0.living(record.life());
        return Ok(Some((key, place)));
    }
    let (key, mut spec) = parse(None)?;
    let place = Place { file: name.to_owned(), created: changed };
    if name != FIRST_FILE {
        return Ok(Some((key, place)));
    }
    spec.id = name_of(&key).unwrap_or(spec.id);
    let key = Key::parse(&spec).map_err(|fault| not_a_key(fault.0))?;
    let life = Life { signs_from: Some(changed), retires_at: None };
    Ok(Some((key.living(life), place)))
}

/// The text of a key file and when it came to be what and where it is; `None` when it is gone.
fn read_file(path: &Path) -> Result<Option<(Secret, UnixTime)>, KeysFault> {
    let fault = |error| KeysFault::Io { path: path.to_owned(), error };
    let (file, about) = match without_waiting(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(fault)?,
    };
    if !about.is_file() {
        let why = "not a regular file".to_owned();
        return Err(KeysFault::NotAKey { path: path.to_owned(), why });
    }
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeysFault::Exposed { path: path.to_owned(), mode });
    }
    if about.len() > KEY_FILE_MAX_BYTES {
        let why = "larger than any key".to_owned();
        return Err(KeysFault::NotAKey { path: path.to_owned(), why });
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    file.take(KEY_FILE_MAX_BYTES).read_to_end(&mut bytes).map_err(fault)?;
    // The time of the content may be old: a key that was moved here is known to nobody before that.
    let changed = UnixTime(u64::try_from(about.ctime()).unwrap_or(0));
    Ok(Some((Secret::new(bytes), changed)))
}

/// Two names for one key would let it outlive its end; two keys of one name would hide each other.
fn refuse_twins(dir: &Path, found: &[(Key, Place)]) -> Result<(), KeysFault> {
    for (at, (key, place)) in found.iter().enumerate() {
        let twin = found[..at].iter().find(|(other, _)| {
            other.id() == key.id()
                || (key.thumbprint().is_some() && other.thumbprint() == key.thumbprint())
        });
        if let Some((other, first)) = twin {
            let what =
                if other.id() == key.id() { "has the same id as" } else { "is the same key as" };
            let why = format!("it {what} {}", first.file);
            return Err(KeysFault::NotAKey { path: dir.join(&place.file), why });
        }
    }
    Ok(())
}

/// The beginning of the thumbprint, so that the name follows from the key.
fn name_of(key: &Key) -> Option<String> {
    let mut name = key.thumbprint()?;
    name.truncate(KEY_ID_CHARS);
    Some(name)
}

fn stem(name: &str) -> String {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}
