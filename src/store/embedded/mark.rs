//! How many commits were acknowledged, in a file of its own beside the database: `state.mark`.
//!
//! Of a log that was cut SQLite takes what is left, without a word: then the state is that of an earlier moment, and what was
//! revoked since lives again. So each commit has a number in the database, and the number is written here when the commit
//! is on the disk and before anybody hears of it. A database that ends before the mark has lost something.
//!
//! The mark costs no flush: it is written after its commit was flushed, so it may be behind after a power cut, never ahead.
//! Called by `database` alone.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The step of the schema that numbers commits; taking it is the first.
pub(super) const STEP: &str = "ALTER TABLE clock ADD COLUMN commits INTEGER NOT NULL DEFAULT 1;";
/// The length of the file: digits and a line feed, so that it is always overwritten in place.
const BYTES: usize = 21;

/// The mark of a database that is open.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    /// Whether it was told that it cannot be written.
    told: bool,
}

/// Where the mark of the database at this path is.
pub(super) fn path_of(database: &Path) -> PathBuf {
    database.with_extension("mark")
}

/// The last commit that was acknowledged; `None` where there is no mark.
///
/// # Errors
/// It cannot be read, or holds no number.
pub(super) fn read(database: &Path) -> io::Result<Option<u64>> {
    let bytes = match std::fs::read(path_of(database)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let digits = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
    let number = digits.filter(|digits| digits.len() == BYTES - 1);
    let number = number.and_then(|digits| digits.parse().ok());
    number.map(Some).ok_or_else(|| io::Error::other("it holds no number of a commit"))
}

impl Mark {
    /// Opens the mark, or makes it (mode 0600), and writes this number.
    pub(super) fn open(database: &Path, commit: u64) -> io::Result<Mark> {
        let path = path_of(database);
        if !path.exists() {
            let dir = path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::Builder::new().prefix("state.mark.new-").tempfile_in(dir)?;
            file.write_all(&line(commit))?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|fault| fault.error)?;
            File::open(dir)?.sync_all()?;
        }
        let file = File::options().write(true).open(&path)?;
        file.write_all_at(&line(commit), 0)?;
        Ok(Mark { file, told: false })
    }

    /// Writes the number of a commit that is on the disk. When that fails the mark is behind, which loses no more than the
    /// sight of a cut.
    pub(super) fn set(&mut self, commit: u64) {
        match self.file.write_all_at(&line(commit), 0) {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!(event = "state_mark_failed", %error, "state.mark cannot be written");
            }
            Err(_) => {}
        }
    }
}

fn line(commit: u64) -> [u8; BYTES] {
    let mut line = [b'\n'; BYTES];
    line[..BYTES - 1].copy_from_slice(format!("{commit:020}").as_bytes());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mark_is_the_last_number_that_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("state.db");
        assert_eq!(read(&database).unwrap(), None);
        let mut mark = Mark::open(&database, 7).unwrap();
        assert_eq!(read(&database).unwrap(), Some(7));
        for number in [1000, 999, u64::MAX] {
            mark.set(number);
            assert_eq!(read(&database).unwrap(), Some(number));
        }
        drop(Mark::open(&database, 8).unwrap());
        assert_eq!(read(&database).unwrap(), Some(8));
    }

    #[test]
    fn mark_that_was_cut_is_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("state.db");
        let whole = line(1234);
        for length in 0..BYTES {
            std::fs::write(path_of(&database), &whole[..length]).unwrap();
            read(&database).unwrap_err();
        }
        std::fs::write(path_of(&database), [&whole[..], b"\n"].concat()).unwrap();
        read(&database).unwrap_err();
    }
}
