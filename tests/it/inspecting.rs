//! `freshgate token inspect`, beside the live gateway; and `token mint --for`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{Gateway, Setup, Upstream, forge};

const ROUTES: &str = "[routes]\n\"/public\" = \"public\"\n\"/optional\" = \"optional\"\n\
    \"/access\" = \"access-required\"\n\"/fresh\" = \"fresh-required\"\n\
    \"/recent\" = { policy = \"fresh-required\", max_age = \"5m\" }\n\
    \"/refresh\" = \"refresh-only\"\n\"/deny\" = \"deny\"\n";

fn setup() -> Setup {
    let toml = format!("upstream = \"builtin:whoami\"\n{ROUTES}{}", forge::KEY);
    Setup::new(&toml).env("SHARED", forge::SECRET)
}

/// What it says to programs, whatever its exit status.
#[track_caller]
fn facts(setup: &Setup, token: &str) -> Value {
    let output = setup.cli(&["token", "inspect", "--json"], token);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// All that it says is wrong.
fn because(facts: &Value) -> String {
    let all = facts["because"].as_array().expect("a list").iter();
    all.map(|one| one.as_str().expect("a sentence")).collect::<Vec<_>>().join("\n")
}

/// Tokens of every kind, good and bad, with a word that the explanation must have.
fn tokens() -> Vec<(String, &'static str)> {
    let now = forge::now();
    let claims = forge::claims("ada").to_string();
    let sign = |header: &str| forge::sign(forge::SECRET, header.as_bytes(), claims.as_bytes());
    let good = forge::stale("ada");
    let with = |more| forge::with("ada", more);
    vec![
        (good.clone(), ""),
        (forge::fresh("ada"), ""),
        (forge::refresh("ada"), ""),
        (with(json!({"fresh": now + 60})), ""),
        (with(json!({"fresh": now - 60})), ""),
        (with(json!({"fresh": true, "auth_time": now - 600})), ""),
        (with(json!({"exp": now - 90, "iat": now - 100, "nbf": now - 100})), "1m 3"),
        (with(json!({"nbf": now + 3600})), "`nbf` is 20"),
        (with(json!({"jti": null})), "`jti` is not what this claim can be"),
        (with(json!({"exp": now * 1000})), "milliseconds"),
        (forge::hs256(forge::SECRET, &json!({"sub": "ada"})), "`jti` is missing"),
        (forge::hs256("another secret, also of 32 bytes", &forge::claims("ada")), "not that of"),
        (
            sign(r#"{"alg":"HS256","kid":"gone"}"#),
            "no key has the id \"gone\"; there are: `shared`",
        ),
        (sign(r#"{"alg":"HS512","kid":"shared"}"#), "is for HS256, and the token says \"HS512\""),
        (sign(r#"{"alg":"none"}"#), "no key is for \"none\""),
        (sign(r#"{"alg":"HS256","crit":["b64"]}"#), "`crit`"),
        (sign(r#"{"alg":"HS256","alg":"none"}"#), "duplicate member"),
        (sign("hello"), "the header: "),
        (format!("{good}="), "signature is not base64url"),
        (format!("{good}.."), "five parts"),
        (good.rsplit_once('.').expect("dots").0.to_owned(), "three parts"),
        ("junk".to_owned(), "three parts"),
        (format!("{good}, Bearer {good}"), "in no token"),
        ("a".repeat(9000), "8192 are read"),
    ]
}

#[test]
fn it_says_of_every_policy_what_the_live_gateway_does() {
    let gateway = setup().start();
    let setup = setup();
    let paths = [
        ("public", None),
        ("optional", None),
        ("access-required", None),
        ("fresh-required", None),
        ("fresh-required", Some(300)),
        ("refresh-only", None),
        ("deny", None),
    ];
    for (token, _) in tokens() {
        let facts = facts(&setup, &token);
        let said = facts["policies"].as_array().expect("a list");
        assert_eq!(said.len(), paths.len(), "{facts:#}");
        for (said, (policy, max_age)) in said.iter().zip(paths) {
            assert_eq!(
                (said["policy"].as_str(), said["max_age"].as_u64()),
                (Some(policy), max_age)
            );
            let path = match (policy, max_age) {
                (_, Some(_)) => "/recent",
                (long, None) => &format!("/{}", long.split('-').next().expect("a word")),
            };
            let live = gateway.client().get(path).bearer(&token).send();
            let passes = live.status == 200;
            assert_eq!(said["passes"], passes, "{path}: {facts:#}\n{}", live.text());
            if !passes {
                assert_eq!(said["status"], live.status, "{path}: {facts:#}");
                assert_eq!(said["code"], live.code(), "{path}: {facts:#}");
                assert_eq!(said["sentence"], live.json()["title"], "{path}: {facts:#}");
            }
        }
    }
}

#[test]
fn it_says_why_of_every_token_that_is_not_good() {
    let setup = setup();
    for (token, word) in tokens() {
        let facts = facts(&setup, &token);
        let why = because(&facts);
        assert_eq!(facts["good"].as_bool(), Some(word.is_empty()), "{facts:#}");
        assert!(why.contains(word), "{word}: {facts:#}");
        assert_eq!(why.is_empty(), word.is_empty(), "{facts:#}");
    }
    // Issuer and audience too.
    let toml = format!(
        "upstream = \"builtin:whoami\"\n[tokens]\nissuer = \"us\"\naudience = \"app\"\n{ROUTES}{}",
        forge::KEY
    );
    let strict = Setup::new(&toml).env("SHARED", forge::SECRET);
    let said =
        because(&facts(&strict, &forge::with("ada", json!({"iss": "them", "aud": "other"}))));
    assert!(said.contains("`iss` is \"them\", here it is \"us\""), "{said}");
    assert!(said.contains("`aud` is [\"other\"], here it is \"app\""), "{said}");
}

#[test]
fn times_are_said_in_words_and_the_key_by_name() {
    let setup = setup();
    let now = forge::now();
    let claims = json!({"iat": now - 120, "nbf": now - 120, "exp": now + 7300, "auth_time": now - 3700, "fresh": now + 65});
    let text = setup.cli(&["token", "inspect"], &forge::with("ada", claims)).succeeded().stdout;
    for words in
        ["iat ", "2m ", "nbf ", "exp ", "in 2h 1m ", "auth_time ", "1h 1m ", "fresh ", "in 1m"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains("Z  in 2h"), "{text}");
    assert!(text.contains("\nkey     shared (HS256; signs)\n"), "{text}");
    assert!(text.contains("\npolicy  fresh-required               passes\n"), "{text}");
    assert!(text.contains("max_age 5m   401 token-not-fresh: Prove again"), "{text}");
    let facts = facts(&setup, &forge::with("ada", json!({"exp": now + 100})));
    assert_eq!(facts["times"]["exp"]["at"], now + 100);
    assert_eq!(facts["key"]["id"], "shared");
    assert_eq!(facts["key"]["thumbprint"], Value::Null, "a secret has none that may be told");
}

#[test]
fn it_says_which_key_of_the_folder_verified_and_that_it_has_ended() {
    let gateway = Gateway::in_front_of(&Upstream::echo(), ROUTES);
    let token = gateway.mint(&["--sub", "ada"]);
    let inspect = || {
        let output = gateway.cli(&["token", "inspect", "--json", &token], "").succeeded();
        serde_json::from_str::<Value>(&output.stdout).expect("JSON")
    };
    let facts = inspect();
    let id = facts["key"]["id"].as_str().expect("an id");
    assert!(facts["key"]["thumbprint"].as_str().expect("a thumbprint").starts_with(id));
    gateway.cli(&["key", "rotate", "--now"], "").succeeded();
    let state = inspect()["key"]["state"].as_str().expect("a state").to_owned();
    assert!(state.starts_with("verifies until 20"), "{state}");
    let path = gateway.path("data/keys/ring.toml");
    let records = std::fs::read_to_string(&path).expect("records");
    let end = records.lines().find(|line| line.starts_with("retires_at")).expect("an end");
    let ended = records.replace(end, "retires_at = 2020-01-01T00:00:00Z");
    std::fs::write(path, ended).expect("written");
    let facts = inspect();
    assert_eq!(facts["verdict"], "refused: token-invalid");
    assert!(because(&facts).contains("the key that signed it has ended: 2020-01-01"), "{facts:#}");
}

#[test]
fn what_is_no_token_ends_with_status_1_and_is_taken_apart_all_the_same() {
    let setup = setup();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let output = setup.cli(&["token", "inspect"], &format!("{header}.e30"));
    assert_eq!(output.code, Some(1));
    assert!(output.stdout.contains("\"alg\": \"HS256\""), "{}", output.stdout);
    assert!(output.stdout.contains("verdict refused: token-malformed"), "{}", output.stdout);
    for odd in ["", " ", "\0", "a\nb", "é", "....", "Bearer", "e30.e30.e30"] {
        let output = setup.cli(&["token", "inspect"], odd);
        assert!(output.stdout.contains("verdict refused: token-"), "{odd:?}: {output:?}");
        assert!(output.stdout.contains("because "), "{odd:?}: {output:?}");
        assert!(!output.stderr.contains("panicked"), "{output:?}");
    }
}

#[test]
fn mint_for_oha_prints_a_command_line_that_is_ready() {
    let toml = |routes: &str| {
        format!("listen = \"0.0.0.0:8080\"\nupstream = \"builtin:whoami\"\n{routes}")
    };
    let setup = setup()
        .file(
            "fixed.toml",
            &toml("[routes]\n\"/\" = \"public\"\n\"/a/{id}/x\" = \"access-required\"\n"),
        )
        .file("none.toml", &toml("[login]\nenabled = false\n[routes]\n\"/\" = \"public\"\n"))
        .file("login.toml", &toml("[routes]\n\"/\" = \"public\"\n"));
    let run = |file: &str, more: &[&str]| {
        let args = ["token", "mint", "--sub", "ada", "--for", "oha", "--config", file];
        setup.cli(&[&args, more].concat(), "")
    };
    let line = run("fixed.toml", &[]).succeeded().stdout;
    let line = line.strip_prefix("oha -H 'Authorization: Bearer ey").expect("a command line");
    assert!(line.ends_with("' 'http://127.0.0.1:8080/a/1/x'\n"), "{line}");
    assert!(run("login.toml", &[]).succeeded().stdout.ends_with(":8080/auth/me'\n"));
    let refresh = run("login.toml", &["--refresh"]).succeeded().stdout;
    assert!(
        refresh.starts_with("oha -m POST ") && refresh.ends_with("/auth/refresh'\n"),
        "{refresh}"
    );
    assert!(run("none.toml", &[]).stderr.contains("no route of this configuration"));
    assert!(run("gateway.toml", &[]).stderr.contains("port 0"));
}
