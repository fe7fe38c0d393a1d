//! Changing `users.toml` on behalf of the command line and of the first run.
//!
//! Comments and order survive. The new text is read back before it is written, so a bad file is never
//! written; it takes the old one's place in one step; and a lock beside it makes two edits follow one
//! another. The gateway itself never edits: it only makes the file on its first run.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, value};
use zeroize::Zeroizing;

use super::users::{User, Users, UsersFault, check_name};
use crate::store::password::Hash;
use crate::token::Secret;

/// How long an edit waits for another to finish.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// The user that the first run makes.
const FIRST_USER: &str = "admin";
/// 32 signs that nobody confuses when reading them aloud: 5 bits each.
const READABLE: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Signs of a password that we make: 140 random bits.
const PASSWORD_SIGNS: usize = 28;

/// Makes the file with one user `admin` and a random password, if there is no file. `None` when there is
/// one, whatever is in it. The password is in the answer only: the file holds its hash.
///
/// # Errors
/// The file cannot be made.
pub fn first_run(path: &Path) -> Result<Option<(String, Secret)>, UsersFault> {
    let fault = |message: String| UsersFault::whole(path, message);
    if path.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let password = random_password().ok_or_else(|| fault("no random bytes".into()))?;
    let hash = Hash::of(&password).map_err(|error| fault(error.to_string()))?;
    let text = format!(
        "# Who may log in. Change it with `freshgate user`, or here: it is reread when it changes.\n\
         # Every key but `password` and `disabled` becomes a claim of the user's tokens.\n\n\
         [users.{FIRST_USER}]\npassword = \"{hash}\"\nroles = [\"admin\"]\n"
    );
    let publish = || -> io::Result<bool> {
        let dir = directory(path);
        fs::create_dir_all(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => File::open(dir)?.sync_all().map(|()| true),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.error),
        }
    };
    match publish() {
        Ok(true) => Ok(Some((FIRST_USER.to_owned(), password))),
        Ok(false) => Ok(None),
        Err(error) => Err(fault(format!("the file cannot be made: {error}"))),
    }
}

/// Adds a user, making the file when there is none.
///
/// # Errors
/// A user of this name is there, a name or claim is not allowed, or the file is bad or cannot be written.
pub fn add(
    path: &Path,
    name: &str,
    hash: &Hash,
    claims: &Map<String, Value>,
) -> Result<(), UsersFault> {
    edit(path, true, |users| {
        check_name(name)?;
        if users.contains_key(name) {
            return Err(format!("there is a user {name:?} already"));
        }
        users.insert(name, Item::Table(user_table(&hash.to_string(), false, claims)?));
        Ok(())
    })
}

/// Removes a user.
///
/// # Errors
/// There is no such user, or the file is bad or cannot be written.
pub fn remove(path: &Path, name: &str) -> Result<(), UsersFault> {
    edit(path, false, |users| match users.remove(name) {
        Some(_) => Ok(()),
        None => Err(no_such_user(name)),
    })
}

/// Gives a user another password.
///
/// # Errors
/// There is no such user, or the file is bad or cannot be written.
pub fn set_password(path: &Path, name: &str, hash: &Hash) -> Result<(), UsersFault> {
    edit(path, false, |users| {
        let user = users.get_mut(name).and_then(Item::as_table_like_mut);
        let password = user.and_then(|user| user.get_mut("password"));
        let password = password.and_then(Item::as_value_mut).ok_or_else(|| no_such_user(name))?;
        // What stands around the value, a comment perhaps, stays.
        let decor = password.decor().clone();
        *password = hash.to_string().into();
        *password.decor_mut() = decor;
        Ok(())
    })
}

/// Lets a user no longer log in, or again.
///
/// # Errors
/// There is no such user, or the file is bad or cannot be written.
pub fn set_disabled(path: &Path, name: &str, disabled: bool) -> Result<(), UsersFault> {
    edit(path, false, |users| {
        let user = users.get_mut(name).and_then(Item::as_table_like_mut);
        let user = user.ok_or_else(|| no_such_user(name))?;
        match disabled {
            true => user.insert("disabled", value(true)),
            false => user.remove("disabled"),
        };
        Ok(())
    })
}

/// Every user, sorted by name.
///
/// # Errors
/// The file is bad or cannot be read.
pub fn list(path: &Path) -> Result<Vec<(String, User)>, UsersFault> {
    let text = super::read(path)?;
    let users = Users::parse(path, &text)?;
    let mut all: Vec<_> = users.iter().map(|(name, user)| (name.into(), user.clone())).collect();
    all.sort_by(|(one, _): &(String, User), (other, _)| one.cmp(other));
    Ok(all)
}

/// What stands under `[users.NAME]`.
pub(super) fn user_table(
    hash: &str,
    disabled: bool,
    claims: &Map<String, Value>,
) -> Result<Table, String> {
    let mut table = Table::new();
    table.insert("password", value(hash));
    if disabled {
        table.insert("disabled", value(true));
    }
    for (claim, content) in claims {
        if ["password", "disabled"].contains(&claim.as_str()) {
            return Err(format!("{claim:?} is not a claim"));
        }
        table.insert(claim, value(toml(content)?));
    }
    Ok(table)
}

fn no_such_user(name: &str) -> String {
    format!("there is no user {name:?}")
}

/// Reads, changes, checks and writes the file, while no other edit does.
pub(super) fn edit(
    path: &Path,
    may_make: bool,
    change: impl FnOnce(&mut dyn TableLike) -> Result<(), String>,
) -> Result<(), UsersFault> {
    // A link stays a link: the file behind it is what changes.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let fault = |message: String| UsersFault::whole(path, message);
    match may_make {
        true => make_directory(path)
            .map_err(|error| fault(format!("its directory cannot be made: {error}")))?,
        // Where there is no file there may be no directory for the lock: say what is missing.
        false => drop(super::read(path)?),
    }
    let _lock = lock(path)?;
    let old = match path.try_exists() {
        Ok(false) if may_make => "[users]\n".to_owned(),
        _ => super::read(path)?,
    };
    Users::parse(path, &old)?;
    let mut document: DocumentMut =
        old.parse().map_err(|error: toml_edit::TomlError| fault(error.to_string()))?;
    let users = document.entry("users").or_insert_with(|| Item::Table(implicit_table()));
    if let Some(table) = users.as_table_mut() {
        table.set_implicit(true);
    }
    let users = users.as_table_like_mut().ok_or_else(|| fault("`users` must be a table".into()))?;
    change(users).map_err(fault)?;
    if users.is_empty() {
        // An implicit table without users would vanish, and an empty file is an error.
        if let Some(table) = document["users"].as_table_mut() {
            table.set_implicit(false);
        }
    }
    let new = document.to_string();
    Users::parse(path, &new)?;
    if new.len() as u64 > super::USERS_FILE_MAX_BYTES {
        return Err(fault("the file would be larger than 16 MiB".into()));
    }
    replace(path, &new).map_err(|error| fault(format!("the file cannot be written: {error}")))
}

fn implicit_table() -> Table {
    let mut table = Table::new();
    table.set_implicit(true);
    table
}

/// Makes the directory, for its owner only, as the gateway does with its state directory.
fn make_directory(path: &Path) -> io::Result<()> {
    let dir = directory(path);
    match dir.exists() {
        true => Ok(()),
        false => fs::DirBuilder::new().recursive(true).mode(0o700).create(dir),
    }
}

/// Takes the lock beside the file; the file itself is replaced, so a lock on it would not last.
fn lock(path: &Path) -> Result<File, UsersFault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside: PathBuf = directory(path).join(format!(".{name}.lock"));
    let fault = |error| UsersFault::whole(&beside, format!("cannot be locked: {error}"));
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&beside)
        .map_err(fault)?;
    let give_up = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(fault(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                let message = "another `freshgate user` has been changing the users for 10 s";
                return Err(UsersFault::whole(path, message));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
        }
    }
}

/// Writes beside and renames, keeping mode and owner: the gateway must still be able to read the file
/// when an administrator has changed it as root.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let dir = directory(path);
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(text.as_bytes())?;
    if let Ok(old) = fs::metadata(path) {
        let new = file.as_file().metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(file.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        let mode = fs::Permissions::from_mode(old.permissions().mode() & 0o777);
        file.as_file().set_permissions(mode)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn random_password() -> Option<Secret> {
    const GROUP_SIGNS: usize = 7;
    let mut random = Zeroizing::new([0; PASSWORD_SIGNS]);
    rand::fill(random.as_mut_slice()).ok()?;
    let mut signs = Vec::with_capacity(PASSWORD_SIGNS + PASSWORD_SIGNS / GROUP_SIGNS);
    for (index, byte) in random.iter().enumerate() {
        if index > 0 && index % GROUP_SIGNS == 0 {
            signs.push(b'-');
        }
        signs.push(READABLE[usize::from(byte % 32)]);
    }
    Some(Secret::new(signs))
}

/// A claim's value as TOML.
fn toml(json: &Value) -> Result<toml_edit::Value, String> {
    Ok(match json {
        Value::Null => return Err("TOML has no null: leave the claim out".into()),
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(real)) if !number.is_u64() => real.into(),
            _ => return Err(format!("the number {number} does not fit TOML")),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(all) => {
            toml_edit::Value::Array(all.iter().map(toml).collect::<Result<Array, _>>()?)
        }
        Value::Object(all) => {
            let members = all.iter().map(|(key, one)| Ok::<_, String>((key, toml(one)?)));
            toml_edit::Value::InlineTable(members.collect::<Result<InlineTable, _>>()?)
        }
    })
}
