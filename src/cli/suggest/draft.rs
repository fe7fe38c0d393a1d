//! From the tree of a log to the text of a configuration, with counts as comments.

use std::fmt::Write;

use super::Survey;
use super::tree::{ANY, ID, PLACES_MAX, Place};

/// A deeper tree with more places than this becomes one `/**`.
const LEAVES_MAX: usize = 6;
/// A first-level tree with more branches than this becomes one `/**`.
const BRANCHES_MAX: usize = 12;
/// Lines drafted at most; the rest falls to one `/**`.
const LINES_MAX: usize = 200;
/// Pages directly below `/` beyond which they become one `/*`.
const PAGES_MAX: usize = 40;

/// One drafted route.
struct Line {
    pattern: String,
    count: u64,
    methods: Vec<String>,
}

/// Names of trees and endings of files that hold nothing but style, script, images and type.
const STATIC_NAMES: [&str; 12] = [
    "static", "assets", "css", "js", "img", "images", "image", "fonts", "media", "public", "dist",
    "styles",
];
const STATIC_ENDINGS: [&str; 14] = [
    ".css",
    ".js",
    ".map",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".svg",
    ".ico",
    ".webp",
    ".woff",
    ".woff2",
    ".ttf",
    "robots.txt",
];

/// The whole draft: `freshgate check` has no mistake to report in it.
pub fn text(survey: &Survey, upstream: &str) -> String {
    let mut text = format!(
        "# Drafted by `freshgate suggest` from {} requests. Everything is protected: make public what is.\n",
        survey.requests
    );
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            let _infallible = writeln!(text, "# {what}: {count}");
        }
    };
    note(survey.bad, "lines that are no request, left out");
    note(survey.absent, "requests for what is not there (400, 404, 405, 410, 414), left out");
    for (fault, count) in &survey.refused {
        note(
            *count,
            &format!("requests that will be refused with bad-path ({fault}; see [paths])"),
        );
    }
    let full = format!("requests after {PLACES_MAX} places were known, left to \"/**\"");
    note(survey.tree.overflowed, &full);
    let _infallible = writeln!(text, "\nupstream = {}\n\n[routes]", quoted(upstream));
    for (segments, count) in &survey.public {
        let pattern = format!("/{}/**", segments.join("/"));
        let _infallible = writeln!(text, "{} = \"public\"  # {count}", quoted(&pattern));
    }
    let mut lines = Vec::new();
    let whole = first_level(&survey.tree.root, &mut lines) && survey.tree.overflowed == 0;
    let kept = most_asked(&mut lines);
    for line in &lines {
        let hint = if is_static(&line.pattern) { "; looks static: \"public\"?" } else { "" };
        let _infallible = writeln!(
            text,
            "{} = \"access-required\"  # {} {}{hint}",
            quoted(&line.pattern),
            line.count,
            line.methods.join(" ")
        );
    }
    // What no line names is refused; where lines were left out, that would be too much.
    let comment = if kept && whole { "# " } else { "" };
    let last = "\"/**\" = \"access-required\"  # all that no other line names";
    if !lines.iter().any(|line| line.pattern == "/**") {
        let _infallible = writeln!(text, "{comment}{last}");
    }
    text
}

/// Keeps the lines that are asked for most, in their order; whether all are kept.
fn most_asked(lines: &mut Vec<Line>) -> bool {
    if lines.len() <= LINES_MAX {
        return true;
    }
    let mut counts: Vec<u64> = lines.iter().map(|line| line.count).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let least = counts[LINES_MAX - 1];
    lines.retain(|line| line.count >= least);
    lines.truncate(LINES_MAX);
    false
}

fn line(pattern: String, count: u64, methods: Vec<&str>) -> Line {
    Line { pattern, count, methods: methods.into_iter().map(str::to_owned).collect() }
}

/// The trees below `/`; whether they are all there.
fn first_level(root: &Place, lines: &mut Vec<Line>) -> bool {
    if root.here > 0 {
        lines.push(line(
            "/".to_owned(),
            root.here,
            root.methods.iter().map(String::as_str).collect(),
        ));
    }
    let is_page =
        |name: &str, place: &Place| place.children.is_empty() && name != ID && place.deeper == 0;
    let pages = root.children.iter().filter(|(name, place)| is_page(name, place));
    let (mut count, mut number, mut methods) = (0, 0, std::collections::BTreeSet::new());
    for (_, place) in pages {
        count += place.here;
        number += 1;
        methods.extend(place.methods.iter().map(String::as_str));
    }
    let many = number > PAGES_MAX;
    if many {
        lines.push(line("/*".to_owned(), count, methods.into_iter().collect()));
    }
    for (name, place) in &root.children {
        if !(many && is_page(name, place)) {
            branch(place, &format!("/{name}"), 1, lines);
        }
    }
    root.deeper == 0
}

fn branch(place: &Place, path: &str, depth: usize, lines: &mut Vec<Line>) {
    let methods = || place.all_methods().into_iter().collect::<Vec<&str>>();
    let small = match depth {
        1 => place.children.len() <= BRANCHES_MAX,
        _ => place.leaves() <= LEAVES_MAX,
    };
    // A tree of files is one line: `/lib/tpl/a.css` and its like need none of their own.
    let files = place.children.len() > 2 && place.children.keys().all(|name| is_static(name));
    if place.deeper > 0 || files || !(place.children.is_empty() || small) {
        lines.push(line(format!("{path}/**"), place.total(), methods()));
        return;
    }
    if place.here > 0 {
        let own = place.methods.iter().map(String::as_str).collect();
        lines.push(line(path.to_owned(), place.here, own));
    }
    for (name, child) in &place.children {
        // Two segments of one pattern cannot have one name.
        let ids = path.split('/').filter(|one| one.starts_with("{id")).count();
        let name = match name.as_str() {
            ID if ids > 0 => format!("{{id{}}}", ids + 1),
            ANY => ANY.to_owned(),
            name => name.to_owned(),
        };
        branch(child, &format!("{path}/{name}"), depth + 1, lines);
    }
}

fn is_static(pattern: &str) -> bool {
    let mut segments = pattern.split('/').filter(|one| !one.is_empty() && *one != "**");
    let last = segments.clone().next_back().unwrap_or("");
    let named = |one: &str| STATIC_NAMES.contains(&one.to_ascii_lowercase().as_str());
    segments.any(named) || STATIC_ENDINGS.iter().any(|end| last.to_ascii_lowercase().ends_with(end))
}

/// As a TOML string; control characters cannot be in a canonical path, and are dropped from a URL.
fn quoted(text: &str) -> String {
    let clean: String = text.chars().filter(|sign| !sign.is_control()).collect();
    format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""))
}
