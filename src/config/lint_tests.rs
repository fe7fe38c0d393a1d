//! Warnings against a slow, obvious model: every short request is asked, and what is warned of must be so.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::diagnostic::Diagnostics;
use super::lower::lower;
use super::{Config, DEFAULT};
use crate::policy::path::{CanonicalPath, PathRules};

#[track_caller]
fn good(text: &str) -> Config {
    lower(text, Some(Path::new("gateway.toml")), Path::new("")).expect("no mistakes")
}

fn of(warnings: &Diagnostics, code: &str) -> usize {
    warnings.list().iter().filter(|one| one.code == code).count()
}

#[test]
fn the_built_in_file_is_warned_of_nothing() {
    let config = good(DEFAULT);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_listener_beyond_this_machine_wants_tls_or_a_word() {
    for (listen, silent) in [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("192.0.2.1:1", false),
    ] {
        let text = format!("listen = '{listen}'\nupstream = 'builtin:whoami'\n");
        assert_eq!(of(&good(&text).warnings, "no-tls") == 0, silent, "{listen}");
        for word in ["plaintext = true", "trusted_proxies = ['10.0.0.1']"] {
            assert_eq!(of(&good(&format!("{text}{word}")).warnings, "no-tls"), 0, "{listen}");
        }
    }
}

#[test]
fn ten_thousand_routes_are_looked_through_in_no_time() {
    let lines = |more: &str| -> String {
        let each = (0..5_000).map(|n| {
            format!("\"GET,PUT h{n}.test/a{n}/{{id}}/**\" = \"access-required\"\n\"/a{n}/{{id}}/b\" = \"{more}\"\n")
        });
        "upstream = 'builtin:whoami'\n[routes]\n".to_owned() + &each.collect::<String>()
    };
    for more in ["access-required", "public"] {
        let text = lines(more);
        let started = Instant::now();
        let config = good(&text);
        // Without optimisation, with reading and lowering: a release build takes a tenth.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        eprintln!("{more}: {:?}, {} warnings", started.elapsed(), config.warnings.list().len());
    }
}

/// Every request of at most four segments of a small alphabet, and the line that gets it.
fn winners(config: &Config) -> Vec<(String, &'static str, String)> {
    let mut paths = vec![String::new()];
    for depth in 0..4 {
        let longer: Vec<String> = paths
            .iter()
            .filter(|path| path.matches('/').count() == depth)
            .flat_map(|path| ["a", "b", "z"].map(|segment| format!("{path}/{segment}")))
            .collect();
        paths.extend(longer);
    }
    paths[0].push('/');
    let methods = ["GET", "POST", "DELETE", "OPTIONS"];
    let asked = paths.iter().flat_map(|path| methods.map(|method| (path, method)));
    asked
        .filter_map(|(text, method)| {
            let path = CanonicalPath::parse(text, &PathRules::default()).expect("a path");
            let found = config.routes.find(method, "", &path)?;
            Some((text.clone(), method, found.id.clone()))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_route_is_unreachable_exactly_if_no_request_gets_to_it(
        lines in prop::collection::btree_set(("(|GET |POST |GET,POST )", "(/(a|b|\\*)){0,2}(/\\*\\*)?"), 1..9),
    ) {
        let mut text = "upstream = 'builtin:whoami'\n[login]\nenabled = false\n[routes]\n".to_owned();
        for (method, path) in &lines {
            text += &format!("\"{method}{}\" = \"access-required\"\n", if path.is_empty() { "/" } else { path });
        }
        // Lines that tie are another matter.
        let Ok(config) = lower(&text, None, Path::new("")) else { return Ok(()) };
        let winners = winners(&config);
        let silent = config.routes.routes().iter().filter(|route| {
            winners.iter().all(|(_, _, id)| *id != route.id)
        });
        prop_assert_eq!(silent.count(), of(&config.warnings, "unreachable-route"), "{}", text);
    }

    #[test]
    fn whatever_is_warned_of_is_drawn_and_told(
        lines in prop::collection::btree_set(("(|GET |POST |PUT,DELETE )(|h\\.test)", "(/(a|b|é|\\*|\\{x\\})){0,3}(/\\*\\*)?", "(public|optional|access-required|deny)"), 0..12),
    ) {
        let mut text = "upstream = 'builtin:whoami'\n[routes]\n".to_owned();
        for (method, path, policy) in &lines {
            text += &format!("\"{method}{}\" = \"{policy}\"\n", if path.is_empty() { "/" } else { path });
        }
        let told = match lower(&text, None, Path::new("")) {
            Ok(config) => config.warnings,
            Err(mistakes) => mistakes,
        };
        let json = told.json();
        prop_assert_eq!(json.as_array().map(Vec::len), Some(told.list().len()));
        for one in json.as_array().into_iter().flatten() {
            let line = one["line"].as_u64().unwrap_or(1) as usize;
            prop_assert!(line <= text.lines().count(), "{}", one);
        }
        prop_assert!(!told.render(false).contains("panicked"));
    }
}
