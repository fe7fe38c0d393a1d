//! Everything wrong with one file: collected, put in the order of the file, and told to people (`draw`, like a
//! compiler's messages) or to programs (`json`).
//!
//! The files `wording…` hold a method for each mistake, and are the only place with such sentences.
//! A secret that stands in the file is hidden in every excerpt.

mod draw;
mod json;
mod wording;
mod wording_checks;
mod wording_events;
mod wording_issuers;
mod wording_routes;
mod wording_sessions;
mod wording_tokens;
mod wording_users;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A byte range of the file.
pub type Span = Range<usize>;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// Probably not what was meant.
    Warning,
}

/// A place and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// Said beside the underlined text.
    pub text: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name, kebab-case.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub title: String,
    /// Where; `None` when it is about the file as a whole.
    pub primary: Option<Label>,
    /// The other place, where two are involved.
    pub second: Option<Label>,
    /// What to write instead.
    pub help: Option<String>,
}

/// All mistakes of one file, with its text.
#[derive(Clone)]
pub struct Diagnostics {
    name: String,
    text: Arc<str>,
    list: Vec<Diagnostic>,
    hidden: Vec<Span>,
    /// How many were not kept, and whether an error was among them.
    dropped: usize,
    dropped_error: bool,
    last_dropped: bool,
}

/// More are counted, not kept: a wrong file of 10 MiB has millions.
const KEPT_MAX: usize = 1000;
impl Diagnostics {
    /// No mistakes yet, in the file `name` that says `text`.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Diagnostics {
        Diagnostics {
            name: name.into(),
            text: text.into(),
            list: Vec::new(),
            hidden: Vec::new(),
            dropped: 0,
            dropped_error: false,
            last_dropped: false,
        }
    }

    /// All of them, in the order of the file once [`Diagnostics::sort`] was called.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Whether nothing can start.
    pub fn has_errors(&self) -> bool {
        self.dropped_error || self.list.iter().any(|one| one.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts them in the order of the file.
    pub fn sort(&mut self) {
        // What is about the file as a whole comes last.
        let place =
            |one: &Diagnostic| one.primary.as_ref().map_or(usize::MAX, |label| label.span.start);
        self.list
            .sort_by(|a, b| (place(a), a.severity, a.code).cmp(&(place(b), b.severity, b.code)));
        self.list.dedup();
    }

    /// Forgets the warnings and what lies at or after `offset`, errors of syntax excepted: behind the
    /// first of those nothing is where it seems to be.
    pub(super) fn keep_before(&mut self, offset: usize) {
        self.list.retain(|one| {
            let early = one.primary.as_ref().is_some_and(|label| label.span.start < offset);
            one.code == SYNTAX || (early && one.severity == Severity::Error)
        });
    }

    /// Never show what stands here.
    pub(super) fn hide(&mut self, span: &Span) {
        self.hidden.push(span.clone());
    }

    /// The place of `range` of a quoted text that was read as `text` from `span`; all of `span` where escapes
    /// make the two differ.
    pub(super) fn within(&self, span: &Span, text: &str, range: &Range<usize>) -> Span {
        let source = self.text.get(span.clone()).unwrap_or_default();
        let quote = usize::from(source.starts_with(['"', '\'']));
        let inner = source.get(quote..source.len().saturating_sub(quote));
        if inner != Some(text) || range.end > text.len() || range.start > range.end {
            return span.clone();
        }
        let start = span.start + quote + range.start;
        start..(span.start + quote + range.end).max(start)
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.last_dropped = self.is_full();
        if self.last_dropped {
            self.dropped += 1;
            self.dropped_error |= diagnostic.severity == Severity::Error;
        } else {
            self.list.push(diagnostic);
        }
    }

    /// Whether more mistakes are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= KEPT_MAX
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// The code of errors of syntax.
pub(super) const SYNTAX: &str = "syntax";

/// The candidate that was probably meant.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let likeness = |candidate: &str| {
        let (a, b) = (word.to_ascii_lowercase(), candidate.to_ascii_lowercase());
        strsim::jaro_winkler(&a, &b).max(strsim::jaro_winkler(&sorted(&a), &sorted(&b)))
    };
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness > LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// `max_body` is `body_max` with its words in another order.
fn sorted(word: &str) -> String {
    let mut words: Vec<&str> = word.split(['_', '-']).collect();
    words.sort_unstable();
    words.join("_")
}

/// More are not looked through: a hostile file must not cost minutes.
const CANDIDATES_MAX: usize = 1000;
/// Below this likeness (Jaro-Winkler, 0 to 1) a "did you mean" would only confuse.
const LIKENESS_MIN: f64 = 0.8;
