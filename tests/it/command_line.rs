//! The command line: run, check, explain, token; what each prints and how it ends.

use crate::harness::{Gateway, Output, Setup, Upstream, forge};

const SHUT: &str = "[identity]\nX-User-Id = \"sub\"\nX-User-Roles = \"roles\"\n[routes]\n\"/\" = \"public\"\n\
    \"/static/**\" = \"public\"\n\"/blog/**\" = \"optional\"\n\"/account/**\" = \"access-required\"\n\
    \"POST /account/password\" = \"fresh-required\"\n\"/session/renew\" = \"refresh-only\"\n\
    \"/admin/**\" = { policy = \"fresh-required\", max_age = \"5m\", claims = { roles = \"admin\" } }\n\
    \"/u/{who}\" = { policy = \"access-required\", claims = { sub = \"{who}\" } }\n\
    \"app.example/**\" = \"access-required\"\n\"/internal/**\" = \"deny\"\n";

fn setup(more: &str) -> Setup {
    Setup::new(&format!("upstream = \"builtin:whoami\"\n{SHUT}{more}"))
}

#[test]
fn the_first_line_of_output_is_the_bound_address() {
    let gateway = setup("").start();
    let said = gateway.stdout();
    let first = said.lines().next().expect("a first line");
    assert_eq!(first, format!("listening on http://{}", gateway.client().address));
    assert_ne!(gateway.client().address.port(), 0);
    assert!(
        said.contains("public 2") && said.contains("access-required 3") && said.contains("deny 1"),
        "{said}"
    );
    gateway.first_password();
    let said = gateway.stdout();
    assert_eq!(said.lines().filter(|line| line.contains("curl ")).count(), 3, "{said}");
}

#[test]
fn the_three_lines_to_try_next_work_as_they_are() {
    let gateway = setup("").start();
    gateway.first_password();
    let script: String = crate::harness::eventually("three curl lines", || {
        let said = gateway.stdout();
        let lines: Vec<_> =
            said.lines().filter(|line| line.contains("curl ")).map(str::to_owned).collect();
        (lines.len() == 3).then(|| lines.join("\n"))
    });
    let output =
        std::process::Command::new("bash").args(["-ec", &script]).output().expect("bash and curl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.matches("HTTP/1.1 200").count(), 2, "{script}\n{said}");
    assert!(said.to_lowercase().contains("x-user-id: admin"), "{said}");
}

#[test]
fn freshgate_alone_is_freshgate_run() {
    let gateway = setup("").args(&[]).start();
    gateway.client().get("/").send().expect(200);
    let elsewhere = setup("").file("other/f.toml", "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"builtin:whoami\"\n[routes]\n\"/other\" = \"public\"\n");
    let gateway = elsewhere.args(&["run", "--config", "other/f.toml"]).start();
    gateway.client().get("/other").send().expect(200);
    gateway.client().get("/").send().expect(404);
    // Paths are relative to the file.
    assert!(gateway.path("other/data/state.db").exists());
    drop(gateway);
    let shorter = setup("").file("f.toml", "listen = \"127.0.0.1:0\"\nadmin = \"off\"\nupstream = \"builtin:whoami\"\n[routes]\n\"/other\" = \"public\"\n");
    let gateway = shorter.args(&["--config", "f.toml"]).start();
    gateway.client().get("/other").send().expect(200);
}

#[test]
fn without_a_file_the_built_in_example_runs() {
    let setup = Setup::new("");
    std::fs::remove_file(setup.dir().join("gateway.toml")).expect("removed");
    let output = setup.cli(&["check"], "").succeeded();
    assert!(output.stdout.starts_with("ok: "), "{}", output.stdout);
    assert!(output.stdout.contains("configuration: the built-in example"), "{}", output.stdout);
}

#[test]
fn whoami_shows_the_request_it_received_identity_first() {
    let gateway = setup(forge::KEY).env("SHARED", forge::SECRET).start();
    let token = forge::with("ada", serde_json::json!({"roles": ["admin"]}));
    let ask = || {
        gateway
            .client()
            .post("/account/x?q=1")
            .header("X-User-Id", "root")
            .bearer(&token)
            .body("four")
    };
    let text = ask().send().expect(200).text();
    let identity = text.to_lowercase().find("x-user-id: ada").expect("the identity");
    assert!(identity < text.to_lowercase().find("host:").expect("the other fields"), "{text}");
    assert!(!text.contains("root"), "{text}");
    let json = ask().header("Accept", "application/json").send().expect(200).json();
    assert_eq!(
        (&json["identity"]["x-user-id"], &json["identity"]["x-user-roles"]),
        (&"ada".into(), &"admin".into())
    );
    assert_eq!((&json["target"], &json["body_bytes"]), (&"/account/x?q=1".into(), &4.into()));
}

#[test]
fn check_of_a_good_file_exits_0_and_starts_nothing() {
    let setup = setup("");
    let output = setup.cli(&["check"], "").succeeded();
    assert!(output.stdout.starts_with("ok: routes: 10"), "{}", output.stdout);
    assert!(!setup.dir().join("data").exists(), "check wrote something");
    let missing = setup.cli(&["check", "--config", "none.toml"], "");
    assert!(missing.code == Some(1) && missing.stderr.contains("none.toml"), "{missing:?}");
}

/// The value of a line of `explain`.
fn line<'a>(output: &'a Output, name: &str) -> Option<&'a str> {
    output.stdout.lines().find_map(|line| Some(line.strip_prefix(name)?.trim()))
}

#[test]
fn explain_says_pattern_policy_upstream_path_decision_reason_and_headers() {
    let setup = setup(forge::KEY).env("SHARED", forge::SECRET);
    let explain = |args: &[&str]| setup.cli(&[&["explain"], args].concat(), "").succeeded();
    let ours = explain(&["GET", "/%61dmin/x?y", "--as", r#"{"sub":"ada","roles":["admin"]}"#]);
    let parts = ["path", "pattern", "policy", "upstream", "decision"].map(|name| line(&ours, name));
    assert_eq!(
        parts,
        [
            Some("/admin/x"),
            Some("/admin/**"),
            Some("fresh-required"),
            Some("default"),
            Some("pass")
        ]
    );
    assert!(line(&ours, "because").is_some_and(|why| why.contains("ada")), "{}", ours.stdout);
    assert!(ours.stdout.to_lowercase().contains("x-user-id: ada"), "{}", ours.stdout);
    assert!(ours.stdout.to_lowercase().contains("x-user-roles: admin"), "{}", ours.stdout);

    let decision = |args: &[&str]| line(&explain(args), "decision").map(str::to_owned);
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(decision(&["GET", "/admin/x"]), is("refuse 401 token-missing"));
    assert_eq!(
        decision(&["GET", "/admin/x", "--as", r#"{"sub":"a","fresh":false}"#]),
        is("refuse 401 token-not-fresh")
    );
    assert_eq!(
        decision(&["GET", "/admin/x", "--as", r#"{"sub":"a"}"#]),
        is("refuse 403 claims-refused")
    );
    assert_eq!(
        decision(&["GET", "/session/renew", "--as", r#"{"sub":"a","type":"refresh"}"#]),
        is("pass")
    );
    assert_eq!(
        decision(&["GET", "/internal/x", "--as", r#"{"sub":"a"}"#]),
        is("refuse 404 no-route")
    );
    assert_eq!(decision(&["GET", "/nothing"]), is("refuse 404 no-route"));
    assert_eq!(decision(&["GET", "/a/../b"]), is("refuse 400 bad-path"));
    assert_eq!(
        decision(&["GET", "https://APP.example:443/nothing"]),
        is("refuse 401 token-missing")
    );
    assert_eq!(decision(&["GET", "/account/x", "--token", &forge::stale("ada")]), is("pass"));
    assert_eq!(
        decision(&["GET", "/account/x", "--token", "junk"]),
        is("refuse 401 token-malformed")
    );
    assert_eq!(decision(&["POST", "/auth/login"]), is("pass"));
    assert_ne!(setup.cli(&["explain", "GET", "/", "--as", "[]"], "").code, Some(0));
    // What the live gateway refuses before any route.
    for (method, url, code) in [
        ("get", "/", "501 bad-method"),
        ("TRACE", "/", "501 bad-method"),
        ("/", "GET", "501 bad-method"),
        ("GET", "account/x", "400 bad-target"),
    ] {
        let refused = setup.cli(&["explain", method, url], "");
        assert!(refused.code == Some(1) && refused.stderr.contains(code), "{method} {url}");
    }
    let why = explain(&["GET", "/u/ada", "--as", r#"{"sub":"bob"}"#]);
    let because = Some("the claim `sub` must be \"ada\", and is \"bob\"");
    assert_eq!(line(&why, "because"), because, "{}", why.stdout);
}

#[test]
fn explain_shows_the_rewritten_path_and_refuses_what_the_gateway_would() {
    let setup = Setup::new(
        "upstream = \"builtin:whoami\"\n[routes]\n\
         \"/old/**\" = { policy = \"public\", rewrite = \"/new/**\" }\n\
         \"/give/{a}\" = { policy = \"access-required\", forward_token = true, rewrite = \"/%25{a}\" }\n",
    );
    let explain = |args: &[&str]| setup.cli(&[&["explain"], args].concat(), "");
    let old = explain(&["GET", "/old/x"]).succeeded();
    assert_eq!((line(&old, "path"), line(&old, "target")), (Some("/old/x"), Some("/new/x")));
    assert!(old.stdout.contains("x-forwarded-for"), "{}", old.stdout);
    let given = explain(&["GET", "/give/x", "--as", r#"{"sub":"a"}"#]).succeeded();
    assert!(given.stdout.contains("authorization"), "{}", given.stdout);
    // The outcome of the rewrite is a path that the gateway would not send.
    let twice = explain(&["GET", "/give/41", "--as", r#"{"sub":"a"}"#]).succeeded();
    assert_eq!(line(&twice, "decision"), Some("refuse 400 bad-path"));
    for (method, target, code) in [
        ("TRACE", "/old/x", "bad-method"),
        ("get", "/old/x", "bad-method"),
        ("GET", "old/x", "bad-target"),
        ("GET", "/old/x#y", "bad-target"),
    ] {
        let refused = explain(&[method, target]);
        assert!(refused.code == Some(1) && refused.stderr.contains(code), "{refused:?}");
    }
}

/// Numbers that look random and are the same on every run.
struct Dice(u64);

impl Dice {
    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        from[(self.0 >> 33) as usize % from.len()]
    }
}

#[test]
fn explain_agrees_with_the_live_gateway() {
    let upstream = Upstream::echo();
    let gateway = Gateway::sharing(&upstream, SHUT);
    let (stale, fresh, refresh) = (forge::stale("ada"), forge::fresh("ada"), forge::refresh("ada"));
    let admin = forge::with(
        "bob",
        serde_json::json!({"fresh": true, "auth_time": forge::now(), "roles": ["admin"]}),
    );
    let expired = forge::with("ada", serde_json::json!({"exp": forge::now() - 5}));
    let tokens: [&str; 7] = ["", "junk", &stale, &fresh, &refresh, &admin, &expired];
    let segments: [&str; 18] = [
        "static", "blog", "account", "password", "session", "renew", "admin", "%61dmin",
        "internal", "u", "ada", "bob", "x", "", "..", "%2e", "a%2fb", "y;z",
    ];
    let mut dice = Dice(7);
    for _ in 0..240 {
        let method = dice.pick(&["GET", "GET", "POST", "HEAD", "DELETE"]);
        let path: String = (0..dice.pick(&[&1, &2, &2, &3]).to_owned())
            .map(|_| format!("/{}", dice.pick(&segments)))
            .collect();
        let (token, host) = (
            dice.pick(&tokens),
            dice.pick(&["other.example", "other.example", "app.example", "App.Example:80"]),
        );
        let url = format!("http://{host}{path}");
        let mut args = vec!["explain", method, &url];
        let mut request = gateway.client().request(method, &path).header("Host", host);
        if !token.is_empty() {
            args.extend(["--token", token]);
            request = request.bearer(token);
        }
        let explained = gateway.cli(&args, "").succeeded();
        let live = request.send();
        let decision = line(&explained, "decision").expect("a decision").to_owned();
        let live_decision = match (live.status, method) {
            (200, _) => "pass".to_owned(),
            // A HEAD has no body that could say why.
            (status, "HEAD") => {
                format!("refuse {status} {}", decision.split(' ').nth(2).unwrap_or("?"))
            }
            (status, _) => format!("refuse {status} {}", live.code()),
        };
        assert_eq!(decision, live_decision, "{method} {url} with {token:?}\n{}", explained.stdout);
        if live.status == 200 {
            let said = explained.stdout.to_lowercase();
            let seen = upstream.last();
            let expected = seen.header("x-user-id").map(|id| format!("x-user-id: {id}"));
            assert!(expected.is_none_or(|field| said.contains(&field)), "{said}");
            assert_eq!(line(&explained, "path"), Some(seen.target()));
        }
    }
}

#[test]
fn token_inspect_shows_what_a_token_says_and_whether_it_is_good() {
    let setup = setup(forge::KEY).env("SHARED", forge::SECRET);
    let inspect = |token: &str| setup.cli(&["token", "inspect"], token).succeeded().stdout;
    let good = inspect(&forge::fresh("ada"));
    assert!(good.contains("\"sub\": \"ada\"") && good.contains("verdict good, fresh"), "{good}");
    assert!(inspect(&forge::stale("ada")).contains("verdict good, stale"));
    assert!(inspect(&forge::refresh("ada")).contains("verdict good refresh token"));
    let forged = inspect(&forge::hs256("another secret, also of 32 bytes", &forge::claims("ada")));
    assert!(forged.contains("refused: token-invalid"), "{forged}");
    assert_eq!(setup.cli(&["token", "inspect", "junk"], "").code, Some(1));
    let reserved = setup.cli(&["token", "mint", "--sub", "a", "--claims", r#"{"exp":1}"#], "");
    assert!(reserved.code == Some(1) && reserved.stderr.contains("exp"), "{reserved:?}");
}

#[test]
fn help_names_every_verb_and_an_unknown_one_is_told_apart() {
    let setup = setup("");
    let help = setup.cli(&["--help"], "").succeeded().stdout;
    for verb in ["run", "check", "explain", "diff", "suggest", "user", "key", "token"] {
        assert!(help.contains(verb), "{verb}: {help}");
        let own = setup.cli(&[verb, "--help"], "").succeeded().stdout;
        assert!(own.contains("Usage:") && own.len() > 100, "{own}");
    }
    let wrong = setup.cli(&["chek"], "");
    assert!(wrong.code == Some(2) && wrong.stderr.contains("check"), "{wrong:?}");
}

#[test]
fn check_reads_the_users_too() {
    let toml = "upstream = \"builtin:whoami\"\n[login]\nusers = { file = \"users.toml\" }\n";
    let routes = "[routes]\n\"/x\" = \"access-required\"\n";
    let setup = Setup::new(&format!("{toml}{routes}"))
        .file("users.toml", "[users.ada]\npassword = \"plain\"\n");
    let refused = setup.cli(&["check"], "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("users.toml"), "{}", refused.stderr);
    let told = setup.cli(&["check", "--format", "json"], "");
    assert!(told.code == Some(1) && told.stdout.contains("unusable-users"), "{told:?}");
}
