//! A state that was cut, at any byte: it holds everything that was acknowledged, or it is refused. Nothing revives.

use std::collections::BTreeSet;

use super::*;
use crate::store::contract::{claims, issued, present, session};

/// Bytes of a page of the database, of a frame of its log, and of the log's header.
const PAGE: usize = 4096;
const FRAME: usize = 24 + PAGE;
const LOG_HEADER: usize = 32;
/// How many sessions each round has.
const SESSIONS: usize = 12;
const FILES: [&str; 3] = ["state.db", "state.db-wal", "state.mark"];

fn open(dir: &Path) -> Result<Embedded, StoreFault> {
    Embedded::open_at(dir, || UnixTime(1000))
}

/// Starts sessions, rotates the tokens of each third, logs another third out; at last a subject is revoked.
async fn worked(store: &Embedded, round: &str) {
    for n in 0..SESSIONS {
        let id = format!("{round}-{n}");
        let subject = format!("subject of {round}");
        store.start(Session { subject, ..session(&id) }).await.unwrap();
        match n % 3 {
            0 => drop(store.rotate(present(&id, "r0", 1100)).await.unwrap()),
            1 => store.revoke(Revoked::Session(id), UnixTime(2900)).await.unwrap(),
            _ => store.revoke(Revoked::Token(format!("t-{id}")), UnixTime(2900)).await.unwrap(),
        }
    }
    let gone = Revoked::Subject { subject: format!("gone {round}"), at: UnixTime(1000) };
    store.revoke(gone, UnixTime(2900)).await.unwrap();
}

/// Everything that [`worked`] was answered.
async fn holds(store: &Embedded, round: &str) {
    let revoked = store.revocations();
    for n in 0..SESSIONS {
        let id = format!("{round}-{n}");
        let found = store.session(&id, UnixTime(1500)).await.unwrap();
        match n % 3 {
            0 => {
                let found = found.unwrap_or_else(|| panic!("{id} is lost"));
                assert_eq!(found.refresh_id.as_deref(), Some("r0'"), "{id}: a rotation is lost");
            }
            1 => assert!(found.is_none() && revoked.holds(&claims("t", &id)), "{id} lives again"),
            _ => assert!(revoked.holds(&claims(&format!("t-{id}"), "s")), "the token of {id}"),
        }
    }
    let mut token = issued("t", "s", 1000);
    token.subject = format!("gone {round}");
    assert!(revoked.holds(&token), "the subject of {round} lives again");
}

/// A directory as `kill -9` leaves it after `b`: `a` is in the database, `b` in the log and in its answers.
async fn killed() -> tempfile::TempDir {
    let (dir, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path()).unwrap();
    worked(&store, "a").await;
    drop(store);
    let store = open(dir.path()).unwrap();
    worked(&store, "b").await;
    for name in FILES {
        fs::copy(dir.path().join(name), left.path().join(name)).unwrap();
    }
    left
}

/// Every 64th length of the last pages and each beside an edge of a page or a frame, up to the whole.
fn lengths(whole: usize, header: usize, page: usize, pages: usize) -> BTreeSet<usize> {
    let from = whole.saturating_sub(pages * page);
    let edges = (0..=whole / page).map(|n| header + n * page);
    let beside = edges.flat_map(|edge| edge.saturating_sub(2)..=edge + 2);
    let all = (from..whole).step_by(64).chain(beside).chain(0..=header);
    all.filter(|length| *length < whole).collect()
}

/// Opens it. A server that another test starts in this moment holds copies of our locks until it has become that server.
fn open_alone(dir: &Path) -> Result<Embedded, StoreFault> {
    const TRIES_MAX: usize = 500;
    for _ in 0..TRIES_MAX {
        match open(dir) {
            Err(StoreFault(fault)) if fault.contains("another freshgate") => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
    panic!("the directory stays locked")
}

/// Cuts this file to each length; how many of the lengths were opened. `rounds` is what was acknowledged.
async fn cut(from: &Path, name: &str, all: BTreeSet<usize>, rounds: &[&str]) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let whole: Vec<_> = FILES.map(|name| (name, fs::read(from.join(name)).ok())).into();
    let mut opened = 0;
    for length in all {
        for file in ["state.db-shm", "state.db-wal"] {
            let _absent = fs::remove_file(dir.path().join(file));
        }
        for (file, bytes) in &whole {
            let Some(bytes) = bytes else { continue };
            let kept = if *file == name { &bytes[..length] } else { &bytes[..] };
            fs::write(dir.path().join(file), kept).unwrap();
        }
        match open_alone(dir.path()) {
            Ok(store) => {
                for round in rounds {
                    holds(&store, round).await;
                }
                opened += 1;
            }
            Err(StoreFault(fault)) => {
                let says = ["damaged", "backup"].iter().all(|word| fault.contains(word));
                assert!(says || fault.contains("state.mark cannot be used"), "{length}: {fault}");
                let cut = fs::read(dir.path().join(name)).unwrap();
                assert_eq!(cut.len(), length, "what was refused is left alone");
            }
        }
    }
    opened
}

#[tokio::test]
async fn log_cut_at_any_byte_is_refused() {
    let dir = killed().await;
    let whole = fs::metadata(dir.path().join("state.db-wal")).unwrap().len() as usize;
    let all = lengths(whole, LOG_HEADER, FRAME, 8);
    assert!(all.len() > 600, "{}", all.len());
    assert_eq!(cut(dir.path(), "state.db-wal", all, &["a", "b"]).await, 0);
    // Nor is one that is gone.
    fs::remove_file(dir.path().join("state.db-wal")).unwrap();
    let fault = open(dir.path()).unwrap_err().0;
    assert!(fault.contains("damaged") && fault.contains("put back"), "{fault}");
}

#[tokio::test]
async fn database_cut_at_any_byte_beside_its_log_revives_nothing() {
    let dir = killed().await;
    let whole = fs::metadata(dir.path().join("state.db")).unwrap().len() as usize;
    cut(dir.path(), "state.db", lengths(whole, 0, PAGE, 6), &["a", "b"]).await;
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn database_cut_at_any_byte_after_a_clean_stop_revives_nothing() {
    let dir = killed().await;
    drop(open(dir.path()).unwrap());
    assert!(!dir.path().join("state.db-wal").exists());
    let whole = fs::metadata(dir.path().join("state.db")).unwrap().len() as usize;
    assert!(whole > 10 * PAGE, "{whole}");
    cut(dir.path(), "state.db", lengths(whole, 0, PAGE, 8), &["a", "b"]).await;
    holds(&open(dir.path()).unwrap(), "b").await;
}

#[tokio::test]
async fn mark_that_was_cut_is_refused_and_one_that_is_gone_is_made_anew() {
    let dir = killed().await;
    let path = dir.path().join("state.mark");
    let whole = fs::read(&path).unwrap();
    let opened = cut(dir.path(), "state.mark", (0..whole.len()).collect(), &[]).await;
    assert_eq!(opened, 0);
    fs::remove_file(&path).unwrap();
    drop(open(dir.path()).unwrap());
    assert!(fs::read(&path).unwrap() > whole);
}

#[tokio::test]
async fn mark_is_never_ahead_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    for n in 0..20 {
        store.start(session(&format!("s{n}"))).await.unwrap();
        // As a power cut may leave it: the log is of now, the mark of any time before.
        let left = tempfile::tempdir().unwrap();
        fs::copy(dir.path().join("state.mark"), left.path().join("state.mark")).unwrap();
        store.start(session(&format!("t{n}"))).await.unwrap();
        for name in &FILES[..2] {
            fs::copy(dir.path().join(name), left.path().join(name)).unwrap();
        }
        let found = open(left.path()).unwrap().session(&format!("t{n}"), UnixTime(1500)).await;
        assert!(found.unwrap().is_some());
    }
}

#[tokio::test]
async fn older_copy_in_the_place_of_the_state_is_refused_until_the_mark_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    worked(&store, "a").await;
    let to = dir.path().join("copy.db");
    copy::backup(dir.path(), &to, UnixTime(1000)).unwrap();
    worked(&store, "b").await;
    drop(store);
    fs::copy(&to, dir.path().join("state.db")).unwrap();
    for fault in [
        open(dir.path()).unwrap_err(),
        copy::check(dir.path(), UnixTime(1000)).unwrap_err(),
        copy::backup(dir.path(), &dir.path().join("2.db"), UnixTime(1000)).unwrap_err(),
    ] {
        assert!(
            fault.0.contains("if it is a backup that was put back, remove state.mark"),
            "{fault}"
        );
    }
    assert!(!dir.path().join("2.db").exists());
    fs::remove_file(dir.path().join("state.mark")).unwrap();
    holds(&open(dir.path()).unwrap(), "a").await;
    // All of it gone but the mark.
    fs::remove_file(dir.path().join("state.db")).unwrap();
    let fault = open(dir.path()).unwrap_err().0;
    assert!(fault.contains("is gone") && fault.contains("state.mark"), "{fault}");
}
