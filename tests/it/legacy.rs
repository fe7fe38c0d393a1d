//! freshgate in front of a legacy application that knows no tokens: Debian's DokuWiki, served by Apache and PHP.
//!
//! The wiki has no accounts: whoever reaches it may edit. The routes below make it a wiki that everyone may read,
//! members may edit, and only a recent password may change files. `tests/interop/dokuwiki/` has the server's part.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::tools::{self, Server};
use crate::harness::{Client, Gateway};

/// The file of docs/try-real-backends.md, as it is.
const TOML: &str = include_str!("../../docs/try/wiki.toml");

struct Wiki {
    _server: Server,
    dir: TempDir,
    direct: Client,
    gateway: Gateway,
}

impl Wiki {
    fn start() -> Wiki {
        tools::file("Apache", &["/usr/sbin/apache2"]);
        tools::file("DokuWiki", &["/usr/share/dokuwiki/doku.php"]);
        tools::file("PHP for Apache", &["/usr/lib/apache2/modules/libphp8.2.so"]);
        // Not below target/: Apache's children run as www-data, who may not be able to go there.
        let dir =
            tempfile::Builder::new().prefix("freshgate-wiki-").tempdir().expect("a directory");
        let address = tools::free_address();
        let serve = tools::root().join("tests/interop/dokuwiki/serve");
        let server =
            Server::at(address, Command::new(serve).arg(address.to_string()).arg(dir.path()));
        let gateway = Gateway::start(&TOML.replace("127.0.0.1:9000", &address.to_string()));
        Wiki { _server: server, dir, direct: Client { address }, gateway }
    }

    /// The server's own access log: `"GET / HTTP/1.1" 200 user=- roles=- authorization=-`.
    fn seen(&self) -> String {
        std::fs::read_to_string(self.file("access.log")).expect("the server's log")
    }

    /// Waits until the server has logged a line with this: it logs after it has answered.
    fn seen_line(&self, part: &str) -> String {
        crate::harness::eventually(&format!("{part:?} in the server's log"), || {
            self.seen().lines().rfind(|line| line.contains(part)).map(str::to_owned)
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// What stands between `before` and `after`.
#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let from =
        text.find(before).unwrap_or_else(|| panic!("no {before:?} in {text}")) + before.len();
    text[from..].split(after).next().expect("one at least")
}

#[test]
fn everyone_reads_pages_and_static_files() {
    let wiki = Wiki::start();
    let client = wiki.gateway.client();
    let home = client.get("/").send().expect(302);
    // The wiki sends people back to where they came from: the gateway keeps `Host`.
    let start = format!("http://{}/wiki/start", client.address);
    assert_eq!(home.header("location"), Some(start.as_str()));
    let page = client.get("/wiki/start").send().expect(200);
    assert!(page.text().contains("Everyone may read this."), "{}", page.text());
    let logo = client.get("/wiki/lib/tpl/dokuwiki/images/logo.png").send().expect(200);
    assert_eq!((logo.header("content-type"), &logo.body[1..4]), (Some("image/png"), &b"PNG"[..]));
    client.get("/wiki/lib/exe/css.php?t=dokuwiki").send().expect(200);
    assert_eq!(client.request("HEAD", "/wiki/start").send().expect(200).body, b"");
}

#[test]
fn what_is_refused_never_reaches_the_server() {
    let wiki = Wiki::start();
    let client = wiki.gateway.client();
    let before = wiki.seen();
    client.get("/act/start?do=edit").send().refused(401, "token-missing");
    let save = client.post("/wiki/start").form(&[("do[save]", "1"), ("wikitext", "defaced")]);
    save.send().refused(401, "token-missing");
    client.post("/wiki/lib/exe/ajax.php").form(&[("call", "lock")]).send().expect(401);
    client.get("/wiki/lib/exe/mediamanager.php").send().expect(401);
    client.get("/install.php").send().expect(404);
    client.get("/doku.php?do=edit").send().refused(404, "no-route");
    client.get("/wiki/..%2finstall.php").send().expect(400);
    client.get("/wiki/../install.php").send().expect(400);
    client.get("/act/start").bearer("not-a-token").send().expect(401);
    assert_eq!(wiki.seen(), before);
    // The marker comes after all of these in the same log: nothing is still on its way.
    client.get("/wiki/marker").send();
    let after = wiki.seen_line("/wiki/marker");
    assert_eq!(wiki.seen(), format!("{before}{after}\n"));
    // Without the gateway all of it would have worked.
    wiki.direct.get("/install.php").send().expect(200);
    wiki.direct.get("/act/start?do=edit").send().expect(200);
}

#[test]
fn an_action_in_the_query_of_a_public_page_is_not_run() {
    let wiki = Wiki::start();
    for query in ["do=edit", "d%6f=edit", "do[edit]=1", "x&do=revisions", "do%5Bedit%5D=1"] {
        let answer = wiki.gateway.client().get(&format!("/wiki/start?{query}")).send().expect(302);
        let to = answer.header("location").expect("a location");
        assert!(to.contains("/act/start?"), "{query}: {to}");
    }
}

#[test]
fn a_member_edits_and_the_wiki_writes_down_who_it_was() {
    let wiki = Wiki::start();
    let client = wiki.gateway.client();
    let token = wiki.gateway.login_first().access;

    // The wiki's own form, with its session and its protection against forged posts.
    let form = client.get("/act/notes?do=edit").bearer(&token).header("X-User-Id", "root").send();
    let form = form.expect(200);
    let sectok = between(&form.text(), "name=\"sectok\" value=\"", "\"").to_owned();
    let cookies: Vec<_> = form
        .all("set-cookie")
        .iter()
        .map(|c| c.split(';').next().unwrap_or("").to_owned())
        .collect();
    let fields = [
        ("sectok", sectok.as_str()),
        ("id", "notes"),
        ("prefix", "."),
        ("suffix", ""),
        ("do[save]", "1"),
        ("wikitext", "Written by a member: ä & 100%."),
        ("summary", "through the gateway"),
    ];
    let save = client.post("/wiki/notes").bearer(&token).header("Cookie", &cookies.join("; "));
    save.form(&fields).send().expect(302);

    let page = client.get("/wiki/notes").send().expect(200).text();
    assert!(page.contains("Written by a member: ä &amp; 100%."), "{page}");
    let changes = std::fs::read_to_string(wiki.file("data/meta/_dokuwiki.changes"));
    let changes = changes.expect("the wiki's list of changes");
    assert_eq!(changes.split('\t').nth(4), Some("admin"), "{changes}");
    let seen = wiki.seen_line("POST /wiki/notes");
    assert!(seen.contains("302 user=admin roles="), "{seen}");
    assert!(!seen.contains("user=root") && seen.ends_with("authorization=-"), "{seen}");
}

#[test]
fn files_are_changed_only_with_a_fresh_token() {
    let wiki = Wiki::start();
    let client = wiki.gateway.client();
    let tokens = wiki.gateway.login_first();
    let refreshed = client.post("/auth/refresh").bearer(&tokens.refresh).send().expect(200).json();
    let stale = refreshed["access_token"].as_str().expect("a token");
    client.get("/act/start?do=revisions").bearer(stale).send().expect(200);
    let manager = "/wiki/lib/exe/mediamanager.php";
    client.get(manager).bearer(stale).send().refused(401, "token-not-fresh");
    client.get(manager).bearer(&tokens.access).send().expect(200);
}

#[test]
fn thirty_two_megabytes_from_php_arrive_whole() {
    let wiki = Wiki::start();
    let answer = wiki.gateway.client().get("/wiki/lib/exe/fetch.php?media=big.zip").send();
    let file = std::fs::read(wiki.file("data/media/big.zip")).expect("the wiki's file");
    assert_eq!(file.len(), 32 * 1024 * 1024);
    assert!(answer.expect(200).body == file, "the bytes differ");
}
