//! `freshgate state backup|check`: a copy that is whole, taken while the gateway writes, and what it is worth.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{Gateway, Setup, UNTHROTTLED};

const ROUTES: &str = "[routes]\n\"/**\" = \"access-required\"\n";

fn gateway() -> Gateway {
    Gateway::start(&format!("upstream = \"builtin:whoami\"\n{UNTHROTTLED}{ROUTES}"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_copy_taken_under_load_is_whole_and_can_be_put_back() {
    let mut gateway = gateway();
    let gone = gateway.login_first();
    let kept = gateway.login_first();
    gateway.client().post("/auth/logout").bearer(&gone.access).send().expect(204);
    let copy = gateway.path("copy.db");

    // Others log in meanwhile.
    let stop = Arc::new(AtomicBool::new(false));
    let (client, password, ended) = (gateway.client(), gateway.first_password(), stop.clone());
    let load = std::thread::spawn(move || {
        while !ended.load(Ordering::SeqCst) {
            let login =
                client.post("/auth/login").form(&[("username", "admin"), ("password", &password)]);
            login.send().expect(200);
        }
    });
    let said = gateway.cli(&["state", "backup", text(&copy)], "").succeeded().stdout;
    let running = gateway.cli(&["state", "check"], "").succeeded().stdout;
    stop.store(true, Ordering::SeqCst);
    load.join().expect("logins");
    assert!(said.contains("living sessions, 1 revocations"), "{said}");
    assert!(running.contains("state.db is whole"), "{running}");
    let mode = std::fs::metadata(&copy).expect("a copy").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    gateway.cli(&["state", "check", text(&copy)], "").succeeded();
    // Never over another file.
    let again = gateway.cli(&["state", "backup", text(&copy)], "");
    assert!(again.code == Some(1) && again.stderr.contains("exists"), "{again:?}");

    // Put back: as it was when it was taken.
    assert!(gateway.terminate().success());
    gateway.cli(&["state", "check"], "").succeeded();
    let state = gateway.path("data/state.db");
    for name in ["data/state.db", "data/state.db-wal", "data/state.db-shm"] {
        let _ = std::fs::remove_file(gateway.path(name));
    }
    std::fs::copy(&copy, &state).expect("put back");
    // It lacks what was answered since: the operator says that this is meant.
    for verb in [&["run"][..], &["state", "check"]] {
        let said = gateway.cli(verb, "");
        assert!(said.code == Some(1) && said.stderr.contains("remove state.mark"), "{said:?}");
    }
    std::fs::remove_file(gateway.path("data/state.mark")).expect("a mark");
    gateway.restart();
    gateway.client().get("/x").bearer(&gone.access).send().refused(401, "token-revoked");
    gateway.client().get("/x").bearer(&kept.access).send().expect(200);
    gateway.client().post("/auth/refresh").bearer(&kept.refresh).send().expect(200);
}

#[test]
fn what_is_damaged_or_not_ours_is_said() {
    let mut gateway = gateway();
    gateway.login_first();
    let copy = gateway.path("copy.db");
    gateway.cli(&["state", "backup", text(&copy)], "").succeeded();
    assert!(gateway.terminate().success());
    let bad = |name: &str, change: &dyn Fn(&mut std::fs::File)| {
        let path = gateway.path(name);
        std::fs::copy(&copy, &path).expect("a copy");
        change(&mut std::fs::File::options().write(true).open(&path).expect("a copy"));
        let said = gateway.cli(&["state", "check", text(&path)], "");
        assert_eq!(said.code, Some(1), "{name}: {said:?}");
        said.stderr
    };
    let cut = bad("cut.db", &|file| file.set_len(8192).expect("cut"));
    assert!(cut.contains("damaged") || cut.contains("malformed"), "{cut}");
    let empty = bad("empty.db", &|file| file.set_len(0).expect("cut"));
    assert!(empty.contains("empty"), "{empty}");
    let noise = bad("noise.db", &|file| {
        file.seek(SeekFrom::Start(4096))
            .and_then(|_| file.write_all(&[0xA5; 4096]))
            .expect("written");
    });
    assert!(noise.contains("damaged") || noise.contains("malformed"), "{noise}");
    let newer = bad("newer.db", &|file| {
        // `PRAGMA user_version`, at byte 60 of the header.
        file.seek(SeekFrom::Start(60))
            .and_then(|_| file.write_all(&[0, 0, 1, 0]))
            .expect("written");
    });
    assert!(newer.contains("newer freshgate"), "{newer}");
    let other = bad("other.db", &|file| {
        file.seek(SeekFrom::Start(68)).and_then(|_| file.write_all(&[1; 4])).expect("written");
    });
    assert!(other.contains("another program"), "{other}");
    for nothing in ["absent.db", "."] {
        let said = gateway.cli(&["state", "check", nothing], "");
        assert!(said.code == Some(1) && said.stderr.contains("cannot be read"), "{said:?}");
    }
    // The state itself, with no gateway.
    let state = gateway.path("data/state.db");
    let file = std::fs::File::options().write(true).open(&state).expect("the state");
    file.set_len(4096).expect("cut");
    let said = gateway.cli(&["state", "check"], "");
    assert!(said.code == Some(1) && said.stderr.contains("state.db"), "{said:?}");
    let backup = gateway.cli(&["state", "backup", "again.db"], "");
    assert!(backup.code == Some(1) && !gateway.path("again.db").exists(), "{backup:?}");
}

#[test]
fn a_copy_that_cannot_be_made_leaves_nothing() {
    let gateway = gateway();
    for to in ["no/such/dir/copy.db", "/proc/copy.db"] {
        let said = gateway.cli(&["state", "backup", to], "");
        assert!(said.code == Some(1) && said.stderr.contains("cannot be made"), "{said:?}");
    }
    let setup = Setup::new(&format!("upstream = \"builtin:whoami\"\n{ROUTES}"));
    let said = setup.cli(&["state", "backup", "copy.db"], "");
    assert!(said.code == Some(1) && said.stderr.contains("cannot be read"), "{said:?}");
    assert!(!setup.dir().join("copy.db").exists());
}
