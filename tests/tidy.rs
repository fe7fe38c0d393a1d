//! The repository tests itself: floors, sizes, banned words. Every message says what to do about it.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the top down; those in one entry share a floor and never import each other.
const FLOORS: [&[&str]; 9] = [
    &["cli"],
    &["server"],
    &["gateway"],
    &["auth", "proxy"],
    &["store"],
    &["config"],
    &["policy"],
    &["token"],
    &["telemetry"],
];

/// Longest source file, in lines. Tests beside the code (`…tests.rs`, `contract.rs`) do not count.
const FILE_LINES_MAX: usize = 350;

/// Longest function, in lines, from `fn` to its brace.
const FUNCTION_LINES_MAX: usize = 70;

/// Modules that must stay pure: no I/O, no `async`, no clocks, no bodies.
const PURE: [&str; 2] = ["policy", "token"];

/// What a pure module never mentions.
const IMPURE: [&str; 7] =
    ["std::fs", "std::net::Tcp", "tokio::", "async fn", "SystemTime::now", "Instant", "http_body"];

/// Second words for what has a name already, and names that say nothing.
const BANNED: [(&str, &str); 6] = [
    ("struct Middleware", "say which step of a request's life it is"),
    ("Manager", "name what it holds or does"),
    ("mod utils", "put each function beside its user"),
    ("mod helpers", "put each function beside its user"),
    ("fn get_", "drop the `get_`"),
    ("fn is_valid", "parse into a type that can only be valid"),
];

/// Marks of work left for later.
const LEFTOVERS: [&str; 5] = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];

fn files(below: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                // What a build by hand left in tests/fuzz is not ours.
                let is_built = path.file_name().is_some_and(|name| name == "target");
                folders.extend((!is_built).then_some(path));
            } else if path.to_string_lossy().ends_with(ending) {
                let text = fs::read_to_string(&path).expect("UTF-8 text");
                found.push((path.strip_prefix(root).expect("below the root").to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no *{ending} below {below}: is this the whole repository?");
    found
}

/// The product, and what is kept as tidy as it: the statements of its properties and the fuzz targets.
fn code() -> impl Iterator<Item = (PathBuf, String)> {
    ["src", "tests/statements", "tests/fuzz"].into_iter().flat_map(|folder| files(folder, ".rs"))
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with("tests.rs") || name == "contract.rs"
}

/// The floor of a source file, counted from the top; `None` for `lib.rs` and `main.rs`.
fn floor_of(path: &Path) -> Option<(usize, String)> {
    let second = path.components().nth(1)?.as_os_str().to_string_lossy().into_owned();
    let name = second.trim_end_matches(".rs").to_owned();
    let floor = FLOORS.iter().position(|names| names.contains(&name.as_str()))?;
    Some((floor, name))
}

#[track_caller]
fn report(mistakes: &[String]) {
    assert!(mistakes.is_empty(), "\n{}\n", mistakes.join("\n"));
}

#[test]
fn lib_declares_the_floors_from_the_top_down() {
    let text = include_str!("../src/lib.rs");
    let declared: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let wanted: Vec<&str> = FLOORS.iter().flat_map(|names| names.iter().copied()).collect();
    assert_eq!(declared, wanted, "src/lib.rs lists the floors in the order of tests/tidy.rs");
}

#[test]
fn imports_point_down_the_floors_only() {
    let mut mistakes = Vec::new();
    for (path, text) in files("src", ".rs") {
        let Some((floor, own)) = floor_of(&path) else { continue };
        if text.contains("crate::{\n") {
            mistakes.push(format!(
                "{}: `crate::{{` over several lines: import one module a line",
                path.display()
            ));
        }
        for (number, line) in text.lines().enumerate() {
            for name in imported(line) {
                let target = FLOORS.iter().position(|names| names.contains(&name));
                let wrong = match target {
                    Some(target) => target < floor || (target == floor && name != own),
                    None => false,
                };
                if wrong {
                    mistakes.push(format!(
                        "{}:{}: `{own}` imports `{name}`, which is not below it: move what both need \
                         down a floor, or pass it as an argument",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    report(&mistakes);
}

/// The modules that a line names after `crate::`, also in braces.
fn imported(line: &str) -> Vec<&str> {
    let code = line.split("//").next().unwrap_or("");
    let name = |text: &'_ str| {
        text.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(text.len())
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(&rest[..name(rest)]),
            // Names of deeper lists are taken too: no floor is called like something inside another.
            Some(list) => {
                found.extend(
                    list.split(['{', '}', ',']).map(str::trim).map(|one| &one[..name(one)]),
                );
            }
        }
    }
    found
}

#[test]
fn an_import_in_braces_is_seen() {
    assert_eq!(imported("use crate::policy::Permit; // crate::cli"), ["policy"]);
    assert!(imported("use crate::{server, telemetry};").contains(&"server"));
    assert!(imported("use crate::{token::{Claims}, gateway::Data};").contains(&"gateway"));
}

#[test]
fn files_and_functions_stay_small() {
    let mut mistakes = Vec::new();
    for (path, text) in code().filter(|(path, _)| !is_test(path)) {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            mistakes.push(format!(
                "{}: {} lines, at most {FILE_LINES_MAX}: split it by concern",
                path.display(),
                lines.len()
            ));
        }
        for (start, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                mistakes.push(format!(
                    "{}:{}: a function of {length} lines, at most {FUNCTION_LINES_MAX}: let helpers \
                     compute values and keep the branches here",
                    path.display(),
                    start + 1
                ));
            }
        }
    }
    report(&mistakes);
}

/// Where each function starts and how many lines it has; the formatter puts its brace under its `fn`.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let words: Vec<&str> = code.split(['(', ' ']).collect();
        let leads = ["pub", "crate)", "in", "super)", "const", "async", "extern"];
        let name_at = words.iter().position(|word| *word == "fn");
        let is_function = name_at.is_some_and(|at| {
            words[..at].iter().all(|word| leads.contains(word) || word.starts_with("crate::"))
        });
        if !is_function || code.ends_with(';') {
            continue;
        }
        let close = format!("{indent}}}");
        let length = lines[start..].iter().position(|line| *line == close);
        found.push((start, length.map_or(1, |length| length + 1)));
    }
    found
}

#[test]
fn every_file_says_what_it_is() {
    let mut mistakes = Vec::new();
    for (path, text) in code() {
        let notes = text.lines().take_while(|line| line.starts_with("//!")).count();
        if notes == 0 {
            mistakes.push(format!(
                "{}: open with `//!` lines: what it is, what it never does, who calls it",
                path.display()
            ));
        }
    }
    report(&mistakes);
}

#[test]
fn pure_floors_stay_pure() {
    let mut mistakes = Vec::new();
    for (path, text) in files("src", ".rs") {
        let Some((_, own)) = floor_of(&path) else { continue };
        if !PURE.contains(&own.as_str()) || is_test(&path) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for word in IMPURE.iter().filter(|word| code.contains(*word)) {
                mistakes.push(format!(
                    "{}:{}: `{word}` in `{own}`, which does no I/O and reads no clock: take the value \
                     as an argument",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
    report(&mistakes);
}

#[test]
fn the_words_are_ours_and_nothing_is_left_for_later() {
    let mut mistakes = Vec::new();
    let all = ["src", "tests", "benches"].into_iter().flat_map(|folder| files(folder, ".rs"));
    for (path, text) in all.filter(|(path, _)| path != Path::new("tests/tidy.rs")) {
        for (number, line) in text.lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            for (word, remedy) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
                mistakes.push(format!("{place}: `{word}`: {remedy}"));
            }
            for mark in LEFTOVERS.iter().filter(|mark| line.contains(*mark)) {
                mistakes.push(format!("{place}: `{mark}`: do it now, or leave it out"));
            }
            let in_product = path.starts_with("src") && !is_test(&path);
            if in_product && line.contains(".unwrap()") && !in_test_module(&text, number) {
                mistakes
                    .push(format!("{place}: `.unwrap()`: return the error, or `expect` why not"));
            }
        }
    }
    report(&mistakes);
}

/// Whether a line is in the `mod tests` at the end of a file.
fn in_test_module(text: &str, number: usize) -> bool {
    text.lines().take(number).any(|line| line == "mod tests {")
}

#[test]
fn no_test_is_switched_off() {
    let mut mistakes = Vec::new();
    let all = ["src", "tests"].into_iter().flat_map(|folder| files(folder, ".rs"));
    for (path, text) in all.filter(|(path, _)| path != Path::new("tests/tidy.rs")) {
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("#[ignore") {
                mistakes.push(format!(
                    "{}:{}: a test that does not run: make it run, or delete it",
                    path.display(),
                    number + 1
                ));
            }
        }
    }
    report(&mistakes);
}

#[test]
fn docs_link_to_what_is_there() {
    let mut mistakes = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "benches/README.md",
        "tests/fuzz/README.md",
    ]
    .map(PathBuf::from);
    let docs = files("docs", ".md").into_iter().map(|(path, _)| path);
    for page in pages.into_iter().chain(docs) {
        let text = fs::read_to_string(root.join(&page)).expect("a page");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '#']).next().unwrap_or("");
            let outside = target.is_empty() || target.contains("://");
            let folder = page.parent().unwrap_or(Path::new(""));
            if !outside && !root.join(folder).join(target).exists() {
                mistakes
                    .push(format!("{}: links to `{target}`, which is not there", page.display()));
            }
        }
    }
    report(&mistakes);
}

#[test]
fn the_compiler_refuses_unsafe_code() {
    for root in ["src/lib.rs", "src/main.rs", "tests/fuzz/src/lib.rs"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
        let said = text.expect("a root").lines().any(|line| line == "#![forbid(unsafe_code)]");
        assert!(said, "{root}: write `#![forbid(unsafe_code)]` at its top");
    }
}

#[test]
fn every_build_takes_the_committed_versions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut mistakes = Vec::new();
    for script in [
        "tests/run",
        "tests/fuzz/run",
        "tests/container/run",
        "benches/compare/run",
        ".ci/run",
        "Dockerfile",
    ] {
        let text = fs::read_to_string(root.join(script)).expect("a script");
        // A line that goes on counts with the next.
        let text = text.replace("\\\n", " ");
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let verbs = ["build", "test", "bench", "clippy", "install", "run", "check", "fetch"];
            let builds = verbs.iter().any(|verb| line.contains(&format!("cargo {verb} ")));
            if builds && !line.contains("--locked") {
                mistakes.push(format!("{script}: `{}`: add --locked", line.trim()));
            }
        }
    }
    for lock in ["Cargo.lock", "tests/fuzz/Cargo.lock"] {
        if !root.join(lock).exists() {
            mistakes.push(format!("{lock} is not there: commit it"));
        }
    }
    report(&mistakes);
}

#[test]
fn every_fuzz_target_has_seeds_and_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let page = fs::read_to_string(root.join("README.md")).expect("the page about fuzzing");
    let mut mistakes = Vec::new();
    for (path, _) in files("tests/fuzz/targets", ".rs") {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for wanted in [format!("seeds/{name}"), format!("dictionaries/{name}")] {
            if !root.join(&wanted).exists() {
                mistakes.push(format!("tests/fuzz/{wanted}: what the target starts from"));
            }
        }
        if !page.contains(&format!("| `{name}` |")) {
            mistakes.push(format!("tests/fuzz/README.md: a line for `{name}` in the table"));
        }
    }
    report(&mistakes);
}

#[test]
fn the_fuzz_targets_take_the_versions_of_the_product() {
    let versions = |text: &str| -> Vec<String> {
        let blocks = text.split("[[package]]").skip(1);
        blocks.map(|block| block.lines().skip(1).take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let product = versions(include_str!("../Cargo.lock"));
    let mut mistakes = Vec::new();
    for one in versions(include_str!("fuzz/Cargo.lock")) {
        let own = ["freshgate-fuzz", "libfuzzer-sys", "arbitrary"];
        if !own.iter().any(|name| one.contains(&format!("\"{name}\""))) && !product.contains(&one) {
            mistakes.push(format!("tests/fuzz/Cargo.lock: {one}: run tests/fuzz/run --lock"));
        }
    }
    report(&mistakes);
}
