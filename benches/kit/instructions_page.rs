//! `benches/instructions.md`: what each stage took when the page was blessed, to read and to compare with.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What was counted of one stage.
pub struct Row {
    /// Its part of the request's life.
    pub group: String,
    /// What was done, and on what.
    pub name: String,
    /// Instructions for one run.
    pub each: f64,
    /// How much was sent of what, where it is an attack.
    pub size: Option<(usize, String)>,
}

/// A stage that takes so much more or less than when it was blessed has changed: other runs of the same program differed by 3 % at most.
const TOLERANCE: f64 = 0.05;
/// And so many instructions: of a stage of fifty, 5 % is two or three.
const TOLERANCE_INSTRUCTIONS: f64 = 30.0;
const BLESS: &str = "FRESHGATE_BLESS=1 cargo bench --bench instructions";

impl Row {
    fn key(&self) -> String {
        match &self.size {
            None => format!("| {} | {} |", self.group, self.name),
            Some((size, unit)) => format!("| {} | {}, {size} {unit} |", self.group, self.name),
        }
    }

    /// For each byte or field that was sent, where it is an attack.
    fn each_element(&self) -> Option<f64> {
        self.size.as_ref().map(|(size, _)| self.each / *size as f64)
    }
}

/// An attack of four times the size costs hardly more for each part of it.
pub fn assert_linear(rows: &[Row], growth_max: f64) {
    let attacks: Vec<&Row> = rows.iter().filter(|row| row.size.is_some()).collect();
    assert!(!attacks.is_empty());
    let mut worse = String::new();
    for pair in attacks.chunks(2) {
        let each = |index: usize| pair[index].each_element().expect("an attack");
        let (little, much) = (each(0), each(1));
        if much > little * growth_max {
            writeln!(
                worse,
                "{}: {little:.1} each of a little, {much:.1} each of much",
                pair[1].key()
            )
            .expect("a string");
        }
    }
    assert!(worse.is_empty(), "what is sent costs more than in proportion:\n{worse}");
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.md")
}

/// The blessed figures, by the first two columns.
fn blessed() -> Vec<(String, f64)> {
    let text = fs::read_to_string(file()).unwrap_or_default();
    let rows = text.lines().filter_map(|line| {
        let (key, figure) = line.strip_suffix(" |")?.rsplit_once("| ")?;
        Some((format!("{}|", key), figure.replace(' ', "").parse().ok()?))
    });
    rows.collect()
}

/// The page names the stages that there are, no more and no fewer.
pub fn assert_complete(rows: &[Row]) {
    let known: Vec<String> = blessed().into_iter().map(|(key, _)| key).collect();
    let all: Vec<String> = rows.iter().map(Row::key).collect();
    assert_eq!(known, all, "benches/instructions.md knows other stages: `{BLESS}`");
}

/// Prints the table and compares it with the blessed one, or blesses it.
pub fn compare(rows: &[Row]) {
    let table = table(rows);
    println!("{table}");
    if std::env::var_os("FRESHGATE_BLESS").is_some() {
        fs::write(file(), page(&table)).expect("the page is written");
        return println!("blessed: {}", file().display());
    }
    assert_complete(rows);
    let mut changed = String::new();
    for (row, (_, before)) in rows.iter().zip(blessed()) {
        let more = row.each - before;
        if more.abs() > (before * TOLERANCE).max(TOLERANCE_INSTRUCTIONS) {
            let percent = more / before * 100.0;
            writeln!(
                changed,
                "{} {before:.0} before, {:.0} now: {percent:+.1} %",
                row.key(),
                row.each
            )
            .expect("a string");
        }
    }
    assert!(
        changed.is_empty(),
        "not as blessed with {}; this is {}:\n{changed}\nif that is meant: `{BLESS}`",
        compiler_of_page(),
        compiler()
    );
}

fn table(rows: &[Row]) -> String {
    let mut table = "| group | stage | instructions |\n|---|---|---|\n".to_owned();
    for row in rows {
        writeln!(table, "{} {:.0} |", row.key(), row.each).expect("a string");
    }
    table
}

fn page(table: &str) -> String {
    format!(
        "# Instructions of each stage\n\n\
         Written by `{BLESS}`, read by `cargo bench --bench instructions`, which fails when a stage takes 5 % more or less.\n\
         Other compilers and other processors give other figures: bless before a change, then compare after it.\n\n\
         {COMPILER}{}; {}.\n\n{table}",
        compiler(),
        valgrind()
    )
}

/// What stands before the version of the compiler on the page.
const COMPILER: &str = "Blessed with ";

fn compiler_of_page() -> String {
    let text = fs::read_to_string(file()).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(COMPILER)).unwrap_or("nothing");
    line.trim_end_matches('.').to_owned()
}

fn compiler() -> String {
    version("rustc")
}

fn valgrind() -> String {
    version("valgrind")
}

fn version(program: &str) -> String {
    let said = Command::new(program).arg("--version").output();
    said.map_or_else(
        |_| program.to_owned(),
        |said| String::from_utf8_lossy(&said.stdout).trim().to_owned(),
    )
}
