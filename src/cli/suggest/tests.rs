//! Realistic logs, hostile lines, and that every draft is a configuration without mistakes.

use std::fmt::Write;
use std::path::Path;

use super::*;

fn survey(log: &[u8], public: &[&str]) -> Survey {
    let mut survey = Survey::default();
    for prefix in public {
        survey.public.insert(prefix_of(prefix).expect("a prefix"), 0);
    }
    survey.read(&mut &*log).expect("memory can be read");
    survey
}

/// The draft, after the check that every draft must pass.
#[track_caller]
fn draft(survey: &Survey) -> String {
    let text = draft::text(survey, "http://127.0.0.1:9000");
    if let Err(mistakes) = crate::config::lower::lower(&text, None, Path::new("")) {
        panic!("{}\n{text}", mistakes.render(false));
    }
    text
}

fn log(requests: &[(&str, &str, u16)]) -> Vec<u8> {
    let line = |(method, target, status): &(&str, &str, u16)| {
        format!(
            "10.0.0.1 - - [23/Nov/2025:10:00:00 +0000] \"{method} {target} HTTP/1.1\" {status} 512 \"-\" \"curl/8\"\n"
        )
    };
    requests.iter().map(line).collect::<String>().into_bytes()
}

#[track_caller]
fn routes(requests: &[(&str, &str, u16)], public: &[&str]) -> Vec<String> {
    let text = draft(&survey(&log(requests), public));
    let (_, routes) = text.split_once("[routes]\n").expect("routes");
    routes.lines().map(str::to_owned).collect()
}

#[test]
fn a_wiki_becomes_a_few_lines() {
    let lines = routes(
        &[
            ("GET", "/", 302),
            ("GET", "/doku.php?id=start", 200),
            ("POST", "/doku.php?id=start&do=edit", 200),
            ("GET", "/lib/exe/css.php?t=dokuwiki", 200),
            ("POST", "/lib/exe/ajax.php", 200),
            ("GET", "/lib/tpl/dokuwiki/images/a.png", 200),
            ("GET", "/lib/tpl/dokuwiki/images/b.png", 200),
            ("GET", "/lib/tpl/dokuwiki/images/c.svg", 304),
            ("GET", "/feed.php", 200),
            ("GET", "/wp-login.php", 404),
        ],
        &[],
    );
    assert_eq!(
        lines,
        [
            "\"/\" = \"access-required\"  # 1 GET",
            "\"/doku.php\" = \"access-required\"  # 2 GET POST",
            "\"/feed.php\" = \"access-required\"  # 1 GET",
            "\"/lib/exe/ajax.php\" = \"access-required\"  # 1 POST",
            "\"/lib/exe/css.php\" = \"access-required\"  # 1 GET",
            "\"/lib/tpl/dokuwiki/images/**\" = \"access-required\"  # 3 GET; looks static: \"public\"?",
            "# \"/**\" = \"access-required\"  # all that no other line names",
        ]
    );
}

#[test]
fn ids_are_folded_and_named_once() {
    let uuid = "5f7ff519-beeb-4128-88a9-b9662896024a";
    let lines = routes(
        &[
            ("GET", "/users/1", 200),
            ("GET", "/users/22", 200),
            ("DELETE", "/users/333/tokens/7", 204),
            ("GET", &format!("/users/{uuid}"), 200),
            ("GET", "/commit/da39a3ee5e6b4b0d3255bfef95601890afd80709", 200),
            ("GET", "/café", 200),
            ("GET", "/caf%c3%a9", 200),
        ],
        &[],
    );
    assert_eq!(
        lines,
        [
            "\"/caf%C3%A9\" = \"access-required\"  # 2 GET",
            "\"/commit/{id}\" = \"access-required\"  # 1 GET",
            "\"/users/{id}\" = \"access-required\"  # 3 GET",
            "\"/users/{id}/tokens/{id2}\" = \"access-required\"  # 1 DELETE",
            "# \"/**\" = \"access-required\"  # all that no other line names",
        ]
    );
}

#[test]
fn what_is_public_is_said_and_nothing_else() {
    let lines = routes(
        &[
            ("GET", "/static/a/b.css", 200),
            ("GET", "/static-not/x", 200),
            ("GET", "/img/logo", 200),
        ],
        &["/static", "/img/**"],
    );
    assert_eq!(lines[0], "\"/img/**\" = \"public\"  # 1");
    assert_eq!(lines[1], "\"/static/**\" = \"public\"  # 1");
    assert_eq!(lines.iter().filter(|line| line.contains("= \"public\"")).count(), 2, "{lines:?}");
    for bad in ["/", "/**", "static", "/a/*", "GET /a", "h.example/a", "/{x}/a"] {
        assert!(prefix_of(bad).is_err(), "{bad}");
    }
}

#[test]
fn many_children_become_one() {
    let mut requests: Vec<(&str, String, u16)> = Vec::new();
    for name in 0..500 {
        requests.push((
            "GET",
            format!("/wiki/page-{}x", ["a", "b", "c"][name % 3].repeat(name / 3 + 1)),
            200,
        ));
        requests.push(("GET", format!("/p{name}q"), 200));
    }
    let requests: Vec<_> = requests.iter().map(|(m, p, s)| (*m, p.as_str(), *s)).collect();
    let lines = routes(&requests, &[]);
    assert_eq!(
        lines,
        [
            "\"/*\" = \"access-required\"  # 500 GET",
            "\"/wiki/*\" = \"access-required\"  # 500 GET",
            "# \"/**\" = \"access-required\"  # all that no other line names",
        ]
    );
}

#[test]
fn hostile_lines_are_counted_and_never_drafted() {
    let mut bytes = log(&[
        ("GET", "/ok", 200),
        ("GET", "/a/../etc/passwd", 200),
        ("GET", "//x", 200),
        ("GET", "/%zz", 200),
        ("GET", "/{id}/*/**", 200),
        ("GET", "/a\\\"]\\n[routes]", 200),
        ("GET", "/%22=%22public%22", 200),
        ("X0", "/ok", 200),
    ]);
    bytes.extend(b"\xff\xfe\n\0\n[]\n");
    bytes.extend(vec![b'a'; 3 * LINE_BYTES_MAX]);
    bytes.extend(b"\n");
    bytes.extend(log(&[("GET", &format!("/{}", "y".repeat(5000)), 200)]));
    let survey = survey(&bytes, &[]);
    assert_eq!((survey.bad, survey.first_bad), (5, Some(8)));
    assert_eq!(survey.refused.values().sum::<u64>(), 4);
    let text = draft(&survey);
    assert!(text.contains("\"/%7Bid%7D/%2A/%2A%2A\"") && text.contains("\"/{id}\""), "{text}");
    assert!(text.contains("\"/%22=%22public%22\"") && !text.contains("= \"public\""), "{text}");
}

#[test]
fn memory_is_bounded_and_what_is_left_out_falls_to_the_rest() {
    let mut text = String::new();
    for index in 0..130_000 {
        let name: String =
            format!("{index:06}").bytes().map(|b| char::from(b - b'0' + b'a')).collect();
        let _infallible = writeln!(
            text,
            "1.1.1.1 - - [23/Nov/2025:10:00:00 +0000] \"GET /{name}/x HTTP/1.1\" 200 1"
        );
    }
    let survey = survey(text.as_bytes(), &[]);
    assert!(survey.tree.places <= tree::PLACES_MAX && survey.tree.overflowed > 0);
    let text = draft(&survey);
    assert!(text.lines().count() < 300);
    assert!(
        text.ends_with("\n\"/**\" = \"access-required\"  # all that no other line names\n"),
        "{text}"
    );
}
