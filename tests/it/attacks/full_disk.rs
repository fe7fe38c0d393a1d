//! A disk that is full: what cannot be kept is not answered, everything else goes on, and with room again all of it does.

use std::fs::File;
use std::io::{ErrorKind, Write as _};

use serde_json::json;

use crate::harness::{Gateway, Setup, Tokens, UNTHROTTLED, Upstream, eventually};

/// Room for the state and a little more.
const DISK_KIB: u32 = 1024;

/// Fills the file system of the state to its last byte, with a file that is given back.
fn fill(gateway: &Gateway) -> std::path::PathBuf {
    let path = gateway.inside("data/ballast");
    let mut file = File::create(&path).expect("a file");
    for bytes in [4096, 1] {
        let piece = vec![0; bytes];
        let full = loop {
            if let Err(error) = file.write_all(&piece) {
                break error;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }
    path
}

// Holds: K8
#[test]
fn a_full_disk_refuses_what_must_be_kept_and_proxying_goes_on() {
    let upstream = Upstream::echo();
    let toml = format!(
        "upstream = \"{upstream}\"\n[routes]\n\"/**\" = \"access-required\"\n{UNTHROTTLED}"
    );
    let gateway = Setup::new(&toml).data_of_kib(DISK_KIB).start();
    let (client, password) = (gateway.client(), gateway.first_password());
    let body = |password: &str| json!({"username": "admin", "password": password});
    let (kept, out) = (gateway.login_first(), gateway.login_first());
    let ballast = fill(&gateway);

    for _ in 0..3 {
        let login = client.post("/auth/login").json(&body(&password));
        login.send().refused(503, "store-unavailable");
        let refresh = client.post("/auth/refresh").bearer(&kept.refresh);
        refresh.send().refused(503, "store-unavailable");
        let reauth = client.post("/auth/reauth").bearer(&kept.access);
        reauth.json(&json!({"password": password})).send().refused(503, "store-unavailable");
        let logout = client.post("/auth/logout").bearer(&out.access);
        logout.send().refused(503, "store-unavailable");
        let everything = client.request("DELETE", "/auth/sessions").bearer(&kept.access);
        everything.send().refused(503, "store-unavailable");
        let wrong = client.post("/auth/login").json(&body("a wrong guess")).send().status;
        assert!(matches!(wrong, 401 | 503), "{wrong}");
        // What was not answered with success was not done: and requests pass as before.
        for token in [&kept.access, &out.access] {
            client.get("/x").bearer(token).send().expect(200);
            let post = client.post("/x").bearer(token).body("0123456789").send().expect(200);
            assert!(post.text().contains("0123456789"), "{}", post.text());
        }
        let ready = gateway.admin().get("/readyz").send().expect(200);
        assert!(ready.text().contains("degraded"), "{}", ready.text());
    }
    gateway.logged("state_store_failed");

    std::fs::remove_file(ballast).expect("room again");
    // The failed refresh was none, and the failed logout can be had now.
    let next = client.post("/auth/refresh").bearer(&kept.refresh).send().expect(200);
    client.get("/x").bearer(&Tokens::of(&next).access).send().expect(200);
    client.post("/auth/logout").bearer(&out.access).send().expect(204);
    client.get("/x").bearer(&out.access).send().refused(401, "token-revoked");
    let again = gateway.login("admin", &password);
    client.get("/x").bearer(&again.access).send().expect(200);
    eventually("to be ready", || {
        let ready = gateway.admin().get("/readyz").send();
        (!ready.text().contains("degraded")).then_some(())
    });
}
