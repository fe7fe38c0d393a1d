//! `diff` and `suggest`: what a reviewer and a newcomer see, and how each ends.

use serde_json::Value;

use crate::harness::Setup;

const OLD: &str = "upstream = \"builtin:whoami\"\n[login]\nusers = { file = \"nobody.toml\" }\n\
    [[tokens.key]]\nid = \"k\"\nalg = \"HS256\"\nsecret = { env = \"NOT_ON_THIS_MACHINE\" }\n\
    [routes]\n\"/\" = \"public\"\n\"/admin/**\" = \"fresh-required\"\n\"/account/**\" = \"access-required\"\n";

fn setup(new: &str) -> Setup {
    Setup::new("upstream = \"builtin:whoami\"\n[routes]\n\"/\" = \"public\"\n")
        .file("old.toml", OLD)
        .file("new.toml", new)
}

#[test]
fn diff_gates_by_its_exit_status_and_needs_no_secret() {
    let weaker = OLD.replace("\"fresh-required\"", "\"public\"");
    let output = setup(&weaker).cli(&["diff", "old.toml", "new.toml"], "");
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_eq!(
        output.stdout,
        "/admin/**  GET /admin  fresh-required → public  WEAKER\n1 weaker, 0 stricter, 0 changed\n"
    );
    let back = setup(&weaker).cli(&["diff", "new.toml", "old.toml"], "");
    assert!(
        back.code == Some(0) && back.stdout.contains("public → fresh-required  stricter"),
        "{back:?}"
    );
    let same = setup(OLD).cli(&["diff", "old.toml", "new.toml"], "");
    assert!(same.code == Some(0) && same.stdout == "no request changes its decision\n", "{same:?}");
}

#[test]
fn diff_tells_a_mistake_from_a_weaker_route() {
    for new in
        ["upstream = 5", "[routes", "upstream = \"builtin:whoami\"\n[routes]\n\"/a\" = \"pulic\"\n"]
    {
        let output = setup(new).cli(&["diff", "old.toml", "new.toml"], "");
        assert!(output.code == Some(2) && output.stderr.contains("new.toml"), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    let missing = setup(OLD).cli(&["diff", "old.toml", "none.toml"], "");
    assert!(missing.code == Some(2) && missing.stderr.contains("none.toml"), "{missing:?}");
}

#[test]
fn diff_speaks_json() {
    let new =
        OLD.replace("\"/admin/**\" = \"fresh-required\"\n", "") + "[tokens]\nleeway = \"1m\"\n";
    let new = new.replace(
        "[[tokens.key]]\nid = \"k\"\nalg = \"HS256\"\nsecret = { env = \"NOT_ON_THIS_MACHINE\" }\n",
        "",
    );
    let output = setup(&new).cli(&["diff", "old.toml", "new.toml", "--format", "json"], "");
    let all: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(output.code, Some(1));
    let route = &all["routes"][0];
    assert_eq!((&route["verdict"], &route["route"]), (&"stricter".into(), &"/admin/**".into()));
    assert_eq!((&route["old"]["policy"], &route["new"]), (&"fresh-required".into(), &Value::Null));
    assert_eq!(route["example"]["path"], "/admin");
    let settings = all["settings"].as_array().expect("a list");
    let leeway = settings.iter().find(|one| one["setting"] == "[tokens] leeway").expect("leeway");
    assert_eq!((&leeway["verdict"], &leeway["new"]), (&"weaker".into(), &"1m".into()));
}

const LOG: &str = "\
10.0.0.7 - - [23/Nov/2025:10:00:00 +0000] \"GET / HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0\"\n\
10.0.0.7 - ada [23/Nov/2025:10:00:01 +0000] \"POST /orders/17/pay HTTP/1.1\" 200 12 \"-\" \"Mozilla/5.0\"\n\
what is this\n\
10.0.0.7 - - [23/Nov/2025:10:00:02 +0000] \"GET /assets/site.css?v=3 HTTP/2.0\" 304 0\n";

#[test]
fn a_suggestion_is_a_configuration_that_check_accepts() {
    let setup = setup(OLD).file("access.log", LOG);
    let drafted = setup.cli(&["suggest", "access.log", "--public", "/assets"], "").succeeded();
    assert_eq!(drafted.stderr, "lines that are no request: 1; the first is line 3\n");
    assert!(drafted.stdout.contains("\"/assets/**\" = \"public\"  # 1\n"), "{}", drafted.stdout);
    assert!(
        drafted.stdout.contains("\"/orders/{id}/pay\" = \"access-required\"  # 1 POST\n"),
        "{}",
        drafted.stdout
    );
    let again = Setup::new("").file("draft.toml", &drafted.stdout);
    let checked = again.cli(&["check", "--config", "draft.toml"], "").succeeded();
    assert!(checked.stdout.starts_with("ok: routes: 3"), "{}", checked.stdout);
    let piped = setup.cli(&["suggest", "-"], LOG).succeeded();
    assert!(piped.stdout.contains("looks static"), "{}", piped.stdout);
    assert_eq!(setup.cli(&["suggest", "-"], "nothing\n").code, Some(1));
    for bad in ["https://a.example", "http://a.example/app", "a \" b"] {
        let refused = setup.cli(&["suggest", "access.log", "--upstream", bad], "");
        assert_eq!(refused.code, Some(1), "{bad}");
        assert_eq!(refused.stdout, "", "no draft that check would refuse");
        assert!(refused.stderr.contains("bad-upstream"), "{}", refused.stderr);
    }
    assert_eq!(setup.cli(&["suggest", "none.log"], "").code, Some(1));
}
