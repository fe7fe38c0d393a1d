//! `freshgate suggest ACCESS_LOG`: from the access log of the legacy server to a draft of gateway.toml.
//!
//! Everything is protected unless told otherwise: a log says what was asked, never who may. Reads a stream of
//! any length in bounded memory; never touches the network or the configuration that serves.

mod draft;
mod line;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::policy::path::{CanonicalPath, PathRules};
use crate::policy::pattern::{Pattern, Segment};
use tree::Tree;

/// Draft the routes of a legacy server from its access log, everything protected.
#[derive(Debug, Args)]
pub struct Suggest {
    /// An access log in the common or combined format (Apache, nginx); `-` reads standard input.
    log: PathBuf,
    /// Everything below this path is public; may be given several times.
    #[arg(long, value_name = "PREFIX")]
    public: Vec<String>,
    /// Where the legacy server is, for the draft.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    upstream: String,
}

/// Bytes in one line of the log at most; a longer one is counted as bad and passed over.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What a log holds.
#[derive(Debug, Default)]
struct Survey {
    tree: Tree,
    /// Requests below each public prefix, by its segments.
    public: BTreeMap<Vec<String>, u64>,
    requests: u64,
    /// Requests for what is not there: most are from scanners.
    absent: u64,
    bad: u64,
    first_bad: Option<u64>,
    /// Paths that the gateway refuses, by the rule they break.
    refused: BTreeMap<&'static str, u64>,
}

impl Suggest {
    /// Prints the draft; what could not be read goes to standard error.
    ///
    /// # Errors
    /// A log that cannot be read, or that holds no request at all.
    pub fn run(&self) -> Result<(), Failure> {
        let mut survey = Survey::default();
        for prefix in &self.public {
            survey.public.insert(prefix_of(prefix)?, 0);
        }
        if self.log.as_os_str() == "-" {
            survey.read(&mut std::io::stdin().lock())?;
        } else {
            let failed =
                |error| Failure::Words(format!("{} cannot be read: {error}", self.log.display()));
            let file = File::open(&self.log).map_err(failed)?;
            survey.read(&mut BufReader::with_capacity(LINE_BYTES_MAX, file)).map_err(failed)?;
        }
        if let Some(first) = survey.first_bad {
            eprintln!("lines that are no request: {}; the first is line {first}", survey.bad);
        }
        if survey.requests == 0 {
            return Err(Failure::Words("no request was found in this log".to_owned()));
        }
        let draft = draft::text(&survey, &self.upstream);
        // What is drafted is a configuration: an upstream that is none would be found out only later.
        crate::config::lower::lower(&draft, None, Path::new(""))
            .map_err(|diagnostics| Failure::Drawn(diagnostics.render(false)))?;
        print!("{draft}");
        Ok(())
    }
}

/// The segments of a prefix, which names a tree.
fn prefix_of(text: &str) -> Result<Vec<String>, Failure> {
    let pattern = Pattern::parse(text.trim_end_matches("/**"))
        .map_err(|fault| Failure::Words(format!("--public {text}: {}", fault.what)))?;
    let segments: Option<Vec<String>> = pattern
        .segments
        .into_iter()
        .map(|segment| match segment {
            Segment::Literal(text) => Some(spelled(&text)),
            _ => None,
        })
        .collect();
    match segments {
        Some(segments) if segments.is_empty() => {
            Err(Failure::Words(format!("--public {text} would open everything: name a tree")))
        }
        Some(segments) if pattern.host.is_none() && pattern.methods.is_empty() => Ok(segments),
        _ => Err(Failure::Words(format!("--public {text}: write a path such as /static"))),
    }
}

impl Survey {
    fn read(&mut self, input: &mut impl BufRead) -> std::io::Result<()> {
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let most = LINE_BYTES_MAX as u64;
            if input.take(most).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let whole = line.len() < LINE_BYTES_MAX || line.ends_with(b"\n");
            if !whole {
                input.skip_until(b'\n')?;
            }
            let text = std::str::from_utf8(&line).ok().filter(|_| whole);
            if text.is_some_and(|text| text.trim().is_empty()) {
                continue;
            }
            match text.and_then(line::read) {
                Some(logged) => self.count(logged),
                None => {
                    self.bad += 1;
                    self.first_bad.get_or_insert(number);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, logged: line::Logged<'_>) {
        self.requests += 1;
        // What the server itself does not have needs no route.
        if matches!(logged.status, 400 | 404 | 405 | 410 | 414) {
            self.absent += 1;
            return;
        }
        let path = match CanonicalPath::parse(logged.path, &PathRules::default()) {
            Ok(path) => path,
            Err(fault) => {
                *self.refused.entry(fault.0).or_default() += 1;
                return;
            }
        };
        let segments: Vec<String> =
            path.as_str().split('/').filter(|one| !one.is_empty()).map(spelled).collect();
        let longest = (1..=segments.len()).rev().map(|end| &segments[..end]);
        let prefix =
            longest.filter(|_| !self.public.is_empty()).find(|one| self.public.contains_key(*one));
        if let Some(count) = prefix.and_then(|prefix| self.public.get_mut(prefix)) {
            *count += 1;
            return;
        }
        self.tree.count(logged.method, segments.iter().map(String::as_str));
    }
}

/// A segment as a pattern spells it: a star or a brace of its own is no wildcard.
fn spelled(segment: &str) -> String {
    let special = [('*', "%2A"), ('{', "%7B"), ('}', "%7D"), ('"', "%22"), ('\\', "%5C")];
    let mut text = segment.to_owned();
    for (sign, escape) in special {
        if text.contains(sign) {
            text = text.replace(sign, escape);
        }
    }
    text
}
