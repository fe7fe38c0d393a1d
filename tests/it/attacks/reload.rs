//! Live reload: however the file changes, whole or not at all, on connections that are open already.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, Gateway, Setup, Upstream, eventually};

const OPEN: &str = "[routes]\n\"/x\" = \"public\"\n";
const SHUT: &str = "[routes]\n\"/x\" = \"access-required\"\n";

/// A gateway in front of `upstream`, and its file with other routes.
fn gateway(upstream: &Upstream) -> (Gateway, impl Fn(&str) -> String) {
    let gateway = Gateway::in_front_of(upstream, OPEN);
    let text = fs::read_to_string(gateway.path("gateway.toml")).expect("a file");
    (gateway, move |routes: &str| text.replace(OPEN, routes))
}

fn reload(admin: Client) -> crate::harness::Response {
    admin.post("/reload").send()
}

fn readyz(admin: Client) -> Value {
    serde_json::from_slice(&admin.get("/readyz").send().expect(200).body).expect("JSON")
}

#[track_caller]
fn becomes(client: Client, status: u16) {
    eventually("the new policy", || (client.get("/x").send().status == status).then_some(()));
}

// Holds: K5
#[test]
fn a_change_in_place_is_live_soon_also_on_an_open_connection() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let mut old = gateway.client().connect();
    gateway.client().get("/x").send_on(&mut old).expect(200);
    fs::write(gateway.path("gateway.toml"), with(SHUT)).expect("written");
    becomes(gateway.client(), 401);
    gateway.client().get("/x").send_on(&mut old).refused(401, "token-missing");
}

// Holds: K5
#[test]
fn a_rename_over_the_file_is_live_soon() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    fs::write(gateway.path("next.toml"), with(SHUT)).expect("written");
    fs::rename(gateway.path("next.toml"), gateway.path("gateway.toml")).expect("renamed");
    becomes(gateway.client(), 401);
}

// Holds: K5
#[test]
fn a_symbolic_link_that_is_swapped_is_live_soon() {
    let upstream = Upstream::echo();
    let config = format!("upstream = \"{upstream}\"\n");
    let files = |routes: &str| {
        format!("listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n{config}{routes}")
    };
    let setup = Setup::new(OPEN)
        .file("..1/gateway.toml", &files(OPEN))
        .file("..2/gateway.toml", &files(SHUT));
    let dir = setup.dir().to_owned();
    let link =
        |to: &str, name: &str| std::os::unix::fs::symlink(to, dir.join(name)).expect("a link");
    fs::remove_file(dir.join("gateway.toml")).expect("removed");
    link("..1", "..data");
    link("..data/gateway.toml", "gateway.toml");
    let gateway = setup.start();
    gateway.client().get("/x").send().expect(200);
    link("..2", "..next");
    fs::rename(dir.join("..next"), dir.join("..data")).expect("swapped");
    becomes(gateway.client(), 401);
}

// Holds: T15
#[test]
fn sighup_reads_the_file_and_its_secrets_again() {
    let secret = |name: &str| format!("{name}: the quick brown fox jumps over 13 lazy dogs");
    let upstream = Upstream::echo();
    let key = "[[tokens.key]]\nid = \"k\"\nalg = \"HS256\"\nsecret = { file = \"secret\" }\n";
    let routes = format!("upstream = \"{upstream}\"\n{key}{SHUT}");
    let setup = Setup::new(&routes).file("secret", &secret("a"));
    let path = setup.dir().join("secret");
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, owner_only).expect("a mode");
    let gateway = setup.start();
    let token = gateway.mint(&["--sub", "ada"]);
    gateway.client().get("/x").bearer(&token).send().expect(200);
    fs::write(&path, secret("b")).expect("written");
    gateway.signal("HUP");
    eventually("the old key is dead", || {
        (gateway.client().get("/x").bearer(&token).send().status == 401).then_some(())
    });
    gateway.client().get("/x").bearer(&gateway.mint(&["--sub", "ada"])).send().expect(200);
}

// Holds: K5
#[test]
fn a_bad_file_changes_nothing_and_is_told_once_counted_and_shown() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let before = readyz(gateway.admin());
    fs::write(gateway.path("gateway.toml"), with("[routes]\n\"/x\" = \"pubic\"\n"))
        .expect("written");
    for _ in 0..3 {
        let refused = reload(gateway.admin()).expect(422);
        assert!(refused.text().contains("public"), "did you mean: {}", refused.text());
    }
    gateway.client().get("/x").send().expect(200);
    let after = readyz(gateway.admin());
    assert_eq!(after["configuration"]["hash"], before["configuration"]["hash"]);
    let shown = after["configuration"]["refused"]["diagnostics"].as_str().expect("diagnostics");
    assert!(shown.contains("gateway.toml:"), "{shown}");
    assert_eq!(gateway.log().matches("reload_refused").count(), 1, "{}", gateway.log());
    let metrics = gateway.admin().get("/metrics").send().expect(200).text();
    assert!(metrics.contains("freshgate_reload_refused 1"), "{metrics}");
    // Mended, it is as if nothing had been.
    fs::write(gateway.path("gateway.toml"), with(SHUT)).expect("written");
    reload(gateway.admin()).expect(200);
    becomes(gateway.client(), 401);
    assert!(readyz(gateway.admin())["configuration"].get("refused").is_none());
}

// Holds: K5
#[test]
fn a_bad_file_that_is_saved_again_as_it_was_is_counted_once() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let bad = with("[routes]\n\"/x\" = \"pubic\"\n");
    let refusals = || {
        let metrics = gateway.admin().get("/metrics").send().expect(200).text();
        let line =
            metrics.lines().find(|line| line.contains("result=\"refused\"")).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    let save = |text: &str| {
        fs::write(gateway.path("new.toml"), text).expect("written");
        fs::rename(gateway.path("new.toml"), gateway.path("gateway.toml")).expect("renamed");
    };
    save(&bad);
    gateway.logged("reload_refused");
    for _ in 0..3 {
        // Events of one save, and looks without any, find the same mistakes.
        save(&bad);
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    assert_eq!(refusals(), 1);
    reload(gateway.admin()).expect(422);
    assert_eq!(refusals(), 2, "who asks is counted");
}

// Holds: K5
#[test]
fn a_file_that_is_still_being_written_does_not_serve_by_halves() {
    use std::io::Write;
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let open = with("[routes]\n\"/**\" = \"public\"\n");
    let shut = "\"/x/**\" = \"deny\"\n";
    fs::write(gateway.path("gateway.toml"), format!("{open}{shut}")).expect("written");
    reload(gateway.admin()).expect(200);
    let mut file = fs::File::create(gateway.path("gateway.toml")).expect("opened");
    file.write_all(open.as_bytes()).expect("written");
    for _ in 0..15 {
        gateway.client().get("/x/1").send().refused(404, "no-route");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    file.write_all(b"\"/x/**\" = \"access-required\"\n").expect("written");
    drop(file);
    for _ in 0..50 {
        if gateway.client().get("/x/1").send().status == 401 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the whole file was never read");
}

// Holds: K5
#[test]
fn limits_that_are_tightened_hold_on_an_open_connection() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let long = format!("/x?{}", "a".repeat(3000));
    let padded = |client: Client| client.get("/x").header("X-Pad", &"a".repeat(10_000));
    let [mut one, mut two] = [gateway.client().connect(), gateway.client().connect()];
    gateway.client().get(&long).send_on(&mut one).expect(200);
    padded(gateway.client()).send_on(&mut two).expect(200);
    let limits = "[limits]\ntarget_max = \"1KiB\"\nheader_max = \"8KiB\"\n";
    let text = with(&format!("{limits}[routes]\n\"/x\" = \"public\"\n"));
    fs::write(gateway.path("gateway.toml"), text).expect("written");
    reload(gateway.admin()).expect(200);
    gateway.client().get(&long).send_on(&mut one).refused(414, "target-too-long");
    padded(gateway.client()).send_on(&mut two).refused(431, "header-too-large");
}

// Holds: K5
#[test]
fn what_cannot_change_while_running_is_refused_whole() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let moved = with(SHUT).replacen("listen", "# listen", 1);
    fs::write(gateway.path("gateway.toml"), moved).expect("written");
    assert!(reload(gateway.admin()).expect(422).text().contains("`listen` cannot change"));
    gateway.client().get("/x").send().expect(200);
}

// Holds: K5
#[test]
fn a_file_that_vanishes_or_becomes_a_directory_leaves_the_old_one_serving() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let path = gateway.path("gateway.toml");
    fs::remove_file(&path).expect("removed");
    reload(gateway.admin()).expect(422);
    fs::create_dir(&path).expect("made");
    reload(gateway.admin()).expect(422);
    gateway.client().get("/x").send().expect(200);
    fs::remove_dir(&path).expect("removed");
    fs::write(&path, with(SHUT)).expect("written");
    becomes(gateway.client(), 401);
}

// Holds: K5
#[test]
fn connections_to_an_upstream_that_did_not_change_are_kept() {
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let mut one = gateway.client().connect();
    for round in 0..20 {
        let routes = format!("{OPEN}\"/y{round}\" = \"deny\"\n");
        fs::write(gateway.path("gateway.toml"), with(&routes)).expect("written");
        reload(gateway.admin()).expect(200);
        gateway.client().get("/x").send_on(&mut one).expect(200);
    }
    assert_eq!(upstream.last().connection, 1, "every request went over the first connection");
}

// Holds: K5
#[test]
fn a_request_in_flight_keeps_what_it_started_with() {
    use crate::harness::Step;
    let upstream = Upstream::raw(vec![
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        Step::Pause(std::time::Duration::from_millis(600)),
        Step::send("world"),
    ]);
    let (gateway, with) = gateway(&upstream);
    let mut slow = gateway.client().connect();
    slow.write("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the backend has it", || (upstream.count() > 0).then_some(()));
    fs::write(gateway.path("gateway.toml"), with("[routes]\n\"/x\" = \"deny\"\n"))
        .expect("written");
    reload(gateway.admin()).expect(200);
    assert_eq!(slow.response().expect(200).body, b"helloworld");
    becomes(gateway.client(), 404);
}

// Holds: K5
#[test]
fn toggling_a_route_under_load_gives_no_answer_that_neither_policy_would() {
    const TOGGLES: usize = 120;
    let upstream = Upstream::echo();
    let (gateway, with) = gateway(&upstream);
    let done = AtomicBool::new(false);
    let client = gateway.client();
    let seen = thread::scope(|scope| {
        let loads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = client.connect();
                    let mut seen = [0_usize; 2];
                    while !done.load(Ordering::Relaxed) {
                        let answer = client.get("/x").send_on(&mut connection);
                        match (answer.status, answer.code().as_str()) {
                            (200, _) => seen[0] += 1,
                            (401, "token-missing") => seen[1] += 1,
                            other => panic!("neither policy answers {other:?}"),
                        }
                        // Long before `requests_per_connection` ends it.
                        if (seen[0] + seen[1]) % 5000 == 0 {
                            connection = client.connect();
                        }
                    }
                    seen
                })
            })
            .collect();
        for toggle in 0..TOGGLES {
            let routes = if toggle % 2 == 0 { SHUT } else { OPEN };
            fs::write(gateway.path("gateway.toml"), with(routes)).expect("written");
            reload(gateway.admin()).expect(200);
            let expected = if toggle % 2 == 0 { 401 } else { 200 };
            client.get("/x").send().expect(expected);
        }
        done.store(true, Ordering::Relaxed);
        loads.into_iter().map(|load| load.join().expect("no answer was wrong")).collect::<Vec<_>>()
    });
    let [open, shut] = seen.iter().fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    assert!(open > 0 && shut > 0, "both were seen: {open} and {shut}");
}

// Holds: K6
// What was ended stays so under every new configuration, and sessions go on.
#[test]
fn a_reload_forgets_no_revocation_and_no_session() {
    let upstream = Upstream::echo();
    let routes = "[routes]\n\"/x\" = \"access-required\"\n";
    let gateway = Gateway::sharing(&upstream, routes);
    let text = fs::read_to_string(gateway.path("gateway.toml")).expect("a file");
    let password = gateway.first_password();
    let (kept, ended) = (gateway.login("admin", &password), gateway.login("admin", &password));
    let single = crate::harness::forge::stale("ada");
    for token in [&ended.access, &single] {
        gateway.client().post("/auth/logout").bearer(token).send().expect(204);
    }
    let mut living = kept.refresh.clone();
    for change in ["\"/y\" = \"deny\"\n", "\"/z\" = \"deny\"\n", ""] {
        fs::write(gateway.path("gateway.toml"), text.replace(routes, &format!("{routes}{change}")))
            .expect("written");
        reload(gateway.admin()).expect(200);
        for token in [&ended.access, &single] {
            gateway.client().get("/x").bearer(token).send().refused(401, "token-revoked");
        }
        let refresh = gateway.client().post("/auth/refresh");
        refresh.bearer(&ended.refresh).send().refused(401, "token-revoked");
        gateway.client().get("/x").bearer(&kept.access).send().expect(200);
        let refresh = gateway.client().post("/auth/refresh").bearer(&living);
        living = crate::harness::Tokens::of(&refresh.send().expect(200)).refresh;
    }
}

// Holds: K6, U2
#[test]
fn a_reload_forgets_no_wait() {
    let routes = "[routes]\n\"/x\" = \"access-required\"\n";
    let gateway = Gateway::sharing(&Upstream::echo(), &format!("[limits]\n{routes}"));
    let text = fs::read_to_string(gateway.path("gateway.toml")).expect("a file");
    let guess = json!({"username": "admin", "password": "wrong"});
    let checked = || gateway.client().post("/auth/login").json(&guess).send().status == 401;
    let begun = std::time::Instant::now();
    let mut count = 0;
    for at in 0..4 {
        count += (0..20).filter(|_| checked()).count();
        let more = format!("{routes}\"/new/{at}\" = \"deny\"\n");
        fs::write(gateway.path("gateway.toml"), text.replace(routes, &more)).expect("written");
        reload(gateway.admin()).expect(200);
    }
    let most = 5 + (begun.elapsed().as_secs() + 2).ilog2() as usize + 1;
    assert!((5..=most).contains(&count), "{count} of at most {most}");
}
