//! `docs/threats.md` and the tests of attacks are equal: each test says what it holds in a comment, `// Holds: H1, …`,
//! and each row of the page names the tests that hold it. `FRESHGATE_BLESS=1 cargo test --test threats` writes the
//! last column anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which tests hold an id.
type Held = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The name of a function that a line declares.
fn declared(line: &str) -> Option<&str> {
    let rest = line
        .trim_start()
        .strip_prefix("fn ")
        .or_else(|| line.trim_start().strip_prefix("async fn "))?;
    rest.split('(').next()
}

/// Reads the comments above the tests; the second list names tests without one.
fn read(text: &str, module: &str, held: &mut Held) -> Vec<String> {
    let mut without = Vec::new();
    let mut ids: Vec<String> = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if let Some(list) = line.strip_prefix("// Holds: ") {
            ids.extend(list.split(',').map(|id| id.trim().trim_end_matches('.').to_owned()));
        } else if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some(name) = declared(line) {
            let test = format!("{module}::{name}");
            if is_test && ids.is_empty() {
                without.push(test.clone());
            }
            for id in ids.drain(..).filter(|_| is_test) {
                held.entry(id).or_default().insert(test.clone());
            }
            is_test = false;
        }
    }
    without
}

fn all_held() -> Held {
    let folder = root().join("tests/it/attacks");
    let mut files = Vec::new();
    rust_files(&folder, &mut files);
    assert!(!files.is_empty(), "tests/it/attacks is empty");
    let mut held = Held::new();
    let mut without = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a file of tests");
        let inside = file.strip_prefix(&folder).expect("it is in there").with_extension("");
        let module = inside.to_string_lossy().replace('/', "::");
        without.extend(read(&text, module.trim_end_matches("::mod"), &mut held));
    }
    assert!(without.is_empty(), "these need a line `// Holds: IDS` above #[test]: {without:#?}");
    held
}

/// The cells of a row, when a line is a row of a table and no head or rule.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix("| ")?.strip_suffix('|')?;
    let cells: Vec<&str> = inner.split(" |").map(str::trim).collect();
    let head = cells[0] == "id" || cells[0].starts_with("--");
    (!head).then_some(cells)
}

fn ids(row: &[&str]) -> Vec<String> {
    row[0].split(',').map(|id| id.trim().to_owned()).collect()
}

/// The page as it should be.
fn written(page: &str, held: &Held) -> String {
    let line = |line: &str| match cells(line) {
        None => line.to_owned(),
        Some(mut row) => {
            let tests: BTreeSet<&String> =
                ids(&row).iter().filter_map(|id| held.get(id)).flatten().collect();
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let tests = tests.join(", ");
            row.pop();
            row.push(&tests);
            format!("| {} |", row.join(" | ")).replace("|  |", "| |")
        }
    };
    page.lines().map(|one| line(one) + "\n").collect()
}

#[test]
fn the_page_and_the_tests_are_equal() {
    let path = root().join("docs/threats.md");
    let page = fs::read_to_string(&path).expect("docs/threats.md");
    let held = all_held();
    let wanted = written(&page, &held);
    if std::env::var_os("FRESHGATE_BLESS").is_some() {
        fs::write(&path, &wanted).expect("docs/threats.md can be written");
    } else {
        assert!(
            page == wanted,
            "docs/threats.md is old: FRESHGATE_BLESS=1 cargo test --test threats"
        );
    }
    let rows: Vec<Vec<&str>> = wanted.lines().filter_map(cells).collect();
    let known: BTreeSet<String> = rows.iter().flat_map(|row| ids(row)).collect();
    let unknown: Vec<&String> = held.keys().filter(|id| !known.contains(*id)).collect();
    assert!(unknown.is_empty(), "tests hold what the page does not name: {unknown:?}");
    let later =
        wanted.split("## Not yet").nth(1).expect("the page has a part on what is not there yet");
    let may_be_bare: BTreeSet<String> =
        later.lines().filter_map(cells).flat_map(|row| ids(&row)).collect();
    let bare: Vec<String> = rows
        .iter()
        .filter(|row| row.last().is_none_or(|tests| tests.is_empty()))
        .flat_map(|row| ids(row))
        .filter(|id| !may_be_bare.contains(id))
        .collect();
    assert!(bare.is_empty(), "no test holds {bare:?}");
}

/// Each id of a row stands for a fault of its own, so each needs its own test, not only its row.
#[test]
fn every_single_id_is_held() {
    let page = fs::read_to_string(root().join("docs/threats.md")).expect("docs/threats.md");
    let now = page.split("## Not yet").next().expect("split gives one part at least");
    let held = all_held();
    let bare: Vec<String> = now
        .lines()
        .filter_map(cells)
        .flat_map(|row| ids(&row))
        .filter(|id| !held.contains_key(id))
        .collect();
    assert!(bare.is_empty(), "no test holds {bare:?}");
}

#[test]
fn the_comments_are_read_as_they_are_meant() {
    let text = "// Holds: H1, CVE-2026-1.\n// More words.\n#[test]\nfn one() {}\nfn helper() {}\n#[test]\nfn two() {}\n";
    let mut held = Held::new();
    assert_eq!(read(text, "framing", &mut held), ["framing::two"]);
    let keys: Vec<&str> = held.keys().map(String::as_str).collect();
    assert_eq!(keys, ["CVE-2026-1", "H1"]);
    let page = "| id | x | tests |\n|---|---|---|\n| H1, H2 | y | |\n| H3 | z | `old` |\n";
    let wanted =
        "| id | x | tests |\n|---|---|---|\n| H1, H2 | y | `framing::one` |\n| H3 | z | |\n";
    assert_eq!(written(page, &held), wanted);
}
