//! `freshgate diff OLD NEW`: which requests change decision, and which routes became weaker.
//!
//! By meaning, not by text: both files are asked about every request that could tell them apart
//! (`policy/witness.rs`), and who passes is compared as a set (`policy/weaker.rs`). Never starts anything,
//! never reads a secret, and never passes what it could not compare.

mod effect;
mod routes;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::is_terminal;
use crate::config::{Config, KeyOutline};
use crate::policy::witness::{PLACES_MAX, TooMany};
use routes::RouteChange;
use settings::SettingChange;

/// Say which requests change decision between two configurations; exit 1 if a route became weaker.
///
/// Exit status: 0 if nothing became weaker, 1 if something did, 2 if a file cannot be read or has mistakes.
/// Secrets and users are not looked at: the machine that compares needs neither.
#[derive(Debug, Args)]
pub struct Diff {
    /// The configuration as it is.
    old: PathBuf,
    /// The configuration as it shall be.
    new: PathBuf,
    /// How the differences are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// What a difference means for those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Verdict {
    /// Somebody passes who did not, or a guard is off.
    Weaker,
    /// Nobody passes who did not, and somebody no longer does.
    Stricter,
    /// The same callers pass, and something else is different.
    Changed,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Weaker => "weaker",
            Verdict::Stricter => "stricter",
            Verdict::Changed => "changed",
        }
    }

    /// As printed: the one that matters stands out.
    fn shown(self) -> &'static str {
        match self {
            Verdict::Weaker => "WEAKER",
            other => other.name(),
        }
    }
}

/// One of the two configurations.
struct Side {
    config: Config,
    keys: Vec<KeyOutline>,
}

/// All that is different.
struct Differences {
    routes: Vec<RouteChange>,
    settings: Vec<SettingChange>,
}

impl Diff {
    /// Prints the differences.
    pub fn run(&self) -> ExitCode {
        const TROUBLE: u8 = 2;
        let (old, new) = match (load(&self.old), load(&self.new)) {
            (Ok(old), Ok(new)) => (old, new),
            (old, new) => {
                for text in [old.err(), new.err()].into_iter().flatten() {
                    eprintln!("{}", text.trim_end());
                }
                return ExitCode::from(TROUBLE);
            }
        };
        let Ok(all) = compare(&old, &new) else {
            eprintln!(
                "error: these files have more than {PLACES_MAX} different places to compare: too many \
                 wildcards stand above too many literals"
            );
            return ExitCode::from(TROUBLE);
        };
        match self.format {
            Format::Text => print!("{}", all.text()),
            Format::Json => println!("{:#}", all.json()),
        }
        if all.count(Verdict::Weaker) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn load(path: &std::path::Path) -> Result<Side, String> {
    match Config::outline(path) {
        Ok((config, keys)) => Ok(Side { config, keys }),
        Err(diagnostics) => Err(diagnostics.render(is_terminal())),
    }
}

fn compare(old: &Side, new: &Side) -> Result<Differences, TooMany> {
    Ok(Differences {
        routes: routes::compare(&old.config, &new.config)?,
        settings: settings::compare(old, new),
    })
}

impl Differences {
    fn count(&self, verdict: Verdict) -> usize {
        let routes = self.routes.iter().filter(|one| one.verdict == verdict).count();
        routes + self.settings.iter().filter(|one| one.verdict == verdict).count()
    }

    fn text(&self) -> String {
        let mut rows: Vec<[String; 4]> = Vec::new();
        for one in &self.routes {
            let verdict = one.verdict.shown().to_owned();
            rows.push([one.route.clone(), one.example.to_string(), one.what(), verdict]);
        }
        for one in &self.settings {
            let verdict = one.verdict.shown().to_owned();
            rows.push([one.name.clone(), String::new(), one.what(), verdict]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let [route, example, what] = [0, 1, 2].map(|column| width(column).unwrap_or(0).min(WIDE));
        let mut text = String::new();
        for [a, b, c, d] in &rows {
            let gap = if example == 0 { "" } else { "  " };
            let _infallible = writeln!(text, "{a:<route$}  {b:<example$}{gap}{c:<what$}  {d}");
        }
        let counts = [Verdict::Weaker, Verdict::Stricter, Verdict::Changed]
            .map(|verdict| format!("{} {}", self.count(verdict), verdict.name()));
        let last = match rows.len() {
            0 => "no request changes its decision".to_owned(),
            _ => counts.join(", "),
        };
        text + &last + "\n"
    }

    fn json(&self) -> Value {
        json!({
            "weaker": self.count(Verdict::Weaker),
            "stricter": self.count(Verdict::Stricter),
            "changed": self.count(Verdict::Changed),
            "routes": self.routes.iter().map(RouteChange::json).collect::<Vec<Value>>(),
            "settings": self.settings.iter().map(SettingChange::json).collect::<Vec<Value>>(),
        })
    }
}

/// Columns are aligned up to this width.
const WIDE: usize = 60;
