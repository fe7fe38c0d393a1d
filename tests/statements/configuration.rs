//! Any text is a configuration or a list of mistakes, each with a place in the text; and what is a configuration is the
//! same one when it is read again.

use std::fs;
use std::path::Path;

use freshgate::config::Config;
use freshgate::config::diagnostic::{Diagnostics, Severity};
use freshgate::config::lower::lower;
use freshgate::gateway::selftest;
use freshgate::token::UnixTime;

/// The statement on one text; `folder` is where its relative paths begin, and where a file may be written.
pub fn hold(input: &[u8], folder: &Path) {
    let file = folder.join("gateway.toml");
    match std::str::from_utf8(input) {
        Ok(text) => hold_for(text, &file),
        Err(_) => {
            fs::write(&file, input).expect("a folder of ours");
            let told = Config::load(&file).expect_err("no UTF-8 is no configuration");
            places_are_inside(&told, None);
        }
    }
}

/// The statement on one text, in a file of this name.
pub fn hold_for(text: &str, file: &Path) {
    let folder = file.parent().expect("a file in a folder");
    let read = || lower(text, Some(file), folder);
    let config = match read() {
        Ok(config) => config,
        Err(told) => {
            assert!(told.has_errors() && !told.is_empty(), "refused without a reason: {text}");
            return places_are_inside(&told, Some(text));
        }
    };
    let errors = config.warnings.list().iter().filter(|one| one.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{text}");
    places_are_inside(&config.warnings, Some(text));
    let meaning = meaning(&config);
    let again = read().expect("it was good a moment ago");
    assert_eq!(self::meaning(&again), meaning, "{text}");
    // The tests inside a configuration ask like anybody: whatever they ask, it is an answer.
    if let Err(told) = selftest::check(&config, UnixTime(1_800_000_000)) {
        places_are_inside(&told, Some(text));
    }
    fs::write(file, text).expect("a folder of ours");
    let (outlined, keys) = Config::outline(file).expect("a good file has an outline");
    let without_keys = Config { keys: Vec::new(), ..config };
    assert_eq!(self::meaning(&outlined), self::meaning(&without_keys), "{text}");
    let known: Vec<_> = again.keys.iter().map(|key| (&key.id, key.algorithm)).collect();
    let named: Vec<_> = keys.iter().map(|key| (&key.id, key.algorithm)).collect();
    assert_eq!(named, known, "{text}");
    assert_eq!(Config::load(file).map(|config| self::meaning(&config)).ok(), Some(meaning));
}

/// Every place of every mistake is a piece of the text, and all of them can be told.
fn places_are_inside(told: &Diagnostics, text: Option<&str>) {
    let labels = |label: &freshgate::config::diagnostic::Label| label.span.clone();
    for one in told.list() {
        let spans = one.primary.iter().chain(&one.second).map(labels);
        for span in spans.filter(|_| text.is_some()) {
            let text = text.unwrap_or_default();
            assert!(text.get(span.clone()).is_some(), "{one:?} at {span:?} of {text}");
        }
        assert!(!one.title.is_empty() && !one.code.is_empty(), "{one:?}");
    }
    for drawn in [told.render(false), told.render(true)] {
        assert!(told.is_empty() || !drawn.is_empty());
    }
    let json = told.json();
    let lines = text.map_or(usize::MAX, |text| text.split('\n').count()) as u64;
    for one in json.as_array().into_iter().flatten() {
        assert!(one["line"].as_u64().is_none_or(|line| (1..=lines).contains(&line)), "{one}");
    }
}

/// What a configuration says, as text. The route table is left out but for its routes: how it is laid out in memory
/// is chance.
fn meaning(config: &Config) -> String {
    let Config { file, listen, admin, trusted_proxies, upstreams, routes, paths, tokens, .. } =
        config;
    let Config {
        keys, login, identity, limits, state_dir, log, tests, places, warnings, hash, ..
    } = config;
    let routes = routes.routes();
    let keys: Vec<_> = keys.iter().map(|key| (&key.id, key.algorithm)).collect();
    format!(
        "{file:?} {listen:?} {admin:?} {trusted_proxies:?} {upstreams:?} {routes:?} {paths:?} {tokens:?} {keys:?} \
         {login:?} {identity:?} {limits:?} {state_dir:?} {log:?} {tests:?} {places:?} {:?} {hash}",
        warnings.list()
    )
}
