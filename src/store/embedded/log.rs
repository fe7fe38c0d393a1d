//! Looks at the write-ahead log (`state.db-wal`), and at the length of the database, before SQLite does.
//!
//! SQLite takes from a log what is whole from its beginning, and passes the rest over without a word. That is right for
//! the end, which was being written when the process was killed, and wrong for damage before it: behind that lie
//! revocations that were acknowledged. And of a last page that was cut it takes what is missing for zeros, which may be the end of
//! a revocation. Only reads, never repairs. Called by `database` before it opens the file.
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Bytes of the header of a log, and of each frame's own.
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first four bytes; the last bit says in which order the words are summed up.
const MAGIC: u32 = 0x377f_0682;
/// Largest page of SQLite, in bytes.
const PAGE_BYTES_MAX: u32 = 65_536;
/// Commits behind the first broken frame: one may be of the transaction that was being written, a second was begun
/// when the one before it was on the disk.
const COMMITS_UNFINISHED_MAX: usize = 1;

/// Bytes at the beginning of a database that say its page size and how many pages it has.
const DATABASE_HEADER_BYTES: usize = 32;
const DATABASE_MAGIC: &[u8] = b"SQLite format 3\0";
/// SQLite locks the byte here, and leaves the page around it out.
const LOCKED_BYTE: u32 = 0x4000_0000;

/// What a log holds that is whole and committed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log {
    /// Numbers of pages, from 1.
    pages: BTreeSet<u32>,
    /// How many pages the database has, by its last commit; 0 where there is none.
    size: u32,
}

/// What is wrong with the database at this path and its log; `None` where the log is absent, or whole but for its end, and
/// every page is in one of the two.
///
/// # Errors
/// They cannot be read.
pub(super) fn damage(database: &Path) -> io::Result<Option<&'static str>> {
    let log = match File::open(database.with_extension("db-wal")) {
        Ok(file) => match read(BufReader::new(file))? {
            Ok(log) => log,
            Err(damage) => return Ok(Some(damage)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Log::default(),
        Err(error) => return Err(error),
    };
    let mut file = File::open(database)?;
    let mut header = [0; DATABASE_HEADER_BYTES];
    if !filled(&mut file, &mut header)? {
        return Ok(Some("it is cut off in its first page, or empty"));
    }
    // What is no database SQLite says better.
    if !header.starts_with(DATABASE_MAGIC) {
        return Ok(None);
    }
    // The format writes the largest page size, which needs one bit more, as 1.
    let page = match u16::from_be_bytes([header[16], header[17]]) {
        1 => PAGE_BYTES_MAX,
        page => u32::from(page),
    };
    let whole = file.metadata()?.len().checked_div(u64::from(page)).unwrap_or(0);
    let size = if log.size > 0 { log.size } else { word(&header, 28) };
    let first_missing = u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1);
    let is_missing = |number: &u32| {
        !log.pages.contains(number) && Some(*number) != (LOCKED_BYTE / page).checked_add(1)
    };
    let is_cut = page > 0 && (first_missing..=size).any(|number| is_missing(&number));
    Ok(is_cut.then_some("its end is cut off"))
}

/// Reads a log to its end; inside, what is wrong with it.
fn read(mut log: impl Read) -> io::Result<Result<Log, &'static str>> {
    let mut header = [0; HEADER_BYTES];
    if !filled(&mut log, &mut header)? {
        return Ok(Ok(Log::default()));
    }
    let magic = word(&header, 0);
    let big = magic & 1 == 1;
    let mut sums = summed((0, 0), &header[..24], big);
    let page = word(&header, 8);
    let is_page = page.is_power_of_two() && (512..=PAGE_BYTES_MAX).contains(&page);
    if magic & !1 != MAGIC || sums != (word(&header, 24), word(&header, 28)) || !is_page {
        return Ok(Err("the header of its log is broken"));
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES + page as usize];
    let (mut whole, mut commits_behind) = (true, 0);
    let (mut found, mut uncommitted) = (Log::default(), Vec::new());
    while filled(&mut log, &mut frame)? {
        let of_this_log = frame[8..16] == header[16..24];
        if whole {
            sums = summed(sums, &frame[..8], big);
            sums = summed(sums, &frame[FRAME_HEADER_BYTES..], big);
            whole = of_this_log && sums == (word(&frame, 16), word(&frame, 20));
        }
        // The size of the database in the last frame of a commit, 0 in the others.
        let size = word(&frame, 4);
        commits_behind += usize::from(!whole && of_this_log && size != 0);
        if whole {
            uncommitted.push(word(&frame, 0));
        }
        if whole && size != 0 {
            found.pages.extend(uncommitted.drain(..));
            found.size = size;
        }
    }
    let is_damaged = commits_behind > COMMITS_UNFINISHED_MAX;
    Ok(if is_damaged { Err("its log is broken before its end") } else { Ok(found) })
}

/// Whether there were enough bytes to fill it.
fn filled(log: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The running sums of the format, over pairs of words.
fn summed((mut first, mut second): (u32, u32), bytes: &[u8], big: bool) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let read = |at| if big { word(pair, at) } else { word(pair, at).swap_bytes() };
        first = first.wrapping_add(read(0)).wrapping_add(second);
        second = second.wrapping_add(read(4)).wrapping_add(first);
    }
    (first, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// The log of a database with a row in each of some transactions.
    fn log(commits: usize) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let sql = Connection::open(&path).unwrap();
        sql.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        sql.execute_batch("CREATE TABLE t (x)").unwrap();
        for n in 1..commits {
            sql.execute("INSERT INTO t VALUES (?1)", [n as i64]).unwrap();
        }
        std::fs::read(path.with_extension("db-wal")).unwrap()
    }

    #[test]
    fn log_says_which_pages_are_committed() {
        let whole = log(3);
        let frame = FRAME_HEADER_BYTES + 4096;
        let all = read(&whole[..]).unwrap().unwrap();
        assert_eq!((all.pages, all.size), (BTreeSet::from([1, 2]), 2));
        // Without its last frame a commit is none.
        let first = read(&whole[..whole.len() - frame]).unwrap().unwrap();
        assert_eq!((first.pages, first.size), (BTreeSet::from([1, 2]), 2));
        assert_eq!(read(&whole[..HEADER_BYTES + frame - 1]).unwrap().unwrap(), Log::default());
    }

    #[test]
    fn only_the_end_of_a_log_may_be_broken() {
        let whole = log(9);
        let frame = FRAME_HEADER_BYTES + 4096;
        assert_eq!((whole.len() - HEADER_BYTES) % frame, 0);
        let is_damaged = |bytes: &[u8]| read(bytes).unwrap().is_err();
        for length in [0, 10, HEADER_BYTES, frame, whole.len() - 1, whole.len()] {
            assert!(!is_damaged(&whole[..length]), "cut to {length}");
        }
        for at in 0..whole.len() {
            // Every byte of the heads, and some of the pages.
            let in_frame = at.saturating_sub(HEADER_BYTES) % frame;
            if in_frame >= FRAME_HEADER_BYTES && at % 61 != 0 {
                continue;
            }
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            // In the last transaction it may be that it was being written; in the one before it that is all that
            // can be told of a mark of a commit that is gone.
            let last_two = at >= whole.len() - 3 * frame;
            assert!(is_damaged(&flipped) || last_two, "a bit of byte {at}");
            let last = at >= whole.len() - frame;
            assert!(!last || !is_damaged(&flipped), "a bit of byte {at}, at the end");
        }
        // What is left of an older log behind this one is no damage.
        let mut older = whole.clone();
        older[HEADER_BYTES + frame..].chunks_mut(frame).for_each(|one| one[8] ^= 1);
        assert!(!is_damaged(&older));
    }
}
