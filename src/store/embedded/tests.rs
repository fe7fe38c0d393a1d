//! How the store behaves when it is opened, damaged, full, killed or old; the contract itself is in `store::contract`.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::store::contract::{begin, claims, fail, session, state_store_contract, wait};
use crate::store::throttle::tallies;

state_store_contract!({
    let dir = tempfile::tempdir().unwrap();
    (Embedded::open_at(dir.path(), || UnixTime(1000)).unwrap(), dir)
});

fn open(dir: &TempDir) -> Result<Embedded, StoreFault> {
    Embedded::open_at(dir.path(), || UnixTime(1000))
}

#[track_caller]
fn refused(dir: &TempDir, words: &[&str]) {
    let fault = open(dir).expect_err("the store opened").0;
    for word in words {
        assert!(fault.contains(word), "{fault}");
    }
}

/// A closed store with one session `s`, one revoked session and enough rows for several pages.
pub(super) async fn filled() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).unwrap();
    store.start(session("s")).await.unwrap();
    for n in 0..300 {
        store.start(session(&format!("filler-{n}"))).await.unwrap();
    }
    store.revoke(Revoked::Session("dead".into()), UnixTime(2000)).await.unwrap();
    store.revoke(Revoked::Token("t".into()), UnixTime(900)).await.unwrap();
    dir
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = filled().await;
    let store = open(&dir).unwrap();
    assert_eq!(store.session("s", UnixTime(1500)).await.unwrap(), Some(session("s")));
    assert!(store.revocations().holds(&claims("t2", "dead")));
    // Expired at 900, and it is 1000.
    assert_eq!(store.revocations().len(), 1);
}

#[tokio::test]
async fn files_are_ours_alone() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("a/state");
    let store = Embedded::open(&dir).unwrap();
    store.start(session("s")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
    fs::set_permissions(dir.join("state.db"), fs::Permissions::from_mode(0o664)).unwrap();
    Embedded::open(&dir).unwrap();
    assert_eq!(mode(&dir.join("state.db")), 0o600);
}

#[tokio::test]
async fn second_gateway_on_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(&dir).unwrap();
    let process = format!("process {}", std::process::id());
    refused(&dir, &["another freshgate", dir.path().to_str().unwrap(), &process]);
    drop(first);
    open(&dir).unwrap();
}

#[test]
fn directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let fault = Embedded::open(&dir.path().join("file/state")).unwrap_err().0;
    assert!(fault.contains("file/state") && fault.contains("cannot be made"), "{fault}");
}

#[tokio::test]
async fn damage_is_refused_loudly() {
    let dir = filled().await;
    let path = dir.path().join("state.db");
    let whole = fs::read(&path).unwrap();
    assert!(whole.len() > 5 * 4096, "{}", whole.len());

    for cut in [0, 10, 4096, whole.len() / 2, whole.len() - 4096] {
        fs::write(&path, &whole[..cut]).unwrap();
        refused(&dir, &["state.db", "damaged", "backup"]);
    }
    for at in [0, 4096, 3 * 4096] {
        fs::write(&path, &whole).unwrap();
        let mut file = File::options().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xa5; 700]).unwrap();
        refused(&dir, &["state.db", "damaged"]);
    }
    fs::write(&path, &whole).unwrap();
    open(&dir).unwrap();
}

#[tokio::test]
async fn file_of_a_newer_version_or_another_program_is_refused() {
    let dir = filled().await;
    let path = dir.path().join("state.db");
    let sql = rusqlite::Connection::open(&path).unwrap();
    sql.pragma_update(None, "user_version", 99).unwrap();
    refused(&dir, &["newer freshgate", "schema 99"]);
    sql.pragma_update(None, "application_id", 5).unwrap();
    refused(&dir, &["another program"]);
}

#[tokio::test]
async fn log_without_its_database_is_refused() {
    let dir = filled().await;
    fs::remove_file(dir.path().join("state.db")).unwrap();
    fs::write(dir.path().join("state.db-wal"), "x").unwrap();
    refused(&dir, &["state.db-wal"]);
}

#[tokio::test]
async fn torn_log_recovers_to_what_was_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).unwrap();
    for n in 0..30 {
        store.start(session(&format!("s{n}"))).await.unwrap();
    }
    let database = fs::read(dir.path().join("state.db")).unwrap();
    let log = fs::read(dir.path().join("state.db-wal")).unwrap();
    drop(store);
    let mut most = 0;
    for part in 0..=12 {
        // As a power cut may leave it: the end of the log is missing, and a little of it is torn.
        let torn = tempfile::tempdir().unwrap();
        let mut log = log[..log.len() * part / 12].to_vec();
        if part < 12 {
            log.iter_mut().rev().take(10).for_each(|byte| *byte ^= 0x5a);
        }
        fs::write(torn.path().join("state.db"), &database).unwrap();
        fs::write(torn.path().join("state.db-wal"), &log).unwrap();
        let store = open(&torn).unwrap();
        let mut found = Vec::new();
        for n in 0..30 {
            let one = store.session(&format!("s{n}"), UnixTime(1500)).await.unwrap();
            found.push(one.is_some());
        }
        let count = found.iter().filter(|one| **one).count();
        assert!(found.iter().take(count).all(|one| *one), "not a beginning: {found:?}");
        assert!(count >= most, "a longer log holds less");
        most = count;
    }
    assert_eq!(most, 30);
}

/// A disk that refuses is played by a database that may not grow; the rest of a full disk is the same code.
#[tokio::test]
async fn full_disk_acknowledges_nothing_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    open(&dir).unwrap();
    let database = Database::open(&dir.path().join("state.db")).unwrap();
    let (queue, verbs) = sync_channel(QUEUE_MAX);
    let revocations = Arc::new(Revocations::default());
    database.limit_pages(24);
    let tallies = Arc::new(Tallies::new(&[0; 32]));
    let keepsakes = Arc::new(Keepsakes::default());
    let memory = Memory {
        revocations: Arc::clone(&revocations),
        tallies: Arc::clone(&tallies),
        keepsakes: Arc::clone(&keepsakes),
    };
    let owner = Owner::new(database, verbs, memory, || UnixTime(1000));
    let thread = thread::spawn(move || owner.run());
    let store = Embedded {
        queue: Some(queue),
        revocations,
        tallies,
        keepsakes,
        thread: Some(thread),
        opened_at: UnixTime(1000),
        _lock: take_lock(dir.path()).unwrap(),
    };
    let mut kept = Vec::new();
    let mut refused = Vec::new();
    for n in 0..200 {
        let id = format!("{n}-{}", "x".repeat(1000));
        match store.start(session(&id)).await {
            Ok(()) => kept.push(id),
            Err(fault) => {
                assert!(fault.0.contains("full"), "{fault}");
                refused.push(id);
            }
        }
    }
    assert!(!kept.is_empty() && !refused.is_empty());
    let long = Revoked::Session("y".repeat(8000));
    assert!(store.revoke(long, UnixTime(2000)).await.is_err());
    assert!(store.revocations().is_empty());
    // Room again: a session ends.
    for id in &kept {
        store.revoke(Revoked::Session(id.clone()), UnixTime(1001)).await.ok();
    }
    drop(store);
    let store = open(&dir).unwrap();
    store.start(session(&refused[0])).await.unwrap();
    for id in &refused[1..] {
        assert_eq!(store.session(id, UnixTime(1500)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn expired_rows_are_forgotten() {
    let dir = filled().await;
    let rows = |dir: &TempDir| {
        let sql = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
        let count = "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM revocations)";
        sql.query_row(count, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap()
    };
    assert_eq!(rows(&dir), (301, 2));
    for (clock, left) in [
        // Expired at 2000, but kept as long as any leeway could ask for them.
        ((|| UnixTime(2300)) as fn() -> UnixTime, (301, 1)),
        (|| UnixTime(2900), (0, 0)),
    ] {
        let store = Embedded::open_at(dir.path(), clock).unwrap();
        // The owner purges after its first batch, so the second answer comes after the purge.
        store.session("s", UnixTime(0)).await.unwrap();
        store.session("s", UnixTime(0)).await.unwrap();
        drop(store);
        assert_eq!(rows(&dir), left);
    }
}

#[tokio::test]
async fn failed_attempts_outlive_a_restart_without_a_name_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).unwrap();
    store.succeeded(begin(&store, "hunter2-canary", 1, 1000).await.unwrap()).await.unwrap();
    let mut now = 1000;
    for _ in 0..5 {
        now += wait(&store, "hunter2-canary", 2, now).await.map_or(0, |(wait, _)| wait);
        fail(&store, "hunter2-canary", 2, now).await;
    }
    let before = wait(&store, "hunter2-canary", 2, now).await;
    assert!(before.is_some());
    // As `kill -9` leaves it: what was answered is in the files while the store is open.
    let copy = tempfile::tempdir().unwrap();
    for name in ["state.db", "state.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
        let bytes = fs::read(dir.path().join(name)).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("hunter2") && !text.contains("192.0.2"), "{name}");
    }
    drop(store);
    for dir in [dir, copy] {
        let store = open(&dir).unwrap();
        assert_eq!(wait(&store, "hunter2-canary", 2, now).await, before);
        assert_eq!(wait(&store, "hunter2-canary", 1, now).await, None, "a known address");
    }
}

#[tokio::test]
async fn forgiven_and_superfluous_attempts_leave_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).unwrap();
    fail(&store, "alice", 1, 1000).await;
    drop(store);
    let path = dir.path().join("state.db");
    let mut sql = rusqlite::Connection::open(&path).unwrap();
    let batch = sql.transaction().unwrap();
    for n in 0..(tallies::TALLIES_MAX as i64 + 500) {
        let id = [(n as u128).to_be_bytes()];
        let row = "INSERT INTO failed_logins VALUES ('account', ?1, ?2, 0)";
        batch.execute(row, rusqlite::params![id[0], 100_000 + n]).unwrap();
    }
    batch.commit().unwrap();
    drop(sql);
    let store = Embedded::open_at(dir.path(), || UnixTime(50_000)).unwrap();
    assert!(store.tallies.len() <= tallies::TALLIES_MAX);
    // The owner purges after its first batch, so the second answer comes after the purge.
    store.session("s", UnixTime(0)).await.unwrap();
    store.session("s", UnixTime(0)).await.unwrap();
    drop(store);
    let sql = rusqlite::Connection::open(&path).unwrap();
    let one = |query: &str| sql.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(one("SELECT count(*) FROM failed_logins"), tallies::TALLIES_MAX as i64);
    assert_eq!(
        one("SELECT min(forgiven_at) FROM failed_logins"),
        100_500,
        "the first to be forgiven"
    );
}

/// Not a test of its own: the process that the next test starts and kills. It prints what was acknowledged.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var("FRESHGATE_TEST_STATE") else {
        return;
    };
    let store = Arc::new(Embedded::open(Path::new(&dir)).unwrap());
    let far = UnixTime(UnixTime::of(crate::telemetry::clock()).0 + 10_000);
    for n in 0.. {
        let id = format!("{}-{n}", std::process::id());
        let living = Session { expires_at: far, tokens_until: far, ..session(&id) };
        let token = Revoked::Token(id.clone());
        let ended = Revoked::Session(format!("ended-{id}"));
        let (a, b, c) =
            tokio::join!(store.start(living), store.revoke(token, far), store.revoke(ended, far));
        a.and(b).and(c).unwrap();
        println!("acknowledged {id}");
    }
}

#[tokio::test]
async fn acknowledged_rows_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 1..=6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("store::embedded::tests::child_that_writes_until_it_is_killed")
            .env("FRESHGATE_TEST_STATE", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut seen = 0;
        let mut line = String::new();
        while output.read_line(&mut line).unwrap() > 0 {
            let whole = std::mem::take(&mut line);
            // The killed process may leave half a line, which acknowledges nothing.
            let Some(whole) = whole.strip_suffix('\n') else {
                break;
            };
            let Some((_, id)) = whole.split_once("acknowledged ") else {
                continue;
            };
            acknowledged.push(id.to_owned());
            seen += 1;
            if seen == round * 40 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= round * 40);
        let store = Embedded::open(dir.path()).unwrap();
        for id in &acknowledged {
            let found = store.session(id, UnixTime(1500)).await.unwrap();
            assert!(found.is_some(), "session {id} is lost");
            assert!(store.revocations().holds(&claims(id, "-")), "token {id} is lost");
            assert!(store.revocations().holds(&claims("-", &format!("ended-{id}"))));
        }
    }
}
