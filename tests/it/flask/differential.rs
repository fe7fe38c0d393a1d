//! Thousands of generated requests to the library and to the gateway in its profile: the same status and, where the text
//! is the library's own, the same text. What differs on purpose is the list of docs/flask-jwt-extended.md, and nothing else.

use std::collections::BTreeMap;

use serde_json::json;

use super::requests::{Case, Dice, LOWER_CASE, case};
use super::world::{Plan, World};
use crate::harness::client::Connection;
use crate::harness::{Response, tools};

/// Requests of one run.
const REQUESTS: usize = 4000;

/// Locations there, the same here, and how many of the requests go to these.
const WORLDS: [(&[&str], &str, usize); 4] = [
    (&["headers", "cookies", "query_string"], r#"["header", "cookie", "query"]"#, REQUESTS / 2),
    (&["query_string", "cookies"], r#"["query", "cookie"]"#, REQUESTS / 4),
    (&["headers"], r#"["header"]"#, REQUESTS / 8),
    (&["cookies"], r#"["cookie"]"#, REQUESTS / 8),
];

const SAME: &str = "same";

/// A difference that is meant: what the document calls it, and when it is one.
struct Meant {
    pub name: &'static str,
    holds: fn(&Case, &Response, &Response) -> bool,
}

fn refused(answer: &Response) -> bool {
    (400..500).contains(&answer.status)
}

/// Judged in [`compared`].
const ANY_CASE: &str = "the word `bearer` in any case";

/// In the order of the document. But for the first nothing passes here that is refused there.
const MEANT: &[Meant] = &[
    Meant { name: ANY_CASE, holds: |_, _, _| false },
    Meant {
        name: "its 500 is a 4xx",
        holds: |_, there, here| there.status == 500 && refused(here),
    },
    Meant {
        name: "two tokens in one place",
        holds: |case, _, here| case.is("two-in-one-place") && here.status == 422,
    },
    Meant {
        name: "no commas in the header",
        holds: |case, _, here| (case.is("comma") || case.is("list")) && here.status == 422,
    },
    Meant {
        name: "a cookie that is none is a bad token",
        holds: |case, _, here| case.is("no-cookie") && refused(here),
    },
    Meant {
        name: "`type` is `access` or `refresh`",
        holds: |case, _, here| (case.is("type=") || case.is("no-type")) && here.status == 422,
    },
    Meant {
        name: "`exp`, `iat` and `jti` are there",
        holds: |case, _, here| {
            ["no-exp", "no-iat", "no-jti", "jti=", "sub="].iter().any(|word| case.is(word))
                && here.status == 422
        },
    },
    Meant {
        name: "claims have their types",
        holds: |case, _, here| {
            ["exp=", "iat=", "nbf=", "fresh=", "aud=", "iss=", "csrf="]
                .iter()
                .any(|word| case.is(word))
                && here.status == 422
        },
    },
    Meant {
        name: "`kid` names a key",
        holds: |case, _, here| case.is("kid-unknown") && here.status == 422,
    },
    Meant {
        name: "one spelling of a token",
        holds: |case, _, here| {
            ["header-twice", "payload-twice", "padded"].iter().any(|word| case.is(word))
                && here.status == 422
        },
    },
];

fn text(answer: &Response) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["msg"].as_str().unwrap_or_default().to_owned()
}

/// Whether a text is the library's own; the others are PyJWT's, and change with its version.
fn own(text: &str) -> bool {
    let prefixes = ["Missing JWT in", "Missing cookie", "Missing '", "Missing Auth", "Bad Auth"];
    let whole = [
        "Token has expired",
        "Fresh token required",
        "Only refresh tokens are allowed",
        "Only non-refresh tokens are allowed",
        "Token has been revoked",
        "Missing CSRF token",
        "CSRF double submit tokens do not match",
        "Signature verification failed",
    ];
    whole.contains(&text) || prefixes.iter().any(|prefix| text.starts_with(prefix))
}

fn same(case: &Case, there: &Response, here: &Response) -> bool {
    let texts = case.method == "HEAD" || !own(&text(there)) || text(there) == text(here);
    there.status == here.status && (there.status == 200 || texts)
}

/// Both, with the same locations in the same order.
fn world(there: &[&str], here: &str) -> World {
    let options = json!({"JWT_TOKEN_LOCATION": there});
    let tokens = format!("profile = \"flask-jwt-extended\"\naccept = {here}\n");
    Plan { options, tokens: &tokens, ..Plan::simple("venv") }.start()
}

/// Asks both, and says how the answers differ: not at all, as it is meant, or as nobody meant it.
fn compared(case: &Case, lines: &mut Lines) -> Result<&'static str, String> {
    let mut there = lines.there(case);
    let here = lines.here(case);
    assert!(here.status == 200 || refused(&here), "{case:?}: {}", here.status);
    if same(case, &there, &here) {
        return Ok(SAME);
    }
    // This one lets something pass that is refused there. The difference is this and nothing else: asked as the library
    // wants it, the rest holds.
    if case.is(LOWER_CASE) {
        there = lines.there(&case.in_capitals());
        if same(case, &there, &here) {
            return Ok(ANY_CASE);
        }
    }
    let meant = MEANT.iter().find(|one| (one.holds)(case, &there, &here));
    meant.map(|meant| meant.name).ok_or_else(|| {
        let Case { method, path, odd, .. } = case;
        let [theirs, ours] = [&there, &here].map(|one| format!("{} {:?}", one.status, text(one)));
        format!("{method} {path} {odd:?}: {theirs} there, {ours} here")
    })
}

/// A connection to each, new ones from time to time.
struct Lines<'w> {
    world: &'w World,
    asked: usize,
    there: Connection,
    here: Connection,
}

impl Lines<'_> {
    fn to(world: &World) -> Lines<'_> {
        let (there, here) = (world.library.connect(), world.gateway.client().connect());
        Lines { world, asked: 0, there, here }
    }

    fn there(&mut self, case: &Case) -> Response {
        self.asked += 1;
        if self.asked.is_multiple_of(50) {
            *self = Lines { asked: self.asked, ..Lines::to(self.world) };
        }
        case.request(self.world.library).send_on(&mut self.there)
    }

    fn here(&mut self, case: &Case) -> Response {
        case.request(self.world.gateway.client()).send_on(&mut self.here)
    }
}

#[test]
fn generated_requests_are_answered_alike_but_for_the_differences_that_are_written_down() {
    let mut dice = Dice(5);
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut odd = Vec::new();
    for (there, here, requests) in WORLDS {
        let world = world(there, here);
        let mut lines = Lines::to(&world);
        for _ in 0..requests {
            match compared(&case(&mut dice), &mut lines) {
                Ok(name) => *counted.entry(name).or_default() += 1,
                Err(line) => odd.push(line),
            }
        }
    }
    let shown = odd.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(odd.is_empty(), "{} differences that nobody meant:\n{shown}", odd.len());
    println!("{counted:#?}");
    // A list that says more than is so would hide the next difference.
    for one in MEANT {
        assert!(counted.contains_key(one.name), "nothing differs so any more: {}", one.name);
    }
    assert!(counted[SAME] > REQUESTS / 2, "{counted:?}");
}

#[test]
fn the_document_has_every_difference_that_is_meant() {
    let page = std::fs::read_to_string(tools::root().join("docs/flask-jwt-extended.md"));
    let page = page.expect("the page");
    for one in MEANT {
        assert!(page.contains(&format!("- **{}**", one.name)), "{}", one.name);
    }
}
