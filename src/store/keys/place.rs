//! Files of the key folder come whole or not at all, for the folder's owner only, also when root makes them; and one
//! process at a time changes the folder. Used by `edit` alone.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::KeysFault;

/// How long a change waits for another to finish.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// How a file is called before it is whole; the dot keeps it from being read as a key.
const UNFINISHED: &str = ".new-";

/// Makes the folder where there is none, and takes its lock; the system frees it however the process ends. What a
/// process that was killed left unfinished is removed.
pub(super) fn lock(dir: &Path) -> Result<File, KeysFault> {
    let fault = |error| KeysFault::Io { path: dir.to_owned(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(fault)?;
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join(".lock"))
        .map_err(fault)?;
    give_to_owner(dir, &file).map_err(fault)?;
    let give_up = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(fault(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= give_up => {
                return Err(KeysFault::Busy);
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY),
        }
    }
    for entry in fs::read_dir(dir).map_err(fault)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path()).map_err(fault)?;
        }
    }
    Ok(file)
}

/// Puts a new file in place. Never replaces one.
pub(super) fn put_new(dir: &Path, name: &str, text: &[u8]) -> Result<(), KeysFault> {
    let fault = |error| KeysFault::Io { path: dir.join(name), error };
    let file = unfinished(dir, text).map_err(fault)?;
    file.persist_noclobber(dir.join(name)).map_err(|error| fault(error.error))?;
    sync(dir)
}

/// Puts a file in the place of another in one step.
pub(super) fn replace(dir: &Path, name: &str, text: &[u8]) -> Result<(), KeysFault> {
    let fault = |error| KeysFault::Io { path: dir.join(name), error };
    let file = unfinished(dir, text).map_err(fault)?;
    file.persist(dir.join(name)).map_err(|error| fault(error.error))?;
    sync(dir)
}

/// Removes a file for good.
pub(super) fn remove(dir: &Path, name: &str) -> Result<(), KeysFault> {
    let fault = |error| KeysFault::Io { path: dir.join(name), error };
    fs::remove_file(dir.join(name)).map_err(fault)?;
    sync(dir)
}

/// A temporary file has mode 0600 from the start.
fn unfinished(dir: &Path, text: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(dir)?;
    file.write_all(text)?;
    give_to_owner(dir, file.as_file())?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// What root makes must still be read by the gateway's own user.
fn give_to_owner(dir: &Path, file: &File) -> io::Result<()> {
    let (owner, own) = (fs::metadata(dir)?, file.metadata()?);
    if owner.uid() != own.uid() {
        fchown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

fn sync(dir: &Path) -> Result<(), KeysFault> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|error| KeysFault::Io { path: dir.to_owned(), error })
}
