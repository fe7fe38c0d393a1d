//! A file of every older schema is raised, and keeps what it holds.

use super::*;
use crate::store::contract::{claims, fail, present};

/// A session `s` of alice from 1000 to 2000 and a revocation, as every version before the fourth wrote them.
const OLD_ROWS: &str = "
    INSERT INTO sessions (id, subject, started_at, auth_time, expires_at) VALUES ('s', 'alice', 1000, 1100, 2000);
    INSERT INTO revocations (kind, id, expires_at) VALUES ('session', 'dead', 2000);
";

fn opened(dir: &Path, now: fn() -> UnixTime) -> Embedded {
    Embedded::open_at(dir, now).unwrap()
}

/// A directory with a file that knew this many steps of the schema.
fn old(version: usize) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = Database::make_old(&dir.path().join("state.db"), version);
    file.execute_batch(OLD_ROWS).unwrap();
    file.close().unwrap();
    dir
}

#[tokio::test]
async fn sessions_of_every_older_schema_go_on_and_end_when_they_would_have() {
    for version in 1..=3 {
        let dir = old(version);
        let store = opened(dir.path(), || UnixTime(1200));
        let found = store.session("s", UnixTime(1200)).await.unwrap().unwrap();
        let expected = Session {
            id: "s".into(),
            subject: "alice".into(),
            started_at: UnixTime(1000),
            auth_time: UnixTime(1100),
            last_used_at: UnixTime(1100),
            expires_at: UnixTime(2000),
            tokens_until: UnixTime(2000),
            refresh_id: None,
            replaced: None,
            address: None,
            device: None,
            credential_mark: None,
            keepsake: None,
        };
        assert_eq!(found, expected, "schema {version}");
        assert!(store.revocations().holds(&claims("t", "dead")));
        // The first refresh token that comes is the living one, and rotates like any other from then on.
        assert_eq!(store.rotate(present("s", "r", 1300)).await.unwrap(), Rotation::Rotated);
        drop(store);
        let store = opened(dir.path(), || UnixTime(1300));
        assert_eq!(store.rotate(present("s", "r'", 1400)).await.unwrap(), Rotation::Rotated);
        assert_eq!(store.session("s", UnixTime(2000)).await.unwrap(), None);
        let reused = store.rotate(present("s", "r", 1500)).await.unwrap();
        assert!(matches!(reused, Rotation::Reused { .. }), "schema {version}: {reused:?}");
    }
}

#[tokio::test]
async fn what_later_schemas_keep_is_kept_in_a_raised_file() {
    for version in 1..database::NEWEST as usize {
        let dir = old(version);
        let store = opened(dir.path(), || UnixTime(1000));
        fail(&store, "alice", 1, 1000).await;
        drop(store);
        let store = opened(dir.path(), || UnixTime(10));
        assert_eq!(store.opened_at, UnixTime(1000), "schema {version}");
        assert_eq!(store.tallies.len(), 3);
    }
}

#[tokio::test]
async fn raised_file_is_not_replaced_by_the_one_that_it_was() {
    for version in 1..database::NEWEST as usize {
        let dir = old(version);
        let path = dir.path().join("state.db");
        let before = fs::read(&path).unwrap();
        let now = || UnixTime(1200);
        drop(opened(dir.path(), now));
        fs::write(&path, &before).unwrap();
        let fault = Embedded::open_at(dir.path(), now).unwrap_err().0;
        assert!(fault.contains("commit 0") && fault.contains("state.mark"), "{version}: {fault}");
        assert_eq!(fs::read(&path).unwrap(), before, "{version}: it was raised");
        fs::remove_file(dir.path().join("state.mark")).unwrap();
        assert!(opened(dir.path(), now).revocations().holds(&claims("t", "dead")));
    }
}
