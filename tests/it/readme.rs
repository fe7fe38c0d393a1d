//! What the README shows is true: its configuration has no mistake, its commands exist, its start-up output is ours.

use crate::harness::{Gateway, Setup, Upstream};

const README: &str = include_str!("../../README.md");

/// The text of the first fenced block that opens with this line and holds this text.
fn block(fence: &str, holding: &str) -> &'static str {
    README
        .split("```")
        .filter_map(|block| block.strip_prefix(fence)?.strip_prefix('\n'))
        .find(|block| block.contains(holding))
        .expect("the README has such a block")
}

#[test]
fn the_configuration_of_the_readme_has_no_mistake_and_twenty_lines() {
    let toml = block("toml", "[routes]");
    assert!(toml.lines().count() <= 20, "{}", toml.lines().count());
    let checked = Setup::new(toml).cli(&["check"], "").succeeded();
    assert!(checked.stdout.starts_with("ok: routes: 9 "), "{}", checked.stdout);
}

#[test]
fn the_configuration_of_the_readme_does_what_its_comments_say() {
    let upstream = Upstream::echo();
    let toml = block("toml", "[routes]").replace("http://127.0.0.1:9000", &upstream.to_string());
    let gateway = Gateway::start(&toml);
    let client = gateway.client();
    let ada = gateway.mint(&["--sub", "ada", "--stale"]);
    client.get("/").send().expect(200);
    client.get("/nowhere").send().refused(404, "no-route");
    client.get("/users/ada/photos").bearer(&ada).send().expect(200);
    client.get("/users/bob/photos").bearer(&ada).send().refused(403, "claims-refused");
    client.post("/account/password").bearer(&ada).send().refused(401, "token-not-fresh");
    client.get("/old/api/v1").bearer(&ada).send().expect(200);
    assert_eq!(upstream.last().target(), "/api/v1");
    let explained = gateway.cli(
        &["explain", "POST", "/account/password", "--as", r#"{"sub":"ada","fresh":false}"#],
        "",
    );
    assert!(explained.succeeded().stdout.contains("refuse 401 token-not-fresh"));
}

#[test]
fn the_start_up_output_of_the_readme_is_what_the_gateway_prints() {
    let gateway = Setup::new(include_str!("../../gateway.toml")).start();
    let said = gateway.stdout();
    for line in block("console", "listening on").lines() {
        let fixed = ["configuration ", "routes: ", "first user: ", "(shown this once", "try next:"];
        if fixed.iter().any(|start| line.starts_with(start)) {
            assert!(said.contains(line), "the gateway does not print {line:?} but:\n{said}");
        }
    }
}

#[test]
fn the_three_lines_to_try_next_work_as_they_are_printed() {
    let gateway = Setup::new(include_str!("../../gateway.toml")).start();
    let said = gateway.stdout();
    let lines: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    let shell = std::process::Command::new("sh").arg("-c").arg(lines.join("\n")).output();
    let shown = String::from_utf8_lossy(&shell.expect("sh and curl").stdout).into_owned();
    assert_eq!(shown.matches("HTTP/1.1 200 OK").count(), 2, "{shown}");
    assert!(shown.contains("x-user-id: admin"), "{shown}");
}
