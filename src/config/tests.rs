//! What a configuration means, and exactly what is said of a bad one. `FRESHGATE_BLESS=1` rewrites the
//! renderings and `docs/configuration.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use proptest::prelude::*;

use super::diagnostic::{Diagnostics, Severity};
use super::lower::lower;
use super::read::{Shape, Table};
use super::{Config, DEFAULT, HostRule, Target, UsersSource, limits_page, raw, reference, schema};
use crate::policy::Requirement;
use crate::policy::route::{Action, Endpoint, Forward, RewritePart, RewriteSegment, Route};
use crate::policy::rules::Wanted;
use crate::token::extract::{Accept, Location, Locations};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn good(text: &str) -> Config {
    lower(text, Some(Path::new("gateway.toml")), &root()).expect("no mistakes")
}

#[track_caller]
fn bad(text: &str) -> Diagnostics {
    lower(text, Some(Path::new("gateway.toml")), &root()).expect_err("a mistake")
}

fn codes(text: &str) -> Vec<&'static str> {
    let errors = bad(text);
    let errors = errors.list().iter().filter(|one| one.severity == Severity::Error);
    errors.map(|one| one.code).collect()
}

fn route<'c>(config: &'c Config, id: &str) -> &'c Route {
    config.routes.routes().iter().find(|route| route.id == id).expect("such a route")
}

fn forward<'c>(config: &'c Config, id: &str) -> &'c Forward {
    match &route(config, id).action {
        Action::Forward(forward) => forward,
        Action::Endpoint(_) => panic!("{id} is an endpoint"),
    }
}

/// Compares a committed file with what it must be, or writes it.
#[track_caller]
fn committed(path: &Path, wanted: &str) {
    if env::var_os("FRESHGATE_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("writable");
        fs::write(path, wanted).expect("writable");
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    let remedy = "stale: run FRESHGATE_BLESS=1 cargo test config, and read what changed";
    assert_eq!(found, wanted, "{} is {remedy}", path.display());
}

#[test]
fn another_encoding_is_shown_where_it_begins_and_no_secret_beside_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("gateway.toml");
    std::fs::write(&path, b"# \xc3\xa9\nsecret = \"hidden\" # caf\xe9\n").expect("written");
    let told = Config::load(&path).expect_err("Latin-1");
    let json = told.json();
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&2.into(), &24.into()), "{json}");
    let drawn = told.render(false);
    assert!(drawn.contains("caf\u{fffd}") || drawn.contains("****"), "{drawn}");
    assert!(!drawn.contains("hidden"), "{drawn}");
}

#[test]
fn bad_files_are_rendered_exactly_as_committed() {
    let folder = root().join("tests/data/config/invalid");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of bad files")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 45, "only {} bad files", files.len());
    // What git keeps of a mode depends on the machine.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(root().join("tests/data/config/known.secret"), readable).expect("set");
    for path in files {
        let text = fs::read_to_string(&path).expect("readable");
        let name = Path::new(path.file_name().expect("a name"));
        // Relative to the repository, so that messages name no machine's paths.
        let mistakes = match lower(&text, Some(name), Path::new("tests/data/config")) {
            Ok(config) => config.warnings,
            Err(mistakes) => mistakes,
        };
        let rendered = mistakes.render(false);
        assert!(rendered.len() > 1, "{} has no mistakes", path.display());
        assert!(!rendered.contains("hunter2"), "{} prints a secret:\n{rendered}", path.display());
        assert!(!rendered.contains('\u{1b}'), "{} prints escapes:\n{rendered}", path.display());
        committed(&path.with_extension("txt"), &rendered);
        let (told, shown) = (mistakes.json(), rendered.matches("\n --> ").count());
        let told = told.as_array().expect("an array");
        assert!(told.len() >= shown, "{}: {told:?}", path.display());
        assert!(!mistakes.json().to_string().contains("hunter2"), "{}", path.display());
    }
}

#[test]
fn the_reference_is_printed_from_the_tables() {
    committed(&root().join("docs/configuration.md"), &reference::markdown());
    committed(&root().join("docs/limits.md"), &limits_page::markdown());
}

#[test]
fn the_schema_is_printed_from_the_tables() {
    committed(&root().join("docs/gateway.schema.json"), &schema::document());
}

#[test]
fn the_built_in_file_has_no_mistakes() {
    let config = Config::embedded().expect("no mistakes");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.upstreams.len(), 1);
    assert_eq!(config.upstreams[0].target, Target::Whoami);
    assert_eq!(config.login.expect("login").users, UsersSource::Default("data/users.toml".into()));
    assert_eq!(config.file, None);
    let five_minutes = Some(Duration::from_secs(300));
    let config = good(DEFAULT);
    assert_eq!(
        route(&config, "/admin/**").requirement,
        Requirement::Fresh { max_age: five_minutes }
    );
}

#[test]
fn every_default_is_read_and_documented() {
    fn walk(table: &Table) {
        assert!(!table.docs.is_empty());
        for key in table.keys {
            assert!(!key.docs.is_empty(), "`{}` has no documentation", key.name);
            if let Some(inner) = (key.table)() {
                walk(inner);
            }
        }
    }
    walk(&raw::RawFile::TABLE);
    let reference = reference::markdown();
    let empty = good("");
    // A file that spells every default out means the same as an empty one.
    let mut spelled = String::new();
    for key in raw::RawFile::TABLE.keys {
        if let (Shape::Value | Shape::Lines, Some(default)) = (key.shape, key.default) {
            spelled += &format!("{} = {default}\n", key.name);
            assert!(reference.contains(&format!("`{default}`")), "{default}");
        }
    }
    for key in raw::RawFile::TABLE.keys.iter().filter(|key| key.shape == Shape::Section) {
        spelled += &format!("[{}]\n", key.name);
        for inner in (key.table)().expect("a section").keys {
            if let (Shape::Value, Some(default)) = (inner.shape, inner.default) {
                spelled += &format!("{} = {default}\n", inner.name);
                let row = reference.lines().any(|line| {
                    line.starts_with(&format!("| `{}`", inner.name))
                        && line.contains(&format!("`{default}`"))
                });
                assert!(row, "{} = {default}", inner.name);
            }
        }
    }
    let spelled = good(&spelled);
    assert_eq!(spelled.limits, empty.limits);
    assert_eq!(spelled.tokens, empty.tokens);
    assert_eq!(spelled.sessions, empty.sessions);
    assert_eq!(spelled.paths, empty.paths);
    assert_eq!(spelled.login, empty.login);
    assert_eq!(spelled.identity, empty.identity);
    assert_eq!(spelled.log, empty.log);
    assert_eq!((spelled.listen, spelled.admin), (empty.listen, empty.admin));
    assert_eq!(spelled.state_dir, empty.state_dir);
    assert_eq!(empty.limits.body_max, 10 * 1024 * 1024);
    assert_eq!(empty.tokens.refresh_ttl, Duration::from_secs(30 * 24 * 3600));
}

#[test]
fn sessions_last_as_the_lives_of_their_tokens_let_them() {
    const DAY: u64 = 24 * 3600;
    let of = |keys: &str| good(&format!("[tokens]\n{keys}")).sessions;
    let days = |keys: &str| of(keys).session_max.as_secs() / DAY;
    let default = of("");
    assert_eq!((default.rotation, default.reuse_window), (true, Duration::from_secs(10)));
    assert_eq!((default.refresh_idle, days("")), (None, 90));
    assert_eq!(days("refresh_ttl = '200d'"), 200);
    assert_eq!(days("session_max = '7d'"), 7);
    // Without rotation there is one refresh token, and the session ends with it.
    assert_eq!(days("rotation = 'off'"), 30);
    assert_eq!(days("rotation = 'off'\nrefresh_ttl = '60d'\nsession_max = '90d'"), 60);
    assert_eq!(days("rotation = 'off'\nsession_max = '7d'"), 7);
    // The clients of that library keep the refresh token that they have, unless the file says otherwise.
    assert!(!of("profile = 'flask-jwt-extended'").rotation);
    assert!(of("profile = 'flask-jwt-extended'\nrotation = 'on'").rotation);
    let idle = of("refresh_idle = '8h'\nreuse_window = '0s'");
    assert_eq!(
        (idle.refresh_idle, idle.reuse_window),
        (Some(Duration::from_secs(8 * 3600)), Duration::ZERO)
    );
}

#[test]
fn defaults_of_upstreams_are_those_of_an_empty_table() {
    let config = good("upstream = 'http://h:1'\n[upstreams.app]\nurl = 'http://h:1/'");
    let [first, second] = config.upstreams.as_slice() else { panic!("two upstreams") };
    assert_eq!((&*first.name, &*second.name), ("default", "app"));
    assert_eq!(first.target, Target::Http { host: "h".into(), port: 1 });
    assert_eq!(first.target, second.target);
    assert_eq!(first.keep_alive, Duration::from_secs(4));
    assert_eq!((first.keep_alive, &first.host), (second.keep_alive, &HostRule::Keep));
}

#[test]
fn an_upstream_is_an_authority() {
    for (url, host, port) in [
        ("http://app", "app", 80),
        ("http://[::1]:9000", "::1", 9000),
        ("http://10.0.0.7:81/", "10.0.0.7", 81),
    ] {
        let config = good(&format!("upstream = \"{url}\""));
        let wanted = Target::Http { host: host.into(), port };
        assert_eq!(config.upstreams[0].target, wanted, "{url}");
    }
    for url in [
        "http://",
        "http://:80",
        "http://h:0",
        "http://h:99999",
        "http://h:",
        "http://a b",
        "ftp://h",
        "h:80",
        "http://u@h",
        "http://h/p",
        "http://h?q",
    ] {
        assert_eq!(codes(&format!("upstream = \"{url}\"")), ["bad-upstream"], "{url}");
    }
}

#[test]
fn a_route_without_upstream_goes_to_default_or_to_the_only_one() {
    let only = good("[upstreams.app]\nurl = 'http://h:1'\n[routes]\n'/' = 'public'");
    assert_eq!(forward(&only, "/").upstream, 0);
    let default = "[upstreams.a]\nurl='http://a:1'\n[upstreams.default]\nurl='http://b:1'\n[routes]\n'/'='public'\n'/a'={policy='public',upstream='a'}";
    let config = good(default);
    assert_eq!((forward(&config, "/").upstream, forward(&config, "/a").upstream), (1, 0));
}

#[test]
fn the_long_form_says_everything() {
    let config = good(
        r#"
        upstream = "builtin:whoami"
        [routes."/t/{tenant}/**"]
        policy = "fresh-required"
        max_age = "1h 30m"
        methods = ["POST", "PUT"]
        accept = ["cookie", "header"]
        claims = { roles = ["admin", 7, true], tenant = "{tenant}", odd = "{not a name}" }
        rewrite = "/v2/x{tenant}é/**"
        timeout = "2s"
        body_max = "1MiB"
        forward_token = true
        preflight = true
        "#,
    );
    let route = route(&config, "/t/{tenant}/**");
    let max_age = Some(Duration::from_secs(5400));
    assert_eq!(route.requirement, Requirement::Fresh { max_age });
    assert_eq!(route.pattern.methods, ["POST", "PUT"]);
    assert!(route.preflight);
    assert_eq!(route.accept, Some(Accept::of([Location::Cookie, Location::Header])));
    assert_eq!(config.locations, Locations::default(), "the defaults of the file and of the code");
    assert_eq!(route.claims[0].wanted.len(), 3);
    assert_eq!(route.claims[1].wanted, [Wanted::Capture(1)]);
    assert_eq!(route.claims[2].wanted, [Wanted::Value("{not a name}".into())]);
    let forward = forward(&config, "/t/{tenant}/**");
    assert_eq!(forward.body_max, Some(1024 * 1024));
    assert_eq!(forward.timeout, Some(Duration::from_secs(2)));
    assert!(forward.forward_token);
    let rewrite = forward.rewrite.as_ref().expect("a rewrite");
    let parts = vec![
        RewritePart::Text("x".into()),
        RewritePart::Capture(1),
        RewritePart::Text("%C3%A9".into()),
    ];
    assert_eq!(
        rewrite.segments,
        [
            RewriteSegment::Parts(vec![RewritePart::Text("v2".into())]),
            RewriteSegment::Parts(parts),
            RewriteSegment::Rest,
        ]
    );
}

#[test]
fn our_endpoints_are_routes() {
    let of = |config: &Config| -> Vec<Endpoint> {
        let endpoint = |route: &std::sync::Arc<Route>| match route.action {
            Action::Endpoint(endpoint) => Some(endpoint),
            Action::Forward(_) => None,
        };
        config.routes.routes().iter().filter_map(endpoint).collect()
    };
    let on = good("[login]\nat = '/x/y/'");
    assert_eq!(route(&on, "POST /x/y/logout").requirement, Requirement::AnyToken);
    assert_eq!(route(&on, "POST /x/y/refresh").requirement, Requirement::Refresh);
    assert_eq!(of(&on).len(), 9);
    for path in ["DELETE /x/y/sessions", "DELETE /x/y/sessions/{sid}"] {
        assert_eq!(route(&on, path).requirement, Requirement::Fresh { max_age: None });
    }
    assert!(of(&good("[login]\nenabled = false")).is_empty());
    // A pattern that covers an endpoint is no mistake: the endpoint is more specific.
    good(
        "upstream='builtin:whoami'\n[routes]\n'/auth/**'='deny'\n'/**'='deny'\n'/auth/login'='public'",
    );
}

#[test]
fn a_secret_comes_from_its_variable_or_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), "0123456789abcdef0123456789abcdef\n").expect("written");
    let text = |path: &Path| {
        format!("[[tokens.key]]\nid='a'\nalg='HS256'\nsecret={{file='{}'}}", path.display())
    };
    assert_eq!(good(&text(file.path())).keys.len(), 1);
    fs::write(file.path(), "0123456789abcdef0123456789abcde\n").expect("written");
    assert_eq!(codes(&text(file.path())), ["weak-secret"]);
    fs::write(file.path(), "\n").expect("written");
    assert_eq!(codes(&text(file.path())), ["secret-unresolved"]);
    use std::os::unix::fs::PermissionsExt;
    fs::write(file.path(), "0123456789abcdef0123456789abcdef\r\n").expect("written");
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).expect("set");
    let mistakes = bad(&text(file.path()));
    assert_eq!(mistakes.list()[0].code, "secret-readable");
    let remedy = format!("run: chmod 600 {}", file.path().display());
    assert_eq!(mistakes.list()[0].help.as_deref(), Some(remedy.as_str()));
    // A public key is no secret: others may read it, and it is only refused for what it says.
    let public = text(file.path()).replace("HS256", "ES256").replace("secret=", "public=");
    assert_eq!(codes(&public), ["key-refused"]);
    // Cargo sets this one; the secret is too short, which proves that it was read.
    let env = "[[tokens.key]]\nid='a'\nalg='HS256'\nsecret={env='CARGO_PKG_NAME'}";
    assert_eq!(codes(env), ["weak-secret"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_clearly() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("gateway.toml");
    let told = |path: &Path| Config::load(path).expect_err("a mistake").render(false);
    assert!(told(&path).contains("there is no file"), "{}", told(&path));
    assert!(told(dir.path()).contains("is a directory"));
    fs::write(&path, b"listen = \"\xff\"").expect("written");
    assert!(told(&path).contains("is not UTF-8: line 1"));
    fs::write(&path, vec![b'#'; 10 * 1024 * 1024 + 1]).expect("written");
    assert!(told(&path).contains("larger than 10 MiB"));
    fs::write(&path, "[state]\ndir = 's'").expect("written");
    let config = Config::load(&path).expect("no mistakes");
    assert_eq!(config.state_dir, dir.path().join("s"));
    assert_eq!(config.file, Some(path));
}

#[test]
fn a_users_file_is_named_before_it_is_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("gateway.toml");
    let unresolved = "[[tokens.key]]\nid='a'\nalg='HS256'\nsecret={file='none'}\n";
    fs::write(&path, format!("{unresolved}[login]\nusers = {{ file = 'u.toml' }}"))
        .expect("written");
    let codes = Config::load(&path).expect_err("mistakes");
    let codes: Vec<&str> = codes.list().iter().map(|one| one.code).collect();
    assert_eq!(codes, ["secret-unresolved", "users-file", "no-routes"]);
    let users = Config::users_path(Some(&path)).expect("no mistakes");
    assert_eq!(users, Some(dir.path().join("u.toml")));
    assert_eq!(Config::users_path(None).expect("no mistakes"), Some("data/users.toml".into()));
    fs::write(&path, "[login]\nenabled = false").expect("written");
    assert_eq!(Config::users_path(Some(&path)).expect("no mistakes"), None);
}

#[test]
fn warnings_do_not_stop_a_start() {
    let config = good("admin = '0.0.0.0:8081'\n[routes]\n");
    let codes: Vec<&str> = config.warnings.list().iter().map(|one| one.code).collect();
    assert_eq!(codes, ["public-admin", "no-routes"]);
}

#[test]
fn a_hostile_file_is_told_in_short_and_in_good_time() {
    let unknown: String = (0..200_000).map(|n| format!("x{n} = 1\n")).collect();
    let rendered = bad(&(unknown.clone() + &unknown)).render(false);
    // Each unknown and once repeated, and that there are no routes.
    assert!(rendered.ends_with("… and 399901 more\n"), "{}", &rendered[rendered.len() - 30..]);
    let many = "x = 1\n".repeat(3000) + &"[a.b.c.d]\n".repeat(3000);
    assert!(bad(&many).render(false).contains("more"));
    let deep = format!("x = {}", "[".repeat(100_000));
    assert!(!bad(&deep).render(false).is_empty());
    let wide = format!("x = \"{}\"", "y".repeat(5_000_000));
    assert!(bad(&wide).render(false).len() < 2000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lowering_never_panics_on_mutated_text(
        seed in 0usize..64,
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}=\"'*/a-z0-9 .\\n\\\\é#-]{0,4}", 0usize..6), 1..8),
    ) {
        let mut text = SEEDS[seed % SEEDS.len()].to_owned();
        for (place, insert, cut) in edits {
            let mut from = place.index(text.len() + 1);
            let mut to = (from + cut).min(text.len());
            while !text.is_char_boundary(from) { from -= 1; }
            while !text.is_char_boundary(to) { to += 1; }
            text.replace_range(from..to, &insert);
        }
        let rendered = match lower(&text, None, Path::new("")) {
            Ok(config) => config.warnings.render(true),
            Err(mistakes) => mistakes.render(true),
        };
        prop_assert!(!rendered.is_empty());
    }
}

const SEEDS: &[&str] = &[
    DEFAULT,
    "upstream = \"http://a:1\"\n[upstreams.b]\nurl = \"http://b\"\nhost = \"upstream\"\nidle_max = 3\n[[tokens.key]]\nid = \"a\"\nalg = \"HS256\"\nsecret = { env = \"HOME\" }\n[limits]\nbody_max = \"1MiB\"\n",
    "upstream = \"http://a:1\"\n[routes]\n\"GET,POST h.example/a/{b}/**\" = { policy = \"optional\", claims = { a = [1, \"{b}\"] }, rewrite = \"/é/{b}.x/**\" }\n\"/a//\" = \"deny\"\n[paths]\nsemicolon = \"pass\"\n",
];
